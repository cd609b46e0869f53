"""Stores of SQL databases and their transactions, of both sides."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    nullcontext,
)
from typing import Any, Protocol, Self, TypeVar

from attrs import evolve

from engine_store.concurrency.attempts import ATTEMPTS, run_async
from engine_store.concurrency.attempts import run as run_in_transaction
from engine_store.config import DatabaseConfig
from engine_store.errors import (
    EngineStoreError,
    StoreClosedError,
    UnavailableError,
)
from engine_store.migrations import MigrationPlan, MigrationStatus, current_version
from engine_store.models import Health
from engine_store.protocols import AsyncMigrator, AsyncTransaction, Endpoint, Transaction
from engine_store.sql import forks
from engine_store.sql.blocking import run
from engine_store.sql.connection import Pool
from engine_store.sql.migrator import SqlMigrator
from engine_store.sql.operation import Invocation
from engine_store.sql.repositories import AsyncSqlRepositories, OperationSet, Runs, SqlRepositories
from engine_store.sql.session import Session, TransactionSession
from engine_store.sql.transactions import (
    AsyncSqlTransaction,
    SqlTransaction,
    TransactionBlock,
    TransactionRuns,
)
from engine_store.waiting.notifier import Notifier

T = TypeVar("T")


class Engine(Protocol):
    """The ground of a store: sessions, the migrator and the pool of one database."""

    @property
    def operations(self) -> OperationSet: ...

    @property
    def session(self) -> Runs: ...

    @property
    def migrator(self) -> AsyncMigrator: ...

    @property
    def pool(self) -> Pool: ...

    @property
    def notifier(self) -> Notifier: ...

    def transaction(
        self, lock: AbstractAsyncContextManager[object] | None, owner: Callable[[], object]
    ) -> TransactionRuns:
        """Return a transaction that has not begun; see `TransactionSession`."""

    def writing(self) -> AbstractAsyncContextManager[None]:
        """Wait for the turn to begin a transaction, and keep it until the end of the block."""

    async def health(self) -> Health: ...

    async def close(self) -> None: ...


class SqlEngine(forks.Forkable):
    """The engine of a database: its pool, its dialect and its operations.

    A driver derives its own, if it has more to check or to tell.
    """

    def __init__(self, migrator: SqlMigrator) -> None:
        """An engine on the pool of `migrator`, which it closes, with its dialect and statements."""
        self.migrator = migrator
        self.pool = migrator.pool
        self.dialect = dialect = migrator.dialect
        self.notifier = Notifier(migrator.clock)
        self.session = Session(self.pool, dialect, self.notifier)
        self.operations = OperationSet.of(
            dialect, migrator.queries, migrator.clock, migrator.max_document_bytes
        )
        forks.watch(self)

    def after_fork_in_child(self) -> None:
        """Forget who waited in the parent."""
        self.notifier.forget()

    async def prepare(self, config: DatabaseConfig) -> None:
        """Connect, check that the database fits the code, and bring its schema up.

        A store that is opened to be read only is not migrated. Closes the pool if any of it fails.
        """
        self.notifier.poll_interval = config.poll_interval
        self.notifier.history = config.history
        if self.pool.read_only:
            config = evolve(config, auto_migrate=False)
        try:
            await self.pool.open()
            await self.check(config)
            if config.auto_migrate:
                await self.migrator.up()
        except BaseException:
            await self.pool.shield(self.pool.close())
            raise

    async def check(self, config: DatabaseConfig) -> None:
        """Check that the database fits the code. Changes nothing."""
        await self.migrator.check(behind=config.may_be_behind)

    async def probe(self) -> tuple[str | None, Mapping[str, int | float | str]]:
        """Return why the store cannot be written (None: it can), and what else there is to tell."""
        migrator = self.migrator
        async with migrator.reading() as connection:
            state = await connection.run(migrator.call(migrator.queries.server_state))
        version, problem = state
        return problem, {"server_version": version}

    def transaction(
        self, lock: AbstractAsyncContextManager[object] | None, owner: Callable[[], object]
    ) -> TransactionSession:
        return TransactionSession(self.pool, self.dialect, self.notifier, lock, owner)

    def writing(self) -> AbstractAsyncContextManager[None]:
        """Return at once: the pool itself keeps writers apart."""
        return nullcontext()

    async def health(self) -> Health:
        """Return the health of the store. Raises `StoreClosedError`; other trouble is in it."""
        self.pool.check_open()
        name = self.dialect.name
        try:
            with self.dialect.failures.translated():
                version = current_version(await self.migrator.applied())
                problem, details = await self.probe()
                stats = self.pool.stats()
        except StoreClosedError:
            raise
        except (EngineStoreError, OSError) as error:
            return Health(name, False, False, 0, " ".join(str(error).split()))
        if self.pool.read_only:
            return Health(name, True, False, version, None, {**details, **stats}, read_only=True)
        return Health(name, True, problem is None, version, problem, {**details, **stats})

    async def close(self) -> None:
        await self.pool.shield(self._close())

    async def _close(self) -> None:
        await self.notifier.close()
        await self.pool.close()
        self.notifier.hint_all()  # who waits finds the store closed


class _Observable:
    """`engine_store.protocols.Observable`, of a store of either side."""

    engine: Engine

    @property
    def endpoint(self) -> Endpoint:
        return self.engine.pool.endpoint

    def stats(self) -> Mapping[str, int | float | str]:
        self.engine.pool.check_open()
        return self.engine.pool.stats()


# --- the synchronous side ------------------------------------------------------------------------


class BlockingMigrator:
    """`engine_store.protocols.Migrator`: the synchronous side of a migrator."""

    def __init__(self, migrator: SqlMigrator) -> None:
        """The synchronous side of `migrator`."""
        self._migrator = migrator

    def status(self) -> tuple[MigrationStatus, ...]:
        return run(self._migrator.status())

    def plan(self, target: int | None = None) -> MigrationPlan:
        return run(self._migrator.plan(target))

    def up(self, target: int | None = None) -> MigrationPlan:
        return run(self._migrator.up(target))

    def down(self, target: int) -> MigrationPlan:
        return run(self._migrator.down(target))

    def verify(self) -> None:
        run(self._migrator.verify())


class SqlStore(_Observable, SqlRepositories):
    """`engine_store.protocols.Store`, on an engine whose pool blocks."""

    engine: SqlEngine

    def __init__(self, engine: SqlEngine) -> None:
        """A store on `engine`, which it closes."""
        super().__init__(engine.operations, engine.session, engine.notifier)
        self.engine = engine
        self.migrator = BlockingMigrator(engine.migrator)

    def transaction(self) -> AbstractContextManager[SqlTransaction]:
        """Begin a transaction: all writes or none."""
        session = self.engine.transaction(None, threading.get_ident)
        return TransactionBlock(self._operations, session)

    def run(self, fn: Callable[[Transaction], T], *, attempts: int = ATTEMPTS) -> T:
        return run_in_transaction(self, fn, attempts)

    def health(self) -> Health:
        return run(self.engine.health())

    def close(self) -> None:
        run(self.engine.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


# --- the asynchronous side -----------------------------------------------------------------------


class _OnItsLoop:
    """Runs operations on the event loop that a store was opened on, and on no other.

    Locks, connections and tasks belong to a loop: on another one they would work until two calls
    meet, and hang or fail then.
    """

    def __init__(self, runs: Runs, pool: Pool) -> None:
        self._runs = runs
        self._pool = pool
        self._loop = asyncio.get_running_loop()

    def check(self) -> None:
        """Raise `UnavailableError` on another event loop, or in a forked child."""
        self._pool.check_open()
        if asyncio.get_running_loop() is not self._loop:
            raise UnavailableError(
                "the store belongs to the event loop that it was opened on, and this is another "
                "one; open one here, with open_async",
                retriable=False,
            )

    async def run(self, invocation: Invocation) -> Any:
        self.check()
        return await self._runs.run(invocation)


class AsyncSqlStore(_Observable, AsyncSqlRepositories):
    """`engine_store.protocols.AsyncStore`, for one event loop."""

    def __init__(self, engine: Engine) -> None:
        """A store on `engine`, which it closes."""
        self._on_its_loop = _OnItsLoop(engine.session, engine.pool)
        super().__init__(engine.operations, self._on_its_loop, engine.notifier)
        self.engine = engine
        self.migrator = engine.migrator

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSqlTransaction]:
        """Begin a transaction: all writes or none."""
        self._on_its_loop.check()
        async with self.engine.writing():
            session = self.engine.transaction(asyncio.Lock(), lambda: None)
            transaction = AsyncSqlTransaction(self._operations, session)
            try:
                await session.begin()
                yield transaction
            except BaseException:
                await session.rollback()
                raise
            else:
                await session.commit()
            finally:
                transaction.end()

    async def run(
        self, fn: Callable[[AsyncTransaction], Awaitable[T]], *, attempts: int = ATTEMPTS
    ) -> T:
        return await run_async(self, fn, attempts)

    async def health(self) -> Health:
        self._on_its_loop.check()
        return await self.engine.health()

    async def close(self) -> None:
        await self.engine.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()
