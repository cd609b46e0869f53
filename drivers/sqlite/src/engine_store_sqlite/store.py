"""The synchronous store and its transactions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from engine_store.models import Health
from engine_store.protocols import (
    ApiKeyRepository,
    Endpoint,
    TaskRepository,
    UserRepository,
    WorkflowRepository,
)
from engine_store.sql.store import RepositoryClasses, SqlRepositories, SqlTransaction
from engine_store_sqlite.connections import Connections
from engine_store_sqlite.health import health, stats
from engine_store_sqlite.migrator import SqliteMigrator
from engine_store_sqlite.options import MEMORY
from engine_store_sqlite.session import Session, TransactionSession


class SqliteTransaction(
    SqlTransaction[UserRepository, ApiKeyRepository, WorkflowRepository, TaskRepository]
):
    """`engine_store.protocols.Transaction`."""

    def __init__(self, classes: RepositoryClasses, session: TransactionSession) -> None:
        """A transaction, or a savepoint of one, that has begun on `session`."""
        super().__init__(classes, session.run)
        self._session = session

    @contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        """A savepoint: its failure undoes only itself."""
        self.check_open()
        self._session.savepoint()
        inner = SqliteTransaction(self.classes, self._session)
        try:
            yield inner
        except BaseException:
            self._session.rollback_savepoint()
            raise
        else:
            self._session.release_savepoint()
        finally:
            inner.end()


class SqliteStore(
    SqlRepositories[UserRepository, ApiKeyRepository, WorkflowRepository, TaskRepository]
):
    """`engine_store.protocols.Store` on one SQLite database."""

    def __init__(
        self,
        connections: Connections,
        classes: RepositoryClasses,
        migrator: SqliteMigrator,
    ) -> None:
        """A store on open connections, which it closes."""
        self.session = Session(connections)
        super().__init__(classes, self.session.run)
        self.connections = connections
        self.migrator = migrator

    @contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        """All writes or none. Takes the write lock at once: nobody else writes until its end."""
        session = TransactionSession(self.connections)
        session.begin()
        transaction = SqliteTransaction(self.classes, session)
        try:
            yield transaction
        except BaseException:
            session.rollback()
            raise
        else:
            session.commit()
        finally:
            transaction.end()

    @property
    def endpoint(self) -> Endpoint:
        """The name of the file, without its folders: they may name a user, or a machine."""
        path = self.connections.location.path
        return Endpoint("sqlite", MEMORY if path is None else path.name)

    def stats(self) -> Mapping[str, int | float | str]:
        return stats(self.connections)

    def health(self) -> Health:
        return health(self.connections, self.migrator)

    def close(self) -> None:
        self.connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
