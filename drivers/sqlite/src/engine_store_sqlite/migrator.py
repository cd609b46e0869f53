"""The migrator of SQLite: what it knows beyond the kit's."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

from engine_store.migrations import Direction, Migration
from engine_store.sql.connection import Connection
from engine_store.sql.migrator import SqlMigrator
from engine_store_sqlite.connections import SqliteConnection
from engine_store_sqlite.drift import describe

APPLICATION_ID = 0x45535452
"""What marks a file as ours (`PRAGMA application_id`): "ESTR" in ASCII."""

_FOLDERS = ("/var/tmp", "/usr/tmp", "/tmp", ".")  # noqa: S108 - not to be written to here


def free_for_temporary_files() -> int:
    """Return the bytes that are free in SQLite's folder for temporary files; 0: there is none.

    It is the first one that may be written (https://www.sqlite.org/tempfiles.html).
    """
    for folder in (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), *_FOLDERS):
        if folder and Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return shutil.disk_usage(folder).free
    return 0


class SqliteMigrator(SqlMigrator):
    """`engine_store.protocols.AsyncMigrator`, on a blocking pool."""

    async def _run(self, connection: Connection, step: Migration, direction: Direction) -> None:
        # The index of a large table is sorted in files, if there is room for them.
        raw = cast("SqliteConnection", connection).raw
        (pages,), (size,) = (
            raw.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
        )
        if free_for_temporary_files() > pages * size:
            await connection.execute("PRAGMA temp_store = file")
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
