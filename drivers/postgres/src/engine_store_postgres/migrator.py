"""The migrator of PostgreSQL: what it knows beyond the kit's.

A step of `CREATE INDEX CONCURRENTLY` cannot run in a transaction; it runs on a second connection
while the first one holds the lock.
"""

from __future__ import annotations

import re

import psycopg

from engine_store.errors import ConfigurationError, UnavailableError
from engine_store.sql.connection import Connection
from engine_store.sql.migrator import SqlMigrator
from engine_store.sql.statements import split_script
from engine_store_postgres.pool import AsyncPostgresPool, PostgresPool

_SCRATCH = "pg_temp"
_CONCURRENT_INDEX = re.compile(
    r"(?is)create\s+(?:unique\s+)?index\s+concurrently\s+(?:if\s+not\s+exists\s+)?(\w+)"
)
_BY_HAND = "run CREATE EXTENSION vector as a superuser"
_NOT_CREATED: dict[type[Exception], str | None] = {
    psycopg.errors.UniqueViolation: None,  # another process was as fast
    psycopg.errors.InsufficientPrivilege: f"this user may not make extensions; {_BY_HAND}",
    psycopg.errors.InvalidSchemaName: "there is no schema to make the extension vector in; run "
    "CREATE SCHEMA public",
}


_NOT_HERE = (
    "PostgreSQL: the schema is compared with temporary tables, and this server is a standby, which "
    "can have none; verify it on the primary"
)


class PostgresMigrator(SqlMigrator):
    """`engine_store.protocols.AsyncMigrator` of one schema."""

    pool: PostgresPool | AsyncPostgresPool

    async def check_database(self, connection: Connection) -> None:
        """Check the encoding, and that no name that a step needs is taken."""
        (encoding,) = await connection.run(self.queries.server_encoding())
        if encoding != "UTF8":
            raise ConfigurationError(
                "options.dbname",
                f"expected a database with the encoding UTF8, found {encoding}; make one with "
                "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
            )
        rows = await connection.run(self.call(self.queries.list_names))
        self.check_free({name for (name,) in rows})

    async def enable_pgvector(self, *, auto_migrate: bool) -> None:
        """Make the extension `vector`. Raises `ConfigurationError` if that cannot be.

        It is no numbered step: it is of the database, not of the schema, and most stores need none.
        """
        problem: str | None = None
        async with self.reading() as connection:
            available = await connection.run(self.queries.find_pgvector())
            if available is None:
                problem = (
                    "the server does not offer the extension vector; install pgvector there, or "
                    "use another vector database"
                )
            elif available[0] is None and not auto_migrate:
                problem = f"the extension vector is not there and auto_migrate is off; {_BY_HAND}"
            elif available[0] is None:
                try:
                    await connection.run(self.queries.create_pgvector())
                except tuple(_NOT_CREATED) as error:
                    problem = _NOT_CREATED[type(error)]
        if problem:
            raise ConfigurationError("options.pgvector", problem)

    async def run_outside(self, connection: Connection, text: str) -> None:
        """Run statements one by one outside of a transaction; an earlier run may have done some.

        `connection` holds the lock meanwhile. A text without parameters also ends the snapshot
        that its last statement with some left open: an index that is built waits for every older
        snapshot, and would wait for its own lock.
        """
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        second = await self.pool.connect()
        try:
            if not self.pool.options.pgbouncer:
                await second.execute("SET statement_timeout = 0")  # an index takes what it takes
            for statement in split_script(text):
                match = _CONCURRENT_INDEX.search(statement)
                if match is None or not await self._is_built(second, match[1]):
                    await second.execute(statement)
        finally:
            await second.release()

    async def _is_built(self, connection: Connection, index: str) -> bool:
        """Whether an index is there; one that a crash left INVALID is dropped."""
        found = await connection.run(self.call(self.queries.find_index, index=index))
        if found == (False,):
            await connection.execute(f'DROP INDEX CONCURRENTLY "{self.schema}".{index}')
        return bool(found == (True,))

    async def expected(self, connection: Connection) -> set[str]:
        """Return what the steps make as temporary tables, which are never committed.

        They need no privilege to make a schema, and no name that somebody may have taken.
        """
        texts = [self.queries.create_migrations.text({}).replace(f'"{self.schema}"', _SCRATCH)]
        texts += [step.named(schema=_SCRATCH).up_sql for step in self.files]
        try:
            await connection.execute("BEGIN READ WRITE")  # with `read_only`, too
        except psycopg.errors.FeatureNotSupported as error:
            raise UnavailableError(_NOT_HERE, retriable=False) from error
        try:
            for text in texts:
                await connection.execute(re.sub(r"(?i)\bconcurrently\b", "", text))
            (schema,) = await connection.run(self.queries.temporary_schema())
            found = await self.describe(connection, schema=schema)
            return {line.replace(f"{_SCRATCH}.", "") for line in found}  # so it calls its own
        finally:
            await self.pool.shield(connection.rollback())
