"""A store on a database in memory, and its transactions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from typing import Self, TypeVar

from engine_store.clock import Clock, utc_now
from engine_store.concurrency.attempts import ATTEMPTS, run
from engine_store.concurrency.callbacks import check_may_call
from engine_store.errors import StoreClosedError, TransactionClosedError, UnavailableError
from engine_store.migrations import NoMigrations
from engine_store.models import Health
from engine_store.protocols import Transaction
from engine_store.rules.entities import ENTITIES
from engine_store.values import MAX_DOCUMENT_BYTES, plain_time
from engine_store.waiting.notifier import POLL_INTERVAL, Notifier
from engine_store_memory.database import Database, Draft, Snapshot
from engine_store_memory.events import Events
from engine_store_memory.repository import Scope
from engine_store_memory.tasks import Tasks
from engine_store_memory.users import ApiKeys, Users
from engine_store_memory.workflows import Workflows

BUSY_TIMEOUT = 5.0

T = TypeVar("T")


class _Repositories:
    """The repositories, all of one scope."""

    def __init__(self, scope: Scope) -> None:
        self.users = Users(scope)
        self.api_keys = ApiKeys(scope)
        self.workflows = Workflows(scope)
        self.tasks = Tasks(scope)
        self.events = Events(scope)


class MemoryStore(_Repositories):
    """`engine_store.protocols.Store` on a database, by default a new one.

    `busy_timeout` is how long, in seconds, a write waits for another thread's transaction.
    `max_document_bytes` limits what is written. `poll_interval` is how often, in seconds, a waiter
    looks that no notification reaches. With `history` changes of a status are events.
    """

    in_transaction = False

    def __init__(
        self,
        clock: Clock = utc_now,
        *,
        database: Database | None = None,
        busy_timeout: float = BUSY_TIMEOUT,
        max_document_bytes: int = MAX_DOCUMENT_BYTES,
        poll_interval: float = POLL_INTERVAL,
        history: bool = False,
    ) -> None:
        self._history = history
        self.notifier = Notifier(clock, poll_interval)
        super().__init__(self)
        self.migrator = NoMigrations(self.check)
        self._clock = clock
        self._database = Database() if database is None else database
        self._database.notifiers.append(self.notifier)
        self._busy_timeout = busy_timeout
        self.max_document_bytes = max_document_bytes
        self._closed = False

    @contextmanager
    def transaction(self) -> Iterator[MemoryTransaction]:
        """Make all writes or none (contract 3.1)."""
        self.check()  # before the wait for other writers, and in `_level` after it
        writing = self._database.writing(self._busy_timeout, history=self._history)
        with writing as draft, _level(self, draft) as tx:
            yield tx

    def run(self, fn: Callable[[Transaction], T], *, attempts: int = ATTEMPTS) -> T:
        return run(self, fn, attempts)

    def health(self) -> Health:
        try:
            data = self.read()
        except UnavailableError as exc:
            return Health("memory", False, False, schema_version=0, problem=str(exc))
        counts = {entity.repository: len(data[entity]) for entity in ENTITIES}
        return Health("memory", True, True, schema_version=0, details=counts)

    def close(self) -> None:
        self._closed = True
        self.notifier.hint_all()  # who waits finds the store closed
        with suppress(ValueError):  # it was closed before
            self._database.notifiers.remove(self.notifier)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def check(self) -> None:
        """Raise if the store is closed, or its database belongs to another process."""
        check_may_call()
        if self._closed:
            raise StoreClosedError
        self._database.check()

    def now(self) -> datetime:
        return plain_time(self._clock())

    def read(self) -> Snapshot:
        """Return what is committed."""
        self.check()
        return self._database.read()

    @contextmanager
    def write(self) -> Iterator[Draft]:
        """Give a draft of what is committed, and commit it at the end."""
        with self.transaction() as tx, tx.write() as data:
            yield data


class MemoryTransaction(_Repositories):
    """`engine_store.protocols.Transaction`: a transaction of a store, or a savepoint in one.

    Both work on the same draft: what is written through the outer one while a savepoint is open
    is undone with the savepoint, as in SQL.
    """

    in_transaction = True
    notifier = None

    def __init__(self, outer: MemoryStore | MemoryTransaction, draft: Draft) -> None:
        super().__init__(self)
        self.ended = False
        self.max_document_bytes: int = outer.max_document_bytes
        self._outer = outer
        self._draft = draft
        self._thread = threading.get_ident()

    def transaction(self) -> AbstractContextManager[MemoryTransaction]:
        """Begin a savepoint (contract 3.2)."""
        return _level(self, self._draft)

    def check(self) -> None:
        """Raise if this transaction, or one around it, has ended or belongs to another thread."""
        self._outer.check()
        if self.ended or self._thread != threading.get_ident():
            raise TransactionClosedError

    def now(self) -> datetime:
        return self._outer.now()

    def read(self) -> Snapshot:
        """Return what is committed, and what the transaction has made of it."""
        self.check()
        return self._draft.data

    @contextmanager
    def write(self) -> Iterator[Draft]:
        """Give the same, to be changed."""
        self.check()
        yield self._draft


@contextmanager
def _level(outer: MemoryStore | MemoryTransaction, draft: Draft) -> Iterator[MemoryTransaction]:
    """A transaction on a copy of the draft's data; the draft gets these back if it fails."""
    outer.check()
    before = draft.data
    draft.data = before.copy()
    tx = MemoryTransaction(outer, draft)
    try:
        yield tx
        outer.check()  # nothing is committed through a store that was closed meanwhile
    except BaseException:
        draft.data = before
        raise
    finally:
        tx.ended = True
