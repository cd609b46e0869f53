"""The rules that all kinds of rows have, and what they draw for the fields of a row or a filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, rule

from engine_store.clock import UNSAVED
from engine_store.entities import Entity
from engine_store.models import ExecutionType, Role
from engine_store_contracts import strategies as some
from engine_store_contracts.machine.base import SideBySide, limits
from engine_store_contracts.machine.script import change

FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    "user_id": some.user_ids,
    "email": some.emails,
    "role": st.sampled_from(Role),
    "workflow_exec_id": some.workflow_exec_ids,
    "workflow_exec_ids": st.lists(some.workflow_exec_ids, max_size=3),
    "workflow_id": some.workflow_ids,
    "task_exec_ids": st.lists(some.task_exec_ids, max_size=3),
    "parent_state_id": st.none() | some.task_exec_ids,
    "task_id": some.task_ids,
    "agent_id": some.agent_ids,
    "action_id": some.action_ids,
    "tool_id": st.none() | some.tool_ids,
    "execution_type": st.sampled_from(ExecutionType),
    "status": some.statuses,
    "statuses": st.lists(some.statuses, max_size=3),
    "output": some.optional_documents,
    "usage": some.usages,
    "version": st.integers(0, 4),
    "created_at": st.just(UNSAVED) | some.times,
    "created_from": some.times,
    "created_before": some.times,
}

Rule: TypeAlias = Callable[..., Any]


def writing(
    entity: Entity[Any, Any],
    seen: Bundle[Any],
    rows: st.SearchStrategy[Any],
    keys: st.SearchStrategy[str],
    changed: Sequence[str],
    writes: Sequence[str] = ("create", "create", "update", "upsert"),
) -> tuple[Rule, Rule, Rule, Rule]:
    """Return rules that write versioned rows: new ones by `writes`, and ones `seen` with changes.

    `seen` has the rows as they once were: live ones, stale ones, deleted ones. What is changed
    are the fields `changed`, the version and the time of creation.
    """
    names = (*changed, "version", "created_at")
    changes = st.fixed_dictionaries({}, optional={name: FIELDS[name] for name in names})

    @rule(target=seen, row=rows, write=st.sampled_from(writes))
    def write(self: SideBySide, row: Any, write: str) -> MultipleResults[Any]:
        return self.state(lambda s: getattr(entity.of(s), write)(row))

    @rule(
        target=seen,
        row=seen,
        changes=changes,
        write=st.sampled_from(["create", "update", "update", "upsert"]),
    )
    def rewrite(
        self: SideBySide, row: Any, changes: dict[str, Any], write: str
    ) -> MultipleResults[Any]:
        return self.state(lambda s: getattr(entity.of(s), write)(attrs.evolve(row, **changes)))

    @rule(target=seen, row=rows | seen, saved=some.saved_fields)
    def restore(self: SideBySide, row: Any, saved: dict[str, Any]) -> MultipleResults[Any]:
        return self.state(lambda s: entity.of(s).restore(attrs.evolve(row, **saved)))

    @rule(target=seen, key=keys, changes=st.none() | changes)
    def modify(self: SideBySide, key: str, changes: dict[str, Any] | None) -> MultipleResults[Any]:
        return self.state(lambda s: entity.of(s).modify(key, change(changes)))

    return write, rewrite, restore, modify


def listing(entity: Entity[Any, Any]) -> Rule:
    """Return a rule that reads every page of a list, with any filter."""
    kind = type(entity.everything)
    fields = {name: st.none() | FIELDS[name] for name in attrs.fields_dict(kind)}

    @rule(filter=st.builds(kind, **fields), limit=limits)
    def list_rows(self: SideBySide, filter: Any, limit: int) -> None:
        self.pages(lambda s, cursor: entity.of(s).list(filter, limit=limit, cursor=cursor))

    return list_rows
