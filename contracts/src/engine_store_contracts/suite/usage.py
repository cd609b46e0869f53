"""Section 7: usage summaries, merged by the store."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from engine_store.errors import InvalidValueError
from engine_store.models import UsageEntry, UsageSummary
from engine_store.protocols import Store
from engine_store.values import INT_MAX
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, refuses
from engine_store_contracts.suite.samples import METERED, USAGE, Kind, each, task, workflow

FULL = UsageEntry(
    "openai",
    "gpt",
    prompt_tokens=INT_MAX - 1,
    completion_tokens=1,
    total_tokens=INT_MAX,
    reasoning_tokens=0,
    cached_prompt_tokens=7,
    input_audio_tokens=None,
    output_audio_tokens=2**53 + 1,
    agent_ids=("\u00e9diteur", "\U0001f600"),
    captured_at=START,
    updated_at=START + timedelta(microseconds=1),
    source="API \u00df",
)


def entry(**fields: Any) -> UsageEntry:
    """An entry of one provider and model."""
    return UsageEntry(**{"provider": "openai", "model": "gpt", **fields})


# One merged into the other: what is stored after it.
MERGES: dict[str, tuple[list[UsageEntry], list[UsageEntry], list[UsageEntry]]] = {
    "counts add up": (
        [entry(prompt_tokens=1, completion_tokens=2, total_tokens=9)],
        [entry(prompt_tokens=10, completion_tokens=20)],
        [entry(prompt_tokens=11, completion_tokens=22, total_tokens=39)],
    ),
    "an absent count stays absent": (
        [entry(reasoning_tokens=None, cached_prompt_tokens=None)],
        [entry(reasoning_tokens=None, cached_prompt_tokens=0)],
        [entry(total_tokens=0, reasoning_tokens=None, cached_prompt_tokens=0)],
    ),
    "optional counts add up": (
        [entry(input_audio_tokens=1, output_audio_tokens=2)],
        [entry(input_audio_tokens=10, output_audio_tokens=20)],
        [entry(total_tokens=0, input_audio_tokens=11, output_audio_tokens=22)],
    ),
    "agents are united and sorted": (
        [entry(agent_ids=("b", "a"))],
        [entry(agent_ids=("c", "a", "B"))],
        [entry(total_tokens=0, agent_ids=("B", "a", "b", "c"))],
    ),
    "the earliest capture, the latest update": (
        [entry(captured_at=START, updated_at=START)],
        [entry(captured_at=START - timedelta(1), updated_at=START + timedelta(1))],
        [
            entry(
                total_tokens=0,
                captured_at=START - timedelta(1),
                updated_at=START + timedelta(1),
            )
        ],
    ),
    "a time on one side": (
        [entry(captured_at=START)],
        [entry(updated_at=START)],
        [entry(total_tokens=0, captured_at=START, updated_at=START)],
    ),
    "names trimmed": (
        [entry(provider=" openai", model="gpt ")],
        [entry(prompt_tokens=1)],
        [entry(prompt_tokens=1, total_tokens=1)],
    ),
    "source without regard to case": (
        [entry(source="API", prompt_tokens=1)],
        [entry(source=" api", prompt_tokens=1)],
        [entry(source="api", prompt_tokens=2, total_tokens=2)],
    ),
    "provider and model in their case": (
        [entry(model="GPT")],
        [entry(model="gpt")],
        [entry(model="GPT", total_tokens=0), entry(model="gpt", total_tokens=0)],
    ),
    "sorted by provider, model, source": (
        [entry(provider="b"), entry(provider="a", model="z")],
        [entry(provider="a", source="s"), entry(provider="a"), entry(provider="A")],
        [
            entry(provider="A", total_tokens=0),
            entry(provider="a", total_tokens=0),
            entry(provider="a", source="s", total_tokens=0),
            entry(provider="a", model="z", total_tokens=0),
            entry(provider="b", total_tokens=0),
        ],
    ),
    "into nothing": ([], [entry()], [entry(total_tokens=0)]),
    "nothing into it": ([entry(prompt_tokens=3)], [], [entry(prompt_tokens=3, total_tokens=3)]),
}

BAD_USAGE: dict[str, tuple[Any, str]] = {
    "None": (None, "usage"),
    "a list": ([USAGE.entries[0]], "usage"),
    "entries in a list": (UsageSummary([]), "usage.entries"),  # type: ignore[arg-type]
    "an entry of another type": (UsageSummary(({},)), "usage.entries[0]"),  # type: ignore[arg-type]
    "not merged": (UsageSummary((FULL, FULL)), "usage"),
    "not sorted": (
        UsageSummary((entry(model="b", total_tokens=0), entry(model="a", total_tokens=0))),
        "usage",
    ),
    "no total": (UsageSummary((entry(),)), "usage"),
    "a negative count": (
        UsageSummary((entry(prompt_tokens=-1, total_tokens=0),)),
        "usage.entries[0].prompt_tokens",
    ),
    "a negative optional count": (
        UsageSummary((entry(total_tokens=0, reasoning_tokens=-1),)),
        "usage.entries[0].reasoning_tokens",
    ),
    "a bool": (
        UsageSummary((entry(completion_tokens=True, total_tokens=1),)),
        "usage.entries[0].completion_tokens",
    ),
    "2^63": (UsageSummary((entry(total_tokens=2**63),)), "usage.entries[0].total_tokens"),
    "a total filled in": (
        UsageSummary.of([entry(prompt_tokens=INT_MAX, completion_tokens=1)]),
        "usage.entries[0].total_tokens",
    ),
    "an empty provider": (UsageSummary((entry(provider=""),)), "usage.entries[0].provider"),
    "a bad agent": (
        UsageSummary((entry(total_tokens=0, agent_ids=("a", "\0")),)),
        "usage.entries[0].agent_ids[1]",
    ),
    "a naive time": (
        UsageSummary((entry(total_tokens=0, captured_at=datetime(2024, 1, 1)),)),
        "usage.entries[0].captured_at",
    ),
}


class UsageCases(ContractCase):
    """Contract 7 and 2.7."""

    @clause("7", "1.3")
    def test_a_summary_is_read_as_it_was_written(self, store: Store) -> None:
        absent = entry(provider="x" * 255, model="'; --", total_tokens=0)
        usage = UsageSummary.of([FULL, absent])
        store.workflows.create(workflow(usage=usage))
        store.tasks.create(task(usage=usage))
        assert_same(store.workflows.get("w").usage, usage)
        assert_same(store.tasks.get("t").usage, usage)
        assert_same(store.tasks.usage("t"), usage)

    @clause("7", "2.7")
    @each(METERED)
    @pytest.mark.parametrize(("stored", "added", "expected"), MERGES.values(), ids=MERGES)
    def test_merging(
        self,
        repository: Any,
        clock: ManualClock,
        kind: Kind,
        stored: list[UsageEntry],
        added: list[UsageEntry],
        expected: list[UsageEntry],
    ) -> None:
        before = repository.create(attrs.evolve(kind.make("x"), usage=UsageSummary.of(stored)))
        now = clock.tick()
        given = UsageSummary.of(added)
        after = repository.merge_usage("x", given)
        merged = UsageSummary(tuple(expected))
        assert_same(after, attrs.evolve(before, usage=merged, version=2, updated_at=now))
        assert_same(repository.get("x"), after)
        assert_same(given, UsageSummary.of(added))
        # And the other way round:
        repository.create(attrs.evolve(kind.make("y"), usage=given))
        assert_same(repository.merge_usage("y", UsageSummary.of(stored)).usage, merged)

    @clause("7", "1.4")
    @pytest.mark.parametrize(("bad", "path"), BAD_USAGE.values(), ids=BAD_USAGE)
    def test_what_is_no_summary_is_refused(self, store: Store, bad: Any, path: str) -> None:
        stored = store.workflows.create(workflow(usage=USAGE))
        with refuses(path):
            store.workflows.merge_usage("w", bad)
        with refuses(f"workflow.{path}"):
            store.workflows.update(attrs.evolve(stored, usage=bad))
        with refuses(f"task.{path}"):
            store.tasks.create(task(usage=bad))
        assert_same(store.workflows.get("w"), stored)

    @clause("7", "2.7")
    @each(METERED)
    @pytest.mark.parametrize(
        ("added", "field"),
        [
            (entry(prompt_tokens=INT_MAX, total_tokens=0), "prompt_tokens"),
            (entry(total_tokens=INT_MAX), "total_tokens"),
            (entry(total_tokens=0, reasoning_tokens=INT_MAX), "reasoning_tokens"),
        ],
        ids=["prompt", "total", "optional"],
    )
    def test_a_sum_beyond_64_bits_is_refused_and_changes_nothing(
        self, repository: Any, kind: Kind, added: UsageEntry, field: str
    ) -> None:
        one = UsageSummary.of([entry(prompt_tokens=1, reasoning_tokens=1)])
        stored = repository.create(attrs.evolve(kind.make("x"), usage=one))
        with pytest.raises(InvalidValueError) as caught:
            repository.merge_usage("x", UsageSummary.of([added]))
        assert caught.value.path == f"usage.entries[0].{field}"
        assert_same(repository.get("x"), stored)
