"""The base of the operations of the repositories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

import attrs
from attrs import frozen

from engine_store.clock import Clock
from engine_store.concurrency.callbacks import StoreCalled, call_holding
from engine_store.drivers.observing import conflicted, retried
from engine_store.errors import (
    AlreadyExistsError,
    DamagedRowError,
    EngineStoreError,
    VersionConflictError,
    WorkflowNotFoundError,
)
from engine_store.models import Page, Status, TaskState, UsageSummary, User, WorkflowState
from engine_store.rules.checks import check_merged, check_usage, decode_cursor
from engine_store.rules.entities import WORKFLOW, Entity, R
from engine_store.sql.operation import Backoff, Last, LostRace, Op, Steps, step, transact
from engine_store.sql.rows import Row, Rows, write_usage
from engine_store.sql.statements import Call, Queries, Statement
from engine_store.values import MAX_DOCUMENT_BYTES, check_id, check_limit, check_size, plain_time

S = TypeVar("S", User, WorkflowState, TaskState)


@frozen
class Bindings:
    """The driver's statements and rows, the store's clock and its limit, for operations.

    After `lock_after` lost attempts `modify` holds the row first.
    """

    queries: Queries
    rows: Rows
    clock: Clock
    backoff: Backoff = Backoff()
    max_document_bytes: int = MAX_DOCUMENT_BYTES
    lock_after: int = 5


class Operations(Generic[R]):
    """The base of a repository's operations; public methods are the repository's methods."""

    entity: ClassVar[Entity[Any, Any]]

    def __init__(self, bindings: Bindings) -> None:
        """Operations on the statements of `bindings`."""
        self._q = bindings.queries
        self._rows = bindings.rows
        self._clock = bindings.clock
        self._backoff = bindings.backoff
        self._lock_after = bindings.lock_after
        self._max_bytes = bindings.max_document_bytes
        self._decode: Callable[[Row], R] = bindings.rows.decoder(self.entity)
        self._encode: Callable[[R], dict[str, Any]] = bindings.rows.encoder(self.entity)

    @cached_property
    def _encode_filter(self) -> Callable[[Any], dict[str, Any]]:
        return self._rows.filter_encoder(self.entity)

    def _parameters(self, row: R) -> dict[str, Any]:
        """Return a row as parameters. Raises `InvalidValueError` if one is too large (1.7)."""
        parameters = self._encode(row)
        for name, path in self.entity.sized:
            self._check_size(parameters[name], path)
        return parameters

    def _check_size(self, value: str | bytes | None, path: str) -> None:
        # A character is four bytes at most: few texts are counted.
        if value is not None and len(value) > self._max_bytes // 4:
            check_size(
                len(value.encode() if isinstance(value, str) else value), path, self._max_bytes
            )

    def _time(self) -> datetime:
        """Return the time now."""
        return plain_time(self._clock())

    def _now(self) -> Any:
        """Return the time now, as a parameter."""
        return self._rows.codec.write_time(self._time())

    def _one(self, call: Call, key: str, field: str = "id") -> Op[R]:
        """Read one row. Raises the entity's `NotFoundError`."""
        row = yield call
        if row is None:
            raise self.entity.not_found(key, field)
        found = self._decode(row)
        if field == "id" and self.entity.key(found) != key:  # by a damaged index
            raise DamagedRowError(self.entity.repository, key, self.entity.key_field, repr(key))
        return found

    def _page(
        self,
        statement: Statement,
        filter: Any,
        limit: int,
        cursor: str | None,
    ) -> Op[Page[R]]:
        """Read a page of at most `limit` rows, and one row more, to know whether it is the last."""
        filter = self.entity.check_filter(filter)
        check_limit(limit)
        time, key = decode_cursor(self.entity.repository, cursor) or (None, None)
        if is_empty(filter):
            return Page(())
        edge = "before" if self.entity.newest_first else "after"
        position = {f"{edge}_created_at": self._rows.time(time), f"{edge}_id": key}
        rows = yield statement(**self._encode_filter(filter), **position, limit=limit + 1)
        return self.entity.page(tuple(map(self._decode, rows[:limit])), more=len(rows) > limit)


Action: TypeAlias = Literal["create", "update", "upsert"]
"""The ways to write a state."""


class StateOperations(Operations[S]):
    """The base for the repositories of states, which have versions (contract 2)."""

    get: Callable[..., Op[S]]
    update: Callable[..., Op[S]]

    @cached_property
    def _zeros(self) -> dict[str, int]:
        """The counters of a new row."""
        return dict.fromkeys(self.entity.counters, 0)

    def _create(self, statement: Statement, state: S, **parameters: Any) -> Op[S]:
        state = self.entity.check(state)
        now = self._now()
        stamps = {"version": 1, "created_at": now, "updated_at": now, **self._zeros}
        return self._write(statement, state, "create", **stamps, **parameters)

    def _restore(self, statement: Statement, state: S, **parameters: Any) -> Op[S]:
        state = self.entity.check_restored(state)
        stamps = {name: getattr(state, name) for name in self.entity.counters}
        stamps["updated_at"] = self._rows.time(state.updated_at)
        return self._write(statement, state, "create", **stamps, **parameters)

    def _update(self, statement: Statement, state: S) -> Op[S]:
        state = self.entity.check(state)
        return self._write(statement, state, "update", now=self._now())

    def _upsert(self, statement: Statement, state: S, **parameters: Any) -> Op[S]:
        state = self.entity.check(state)
        stamps = {"now": self._now(), **self._zeros}
        return self._write(statement, state, "upsert", **stamps, **parameters)

    def _write(self, statement: Statement, state: S, action: Action, **parameters: Any) -> Op[S]:
        row = yield statement(**self._parameters(state) | parameters)
        if row is None:
            raise (yield from self._why_refused(state, action, parameters))
        return self._decode(row)

    def _why_refused(
        self, given: S, action: Action, parameters: Mapping[str, Any]
    ) -> Op[EngineStoreError]:
        """Return why a write did nothing. Raises `LostRace` if no reason is to be seen."""
        label, key_field = self.entity.label, self.entity.key_field
        key = self.entity.key(given)
        row, *others = yield (self._stored(key), *self._others(given, action))
        stored = None if row is None else self._decode(row)
        if stored is None and action == "update":
            return self.entity.not_found(key)
        if stored is not None:
            if action == "create":
                return AlreadyExistsError(label, key_field, key)
            self.entity.check_immutable(stored, given)
            if action == "update" and given.version != stored.version:
                return VersionConflictError(label, key, given.version, stored.version)
        if (obstacle := self._obstacle(given, stored, others, parameters)) is not None:
            return obstacle
        raise LostRace

    def _stored(self, key: str) -> Call:
        """Return the call that reads the row of this id."""
        raise NotImplementedError

    def _others(self, given: S, action: Action) -> Sequence[Call]:
        """Return the calls that read which other rows may stand against a write."""
        return ()

    def _obstacle(
        self,
        given: S,
        stored: S | None,
        others: Sequence[Row | None],
        parameters: Mapping[str, Any],
    ) -> EngineStoreError | None:
        """Return the error for what `others`, the rows of `_others`, have against a write.

        `parameters` are those that the write had beyond the state's.
        """
        return None

    def _modify(self, key: str, fn: Callable[[S], S]) -> Steps[S]:
        """Read, apply, compare-and-set, and again after a conflict (contract 2.6)."""
        conflict: VersionConflictError
        for attempt, pause in enumerate(self._backoff.pauses()):
            if attempt == self._lock_after:
                with suppress(StoreCalled):
                    late: S = yield step(self._modify_held, key, fn)
                    return late
            state: S = yield step(self.get, key)
            changed = self._changed(fn, state)
            if changed is state:
                return state
            try:
                stored: S = yield step(self.update, changed)
            except VersionConflictError as lost:
                conflict = lost
                conflicted(lost)
                retried()
                yield pause
            else:
                return stored
        raise conflict

    @transact
    def _modify_held(self, key: str, fn: Callable[[S], S]) -> Op[S]:
        """Hold the row, read it and apply: nobody is faster. Raises `StoreCalled`."""
        state = yield from self._one(self._held(key), key)
        changed = call_holding(lambda state: self._changed(fn, state), state)
        if changed is state:
            return state
        return (yield from self.update(changed))

    def _held(self, key: str) -> Call:
        """Return the call that reads the row of this id, and holds it."""
        raise NotImplementedError

    def _changed(self, fn: Callable[[S], S], state: S) -> S:
        """Return what `fn` makes of `state`, to be written over the version it was made of."""
        changed = fn(state)
        if changed is state:
            return state
        self.entity.check_modified(state, changed)
        return attrs.evolve(changed, version=state.version)

    def _merge_usage(
        self, key: str, usage: UsageSummary, lock: Statement, write: Statement
    ) -> Op[S]:
        """Add `usage` to what is stored, while the row is held (contract 2.7)."""
        field = self.entity.key_field
        check_id(key, field)
        usage = check_usage(usage)
        row = yield lock(**{field: key})
        if row is None:
            raise self.entity.not_found(key)
        merged = write_usage(check_merged(self._read_usage(row, key).merge(usage)))
        self._check_size(merged, "usage")
        row = yield Last(write(**{field: key}, usage=merged, now=self._now()))
        return self._decode(row)

    def _read_usage(self, row: Row, key: str) -> UsageSummary:
        """Return what a row of one column says, which is of this key."""
        usage: UsageSummary = self._rows.column_reader(self.entity, "usage")(row[0], key)
        return usage


def read_status(rows: Rows, workflow_exec_id: str, row: Row | None) -> Status:
    """Return the status of a workflow from its row. Raises `WorkflowNotFoundError` if none."""
    if row is None:
        raise WorkflowNotFoundError(workflow_exec_id)
    status: Status = rows.column_reader(WORKFLOW, "status")(row[0], workflow_exec_id)
    return status


def is_empty(filter: Any) -> bool:
    """Return whether a filter matches nothing: not every database can be asked for no value."""
    fields = attrs.astuple(filter, recurse=False)
    return any(isinstance(value, tuple) and not value for value in fields)
