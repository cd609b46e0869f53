"""The driver: opening PostgreSQL stores from a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

from engine_store.cancellation import whole
from engine_store.config import Config, DatabaseConfig, Finding
from engine_store.errors import ConfigurationError
from engine_store.migrations import load_migrations
from engine_store.protocols import AsyncStore, Capability, OpenContext, Store
from engine_store.sql.operations import Context
from engine_store.sql.rows import Codec, Rows
from engine_store.sql.statements import Queries, load_queries
from engine_store.sql.store import RepositoryClasses
from engine_store_postgres.migrator import PostgresMigrator
from engine_store_postgres.options import PostgresOptions, read_options
from engine_store_postgres.pools import AsyncPool, Pool, SyncPool
from engine_store_postgres.scratch import scratch
from engine_store_postgres.store import AsyncPostgresStore, PostgresStore
from engine_store_postgres.wires import run

NAME = "postgres"
MIGRATIONS = load_migrations("engine_store_postgres.migrations")

CODEC = Codec(
    write_time=lambda time: time,
    read_time=lambda time: time,  # in UTC, as the session is
    write_collection=list[str],
)

_CAPABILITIES = {
    "concurrent_writers": Capability("concurrent_writers", True),
    "vectors": Capability("vectors", True, "with the extension pgvector"),
}


@cache
def queries_of(schema: str) -> Queries:
    """The statements for a schema."""
    return load_queries("engine_store_postgres.queries", schema=f'"{schema}"')


class PostgresDriver:
    """`engine_store.protocols.Driver` for psycopg 3."""

    name = NAME
    settings = PostgresOptions

    def capabilities(self, config: DatabaseConfig) -> Mapping[str, Capability]:
        return _CAPABILITIES

    def scratch(self, url: str) -> AbstractContextManager[str]:
        return scratch(url)

    def open(self, config: DatabaseConfig, context: OpenContext) -> Store:
        target, options = read_options(config)
        pool = SyncPool(target, options)
        migrator = _migrator(pool, options, config, context)
        try:
            run(_prepare(pool, migrator, options, config))
        except BaseException:
            run(pool.close())
            raise
        return PostgresStore(pool, _classes(options, context), migrator)

    async def open_async(self, config: DatabaseConfig, context: OpenContext) -> AsyncStore:
        target, options = read_options(config)
        pool = AsyncPool(target, options)
        migrator = _migrator(pool, options, config, context)
        try:
            await _prepare(pool, migrator, options, config)
        except BaseException:
            await whole(pool.close())
            raise
        return AsyncPostgresStore(pool, _classes(options, context), migrator)

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


def _migrator(
    pool: Pool, options: PostgresOptions, config: DatabaseConfig, context: OpenContext
) -> PostgresMigrator:
    queries, timeout = queries_of(options.schema), config.migration_timeout
    return PostgresMigrator(pool, MIGRATIONS, queries, options.schema, context, timeout)


def _classes(options: PostgresOptions, context: OpenContext) -> RepositoryClasses:
    return RepositoryClasses(Context(queries_of(options.schema), Rows(CODEC), context.clock))


async def _prepare(
    pool: Pool, migrator: PostgresMigrator, options: PostgresOptions, config: DatabaseConfig
) -> None:
    """Check that the database can be reached and fits, then bring its schema up."""
    await pool.open()
    await migrator.check(behind=config.may_be_behind)
    if (options.pgvector or config.vectors) and config.check_schema:  # first: it may be impossible
        await migrator.enable_pgvector(auto_migrate=config.auto_migrate)
    if config.auto_migrate:
        await migrator.up()
