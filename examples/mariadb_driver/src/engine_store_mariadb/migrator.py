"""The migrator: how MariaDB describes a schema, and what a foreign one is."""

from __future__ import annotations

from functools import cache
from typing import cast
from uuid import uuid4

from engine_store.migrations import load_migrations
from engine_store.sql.connection import Connection
from engine_store.sql.migrator import SqlMigrator
from engine_store.sql.queries import load_queries
from engine_store.sql.statements import Queries
from engine_store_mariadb.connection import MariadbConnection

MIGRATIONS = load_migrations("engine_store_mariadb.migrations")


@cache
def queries_of(database: str) -> Queries:
    """Return the statements for a database."""
    return load_queries("engine_store_mariadb.queries", schema=f'"{database}"')


def name_beside(database: str) -> str:
    """Return the name of a new database; one has at most 64 characters."""
    return f"{database[:31]}_{uuid4().hex}"


class MariadbMigrator(SqlMigrator):
    """`engine_store.protocols.AsyncMigrator` of one database."""

    async def check_database(self, connection: Connection) -> None:
        """Check that no table of another program has a name that a step is to make."""
        self.check_free([name for name, _ in await self._objects(connection, self.schema)])

    async def expected(self, connection: Connection) -> set[str]:
        """Return what the steps make in a database beside ours."""
        beside = name_beside(self.schema)
        await connection.run(queries_of(beside).create_schema())
        try:
            await connection.run(queries_of(beside).create_migrations())
            for step in self.files:
                await connection.execute(step.named(schema=f'"{beside}"').up_sql)
            return await self.describe(connection, beside)
        finally:
            await connection.execute(f'DROP DATABASE "{beside}"')

    async def describe(self, connection: Connection, schema: str = "") -> set[str]:
        """Return a line for each trigger, table and view, and for each part of a table."""
        database = schema or self.schema
        objects = await self._objects(connection, database)
        lines = {f"{name}: {kind}" for name, kind in objects}
        with cast("MariadbConnection", connection).raw.cursor() as cursor:
            for name, kind in objects:
                if kind == "BASE TABLE":
                    cursor.execute(f'SHOW CREATE TABLE "{database}"."{name}"')
                    _, text = cursor.fetchone() or ("", "")
                    lines |= {f"{name}: {line.strip(' ,')}" for line in text.splitlines()[1:]}
        return lines

    async def _objects(self, connection: Connection, schema: str) -> list[tuple[str, str]]:
        """Return the name and the kind of each table, view and trigger."""
        found: list[tuple[str, str]] = await connection.run(
            self.queries.list_objects(schema=schema)
        )
        return found
