"""The migrator of PostgreSQL: what it knows beyond the kit's.

A step of `CREATE INDEX CONCURRENTLY` cannot run in a transaction; it runs on a second connection
while the first one holds the lock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

import psycopg

from engine_store.errors import ConfigurationError, ForeignDatabaseError
from engine_store.migrations import Applied, Migration
from engine_store.protocols import OpenContext
from engine_store.sql.connection import Connection
from engine_store.sql.dialect import Dialect
from engine_store.sql.migrator import SqlMigrator
from engine_store.sql.statements import Queries
from engine_store_postgres.pool import AsyncPostgresPool, PostgresPool

RECORD = "engine_store_migrations"
"""The table of applied steps, which marks a schema as ours."""

_SCRATCH = "engine_store_scratch"
_CONCURRENT_INDEX = re.compile(
    r"(?is)create\s+(?:unique\s+)?index\s+concurrently\s+(?:if\s+not\s+exists\s+)?(\w+)"
)


class PostgresMigrator(SqlMigrator):
    """`engine_store.protocols.AsyncMigrator` of one schema."""

    pool: PostgresPool | AsyncPostgresPool

    def __init__(
        self,
        pool: PostgresPool | AsyncPostgresPool,
        dialect: Dialect,
        queries: Queries,
        steps: Sequence[Migration],
        schema: str,
        context: OpenContext,
        timeout: float,
    ) -> None:
        """A migrator of `schema`, whose name stands where the steps have `{schema}`."""
        named = [step.named(schema=f'"{schema}"') for step in steps]
        super().__init__(pool, dialect, queries, named, context, timeout, {"schema": schema})
        self._files = tuple(steps)
        self.schema = schema

    async def check_database(self, connection: Connection) -> None:
        """Check the encoding, and that no name that a step needs is taken."""
        (encoding,) = await connection.run(self.queries.server_encoding())
        if encoding != "UTF8":
            raise ConfigurationError(
                "options.dbname",
                f"expected a database with the encoding UTF8, found {encoding}; make one with "
                "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
            )
        names = {name for (name,) in await connection.run(self.call(self.queries.list_names))}
        if RECORD not in names:
            self._check_free(names)

    async def applied_on(self, connection: Connection) -> tuple[Applied, ...]:
        """Return `applied`. Raises `ForeignDatabaseError`."""
        try:
            return await super().applied_on(connection)
        except psycopg.errors.UndefinedColumn:
            raise ForeignDatabaseError(
                f"schema {self.schema}", f"a table {RECORD} of another program"
            ) from None

    def _check_free(self, names: set[str]) -> None:
        """Check that nothing of another program has a name that a step is to make."""
        texts = " ".join(step.up_sql for step in self._files)
        ours = set(
            re.findall(r"CREATE TABLE \{schema\}\.(\w+)|CREATE (?:UNIQUE )?INDEX (\w+)", texts)
        )
        if taken := sorted(names & {name for pair in ours for name in pair if name}):
            raise ForeignDatabaseError(
                f"schema {self.schema}", f"tables of another program ({', '.join(taken)})"
            )

    async def enable_pgvector(self, *, auto_migrate: bool) -> None:
        """Make the extension `vector`. Raises `ConfigurationError` if that cannot be.

        It is no numbered step: it is of the database, not of the schema, and most stores need none.
        """

        def refused(reason: str) -> ConfigurationError:
            return ConfigurationError("options.pgvector", reason)

        async with self.reading() as connection:
            available = await connection.run(self.queries.find_pgvector())
            if available is None:
                raise refused(
                    "the server does not offer the extension vector; install pgvector there, or "
                    "use another vector database"
                )
            if available[0] is not None:
                return
            as_superuser = "run CREATE EXTENSION vector as a superuser"
            if not auto_migrate:
                raise refused(
                    f"the extension vector is not there and auto_migrate is off; {as_superuser}"
                )
            try:
                with suppress(psycopg.errors.UniqueViolation):  # another process was as fast
                    await connection.run(self.queries.create_pgvector())
            except psycopg.errors.InsufficientPrivilege:
                raise refused(f"this user may not make extensions; {as_superuser}") from None
            except psycopg.errors.InvalidSchemaName:
                raise refused(
                    "there is no schema to make the extension vector in; run CREATE SCHEMA public"
                ) from None

    async def run_outside(self, connection: Connection, text: str) -> None:
        """Run statements one by one outside of a transaction; an earlier run may have done some.

        `connection` holds the lock meanwhile. A text without parameters also ends the snapshot
        that its last statement with some left open: an index that is built waits for every older
        snapshot, and would wait for its own lock.
        """
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        second = await self.pool.connect()
        try:
            if self.pool.keeps_sessions:
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
        texts += [step.named(schema=scratch).up_sql for step in self._files]
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
