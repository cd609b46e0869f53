"""The stores and transactions of both faces, on the sessions that serve them alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from types import TracebackType
from typing import Any, Self

from engine_store.migrations import MigrationPlan, MigrationStatus
from engine_store.models import Health
from engine_store.protocols import (
    ApiKeyRepository,
    AsyncApiKeyRepository,
    AsyncTaskRepository,
    AsyncUserRepository,
    AsyncWorkflowRepository,
    Endpoint,
    TaskRepository,
    UserRepository,
    WorkflowRepository,
)
from engine_store.sql.operation import Invocation
from engine_store.sql.store import RepositoryClasses, SqlRepositories, SqlTransaction
from engine_store_postgres.health import health
from engine_store_postgres.migrator import PostgresMigrator
from engine_store_postgres.pools import Pool
from engine_store_postgres.session import Session, TransactionSession
from engine_store_postgres.wires import run

# --- the synchronous face ------------------------------------------------------------------------


class PostgresTransaction(
    SqlTransaction[UserRepository, ApiKeyRepository, WorkflowRepository, TaskRepository]
):
    """`engine_store.protocols.Transaction`."""

    def __init__(self, classes: RepositoryClasses, session: TransactionSession) -> None:
        """A transaction, or a savepoint of one, that has begun on `session`."""
        super().__init__(classes, lambda invocation: run(session.run(invocation)))
        self._session = session

    @contextmanager
    def transaction(self) -> Iterator[PostgresTransaction]:
        """A savepoint: its failure undoes only itself."""
        self.check_open()
        run(self._session.savepoint())
        inner = PostgresTransaction(self.classes, self._session)
        try:
            yield inner
        except BaseException:
            run(self._session.rollback_savepoint())
            raise
        else:
            run(self._session.release_savepoint())
        finally:
            inner.end()


class SyncMigrator:
    """`engine_store.protocols.Migrator`."""

    def __init__(self, migrator: PostgresMigrator) -> None:
        """The synchronous face of `migrator`."""
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


class _Observable:
    """`engine_store.protocols.Observable`, of a store with either face."""

    pool: Pool

    @property
    def endpoint(self) -> Endpoint:
        return self.pool.endpoint

    def stats(self) -> Mapping[str, int | float | str]:
        self.pool.check_open()
        return self.pool.stats()


class PostgresStore(
    _Observable,
    SqlRepositories[UserRepository, ApiKeyRepository, WorkflowRepository, TaskRepository],
):
    """`engine_store.protocols.Store` on one schema of a PostgreSQL database."""

    def __init__(
        self,
        pool: Pool,
        classes: RepositoryClasses,
        migrator: PostgresMigrator,
    ) -> None:
        """A store on `pool`, which it closes."""
        self.pool = pool
        self.session = Session(pool)
        super().__init__(classes, self._run_operation)
        self._migrator = migrator
        self.migrator = SyncMigrator(migrator)

    def _run_operation(self, invocation: Invocation) -> Any:
        return run(self.session.run(invocation))

    @contextmanager
    def transaction(self) -> Iterator[PostgresTransaction]:
        """All writes or none."""
        session = TransactionSession(self.pool, nullcontext(), threading.get_ident)
        transaction = PostgresTransaction(self.classes, session)
        try:
            run(session.begin())
            yield transaction
        except BaseException:
            run(session.rollback())
            raise
        else:
            run(session.commit())
        finally:
            transaction.end()

    def health(self) -> Health:
        return run(health(self.pool, self._migrator))

    def close(self) -> None:
        run(self.pool.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


# --- the asynchronous face -----------------------------------------------------------------------


class AsyncPostgresTransaction(
    SqlTransaction[
        AsyncUserRepository, AsyncApiKeyRepository, AsyncWorkflowRepository, AsyncTaskRepository
    ]
):
    """`engine_store.protocols.AsyncTransaction`."""

    def __init__(self, classes: RepositoryClasses, session: TransactionSession) -> None:
        """A transaction, or a savepoint of one, that has begun on `session`."""
        super().__init__(classes, session.run)
        self._session = session
        # Savepoints are a stack: tasks that nest at the same time wait for each other.
        self._nesting = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncPostgresTransaction]:
        """A savepoint: its failure undoes only itself."""
        async with self._nesting:
            self.check_open()
            await self._session.savepoint()
            inner = AsyncPostgresTransaction(self.classes, self._session)
            try:
                yield inner
            except BaseException:
                await self._session.rollback_savepoint()
                raise
            else:
                await self._session.release_savepoint()
            finally:
                inner.end()


class AsyncPostgresStore(
    _Observable,
    SqlRepositories[
        AsyncUserRepository, AsyncApiKeyRepository, AsyncWorkflowRepository, AsyncTaskRepository
    ],
):
    """`engine_store.protocols.AsyncStore` on one schema, for one event loop."""

    def __init__(
        self,
        pool: Pool,
        classes: RepositoryClasses,
        migrator: PostgresMigrator,
    ) -> None:
        """A store on `pool`, which it closes."""
        self.pool = pool
        self.session = Session(pool)
        super().__init__(classes, self.session.run)
        self.migrator = migrator

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncPostgresTransaction]:
        """All writes or none."""
        session = TransactionSession(self.pool, asyncio.Lock(), lambda: None)
        transaction = AsyncPostgresTransaction(self.classes, session)
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

    async def health(self) -> Health:
        return await health(self.pool, self.migrator)

    async def close(self) -> None:
        await self.pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
