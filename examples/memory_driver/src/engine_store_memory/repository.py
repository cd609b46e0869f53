"""What the repositories share: reading rows of any kind, and writing those with a version."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from types import EllipsisType
from typing import Generic, Protocol, TypeVar

import attrs

from engine_store import checks, values
from engine_store.clock import UNSAVED
from engine_store.errors import (
    AlreadyExistsError,
    ImmutableFieldError,
    InvalidValueError,
    NotInTransactionError,
    VersionConflictError,
)
from engine_store.models import Page, TaskState, UsageSummary, User, WorkflowState
from engine_store.observing import conflicted, retried
from engine_store_memory.kinds import Filter, Kind, Row
from engine_store_memory.tables import Snapshot

T = TypeVar("T")
State = TypeVar("State", User, WorkflowState, TaskState)
Work = TypeVar("Work", WorkflowState, TaskState)

_PAUSES = tuple(min(0.01, 0.0001 * 2**attempt) for attempt in range(50))
"""The longest pause of `modify` after each of its attempts, in seconds."""


class Scope(Protocol):
    """Where a repository works: on a store, or inside a transaction."""

    @property
    def in_transaction(self) -> bool: ...

    def now(self) -> datetime:
        """The time of the store's clock."""
        ...

    def read(self) -> Snapshot:
        """What is visible here. Not to be changed."""
        ...

    def write(self) -> AbstractContextManager[Snapshot]:
        """What is visible here, to be changed; every check comes before the first change."""
        ...


def detached(value: T) -> T:
    """A copy that shares no document with `value`: what is stored is never in other hands."""
    return copy.deepcopy(value)


class Repository(Generic[Row, Filter]):
    """Rows of one kind.

    The Protocols name the arguments of each repository in its own way. So the methods here that
    take a key or a row are private, and the repositories offer them under the right names.
    """

    kind: Kind[Row, Filter]

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def list(
        self, filter: Filter | EllipsisType = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[Row]:
        """A page of the rows that match `filter`; of all rows where there is none."""
        kind, position = self.kind, self.kind.position
        wanted = kind.everything if isinstance(filter, EllipsisType) else filter
        kind.check_filter(wanted)
        values.check_limit(limit)
        after = checks.decode_cursor(kind.name, cursor)
        rows = self._scope.read()[kind].matching(wanted)
        if kind.newest_first:
            rows.reverse()
            rows = [row for row in rows if after is None or position(row) < after]
        else:
            rows = [row for row in rows if after is None or position(row) > after]
        items = tuple(map(detached, rows[:limit]))
        more = len(rows) > limit
        return Page(items, checks.encode_cursor(kind.name, *position(items[-1])) if more else None)

    def _get(self, key: str) -> Row:
        values.check_id(key, self.kind.key_field)
        return detached(self._stored(self._scope.read(), key))

    def _stored(self, data: Snapshot, key: str) -> Row:
        row = data[self.kind].get(key)
        if row is None:
            raise self.kind.not_found(key)
        return row

    def _put(self, data: Snapshot, row: Row) -> Row:
        data[self.kind].put(detached(row))
        return detached(row)

    def _check_new(self, data: Snapshot, row: Row) -> None:
        key = self.kind.key(row)
        if data[self.kind].get(key) is not None:
            raise AlreadyExistsError(self.kind.entity, self.kind.key_field, key)

    def _check_locking(self) -> None:
        """`get_for_update` needs no more than a transaction: while one is open nobody writes."""
        if not self._scope.in_transaction:
            raise NotInTransactionError(f"{self.kind.name}.get_for_update")


class Versioned(Repository[State, Filter]):
    """Rows with a version (contract 2)."""

    def _create(self, state: State) -> State:
        self.kind.check(state)
        with self._scope.write() as data:
            return self._insert(data, state)

    def _restore(self, state: State) -> State:
        self.kind.check(state)
        checks.check_restored(state, self.kind.path)
        with self._scope.write() as data:
            return self._add(data, state)

    def _update(self, state: State) -> State:
        self.kind.check(state)
        with self._scope.write() as data:
            before = self._stored(data, self.kind.key(state))
            self._check_immutable(before, state)
            self._check_version(before, state.version)
            return self._replace(data, before, state)

    def _upsert(self, state: State) -> State:
        self.kind.check(state)
        with self._scope.write() as data:
            before = data[self.kind].get(self.kind.key(state))
            if before is None:
                return self._insert(data, state)
            self._check_immutable(before, state)
            return self._replace(data, before, state)

    def _modify(self, key: str, fn: Callable[[State], State]) -> State:
        for longest in _PAUSES:
            before = self._get(key)
            after = fn(before)
            if after is before:
                return before
            if type(after) is not type(before) or self.kind.key(after) != key:
                kind = type(before).__name__
                raise InvalidValueError("fn", f"expected it to return a {kind} with the id {key!r}")
            try:
                return self._update(attrs.evolve(after, version=before.version))
            except VersionConflictError as exc:
                conflict = exc
                conflicted(exc)
                retried()
                time.sleep(random.uniform(0, longest))  # jitter, so that rivals part
        raise conflict

    def _insert(self, data: Snapshot, state: State) -> State:
        now = self._scope.now()
        return self._add(data, attrs.evolve(state, version=1, created_at=now, updated_at=now))

    def _add(self, data: Snapshot, state: State) -> State:
        self._check_new(data, state)
        self._admit(data, state, None)
        return self._put(data, state)

    def _replace(self, data: Snapshot, before: State, after: State) -> State:
        self._admit(data, after, before)
        version, now = before.version + 1, max(before.updated_at, self._scope.now())
        stamped = attrs.evolve(after, version=version, created_at=before.created_at, updated_at=now)
        return self._put(data, stamped)

    def _admit(self, data: Snapshot, state: State, before: State | None) -> None:
        """Raise where other rows stand against `state`, which is new or follows `before`."""

    def _check_immutable(self, before: State, after: State) -> None:
        changed = [f for f in self.kind.immutable if getattr(before, f) != getattr(after, f)]
        if after.created_at not in (UNSAVED, before.created_at):
            changed.append("created_at")
        if changed:
            raise ImmutableFieldError(self.kind.entity, self.kind.key(before), changed[0])

    def _check_version(self, before: State, expected: int) -> None:
        if before.version != expected:
            key = self.kind.key(before)
            raise VersionConflictError(self.kind.entity, key, expected, before.version)


class Metered(Versioned[Work, Filter]):
    """Versioned rows with a usage summary (contract 7)."""

    def _merge_usage(self, key: str, usage: UsageSummary) -> Work:
        values.check_id(key, self.kind.key_field)
        checks.check_usage(usage)
        with self._scope.write() as data:
            before = self._stored(data, key)
            merged = before.usage.merge(usage)
            checks.check_usage(merged)  # a sum may leave 64 bits
            return self._replace(data, before, attrs.evolve(before, usage=merged))
