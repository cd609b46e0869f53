"""The asynchronous store: the synchronous session, one thread hop for each whole operation.

Reads run in as many threads as there are readers, writes in one thread. A transaction holds its
turn among the event loop's writers from begin to end. Cancelling a call waits until its thread is
done with the connection, so nothing is left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from engine_store.errors import UnavailableError
from engine_store.migrations import MigrationPlan, MigrationStatus
from engine_store.models import Health
from engine_store.protocols import (
    AsyncApiKeyRepository,
    AsyncTaskRepository,
    AsyncUserRepository,
    AsyncWorkflowRepository,
    Endpoint,
)
from engine_store.sql.operation import Invocation, Mode, drive_procedure_async
from engine_store.sql.store import SqlRepositories, SqlTransaction
from engine_store.threads import run_in_thread
from engine_store_sqlite.migrator import SqliteMigrator
from engine_store_sqlite.session import TransactionSession
from engine_store_sqlite.store import SqliteStore

T = TypeVar("T")


class Turn:
    """Whose turn it is to write, among the tasks of an event loop."""

    def __init__(self, timeout: float) -> None:
        """A turn that `take` waits for at most `timeout` seconds."""
        self._lock = asyncio.Lock()
        self._timeout = timeout
        self._owner: asyncio.Task[Any] | None = None

    @property
    def taken(self) -> bool:
        """Whether somebody has the turn."""
        return self._lock.locked()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for the turn and keep it inside the block. Raises `UnavailableError`."""
        task = asyncio.current_task()
        if task is not None and self._owner is task:
            raise UnavailableError(
                "this task has a transaction open, and SQLite has one writer; write through the "
                "transaction",
                retriable=False,
            )
        try:
            async with asyncio.timeout(self._timeout):
                await self._lock.acquire()
        except TimeoutError:
            raise UnavailableError(
                f"another task held the write lock for {self._timeout:g} s; try again, or keep "
                "transactions short",
                retriable=True,
            ) from None
        self._owner = task
        try:
            yield
        finally:
            self._owner = None
            self._lock.release()


class AsyncSqliteTransaction(
    SqlTransaction[
        AsyncUserRepository, AsyncApiKeyRepository, AsyncWorkflowRepository, AsyncTaskRepository
    ]
):
    """`engine_store.protocols.AsyncTransaction`."""

    def __init__(self, store: AsyncSqliteStore, session: TransactionSession) -> None:
        """A transaction, or a savepoint of one, that has begun on `session`."""
        super().__init__(store.classes, self._run_in_thread)
        self._store = store
        self._session = session
        # Savepoints are a stack: tasks that nest at the same time wait for each other.
        self._nesting = Turn(session.connections.options.busy_timeout)

    async def _run_in_thread(self, invocation: Invocation) -> Any:
        self._session.connections.check_open()
        thread = self._store.write_thread
        return await run_in_thread(thread, partial(self._session.run, invocation))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSqliteTransaction]:
        """A savepoint: its failure undoes only itself."""
        async with self._nesting.take():
            self.check_open()
            async with self._savepoint() as inner:
                yield inner

    @asynccontextmanager
    async def _savepoint(self) -> AsyncIterator[AsyncSqliteTransaction]:
        self._session.connections.check_open()
        thread = self._store.write_thread
        inner = AsyncSqliteTransaction(self._store, self._session)
        begun = False

        def begin() -> None:
            nonlocal begun
            self._session.savepoint()
            begun = True

        try:
            await run_in_thread(thread, begin)
            yield inner
        except BaseException:
            if begun:  # also where the call that began it was cancelled
                await run_in_thread(thread, self._session.rollback_savepoint)
            raise
        else:
            await run_in_thread(thread, self._session.release_savepoint)
        finally:
            inner.end()


class AsyncSqliteMigrator:
    """`engine_store.protocols.AsyncMigrator`."""

    def __init__(self, migrator: SqliteMigrator, store: AsyncSqliteStore) -> None:
        """`migrator`, run in the threads of `store`."""
        self._migrator = migrator
        self._store = store

    async def status(self) -> tuple[MigrationStatus, ...]:
        return await self._store.read(self._migrator.status)

    async def plan(self, target: int | None = None) -> MigrationPlan:
        return await self._store.read(self._migrator.plan, target)

    async def up(self, target: int | None = None) -> MigrationPlan:
        return await self._store.write(self._migrator.up, target)

    async def down(self, target: int) -> MigrationPlan:
        return await self._store.write(self._migrator.down, target)

    async def verify(self) -> None:
        await self._store.read(self._migrator.verify)


class AsyncSqliteStore(
    SqlRepositories[
        AsyncUserRepository, AsyncApiKeyRepository, AsyncWorkflowRepository, AsyncTaskRepository
    ]
):
    """`engine_store.protocols.AsyncStore` on one SQLite database, for one event loop."""

    def __init__(self, store: SqliteStore) -> None:
        """The asynchronous face of `store`, which nobody else uses."""
        super().__init__(store.classes, self._drive)
        options = store.connections.options
        self._store = store
        self._session = store.session
        store.connections.stays = "an asynchronous store stays with the process of its event loop"
        self._turn = Turn(options.busy_timeout)
        self._read_threads = ThreadPoolExecutor(options.readers, "engine-store-read")
        self.write_thread = ThreadPoolExecutor(1, "engine-store-write")
        self.migrator = AsyncSqliteMigrator(store.migrator, self)

    async def _drive(self, invocation: Invocation) -> Any:
        if invocation.mode is not Mode.PROCEDURE:
            return await self._run_one(invocation)
        name = invocation.name
        return await drive_procedure_async(
            invocation.start(), lambda step: self._run_one(step.named(name)), asyncio.sleep
        )

    async def _run_one(self, invocation: Invocation) -> Any:
        if invocation.mode in (Mode.WRITE, Mode.TRANSACT):
            return await self.write(self._session.run_one, invocation)
        return await self.read(self._session.run_one, invocation)

    async def read(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function` in a thread that reads. Raises `StoreClosedError`."""
        self._store.connections.check_open()
        return await run_in_thread(self._read_threads, partial(function, *args))

    async def write(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function` in the thread that writes, in turn. Raises `StoreClosedError`."""
        async with self._in_turn():
            return await run_in_thread(self.write_thread, partial(function, *args))

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        connections = self._store.connections
        connections.check_open()
        async with self._turn.take():
            try:
                connections.check_open()  # once more, after the wait
                yield
            finally:
                if connections.closed:  # `close` left the thread to whoever had the turn
                    self.write_thread.shutdown(wait=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSqliteTransaction]:
        """All writes or none. Takes the write lock at once: nobody else writes until its end."""
        async with self._in_turn():
            session = TransactionSession(self._store.connections)
            transaction = AsyncSqliteTransaction(self, session)
            try:
                await run_in_thread(self.write_thread, session.begin)
                yield transaction
                await run_in_thread(self.write_thread, session.commit)
            except BaseException:
                await run_in_thread(self.write_thread, session.rollback)
                raise
            finally:
                transaction.end()

    @property
    def endpoint(self) -> Endpoint:
        return self._store.endpoint

    def stats(self) -> Mapping[str, int | float | str]:
        return self._store.stats()

    async def health(self) -> Health:
        return await self.read(self._store.health)

    async def close(self) -> None:
        self._store.close()
        self._read_threads.shutdown(wait=False)
        if not self._turn.taken:  # else an open transaction ends in that thread
            self.write_thread.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
