"""What the reference store holds, and what its repositories share.

A `Data` is never changed once others can see it: a write works on a copy, which then takes the
place of the old one. That is the whole of atomicity, isolation, savepoints and rollback here.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, TypeVar

import attrs
from attrs import define, field

from engine_store import checks
from engine_store.clock import UNSAVED
from engine_store.errors import ImmutableFieldError, InvalidValueError, VersionConflictError
from engine_store.models import ApiKey, Page, TaskState, User, WorkflowState

T = TypeVar("T")
State = TypeVar("State", User, WorkflowState, TaskState)

ATTEMPTS = 50
"""How often `modify` tries before the conflict comes out."""

_LONGEST_PAUSE = 0.01


@define
class Data:
    """Every row, by its key."""

    users: dict[str, User] = field(factory=dict)
    api_keys: dict[str, ApiKey] = field(factory=dict)
    workflows: dict[str, WorkflowState] = field(factory=dict)
    tasks: dict[str, TaskState] = field(factory=dict)

    def copy(self) -> Data:
        """A working copy. The rows are shared: they are frozen, and never handed out."""
        return Data(dict(self.users), dict(self.api_keys), dict(self.workflows), dict(self.tasks))


class Scope(Protocol):
    """Where a repository works: on the store itself, or inside a transaction."""

    @property
    def in_transaction(self) -> bool: ...

    def now(self) -> datetime:
        """The time of the store's clock."""
        ...

    def read(self) -> Data:
        """What this scope sees. Not to be changed."""
        ...

    def write(self) -> AbstractContextManager[Data]:
        """A copy to change; it becomes what this scope sees if the block ends without an error."""
        ...


def detached(row: T) -> T:
    """A copy that shares no document with `row`: nothing stored is ever aliased."""
    return copy.deepcopy(row)


def check_created_at(entity: str, key: str, given: datetime, stored: datetime) -> None:
    """That `created_at` is not stated, or stated as it is (contract 2.8)."""
    if given not in (UNSAVED, stored):
        raise ImmutableFieldError(entity, key, "created_at")


def check_version(entity: str, key: str, expected: int, actual: int) -> None:
    """Compare-and-set (contract 2.3)."""
    if expected != actual:
        raise VersionConflictError(entity, key, expected, actual)


def modified(
    get: Callable[[str], State],
    update: Callable[[State], State],
    key: str,
    fn: Callable[[State], State],
) -> State:
    """Read, apply `fn`, compare-and-set; again after a conflict, the last of which comes out."""
    tried = 0
    while True:
        before = get(key)
        after = fn(before)
        if after is before:
            return before
        _check_same_row(before, after)
        try:
            return update(attrs.evolve(after, version=before.version))
        except VersionConflictError:
            tried += 1
            if tried == ATTEMPTS:
                raise
            longest = min(_LONGEST_PAUSE, 0.0001 * 2**tried)
            time.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret


def _check_same_row(before: State, after: State) -> None:
    if type(after) is not type(before):
        kinds = f"a {type(before).__name__}, found {type(after).__name__}"
        raise InvalidValueError("fn", f"expected it to return {kinds}")
    if _key(after) != _key(before):
        raise InvalidValueError("fn", f"expected it to keep the id {_key(before)!r}")


def _key(state: User | WorkflowState | TaskState) -> str:
    match state:
        case User():
            return state.user_id
        case WorkflowState():
            return state.workflow_exec_id
        case TaskState():
            return state.task_exec_id


def page(
    kind: str,
    rows: Iterable[T],
    position: Callable[[T], tuple[datetime, str]],
    limit: int,
    cursor: str | None,
    *,
    newest_first: bool = False,
) -> Page[T]:
    """The first `limit` of `rows` behind `cursor`, by `position`."""
    after = checks.decode_cursor(kind, cursor)

    def is_behind(row: T) -> bool:
        if after is None:
            return True
        return position(row) < after if newest_first else position(row) > after

    rest = sorted(filter(is_behind, rows), key=position, reverse=newest_first)
    items = tuple(detached(row) for row in rest[:limit])
    more = len(rest) > limit
    return Page(items, checks.encode_cursor(kind, *position(items[-1])) if more else None)
