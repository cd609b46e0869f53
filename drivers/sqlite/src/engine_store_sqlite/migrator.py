"""The migrator of SQLite: what it knows beyond the kit's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import cast

from engine_store.migrations import Direction, Migration
from engine_store.sql.connection import Connection
from engine_store.sql.migrator import SqlMigrator
from engine_store_sqlite.connections import SqliteConnection
from engine_store_sqlite.drift import describe

APPLICATION_ID = 0x45535452
"""What marks a file as ours (`PRAGMA application_id`): "ESTR" in ASCII."""


class SqliteMigrator(SqlMigrator):
    """`engine_store.protocols.AsyncMigrator`, on a blocking pool."""

    async def _run(self, connection: Connection, step: Migration, direction: Direction) -> None:
        await connection.execute("PRAGMA temp_store = file")  # the index of a large table is sorted
        try:
            await super()._run(connection, step, direction)
        finally:
            await connection.rollback()  # after a commit, nothing
            if not connection.in_transaction:  # or the setting cannot be changed
                await connection.execute("PRAGMA temp_store = memory")

    async def describe(self, connection: Connection, schema: str = "") -> set[str]:
        """Return a line for each part of the schema."""
        return describe(cast("SqliteConnection", connection).raw)

    async def expected(self, connection: Connection) -> set[str]:
        """Return what the steps make in memory."""
        with closing(sqlite3.connect(":memory:")) as raw:
            made = SqliteConnection(raw)
            await made.run(self.queries.create_migrations())
            for step in self.steps:
                await made.execute(step.up_sql)
            return describe(raw)
