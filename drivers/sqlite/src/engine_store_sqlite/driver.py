"""The driver: opening SQLite stores from a configuration."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

import orjson

from engine_store.config import Config, DatabaseConfig, Finding
from engine_store.errors import ConfigurationError, SchemaBehindError
from engine_store.migrations import load_migrations
from engine_store.protocols import AsyncStore, Capability, OpenContext, Store
from engine_store.sql.operations import Context
from engine_store.sql.rows import Codec, Rows
from engine_store.sql.statements import load_queries
from engine_store.sql.store import RepositoryClasses
from engine_store.threads import run_in_thread
from engine_store_sqlite.asynchronous import AsyncSqliteStore
from engine_store_sqlite.backup import backup
from engine_store_sqlite.connections import Connections
from engine_store_sqlite.files import check_file, check_sqlite, create_file
from engine_store_sqlite.migrator import SqliteMigrator
from engine_store_sqlite.options import SqliteOptions, read_options
from engine_store_sqlite.rules import check
from engine_store_sqlite.scratch import scratch
from engine_store_sqlite.store import SqliteStore

QUERIES = load_queries("engine_store_sqlite.queries")
MIGRATIONS = load_migrations("engine_store_sqlite.migrations")

CODEC = Codec(
    # Fixed width, so that text sorts as time does; always the same offset, as checks see to it.
    write_time=lambda time: time.isoformat(timespec="microseconds"),
    read_time=datetime.fromisoformat,
    write_collection=lambda values: orjson.dumps(list(values)).decode(),
)

_CANNOT_VECTORS = "use Qdrant, Redis or the filesystem beside it"

_ALWAYS = (
    Capability("concurrent_writers", False, "SQLite has one writer at a time; others wait"),
    Capability("vectors", False, _CANNOT_VECTORS),
)
_IN_MEMORY = tuple(
    Capability(name, False, "a database in memory is gone with its store")
    for name in ("reopen", "processes", "migrations")
)


class SqliteDriver:
    """`engine_store.protocols.Driver` for the standard library's `sqlite3`."""

    name = "sqlite"
    settings = SqliteOptions

    def capabilities(self, config: DatabaseConfig) -> Mapping[str, Capability]:
        location, _ = read_options(config)
        declared = _ALWAYS if location.path else _ALWAYS + _IN_MEMORY
        return {capability.name: capability for capability in declared}

    def scratch(self, url: str) -> AbstractContextManager[str]:
        return scratch(url)

    def open(self, config: DatabaseConfig, context: OpenContext) -> Store:
        return open_store(config, context)

    async def open_async(self, config: DatabaseConfig, context: OpenContext) -> AsyncStore:
        opened: list[SqliteStore] = []
        try:
            await run_in_thread(None, lambda: opened.append(open_store(config, context)))
        except asyncio.CancelledError:
            for store in opened:
                store.close()
            raise
        return AsyncSqliteStore(opened[0])

    def check(self, config: Config) -> Iterable[Finding]:
        return check(config)

    def backup(
        self, config: DatabaseConfig, target: Path, progress: Callable[[int, int], None]
    ) -> int:
        location, options = read_options(config)
        if location.path is not None and location.path.exists():
            check_file(location.path, options, MIGRATIONS, QUERIES, behind=True)
        return backup(config, target, progress)


DRIVER = SqliteDriver()


def open_store(config: DatabaseConfig, context: OpenContext) -> SqliteStore:
    """Check where the database is and what it holds, then open it and bring its schema up."""
    check_sqlite(sqlite3.sqlite_version_info)
    location, options = read_options(config)
    if config.vectors:
        raise ConfigurationError("vectors", f"SQLite keeps none; {_CANNOT_VECTORS}")
    if location.path is not None:
        check_file(location.path, options, MIGRATIONS, QUERIES, behind=config.may_be_behind)
        create_file(location.path)
    elif not config.may_be_behind:
        raise SchemaBehindError(database=0, code=len(MIGRATIONS))
    connections = Connections(location, options)
    try:
        migrator = SqliteMigrator(
            connections, MIGRATIONS, QUERIES, context, config.migration_timeout
        )
        if config.auto_migrate:
            migrator.up()
    except BaseException:
        connections.close()
        raise
    classes = RepositoryClasses(Context(QUERIES, Rows(CODEC), context.clock))
    return SqliteStore(connections, classes, migrator)
