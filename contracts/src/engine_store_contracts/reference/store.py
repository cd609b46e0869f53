"""The reference store: repositories over one immutable snapshot, replaced at each commit."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from engine_store.clock import Clock, utc_now
from engine_store.errors import StoreClosedError, TransactionClosedError, UnavailableError
from engine_store.migrations import NoMigrations
from engine_store.models import Health
from engine_store_contracts.reference.data import Data, Scope
from engine_store_contracts.reference.tasks import Tasks
from engine_store_contracts.reference.users import ApiKeys, Users
from engine_store_contracts.reference.workflows import Workflows

BUSY_TIMEOUT = 5.0
"""Seconds a write waits for another thread's transaction to end."""


class _Repositories:
    """The four repositories of a scope."""

    def __init__(self, scope: Scope) -> None:
        self.users = Users(scope)
        self.api_keys = ApiKeys(scope)
        self.workflows = Workflows(scope)
        self.tasks = Tasks(scope)


class ReferenceStore(_Repositories):
    """`engine_store.protocols.Store`, in memory, with the times of `clock`.

    Readers take the committed snapshot and never wait. Writers, one at a time, work on a copy.
    """

    in_transaction = False

    def __init__(self, clock: Clock = utc_now) -> None:
        super().__init__(self)
        self.migrator = NoMigrations(self.check_open)
        self._clock = clock
        self._committed = Data()
        self._closed = False
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._writer: tuple[int, int] | None = None

    @contextmanager
    def transaction(self) -> Iterator[ReferenceTransaction]:
        """All writes or none (contract 3.1)."""
        with self._writing():
            work = _Work(self, self._committed)
            try:
                with work.level() as tx:
                    yield tx
                self.check_open()
                self._committed = work.data
            finally:
                work.ended = True

    def health(self) -> Health:
        """Can read and write while it is open."""
        self.check_open()
        return Health("reference", can_read=True, can_write=True, schema_version=0)

    def close(self) -> None:
        """Refuse every further call."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def now(self) -> datetime:
        """The time of the clock, in UTC."""
        return self._clock().astimezone(UTC)

    def read(self) -> Data:
        """The committed snapshot."""
        self.check_open()
        return self._committed

    @contextmanager
    def write(self) -> Iterator[Data]:
        """A copy of the committed snapshot, which takes its place at the end."""
        with self._writing():
            data = self._committed.copy()
            yield data
            self._committed = data

    def check_open(self) -> None:
        """Raise `StoreClosedError` after `close`, and `UnavailableError` in a forked child."""
        if self._closed:
            raise StoreClosedError
        if self._process != os.getpid():
            reason = "a store in memory stays with its process; this is a fork of that"
            raise UnavailableError(reason, retriable=False)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self.check_open()
        me = _here()
        if self._writer == me:
            reason = "this thread has a transaction open; write through it, or end it first"
            raise UnavailableError(reason, retriable=False)
        if not self._lock.acquire(timeout=BUSY_TIMEOUT):
            raise UnavailableError(f"another transaction was open for {BUSY_TIMEOUT:g} s")
        self._writer = me
        try:
            yield
        finally:
            self._writer = None
            self._lock.release()


class ReferenceTransaction(_Repositories):
    """`engine_store.protocols.Transaction`: the transaction itself, or a savepoint of it."""

    in_transaction = True

    def __init__(self, work: _Work) -> None:
        super().__init__(self)
        self._work = work
        self.ended = False

    @contextmanager
    def transaction(self) -> Iterator[ReferenceTransaction]:
        """A savepoint (contract 3.2)."""
        self._check_usable()
        with self._work.level() as tx:
            yield tx

    def now(self) -> datetime:
        """The time of the store's clock."""
        return self._work.store.now()

    def read(self) -> Data:
        """What the transaction has made so far."""
        self._check_usable()
        return self._work.data

    @contextmanager
    def write(self) -> Iterator[Data]:
        """A copy of what the transaction has made, which takes its place at the end."""
        self._check_usable()
        data = self._work.data.copy()
        yield data
        self._work.data = data

    def _check_usable(self) -> None:
        self._work.store.check_open()
        if self.ended or self._work.ended or self._work.owner != _here():
            raise TransactionClosedError


def _here() -> tuple[int, int]:
    """The process and the thread of the caller."""
    return (os.getpid(), threading.get_ident())


class _Work:
    """What a transaction and its savepoints share: the snapshot they replace, and their owner."""

    def __init__(self, store: ReferenceStore, data: Data) -> None:
        self.store = store
        self.data = data
        self.owner = _here()
        self.ended = False

    @contextmanager
    def level(self) -> Iterator[ReferenceTransaction]:
        """A transaction whose failure puts back the snapshot it began with."""
        before = self.data
        tx = ReferenceTransaction(self)
        try:
            yield tx
        except BaseException:
            self.data = before
            raise
        finally:
            tx.ended = True
