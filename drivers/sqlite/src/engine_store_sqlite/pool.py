"""The connections of a store: to a file, or to a file without a name for `:memory:`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import evolve

from engine_store.errors import UnavailableError
from engine_store.protocols import Endpoint
from engine_store.sql.single_writer import SingleWriterPool
from engine_store_sqlite import library
from engine_store_sqlite.connections import (
    SqliteConnection,
    connect,
    lose,
    set_wal,
)
from engine_store_sqlite.failures import FAILURES, is_busy, translated
from engine_store_sqlite.in_place import Place
from engine_store_sqlite.options import MEMORY, Location, SqliteOptions

CHECKPOINT_FRAMES = 1000
"""Pages in the log after which it is written back into the file; SQLite's own figure, too."""

LOOK_AFTER = 16
"""Transactions after which the size of the log is looked at."""

_PRAGMAS = ("page_count", "page_size", "freelist_count", "journal_mode")


class SqlitePool(SingleWriterPool[SqliteConnection]):
    """`engine_store.sql.connection.BlockingPool` of a file, or of a new private database.

    SQLite's own `:memory:` belongs to one connection, so that readers would wait for, or look into,
    an open transaction; and a shared cache does not do WAL. A nameless file in the temporary
    directory keeps every promise of a real one, and no commit waits for the disk.
    """

    failures = FAILURES
    is_busy = staticmethod(is_busy)
    begin_command = "BEGIN IMMEDIATE"

    def __init__(self, location: Location, options: SqliteOptions) -> None:
        """A pool without connections."""
        self.options = options
        self.location = location
        self._folder: TemporaryDirectory[str] | None = None
        if location.path is None:
            self._folder = _temporary_folder()
            self.path = Path(self._folder.name, "memory.db")
            self.path.touch(mode=0o600)
            self.options = evolve(options, synchronous="off")
            self.process_bound = "an in-memory store stays with the process that opened it"
            self.reopens = False
        else:
            self.path = location.path
        # The file without its folders: they may name a user, or a machine.
        endpoint = Endpoint("sqlite", MEMORY if location.path is None else self.path.name)
        self._place: Place | None = None
        self._scripts: tuple[str, ...] = ()
        self._log = self.path.with_name(self.path.name + "-wal")
        self._log_bytes = 0
        self._frames = 0
        self._frames_of_a_row = 8.0
        self._counted = 0
        self._unseen = LOOK_AFTER
        # With the others a commit only writes into the log, and the operating system keeps it.
        self.commit_waits = self.options.synchronous in ("extra", "full")
        super().__init__(endpoint, options.readers, options.busy_timeout)

    async def open(self) -> None:
        """Open the connection that writes, and take the name of `:memory:` away."""
        self.writer = writer = self.open_writer()
        if self._folder is not None:
            self._unlink(writer, self._folder)

    def open_writer(self) -> SqliteConnection:
        with translated():
            raw = connect(self.path, self.options, read_only=False)
        try:
            set_wal(raw, self.options.busy_timeout)
            raw.execute("PRAGMA busy_timeout = 0")  # `begin` waits, with jitter
            if self.location.path is None:  # nobody else writes, and no name leads to the file
                raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_FRAMES}")
            elif self._place is None:
                self._place = Place(self.path)
            else:
                self._place.reopened()
            self._counted = 0
            for script in self._scripts:
                raw.execute(script)
        except BaseException:
            raw.close()
            raise
        return SqliteConnection(raw, self)

    def prepare_writer(self, *scripts: str) -> None:
        """Run these on the connection that writes, now and whenever it is opened anew."""
        self._scripts = scripts
        with self.hold() as hold:
            connection = self.acquire_writer(self.timeout, self.timeout, owner=hold)
            try:
                with translated():
                    for script in scripts:
                        connection.raw.execute(script)
                    connection.command("COMMIT")
            finally:
                self.release(connection)

    def begin(self, connection: SqliteConnection, deadline: float, timeout: float) -> None:
        """Begin a transaction that holds the write lock, in a file that is still in its place."""
        super().begin(connection, deadline, timeout)
        self.check_place()

    def check_place(self) -> None:
        """Raise `UnavailableError` if the file was deleted, moved or replaced."""
        if self._place is not None:
            self._place.check()

    def open_reader(self) -> SqliteConnection:
        with translated():
            raw = connect(self.path, self.options, read_only=True)
        return SqliteConnection(raw, self.read_pool)

    def upkeep_is_due(self, connection: SqliteConnection) -> bool:
        """Return whether some 4 MiB were written to the log since the last checkpoint.

        The rows written are counted; large ones, and those of other processes, show in the size
        of the log.
        """
        if self.location.path is None:
            return False
        rows = connection.raw.total_changes - self._counted
        if rows * self._frames_of_a_row >= CHECKPOINT_FRAMES:
            return True
        # Not each time: Linux since 6.13 notes the time of every write to a file that is looked
        # at, and the next sync writes it down. A commit took 60 microseconds more.
        self._unseen += 1
        if self._unseen < LOOK_AFTER:
            return False
        self._unseen = 0
        return rows > 0 and _size(self._log) >= self._log_bytes + CHECKPOINT_FRAMES * 4096

    def upkeep(self, connection: SqliteConnection) -> None:
        """Write the log back into the file, by a connection of its own.

        `connection` holds the write lock, so that no commit is under way in any process: before
        3.51.3 SQLite may lose pages if a checkpoint overlaps one
        (https://www.sqlite.org/wal.html#walresetbug).
        """
        rows = connection.raw.total_changes - self._counted
        with closing(connect(self.path, self.options, read_only=False)) as second:
            _, frames, done = second.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        # The log begins anew after a whole checkpoint; one beside a reader is not whole.
        grown = max(frames - self._frames, 1)
        self._frames = 0 if done == frames else frames
        self._frames_of_a_row = max(grown / max(rows, 1), 1)
        self._counted, self._log_bytes = connection.raw.total_changes, _size(self._log)

    def _unlink(self, writer: SqliteConnection, folder: TemporaryDirectory[str]) -> None:
        """Open every reader and take the file's name away: nothing outlives the process."""
        opened = [writer]
        try:
            with translated():
                opened.extend(self.read_pool.acquire() for _ in range(self.readers))
                for connection in opened:  # a first read opens the WAL
                    connection.raw.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        finally:
            for connection in opened[1:]:
                self.read_pool.release(connection)
        folder.cleanup()

    async def close(self) -> None:
        await super().close()
        if self._folder is not None:
            self._folder.cleanup()

    def lose(self) -> None:
        """Say why a forked child cannot use the database, in which there was a transaction."""
        if self.reopens:
            self.lost = lose(self.path)

    def stats(self) -> dict[str, Any]:
        """Return sizes of the database, its file and its log."""
        with self.hold() as hold:
            reader = self.read_pool.acquire(owner=hold)
            try:
                found = sizes(reader, self.path)
            finally:
                self.read_pool.release(reader)
        if self.location.path is None:  # the file has no name
            found["file_bytes"] = found["page_count"] * found["page_size"]
        if library.RESET_BUG is not None and self.location.path is not None:
            found["warning"] = library.RESET_BUG
        return found


def sizes(connection: SqliteConnection, path: Path) -> dict[str, Any]:
    """Return the sizes of a database, its file and its log."""
    with translated():
        pages = {name: connection.raw.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS}
    return {
        **pages,
        "file_bytes": _size(path),
        "wal_bytes": _size(path.with_name(f"{path.name}-wal")),
        "sqlite_version": sqlite3.sqlite_version,
    }


def _size(path: Path) -> int:
    """Return the bytes of a file; 0 if it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _temporary_folder() -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix="engine-store-", ignore_cleanup_errors=True)
    except OSError as error:
        raise UnavailableError(
            f"an in-memory store needs a temporary directory: {error}", retriable=False
        ) from error
