"""The connections of a store that only reads, also where nothing may be written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from engine_store.errors import ConfigurationError
from engine_store.protocols import Endpoint
from engine_store.sql.dbapi import DbapiPool
from engine_store.sql.holds import Block
from engine_store_sqlite.connections import IMMUTABLE, SqliteConnection, connect, reading_mode
from engine_store_sqlite.failures import FAILURES, translated
from engine_store_sqlite.options import Location, SqliteOptions
from engine_store_sqlite.pool import sizes


class ReadOnlyConnection(SqliteConnection):
    """A connection that is used as long as its file is the one that it was opened on.

    A file that nobody can change as far as this process sees may be changed elsewhere, by the host
    of a container. SQLite would notice nothing; its time, its size, or a log beside it tell.
    """

    def __init__(self, path: Path, options: SqliteOptions) -> None:
        """A connection to the file at `path`. Raises `UnavailableError`."""
        self._path = path
        self._mode = reading_mode(path)
        self._seen = self._look()
        with translated():
            super().__init__(connect(path, options, read_only=True, mode=self._mode))

    @property
    def is_quiet(self) -> bool:  # type: ignore[override]
        return self._look() == self._seen

    def _look(self) -> tuple[object, ...]:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - each read looks, and Path's takes longer
        except OSError:
            return ()
        if self._mode != IMMUTABLE:
            return found.st_dev, found.st_ino
        return (
            found.st_dev,
            found.st_ino,
            found.st_mtime_ns,
            found.st_size,
            reading_mode(self._path),
        )


class ReadOnlyPool(DbapiPool[ReadOnlyConnection]):
    """`engine_store.sql.connection.BlockingPool` of connections that only read."""

    read_only = True
    failures = FAILURES
    check = "socket"

    def __init__(self, location: Location, options: SqliteOptions) -> None:
        """A pool without connections. Raises `ConfigurationError` for a database in memory."""
        if location.path is None:
            raise ConfigurationError(
                "options.read_only", "a database in memory begins empty, so there is none to read"
            )
        self.location, self.options, self.path = location, options, location.path
        super().__init__(
            lambda: ReadOnlyConnection(self.path, options),
            Endpoint("sqlite", self.path.name),
            size=options.readers,
            timeout=options.busy_timeout,
            sized_by="readers",
        )

    async def acquire(
        self, *, write: bool = False, timeout: float | None = None, owner: Block | None = None
    ) -> ReadOnlyConnection:
        """Return a connection; for a transaction of reads, one that has begun it."""
        connection = await super().acquire(timeout=timeout, owner=owner)
        if write:
            connection.command("BEGIN")
        return connection

    def stats(self) -> dict[str, Any]:
        """Return sizes of the database, its file and its log."""
        with self.hold() as hold:
            connection = self._pool.acquire(owner=hold)
            try:
                return sizes(connection, self.path)
            finally:
                self._pool.release(connection)
