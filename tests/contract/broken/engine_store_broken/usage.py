"""Mutants of section 7: usage summaries."""

from __future__ import annotations

from typing import Any

import attrs

from engine_store.models import UsageSummary
from engine_store_broken.mutant import mutant, replace


def change_what_is_merged(change: Any) -> None:
    """Let `merge_usage` of SQL drivers write each entry as `change` has it."""

    @replace("engine_store.sql.operations.base:write_usage")
    def write_usage(original: Any, usage: UsageSummary) -> Any:
        return original(UsageSummary(tuple(map(change, usage.entries))))


@mutant("7", base="sqlite")
def absent_counts_become_zero() -> None:
    """A count that was never reported is read as 0."""

    @replace("engine_store.sql.rows:_read_entry")
    def read_entry(original: Any, fields: Any) -> Any:
        return original({"reasoning_tokens": 0, **fields})


@mutant("7", base="sqlite")
def agents_unsorted() -> None:
    """Agents are united in a set, and written in whatever order it has."""
    change_what_is_merged(lambda e: attrs.evolve(e, agent_ids=e.agent_ids[::-1]))


@mutant("7", base="sqlite")
def totals_computed_anew() -> None:
    """The total is always prompt and completion, also where a provider counted otherwise."""
    change_what_is_merged(
        lambda e: attrs.evolve(e, total_tokens=e.prompt_tokens + e.completion_tokens)
    )
