"""The migrator of SQLite: what it knows beyond the kit's."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import cast

from engine_store.sql.blocking import run
from engine_store.sql.connection import Connection
from engine_store.sql.migrator import SqlMigrator
from engine_store_sqlite.connections import SqliteConnection
from engine_store_sqlite.drift import schema_differences

APPLICATION_ID = 0x45535452
"""What marks a file as ours (`PRAGMA application_id`): "ESTR" in ASCII."""


class SqliteMigrator(SqlMigrator):
    """`engine_store.protocols.AsyncMigrator`, on a blocking pool."""

    async def differences(self, connection: Connection) -> Sequence[str]:
        """Return in what the schema differs from what the steps make in memory."""
        found = cast("SqliteConnection", connection).raw
        with closing(sqlite3.connect(":memory:")) as expected:
            run(self._make(SqliteConnection(expected)))
            return schema_differences(expected, found)

    async def _make(self, connection: SqliteConnection) -> None:
        await connection.run(self.queries.create_migrations())
        for step in self.steps:
            await connection.execute(step.up_sql)
