"""The driver: opening MariaDB stores from a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC

from pymysql.constants import ER

from engine_store.config import Config, DatabaseConfig, Finding
from engine_store.errors import ConfigurationError
from engine_store.protocols import AsyncStore, Capability, OpenContext, Store
from engine_store.sql.blocking import run
from engine_store.sql.dialect import Dialect
from engine_store.sql.rows import Codec
from engine_store.sql.stores import SqlEngine, SqlStore
from engine_store.sql.threaded import open_threaded
from engine_store_mariadb.connection import MariadbPool, connect
from engine_store_mariadb.failures import FAILURES, code_of, may_retry
from engine_store_mariadb.migrator import MIGRATIONS, MariadbMigrator, name_beside, queries_of
from engine_store_mariadb.options import MariadbOptions, read_options

DIALECT = Dialect(
    name="mariadb",
    failures=FAILURES,
    may_retry=may_retry,
    codec=Codec(
        # DATETIME knows no zone: all times are UTC.
        write_time=lambda time: time.replace(tzinfo=None),
        read_time=lambda time: time.replace(tzinfo=UTC),
        write_collection=tuple,
    ),
    transactional_ddl=False,
    begin_migration=(),
    lacks_column=lambda error: code_of(error) == ER.BAD_FIELD_ERROR,
    lock_after=2,  # a commit waits for the disk
)

_CANNOT_VECTORS = "MariaDB has vectors from 11.7 on, and this driver knows none"

_CANNOT_RECORD = (
    "a trigger of MariaDB cannot lock the workflow that its own statement reads, so that events at "
    "once would get the same number"
)

_CAPABILITIES = {
    "concurrent_writers": Capability("concurrent_writers", True),
    "vectors": Capability("vectors", False, _CANNOT_VECTORS),
    "history": Capability("history", False, _CANNOT_RECORD),
}


class MariadbDriver:
    """`engine_store.protocols.Driver` for PyMySQL."""

    name = DIALECT.name
    settings = MariadbOptions

    def capabilities(self, config: DatabaseConfig) -> Mapping[str, Capability]:
        return _CAPABILITIES

    @contextmanager
    def scratch(self, url: str) -> Iterator[str]:
        options = read_options(DatabaseConfig(url=url))
        database = name_beside(options.database)
        address, mark, query = url.partition("?")
        try:
            yield f"{address.rpartition('/')[0]}/{database}{mark}{query}"
        finally:
            connection = connect(options)
            try:
                with FAILURES.translated():
                    run(connection.execute(f'DROP DATABASE IF EXISTS "{database}"'))
            finally:
                connection.close()

    def open(self, config: DatabaseConfig, context: OpenContext) -> Store:
        return SqlStore(open_engine(config, context)[0])

    async def open_async(self, config: DatabaseConfig, context: OpenContext) -> AsyncStore:
        return await open_threaded(lambda: open_engine(config, context))

    def check(self, config: Config) -> Iterable[Finding]:
        """Return what is wrong with the settings; the server is asked at opening."""
        try:
            read_options(config.database)
        except ConfigurationError as error:
            return Finding.of(error)
        return ()


def open_engine(config: DatabaseConfig, context: OpenContext) -> tuple[SqlEngine, MariadbPool]:
    """Connect, check that the database fits, and bring its schema up."""
    options = read_options(config)
    if config.vectors:
        raise ConfigurationError("vectors", _CANNOT_VECTORS)
    if config.history:
        raise ConfigurationError("history", _CANNOT_RECORD)
    pool, queries = MariadbPool(options), queries_of(options.database)
    timeout = config.migration_timeout
    engine = SqlEngine(
        MariadbMigrator(pool, DIALECT, queries, MIGRATIONS, context, timeout, options.database)
    )
    run(engine.prepare(config))
    return engine, pool


DRIVER = MariadbDriver()
