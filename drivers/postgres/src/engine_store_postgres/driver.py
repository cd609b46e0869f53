"""The driver: opening PostgreSQL stores from a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

from engine_store.config import Config, DatabaseConfig, Finding
from engine_store.errors import ConfigurationError, UnavailableError
from engine_store.migrations import load_migrations
from engine_store.protocols import AsyncStore, Capability, OpenContext, Store
from engine_store.sql.blocking import run
from engine_store.sql.dialect import Dialect
from engine_store.sql.queries import load_queries
from engine_store.sql.repositories import OperationSet
from engine_store.sql.statements import Queries
from engine_store.sql.stores import AsyncSqlStore, SqlEngine, SqlStore, prepare
from engine_store_postgres.failures import may_retry, translate, translated
from engine_store_postgres.migrator import PostgresMigrator
from engine_store_postgres.options import PostgresOptions, Target, read_options
from engine_store_postgres.pool import AsyncPostgresPool, PostgresPool

MIGRATIONS = load_migrations("engine_store_postgres.migrations")

DIALECT = Dialect(
    name="postgres",
    product="PostgreSQL",
    errors=psycopg.Error,
    translate=translate,
    may_retry=may_retry,
    failure_aborts=True,
    begin_migration=("BEGIN", "SET LOCAL statement_timeout = 0"),
)

_CAPABILITIES = {
    "concurrent_writers": Capability("concurrent_writers", True),
    "vectors": Capability("vectors", True, "with the extension pgvector"),
}

_LONGEST_PREFIX = 30
"""Of a name of at most 63 characters, 33 of which tell scratch schemas apart."""


@cache
def queries_of(schema: str) -> Queries:
    """Return the statements for a schema."""
    return load_queries("engine_store_postgres.queries", schema=f'"{schema}"')


class PostgresDriver:
    """`engine_store.protocols.Driver` for psycopg 3."""

    name = DIALECT.name
    settings = PostgresOptions

    def capabilities(self, config: DatabaseConfig) -> Mapping[str, Capability]:
        return _CAPABILITIES

    def scratch(self, url: str) -> AbstractContextManager[str]:
        return _scratch(url)

    def open(self, config: DatabaseConfig, context: OpenContext) -> Store:
        target, options = read_options(config)
        opening = _Opening(PostgresPool(target, options), options, config, context)
        run(opening.prepare())
        return SqlStore(opening.engine)

    async def open_async(self, config: DatabaseConfig, context: OpenContext) -> AsyncStore:
        target, options = read_options(config)
        opening = _Opening(AsyncPostgresPool(target, options), options, config, context)
        await opening.prepare()
        return AsyncSqlStore(opening.engine)

    def check(self, config: Config) -> Iterable[Finding]:
        """Return what is wrong with the settings; the server is asked at opening."""
        try:
            read_options(config.database)
        except ConfigurationError as error:
            return Finding.of(error)
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


DRIVER = PostgresDriver()


class _Opening:
    """A store that is being opened, of either side."""

    def __init__(
        self,
        pool: PostgresPool | AsyncPostgresPool,
        options: PostgresOptions,
        config: DatabaseConfig,
        context: OpenContext,
    ) -> None:
        queries, timeout = queries_of(options.schema), config.migration_timeout
        self._config = config
        self._needs_vectors = (options.pgvector or config.vectors) and config.check_schema
        self._migrator = PostgresMigrator(
            pool, DIALECT, queries, MIGRATIONS, options.schema, context, timeout
        )
        operations = OperationSet.of(DIALECT, queries, context.clock)
        self.engine = SqlEngine(pool, DIALECT, operations, self._migrator, self._probe)

    async def prepare(self) -> None:
        """Check that the database can be reached and fits, then bring its schema up."""
        await prepare(self.engine, self._check, migrate=self._config.auto_migrate)

    async def _check(self) -> None:
        await self._migrator.check(behind=self._config.may_be_behind)
        if self._needs_vectors:  # before the first step: it may be impossible
            await self._migrator.enable_pgvector(auto_migrate=self._config.auto_migrate)

    async def _probe(self) -> tuple[str | None, Mapping[str, int | float | str]]:
        """Return why the store cannot be written, and what the server says of itself."""
        migrator = self._migrator
        async with migrator.reading() as connection:
            state = await connection.run(migrator.call(migrator.queries.server_state))
        server, standby, read_only, may_write = state
        problem = None
        if standby:
            problem = "the server is a standby"
        elif read_only == "on":
            problem = "transactions are read-only by default_transaction_read_only"
        elif may_write is False:
            problem = f"the user lacks a privilege to write the tables of schema {migrator.schema}"
        return problem, {"server_version": server}


@contextmanager
def _scratch(url: str) -> Iterator[str]:
    """Yield `url` with a schema of its own, which is dropped at the end."""
    target, options = read_options(DatabaseConfig(url=url))
    schema = f"{options.schema[:_LONGEST_PREFIX]}_{uuid4().hex}"
    address, _, query = url.partition("?")
    others = [pair for pair in query.split("&") if pair and not pair.startswith("schema=")]
    try:
        yield f"{address}?{'&'.join([*others, f'schema={schema}'])}"
    except BaseException:
        with suppress(UnavailableError):  # what happened before is what matters
            _drop(target, schema)
        raise
    _drop(target, schema)


def _drop(target: Target, schema: str) -> None:
    drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))
    with translated(), psycopg.connect(target.conninfo, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")  # not what it drops, one by one
        connection.execute(drop)
