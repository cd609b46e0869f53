"""The migrator of PostgreSQL: what it knows beyond the kit's.

A step of `CREATE INDEX CONCURRENTLY` cannot run in a transaction; it runs on a second connection
while the first one holds the lock.
"""

from __future__ import annotations

import re
from contextlib import suppress

import psycopg

from engine_store.errors import ConfigurationError
from engine_store.sql.connection import Connection
from engine_store.sql.migrator import SqlMigrator
from engine_store_postgres.pool import AsyncPostgresPool, PostgresPool

_SCRATCH = "engine_store_scratch"
_CONCURRENT_INDEX = re.compile(
    r"(?is)create\s+(?:unique\s+)?index\s+concurrently\s+(?:if\s+not\s+exists\s+)?(\w+)"
)
_AS_SUPERUSER = "run CREATE EXTENSION vector as a superuser"


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
        async with self.reading() as connection:
            problem = await self._pgvector_problem(connection, auto_migrate)
        if problem:
            raise ConfigurationError("options.pgvector", problem)

    async def _pgvector_problem(self, connection: Connection, may_create: bool) -> str | None:
        available = await connection.run(self.queries.find_pgvector())
        if available is None:
            return (
                "the server does not offer the extension vector; install pgvector there, or use "
                "another vector database"
            )
        (installed,) = available
        if installed is None and not may_create:
            return f"the extension vector is not there and auto_migrate is off; {_AS_SUPERUSER}"
        try:
            if installed is None:
                with suppress(psycopg.errors.UniqueViolation):  # another process was as fast
                    await connection.run(self.queries.create_pgvector())
        except psycopg.errors.InsufficientPrivilege:
            return f"this user may not make extensions; {_AS_SUPERUSER}"
        except psycopg.errors.InvalidSchemaName:
            return "there is no schema to make the extension vector in; run CREATE SCHEMA public"
        return None

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
            for statement in _statements(text):
                match = _CONCURRENT_INDEX.search(statement)
                if match is None or not await self._is_built(second, match[1]):
                    await second.execute(statement)
        finally:
            await second.release()

    async def _is_built(self, connection: Connection, index: str) -> bool:
        """Whether an index is there; one that a crash left INVALID is dropped."""
        found = await connection.run(self.call(self.queries.find_index, index=index))
        if found is None or found[0]:
            return found is not None
        await connection.execute(f'DROP INDEX CONCURRENTLY "{self.schema}".{index}')
        return False

    async def expected(self, connection: Connection) -> set[str]:
        """Return what the steps make in a schema that is never committed."""
        scratch = f'"{_SCRATCH}"'
        texts = [self.queries.create_migrations.text({}).replace(f'"{self.schema}"', scratch)]
        texts += [step.named(schema=scratch).up_sql for step in self.files]
        await connection.execute("BEGIN")
        try:
            await connection.execute(f"CREATE SCHEMA {scratch}")
            for text in texts:
                await connection.execute(re.sub(r"(?i)\bconcurrently\b", "", text))
            return await self.describe(connection, schema=_SCRATCH)
        finally:
            await self.pool.shield(connection.rollback())


def _statements(text: str) -> list[str]:
    """Return the statements of a step that has no literals or functions."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
