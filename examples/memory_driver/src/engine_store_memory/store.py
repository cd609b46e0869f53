"""A store on a database in memory, and its transactions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from engine_store.clock import Clock
from engine_store.errors import StoreClosedError, TransactionClosedError, UnavailableError
from engine_store.migrations import NoMigrations
from engine_store.models import Health
from engine_store_memory.database import Database, Draft
from engine_store_memory.repository import Scope
from engine_store_memory.tables import Snapshot
from engine_store_memory.tasks import Tasks
from engine_store_memory.users import ApiKeys, Users
from engine_store_memory.workflows import Workflows


class _Repositories:
    """The four repositories of a scope."""

    def __init__(self, scope: Scope) -> None:
        self.users = Users(scope)
        self.api_keys = ApiKeys(scope)
        self.workflows = Workflows(scope)
        self.tasks = Tasks(scope)


class MemoryStore(_Repositories):
    """`engine_store.protocols.Store` on a database; writes wait `timeout` seconds."""

    in_transaction = False

    def __init__(self, database: Database, clock: Clock, timeout: float) -> None:
        super().__init__(self)
        self.migrator = NoMigrations(self.check)
        self._database = database
        self._clock = clock
        self._timeout = timeout
        self._closed = False

    @contextmanager
    def transaction(self) -> Iterator[MemoryTransaction]:
        """All writes or none (contract 3.1)."""
        self.check()  # before waiting for a turn, and again once it came
        with self._database.writing(self._timeout) as draft, _level(self, draft) as tx:
            yield tx

    def health(self) -> Health:
        try:
            data = self.read()
        except UnavailableError as exc:
            return Health("memory", False, False, schema_version=0, problem=str(exc))
        return Health("memory", True, True, schema_version=0, details=data.counts())

    def close(self) -> None:
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

    def check(self) -> None:
        """Raise where the store was closed, or its database belongs to another process."""
        if self._closed:
            raise StoreClosedError
        self._database.check()

    def now(self) -> datetime:
        """The time of the clock, in UTC."""
        return self._clock().astimezone(UTC)

    def read(self) -> Snapshot:
        """What is committed."""
        self.check()
        return self._database.read()

    @contextmanager
    def write(self) -> Iterator[Snapshot]:
        """A transaction of its own for one write."""
        with self.transaction() as tx, tx.write() as data:
            yield data


class MemoryTransaction(_Repositories):
    """`engine_store.protocols.Transaction`: a transaction of a store, or a savepoint in another.

    Both work on one draft: what is written through the outer one while a savepoint is open goes
    with the savepoint, as in SQL.
    """

    in_transaction = True

    def __init__(self, outer: MemoryStore | MemoryTransaction, draft: Draft) -> None:
        super().__init__(self)
        self.ended = False
        self._outer = outer
        self._draft = draft
        self._thread = threading.get_ident()

    def transaction(self) -> AbstractContextManager[MemoryTransaction]:
        """A savepoint (contract 3.2)."""
        return _level(self, self._draft)

    def check(self) -> None:
        """Raise where this transaction, or what it is part of, cannot be used here and now."""
        self._outer.check()
        if self.ended or self._thread != threading.get_ident():
            raise TransactionClosedError

    def now(self) -> datetime:
        """The time of the store's clock."""
        return self._outer.now()

    def read(self) -> Snapshot:
        """What is committed, and what the transaction has made of it."""
        self.check()
        return self._draft.data

    @contextmanager
    def write(self) -> Iterator[Snapshot]:
        """The same, to be changed."""
        self.check()
        yield self._draft.data


@contextmanager
def _level(outer: MemoryStore | MemoryTransaction, draft: Draft) -> Iterator[MemoryTransaction]:
    """A transaction on a branch of the draft, which gets back what it had where that fails."""
    outer.check()
    before = draft.data
    draft.data = before.branch()
    tx = MemoryTransaction(outer, draft)
    try:
        yield tx
        outer.check()  # nothing is committed through a store that was closed meanwhile
    except BaseException:
        draft.data = before
        raise
    finally:
        tx.ended = True
