"""What the operations of all repositories share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import attrs
from attrs import frozen

from engine_store.checks import encode_cursor
from engine_store.clock import UNSAVED, Clock
from engine_store.errors import InvalidValueError, VersionConflictError
from engine_store.models import Page, TaskState, User, WorkflowState
from engine_store.sql.operation import Backoff, Op, Procedure, Step
from engine_store.sql.rows import Row, Rows
from engine_store.sql.statements import Queries

_S = TypeVar("_S", User, WorkflowState, TaskState)
_E = TypeVar("_E")


@frozen
class Context:
    """What operations are made with: the driver's statements and rows, and the store's clock."""

    queries: Queries
    rows: Rows
    clock: Clock
    backoff: Backoff = Backoff()


class Operations:
    """The base of a repository's operations; public methods are the repository's methods."""

    def __init__(self, context: Context) -> None:
        """Operations on the statements of `context`."""
        self._q = context.queries
        self._rows = context.rows
        self._clock = context.clock
        self._backoff = context.backoff

    def _now(self) -> Any:
        """The time now, as a parameter."""
        now = self._clock()
        return self._rows.codec.write_time(now if now.tzinfo is UTC else now.astimezone(UTC))

    def _new(self) -> dict[str, Any]:
        """What a store sets of a new state, as parameters."""
        now = self._now()
        return {"version": 1, "created_at": now, "updated_at": now}

    def _by_task_id(self, rows: Sequence[Row]) -> dict[str, TaskState]:
        """The tasks in rows of one execution for each `task_id`."""
        return {task.task_id: task for task in map(self._rows.task, rows)}

    def _modify(
        self,
        get: Callable[..., Op[_S]],
        update: Callable[..., Op[_S]],
        key: str,
        fn: Callable[[_S], _S],
    ) -> Procedure[_S]:
        """Read, apply, compare-and-set, and again after a conflict (contract 2.6)."""
        conflict: VersionConflictError
        for pause in self._backoff.pauses():
            state: _S = yield Step(get, (key,))
            changed = fn(state)
            if changed is state:
                return state
            if type(changed) is not type(state):
                raise InvalidValueError(
                    "fn",
                    f"expected it to return a {type(state).__name__}, "
                    f"found {type(changed).__name__}",
                )
            if _key(changed) != key:
                raise InvalidValueError("fn", f"expected it to keep the id {key!r}")
            try:
                stored: _S = yield Step(update, (attrs.evolve(changed, version=state.version),))
            except VersionConflictError as lost:
                conflict = lost
                yield pause
            else:
                return stored
        raise conflict


def page(
    rows: Sequence[Row],
    limit: int,
    decode: Callable[[Row], _E],
    position: Callable[[_E], tuple[str, datetime, str]],
) -> Page[_E]:
    """A page of at most `limit` of `rows`, which were asked for with one more than that.

    `position` gives the kind, `created_at` and id that a cursor behind an item is made of.
    """
    items = tuple([decode(row) for row in rows[:limit]])
    more = len(rows) > limit
    return Page(items, encode_cursor(*position(items[-1])) if more else None)


def changed_field(stored: _S, given: _S, *fields: str) -> str | None:
    """The immutable field that `given` states otherwise than it is stored (contract 2.8).

    One of `fields`, else `created_at`; None where neither does.
    """
    for field in fields:
        if getattr(given, field) != getattr(stored, field):
            return field
    return None if given.created_at in (UNSAVED, stored.created_at) else "created_at"


def _key(state: User | WorkflowState | TaskState) -> str:
    match state:
        case User():
            return state.user_id
        case WorkflowState():
            return state.workflow_exec_id
        case TaskState():
            return state.task_exec_id
