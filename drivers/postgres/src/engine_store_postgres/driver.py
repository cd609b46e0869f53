"""The driver: opening PostgreSQL stores from a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

import psycopg

from engine_store.config import Config, DatabaseConfig, Finding
from engine_store.errors import ConfigurationError, UnavailableError
from engine_store.migrations import load_migrations
from engine_store.protocols import AsyncStore, Capability, OpenContext, Store
from engine_store.secrecy import Hidden
from engine_store.sql.blocking import run
from engine_store.sql.dialect import Dialect
from engine_store.sql.queries import load_queries
from engine_store.sql.statements import Queries
from engine_store.sql.stores import AsyncSqlStore, SqlEngine, SqlStore
from engine_store_postgres.failures import FAILURES, may_retry
from engine_store_postgres.migrator import PostgresMigrator
from engine_store_postgres.notifications import Notifications
from engine_store_postgres.options import PostgresOptions, read_options
from engine_store_postgres.pool import AsyncPostgresPool, PostgresPool

MIGRATIONS = load_migrations("engine_store_postgres.migrations")

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"

DIALECT = Dialect(
    name="postgres",
    failures=FAILURES,
    may_retry=may_retry,
    lacks_column=lambda error: isinstance(error, psycopg.errors.UndefinedColumn),
    failure_aborts=True,
    # A role or a database may have another default, in which retries see what they saw before.
    begin=(_BEGIN,),
    begin_migration=(_BEGIN, "SET LOCAL statement_timeout = 0"),
)


@cache
def queries_of(schema: str) -> Queries:
    """Return the statements for a schema."""
    return load_queries("engine_store_postgres.queries", schema=f'"{schema}"')


class PostgresEngine(SqlEngine):
    """The engine of one schema, of either side."""

    migrator: PostgresMigrator

    def __init__(self, migrator: PostgresMigrator) -> None:
        """An engine on the pool of `migrator`, which it closes."""
        super().__init__(migrator)
        self.notifier.connect(Notifications(migrator, self.notifier))

    async def check(self, config: DatabaseConfig) -> None:
        """Check that the database fits the code; make the extension `vector` if it is needed."""
        await super().check(config)
        wanted = config.vectors or self.migrator.pool.options.pgvector
        if wanted and config.check_schema:  # before the first step: it may be impossible
            await self.migrator.enable_pgvector(auto_migrate=config.auto_migrate)


class PostgresDriver:
    """`engine_store.protocols.Driver` for psycopg 3."""

    name = DIALECT.name
    settings = PostgresOptions

    def capabilities(self, config: DatabaseConfig) -> Mapping[str, Capability]:
        return {
            "concurrent_writers": Capability("concurrent_writers", True),
            "vectors": Capability("vectors", True, "with the extension pgvector"),
        }

    @contextmanager
    def scratch(self, url: str) -> Iterator[str]:
        url = Hidden(url)
        target, options = read_options(DatabaseConfig(url=url))
        schema = f"{options.schema[:30]}_{uuid4().hex}"  # at most 63 characters
        try:
            yield _with_schema(url, schema)
        except BaseException:
            with suppress(UnavailableError):  # what happened before is what matters
                _drop(target.conninfo, schema)
            raise
        _drop(target.conninfo, schema)

    def open(self, config: DatabaseConfig, context: OpenContext) -> Store:
        engine = _engine(PostgresPool(*read_options(config)), config, context)
        run(engine.prepare(config))
        return SqlStore(engine)

    async def open_async(self, config: DatabaseConfig, context: OpenContext) -> AsyncStore:
        engine = _engine(AsyncPostgresPool(*read_options(config)), config, context)
        await engine.prepare(config)
        return AsyncSqlStore(engine)

    def check(self, config: Config) -> Iterable[Finding]:
        """Check the settings; the server is asked at opening."""
        read_options(config.database)
        return ()

    def backup(
        self, config: DatabaseConfig, target: Path, progress: Callable[[int, int], None]
    ) -> int:
        """Raise the advice to use PostgreSQL's tools, which fit the version of the server."""
        _, options = read_options(config)
        raise ConfigurationError(
            "database.driver",
            "PostgreSQL is backed up by its own tools, which take one snapshot of a server in use "
            f"and know its version: pg_dump --format=custom --schema={options.schema}; or "
            "pg_basebackup with archived WAL, to go back to any moment; a portable copy is made "
            "by export",
        )

    def restore(
        self, config: DatabaseConfig, source: Path, progress: Callable[[int, int], None]
    ) -> int:
        """Raise the advice to use PostgreSQL's tools, as `backup` does."""
        _, options = read_options(config)
        raise ConfigurationError(
            "database.driver",
            "PostgreSQL is restored by its own tools: pg_restore --clean --if-exists "
            f"--single-transaction --schema={options.schema} --dbname=... FILE, for what pg_dump "
            "made; a portable copy is read by import",
        )


DRIVER = PostgresDriver()


def _engine(
    pool: PostgresPool | AsyncPostgresPool, config: DatabaseConfig, context: OpenContext
) -> PostgresEngine:
    """Return an engine on `pool`, which it closes."""
    schema, timeout = pool.options.schema, config.migration_timeout
    queries = queries_of(schema)
    return PostgresEngine(
        PostgresMigrator(pool, DIALECT, queries, MIGRATIONS, context, timeout, schema)
    )


def _with_schema(url: str, schema: str) -> str:
    """Return `url` with another schema."""
    address, _, query = url.partition("?")
    others = [pair for pair in query.split("&") if pair and not pair.startswith("schema=")]
    return f"{address}?{'&'.join([*others, f'schema={schema}'])}"


def _drop(conninfo: str, schema: str) -> None:
    with FAILURES.translated(), psycopg.connect(conninfo, autocommit=True) as connection:
        # Without a notice for each table that it drops.
        drop = f'SET client_min_messages = warning; DROP SCHEMA IF EXISTS "{schema}" CASCADE'
        connection.execute(drop.encode())
