"""The migrator: how MariaDB describes a schema, and what a foreign one is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import cast
from uuid import uuid4

import pymysql
from pymysql.constants import ER

from engine_store.errors import ForeignDatabaseError
from engine_store.migrations import Applied, load_migrations
from engine_store.protocols import OpenContext
from engine_store.sql.connection import Connection
from engine_store.sql.dialect import Dialect
from engine_store.sql.migrator import SqlMigrator
from engine_store.sql.queries import load_queries
from engine_store.sql.statements import Queries
from engine_store_mariadb.connection import MariadbConnection, MariadbPool
from engine_store_mariadb.failures import code_of

MIGRATIONS = load_migrations("engine_store_mariadb.migrations")
RECORD = "engine_store_migrations"
TABLES = {"users", "api_keys", "workflows", "tasks"}


@cache
def queries_of(database: str) -> Queries:
    """Return the statements for a database."""
    return load_queries("engine_store_mariadb.queries", schema=f'"{database}"')


def name_beside(database: str) -> str:
    """Return the name of a new database; one has at most 64 characters."""
    return f"{database[:31]}_{uuid4().hex}"


class MariadbMigrator(SqlMigrator):
    """`engine_store.protocols.AsyncMigrator` of one database."""

    def __init__(
        self,
        pool: MariadbPool,
        dialect: Dialect,
        database: str,
        context: OpenContext,
        timeout: float,
    ) -> None:
        """A migrator of `database`, whose name stands where the steps have `{schema}`."""
        steps = [step.named(schema=f'"{database}"') for step in MIGRATIONS]
        names = {"schema": database}
        super().__init__(pool, dialect, queries_of(database), steps, context, timeout, names)
        self.database = database

    async def check_database(self, connection: Connection) -> None:
        """Check that no table of another program has a name that a step is to make."""
        names = {name for name, _ in await connection.run(self.call(self.queries.list_objects))}
        if RECORD not in names and (taken := sorted(names & TABLES)):
            raise ForeignDatabaseError(
                f"database {self.database}", f"tables of another program ({', '.join(taken)})"
            )

    async def applied_on(self, connection: Connection) -> tuple[Applied, ...]:
        """Return `applied`. Raises `ForeignDatabaseError`."""
        try:
            return await super().applied_on(connection)
        except pymysql.Error as error:
            if code_of(error) != ER.BAD_FIELD_ERROR:
                raise
            raise ForeignDatabaseError(
                f"database {self.database}", f"a table {RECORD} of another program"
            ) from None

    async def differences(self, connection: Connection) -> Sequence[str]:
        """Return the differences to what the steps make in a database beside."""
        found = await self._description(connection, self.database)
        beside = name_beside(self.database)
        await connection.run(queries_of(beside).create_schema())
        try:
            await connection.run(queries_of(beside).create_migrations())
            for step in MIGRATIONS:
                await connection.execute(step.named(schema=f'"{beside}"').up_sql)
            expected = await self._description(connection, beside)
        finally:
            await connection.execute(f'DROP DATABASE "{beside}"')
        missing = [f"missing: {line}" for line in sorted(expected - found)]
        return missing + [f"not ours: {line}" for line in sorted(found - expected)]

    async def _description(self, connection: Connection, database: str) -> set[str]:
        """Return a line for each trigger, table and view, and for each part of a table."""
        objects = await connection.run(self.queries.list_objects(schema=database))
        lines = {f"{name}: {kind}" for name, kind in objects}
        with cast("MariadbConnection", connection).raw.cursor() as cursor:
            for name, kind in objects:
                if kind == "BASE TABLE":
                    cursor.execute(f'SHOW CREATE TABLE "{database}"."{name}"')
                    _, text = cursor.fetchone() or ("", "")
                    lines |= {f"{name}: {line.strip(' ,')}" for line in text.splitlines()[1:]}
        return lines
