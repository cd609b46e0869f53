"""Choosing, ordering and copying rows."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

import attrs

from engine_store.models import ApiKey, Event, TaskState, User, WorkflowState
from engine_store.rules.entities import Entity, F, R

State = TypeVar("State", WorkflowState, TaskState)

_MUTABLE = {
    User: (),
    ApiKey: (),
    WorkflowState: ("input", "output", "error", "tasks"),
    TaskState: ("input", "output", "error"),
    Event: ("data",),
}
"""The fields of a row that hold what a caller could change in place."""

_MEMBERS = {
    "statuses": "status",
    "workflow_exec_ids": "workflow_exec_id",
    "task_exec_ids": "task_exec_id",
}
"""The collections of filters, and the field whose value each must hold."""


def detached(row: R) -> R:
    """Return a copy that shares no document with `row`: what is stored is in no other hands."""
    fields = _MUTABLE[type(row)]
    return attrs.evolve(row, **{name: copy.deepcopy(getattr(row, name)) for name in fields})


def written(row: State, now: datetime, **changes: Any) -> State:
    """Return a row as it is after a write of these changes (contract 2.1)."""
    changes |= {"version": row.version + 1, "updated_at": max(row.updated_at, now)}
    return attrs.evolve(row, **changes)


def where(rows: Iterable[R], **fields: object) -> list[R]:
    """Return the rows that have these values; None is any value."""
    found = list(rows)
    for name, value in fields.items():
        if value is not None:
            found = [row for row in found if getattr(row, name) == value]
    return found


def matching(rows: Iterable[R], filter: F) -> list[R]:
    """Return the rows that match every field of `filter` that is given."""
    given = attrs.asdict(filter, recurse=False)
    begin, end = given.pop("created_from", None), given.pop("created_before", None)
    collections = {name: given.pop(name) for name in _MEMBERS if name in given}
    found = where(rows, **given)
    for name, members in collections.items():
        if members is not None:
            field, wanted = _MEMBERS[name], frozenset(members)
            found = [row for row in found if getattr(row, field) in wanted]
    return [
        row
        for row in found
        if (begin is None or begin <= row.created_at) and (end is None or row.created_at < end)
    ]


def ordered(entity: Entity[R, F], rows: Iterable[R]) -> list[R]:
    """Return the rows in `created_at`, then id order (contract 1.6)."""
    return sorted(rows, key=entity.position)


def by_parent(tasks: Iterable[TaskState]) -> defaultdict[str | None, list[TaskState]]:
    """Return the tasks by the parent that they have."""
    children = defaultdict[str | None, list[TaskState]](list)
    for task in tasks:
        children[task.parent_state_id].append(task)
    return children


def latest_of_each(tasks: Iterable[TaskState]) -> dict[str, TaskState]:
    """Return the last of `tasks` for each `task_id`, in their order."""
    latest: dict[str, TaskState] = {}
    for task in tasks:
        latest.pop(task.task_id, None)  # so that it moves to the end
        latest[task.task_id] = task
    return latest
