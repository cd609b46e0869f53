"""The migrator: how MariaDB describes a schema, and what a foreign one is."""

from __future__ import annotations

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

    async def describe(self, connection: Connection, **names: str) -> set[str]:
        """Return a line for each trigger, table and view, and for each part of a table."""
        database = names.get("schema", self.database)
        objects = await connection.run(self.queries.list_objects(schema=database))
        lines = {f"{name}: {kind}" for name, kind in objects}
        with cast("MariadbConnection", connection).raw.cursor() as cursor:
            for name, kind in objects:
                if kind == "BASE TABLE":
                    cursor.execute(f'SHOW CREATE TABLE "{database}"."{name}"')
                    _, text = cursor.fetchone() or ("", "")
                    lines |= {f"{name}: {line.strip(' ,')}" for line in text.splitlines()[1:]}
        return lines

    async def expected(self, connection: Connection) -> set[str]:
        """Return the description of a database that is made and dropped again."""
        beside = name_beside(self.database)
        queries = queries_of(beside)
        await connection.run(queries.create_schema())
        try:
            await connection.run(queries.create_migrations())
            for step in MIGRATIONS:
                await connection.execute(step.named(schema=f'"{beside}"').up_sql)
            return await self.describe(connection, schema=beside)
        finally:
            await connection.execute(f'DROP DATABASE "{beside}"')
