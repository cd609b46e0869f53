"""Token usage: summaries that merge in any order to the same result (contract 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

import attrs
from attrs import frozen

_T = TypeVar("_T", int, datetime)


@frozen(slots=False)  # see WorkflowState
class UsageEntry:
    """The tokens one model of one provider used, as counted by `source`.

    Counts are non-negative. `total_tokens` is prompt + completion where it is left out.
    An optional count that is None was never reported, which is not the same as 0.
    """

    provider: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_prompt_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    agent_ids: tuple[str, ...] = ()
    captured_at: datetime | None = None
    updated_at: datetime | None = None
    source: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What entries are merged by: provider and model trimmed, source trimmed and folded."""
        return (self.provider.strip(), self.model.strip(), (self.source or "").strip().casefold())


@frozen(slots=False)
class UsageSummary:
    """Usage entries in canonical form: one for each key, sorted by provider, model, source.

    Build one with `UsageSummary.of(entries)`, which brings any entries into that form. A summary
    is never None in a state: nothing used is `UsageSummary()`.
    """

    entries: tuple[UsageEntry, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[UsageEntry]) -> UsageSummary:
        """The canonical summary of `entries`; those with equal keys are merged."""
        merged: dict[tuple[str, str, str], UsageEntry] = {}
        for entry in map(_canonical, entries):
            known = merged.get(entry.key)
            merged[entry.key] = entry if known is None else _merge(known, entry)
        return cls(tuple(merged[key] for key in sorted(merged)))

    @property
    def is_canonical(self) -> bool:
        """Whether these entries are what `of` would make of them."""
        keys = [entry.key for entry in self.entries]
        return all(map(_is_canonical, self.entries, keys)) and all(
            before < after for before, after in pairwise(keys)
        )

    def merge(self, other: UsageSummary) -> UsageSummary:
        """Both summaries together. Associative and commutative (contract 7)."""
        return UsageSummary.of((*self.entries, *other.entries))


def _is_canonical(entry: UsageEntry, key: tuple[str, str, str]) -> bool:
    agent_ids = entry.agent_ids
    return (
        key == (entry.provider, entry.model, entry.source or "")
        and entry.source != ""
        and entry.total_tokens is not None
        and (agent_ids == () or agent_ids == tuple(sorted(set(agent_ids))))
    )


def _canonical(entry: UsageEntry) -> UsageEntry:
    if _is_canonical(entry, entry.key):
        return entry
    provider, model, source = entry.key
    total = entry.total_tokens
    return attrs.evolve(
        entry,
        provider=provider,
        model=model,
        total_tokens=entry.prompt_tokens + entry.completion_tokens if total is None else total,
        agent_ids=tuple(sorted(set(entry.agent_ids))),
        source=source or None,
    )


def _merge(a: UsageEntry, b: UsageEntry) -> UsageEntry:
    return UsageEntry(
        provider=a.provider,
        model=a.model,
        prompt_tokens=a.prompt_tokens + b.prompt_tokens,
        completion_tokens=a.completion_tokens + b.completion_tokens,
        total_tokens=_either(_add, a.total_tokens, b.total_tokens),
        reasoning_tokens=_either(_add, a.reasoning_tokens, b.reasoning_tokens),
        cached_prompt_tokens=_either(_add, a.cached_prompt_tokens, b.cached_prompt_tokens),
        input_audio_tokens=_either(_add, a.input_audio_tokens, b.input_audio_tokens),
        output_audio_tokens=_either(_add, a.output_audio_tokens, b.output_audio_tokens),
        agent_ids=tuple(sorted({*a.agent_ids, *b.agent_ids})),
        captured_at=_either(min, a.captured_at, b.captured_at),
        updated_at=_either(max, a.updated_at, b.updated_at),
        source=a.source,
    )


def _add(a: int, b: int) -> int:
    return a + b


def _either(join: Callable[[_T, _T], _T], a: _T | None, b: _T | None) -> _T | None:
    if a is None:
        return b
    return a if b is None else join(a, b)
