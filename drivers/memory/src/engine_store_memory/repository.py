"""The base of the repositories: reading rows of any entity, and writing those with a version."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from types import EllipsisType
from typing import Any, Generic, Protocol, TypeVar

import attrs

from engine_store import values
from engine_store.concurrency.callbacks import StoreCalled, call_holding
from engine_store.drivers import observing
from engine_store.errors import AlreadyExistsError, NotInTransactionError, VersionConflictError
from engine_store.models import (
    STATUS_CHANGED,
    Event,
    Page,
    Status,
    TaskState,
    UsageSummary,
    User,
    WorkflowState,
)
from engine_store.rules import checks
from engine_store.rules.entities import Entity, F, R
from engine_store.rules.sizes import size_of
from engine_store.waiting.notifier import Notifier, topics_of
from engine_store_memory.database import Data, Draft, Snapshot
from engine_store_memory.rows import detached, matching, ordered

State = TypeVar("State", User, WorkflowState, TaskState)
Work = TypeVar("Work", WorkflowState, TaskState)

_PAUSES = tuple(min(0.01, 0.0001 * 2**attempt) for attempt in range(50))
"""The longest pause of `modify` before each of its further attempts, in seconds."""

_ALONE_AFTER = 5
"""Lost attempts after which `modify` keeps other writers out."""


class Scope(Protocol):
    """The ground of a repository: a store, or a transaction."""

    @property
    def in_transaction(self) -> bool: ...

    @property
    def max_document_bytes(self) -> int: ...

    @property
    def notifier(self) -> Notifier | None: ...

    def now(self) -> datetime:
        """Return the time of the store's clock."""

    def read(self) -> Snapshot:
        """Return what is visible here. Not to be changed."""

    def write(self) -> AbstractContextManager[Draft]:
        """Give what is visible here, to be changed; every check comes before the first change."""


class Repository(Generic[R, F]):
    """The rows of one entity.

    Each Protocol names its arguments in its own way. So the methods here that take an id or a row
    are private, and the repositories offer them with the right names.
    """

    entity: Entity[R, F]

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def list(
        self, filter: F | EllipsisType = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[R]:
        entity, position = self.entity, self.entity.position
        wanted = entity.everything if isinstance(filter, EllipsisType) else filter
        wanted = entity.check_filter(wanted)
        values.check_limit(limit)
        after = checks.decode_cursor(entity.repository, cursor)
        rows = ordered(entity, matching(self._scope.read()[entity].values(), wanted))
        if entity.newest_first:
            rows.reverse()
            rows = [row for row in rows if after is None or position(row) < after]
        else:
            rows = [row for row in rows if after is None or position(row) > after]
        return entity.page(tuple(map(detached, rows[:limit])), more=len(rows) > limit)

    def _get(self, key: str) -> R:
        values.check_id(key, self.entity.key_field)
        return detached(self._stored(self._scope.read(), key))

    def _checked(self, row: R, *, restored: bool = False) -> R:
        """Return a row to be written, in a copy."""
        check = self.entity.check_restored if restored else self.entity.check
        return self.entity.check_sizes(check(row), self._scope.max_document_bytes)

    def _stored(self, data: Data, key: str) -> R:
        row = data[self.entity].get(key)
        if row is None:
            raise self.entity.not_found(key)
        return row

    def _put(self, data: Draft, row: R) -> R:
        put(data, self.entity, row)
        return detached(row)


class Versioned(Repository[State, F]):
    """Rows with a version (contract 2)."""

    def _create(self, state: State) -> State:
        state = self._checked(state)
        with self._scope.write() as data:
            return self._insert(data, state)

    def _restore(self, state: State) -> State:
        state = self._checked(state, restored=True)
        with self._scope.write() as data:
            return self._add(data, state)

    def _update(self, state: State) -> State:
        state = self._checked(state)
        with self._scope.write() as data:
            return self._update_in(data, state)

    def _update_in(self, data: Draft, state: State) -> State:
        before = self._stored(data, self.entity.key(state))
        self.entity.check_immutable(before, state)
        self._check_version(before, state.version)
        return self._replace(data, before, state)

    def _upsert(self, state: State) -> State:
        state = self._checked(state)
        with self._scope.write() as data:
            return self._upsert_in(data, state)

    def _upsert_in(self, data: Draft, state: State) -> State:
        before = data[self.entity].get(self.entity.key(state))
        if before is None:
            return self._insert(data, state)
        self.entity.check_immutable(before, state)
        return self._replace(data, before, state)

    def _modify(self, key: str, fn: Callable[[State], State]) -> State:
        pauses = iter(_PAUSES)
        attempt = 0
        while True:
            if attempt == _ALONE_AFTER:
                with suppress(StoreCalled):
                    return self._modify_alone(key, fn)
            attempt += 1
            before = self._get(key)
            after = self._changed(fn, before)
            if after is before:
                return before
            try:
                return self._update(after)
            except VersionConflictError as lost:
                longest = next(pauses, None)
                if longest is None:
                    raise
                observing.conflicted(lost)
            observing.retried()
            time.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret

    def _modify_alone(self, key: str, fn: Callable[[State], State]) -> State:
        """Keep other writers out meanwhile. Raises `StoreCalled` if `fn` calls the store."""
        with self._scope.write() as data:
            before = detached(self._stored(data, key))
            after = call_holding(lambda state: self._changed(fn, state), before)
            return before if after is before else self._update_in(data, after)

    def _changed(self, fn: Callable[[State], State], before: State) -> State:
        after = fn(before)
        if after is before:
            return before
        self.entity.check_modified(before, after)
        return attrs.evolve(after, version=before.version)

    def _insert(self, data: Draft, state: State) -> State:
        now = self._scope.now()
        return self._add(data, attrs.evolve(state, version=1, created_at=now, updated_at=now))

    def _add(self, data: Draft, state: State) -> State:
        key = self.entity.key(state)
        if key in data[self.entity]:
            raise AlreadyExistsError(self.entity.label, self.entity.key_field, key)
        self._admit(data, state, None)
        return self._put(data, state)

    def _replace(self, data: Draft, before: State, after: State) -> State:
        self._admit(data, after, before)
        version, now = before.version + 1, max(before.updated_at, self._scope.now())
        stamped = attrs.evolve(after, version=version, created_at=before.created_at, updated_at=now)
        return self._put(data, stamped)

    def _admit(self, data: Data, state: State, before: State | None) -> None:
        """Raise if other rows stand against `state`, which is new or follows `before`."""

    def _check_version(self, before: State, expected: int) -> None:
        if before.version != expected:
            key = self.entity.key(before)
            raise VersionConflictError(self.entity.label, key, expected, before.version)


class Metered(Versioned[Work, F]):
    """Rows with a usage summary (contract 7), which a transaction can hold."""

    def _check_locking(self) -> None:
        # To be in a transaction is enough: while one is open, no other one writes.
        if not self._scope.in_transaction:
            raise NotInTransactionError(f"{self.entity.repository}.get_for_update")

    def _merge_usage(self, key: str, usage: UsageSummary) -> Work:
        values.check_id(key, self.entity.key_field)
        usage = checks.check_usage(usage)
        with self._scope.write() as data:
            before = self._stored(data, key)
            merged = checks.check_merged(before.usage.merge(usage))
            values.check_size(size_of(merged), "usage", self._scope.max_document_bytes)
            return self._replace(data, before, attrs.evolve(before, usage=merged))


def put(data: Draft, entity: Entity[R, Any], row: R) -> None:
    """Store a row. With `history` a change of its status is an event (contract 11.5)."""
    key = entity.key(row)
    before, data[entity][key] = data[entity].get(key), row
    data.topics.update(topics_of(row, history=data.history))
    if data.history and before is not None and isinstance(row, (TaskState, WorkflowState)):
        _record(data, before, row)


def _record(data: Draft, before: Any, after: TaskState | WorkflowState) -> None:
    if before.status is after.status:
        return
    of_task = {"attempt": after.attempt} if isinstance(after, TaskState) else {}
    error = None if after.status is Status.RUNNING else after.error
    stored = data.events.get(after.workflow_exec_id, ())
    event = Event(
        after.workflow_exec_id,
        stored[-1].number + 1 if stored else 1,
        STATUS_CHANGED,
        {
            "from": before.status.value,
            "to": after.status.value,
            **of_task,
            "error": None if error is None else attrs.asdict(error),
        },
        after.task_exec_id if isinstance(after, TaskState) else None,
        created_at=after.updated_at,
    )
    data.events[after.workflow_exec_id] = (*stored, event)
