"""The driver: opening SQLite stores from a configuration."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from attrs import evolve

from engine_store.config import Config, DatabaseConfig, Finding, Severity
from engine_store.errors import ConfigurationError, UnavailableError
from engine_store.protocols import AsyncStore, Capability, OpenContext, Store
from engine_store.sql.blocking import run
from engine_store.sql.stores import SqlEngine, SqlStore
from engine_store.sql.threaded import open_threaded
from engine_store_sqlite import library
from engine_store_sqlite.backup import backup
from engine_store_sqlite.changes import FileChanges
from engine_store_sqlite.dialect import DIALECT, MIGRATIONS, QUERIES
from engine_store_sqlite.files import check_file, create_file, scratch
from engine_store_sqlite.migrator import SqliteMigrator
from engine_store_sqlite.options import SqliteOptions, read_options
from engine_store_sqlite.pool import SqlitePool
from engine_store_sqlite.read_only import ReadOnlyPool
from engine_store_sqlite.restore import restore

_CANNOT_VECTORS = "use Qdrant, Redis or the filesystem beside it"

_ALWAYS = (
    Capability("concurrent_writers", False, "SQLite has one writer at a time; others wait"),
    Capability("vectors", False, _CANNOT_VECTORS),
)
_IN_MEMORY = tuple(
    Capability(name, False, "a database in memory is gone with its store")
    for name in ("reopen", "processes", "migrations")
)

MEASURED_WORKFLOWS = 300
"""The most workflows, of 100, 300, 1,000 and 3,000, that one file was measured to hold beside two
other busy processes on two cores: each updated its task about once a second, and 99 of 100 updates
were done within 100 ms. A quiet machine held 1,000.

`python -m benchmarks concurrent --driver sqlite` measures it again. More of them wait longer for
the one writer.
"""


class SqliteDriver:
    """`engine_store.protocols.Driver` for the standard library's `sqlite3`."""

    name = DIALECT.name
    settings = SqliteOptions

    def capabilities(self, config: DatabaseConfig) -> Mapping[str, Capability]:
        location, _ = read_options(config)
        declared = _ALWAYS if location.path else _ALWAYS + _IN_MEMORY
        return {capability.name: capability for capability in declared}

    def scratch(self, url: str) -> AbstractContextManager[str]:
        return scratch(url)

    def open(self, config: DatabaseConfig, context: OpenContext) -> Store:
        return SqlStore(open_engine(config, context)[0])

    async def open_async(self, config: DatabaseConfig, context: OpenContext) -> AsyncStore:
        return await open_threaded(lambda: open_engine(config, context))

    def check(self, config: Config) -> Iterator[Finding]:
        asked = config.worker.max_concurrent_workflows
        if asked > MEASURED_WORKFLOWS:
            yield Finding(
                Severity.WARNING,
                "worker.max_concurrent_workflows",
                f"{asked} is more than the {MEASURED_WORKFLOWS} that SQLite was measured to hold, "
                "with 99 of 100 updates within 100 ms: they share one writer; use postgres, or "
                "expect writes to wait",
            )
        path = read_options(config.database)[0].path
        if path is None:
            return
        if library.RESET_BUG is not None:
            yield Finding(Severity.NOTE, "database.path", library.RESET_BUG)
        if not path.is_file():
            return
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield Finding(
                Severity.WARNING, "database.path", f"{path} is open to others; run chmod 600 on it"
            )

    def backup(
        self, config: DatabaseConfig, target: Path, progress: Callable[[int, int], None]
    ) -> int:
        location, options = read_options(config)
        if location.path is not None and location.path.exists():
            check_file(location.path, options, MIGRATIONS, behind=True)
        return backup(config, target, progress)

    def restore(
        self, config: DatabaseConfig, source: Path, progress: Callable[[int, int], None]
    ) -> int:
        return restore(config, source, progress)


DRIVER = SqliteDriver()


def open_engine(
    config: DatabaseConfig, context: OpenContext
) -> tuple[SqlEngine, SqlitePool | ReadOnlyPool]:
    """Check where the database is and what it holds, then open it and bring its schema up."""
    library.check(sqlite3.sqlite_version_info)
    location, options = read_options(config)
    if config.vectors:
        raise ConfigurationError("vectors", f"SQLite keeps none; {_CANNOT_VECTORS}")
    if options.read_only:
        config = evolve(config, auto_migrate=False)
    if location.path is not None:
        check_file(location.path, options, MIGRATIONS, behind=config.may_be_behind)
    pool: SqlitePool | ReadOnlyPool
    if options.read_only:
        pool = ReadOnlyPool(location, options)
    else:
        if location.path is not None:
            create_file(location.path)
        pool = SqlitePool(location, options)
    timeout = config.migration_timeout
    engine = SqliteEngine(SqliteMigrator(pool, DIALECT, QUERIES, MIGRATIONS, context, timeout))
    run(engine.prepare(config))
    if isinstance(pool, SqlitePool) and config.history:
        pool.prepare_writer(QUERIES.record_workflows.text({}), QUERIES.record_tasks.text({}))
    if isinstance(pool, SqlitePool) and location.path is not None:
        engine.notifier.connect(FileChanges(pool.open_reader, engine.notifier))
    return engine, pool


class SqliteEngine(SqlEngine):
    """The engine of a file, which was checked before it was opened, or of memory."""

    pool: SqlitePool | ReadOnlyPool

    async def check(self, config: DatabaseConfig) -> None:
        """Check a database in memory, which is empty."""
        if self.pool.location.path is None:
            await super().check(config)

    async def probe(self) -> tuple[str | None, Mapping[str, int | float | str]]:
        """Return why no transaction could write; None: one could, or another one is writing."""
        pool = self.pool
        if isinstance(pool, ReadOnlyPool):
            return None, {}
        if pool.location.path is not None and not os.access(pool.path, os.W_OK):
            return f"{pool.path} may not be written or is gone", {}
        try:
            pool.check_place()
        except UnavailableError as error:
            return str(error), {}
        if pool.is_mine:  # in the middle of a transaction
            return None, {}
        with pool.hold() as hold:
            try:
                connection = await pool.acquire(write=True, timeout=0, owner=hold)
            except UnavailableError as error:
                return None if error.retriable else str(error), {}
            await connection.release()
        return None, {}
