"""Connections: one that writes, several that read, and what each is set to."""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
import time
from pathlib import Path
from shutil import rmtree
from urllib.parse import quote

from attrs import evolve

from engine_store.errors import StoreClosedError, UnavailableError
from engine_store_sqlite import forks
from engine_store_sqlite.failures import is_busy, translate, translated
from engine_store_sqlite.options import Location, SqliteOptions
from engine_store_sqlite.pools import LONGEST_POLL, Readers, Writer


def connect(
    path: Path, options: SqliteOptions, *, read_only: bool, mode: str = "rw"
) -> sqlite3.Connection:
    """A connection to an existing file. Raises `sqlite3.Error`, `UnavailableError`.

    With `mode` "ro" it leaves the file and its log as they are, also when it is the last to close.
    """
    forks.check_not_lost(path)
    connection = sqlite3.connect(
        f"file://{quote(os.fsencode(path))}?mode={mode}",
        uri=True,
        timeout=options.busy_timeout,
        isolation_level=None,  # no implicit BEGIN: transactions are begun by name
        check_same_thread=False,  # a pool hands connections from thread to thread
        cached_statements=256,
    )
    try:
        for pragma in _pragmas(options, read_only=read_only):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _pragmas(options: SqliteOptions, *, read_only: bool) -> list[str]:
    pragmas = [
        "foreign_keys = ON",  # off by default, and set for each connection
        f"synchronous = {options.synchronous}",  # full: a commit survives a power cut
        "trusted_schema = OFF",  # a tampered file cannot run functions through views or triggers
        "journal_size_limit = 67108864",  # a WAL grown by one long reader shrinks to 64 MiB again
    ]
    if read_only:
        pragmas.append("query_only = ON")
    return pragmas


def set_wal(connection: sqlite3.Connection, timeout: float) -> None:
    """Write-ahead logging: readers and the writer do not wait for each other.

    The change needs the file for itself for a moment and does not call SQLite's busy handler
    (https://www.sqlite.org/wal.html#persistence_of_wal_mode), so racing starters try again here.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            if mode != "wal":
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise translate(error) from error
            time.sleep(random.uniform(0, LONGEST_POLL))  # noqa: S311 - jitter, no secret
        else:
            if mode != "wal":
                raise UnavailableError(
                    "SQLite: this file system cannot do write-ahead logging (it stays at journal "
                    f"mode {mode}); put the database on a local disk",
                    retriable=False,
                )
            return


class Connections:
    """The writer and the readers of one store; new ones on both sides of a fork."""

    def __init__(self, location: Location, options: SqliteOptions) -> None:
        """Connections to an existing file, or to a new private database for `:memory:`."""
        self.options = options
        self.location = location
        self.closed = False
        self.stays: str | None = None
        """Why a forked child cannot use the store, where it cannot."""
        self._lost = False
        self._paused: list[Writer | Readers] = []
        self._directory: str | None = None
        if location.path is None:
            self._directory = _temporary_directory()
            self.path = Path(self._directory, "memory.db")
            self.path.touch(mode=0o600)
            self.options = evolve(options, synchronous="off")
            self.stays = "an in-memory store stays with the process that opened it"
        else:
            self.path = location.path
        wait = self.options.busy_timeout
        self.writer = Writer(self._open_writer, wait)
        self.readers = Readers(self._open_reader, self.options.readers, wait)
        forks.watch(self)
        try:
            self.writer.open()
            if self._directory is not None:
                self._unlink()
        except BaseException:
            self.close()
            raise

    def _open_writer(self) -> sqlite3.Connection:
        with translated():
            connection = connect(self.path, self.options, read_only=False)
        try:
            set_wal(connection, self.options.busy_timeout)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        with translated():
            return connect(self.path, self.options, read_only=True)

    def _unlink(self) -> None:
        """Open every reader and take the file's name away: nothing outlives the process.

        SQLite's own `:memory:` belongs to one connection, so that readers would wait for, or look
        into, an open transaction; and a shared cache does not do WAL. A nameless file in the
        temporary directory keeps every promise of a real one, and no commit waits for the disk.
        """
        taken = [self.readers.take() for _ in range(self.options.readers)]
        for connection in (self.writer.connection, *taken):  # a first read opens the WAL
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        for connection in taken:
            self.readers.give(connection)
        self._remove_directory()

    def _remove_directory(self) -> None:
        if self._directory is not None:
            rmtree(self._directory, ignore_errors=True)

    def check_open(self) -> None:
        """Raise `StoreClosedError` after `close`, `UnavailableError` where a fork lost it."""
        if self.closed:
            raise StoreClosedError
        if self._lost:
            forks.check_not_lost(self.path)
            raise UnavailableError(
                f"{self.stays}; open another one in the forked child", retriable=False
            )

    def close(self) -> None:
        """Close every connection; those in use are closed as they are given back."""
        self.closed = True
        if not self._lost:
            self.writer.close()
            self.readers.close()
        self._remove_directory()

    def before_fork(self) -> None:
        """Close every connection, where none is in use. That of a memory cannot be opened again."""
        if self._directory is None and not self._lost:
            pools = (self.writer, self.readers)
            self._paused = [pool for pool in pools if pool.pause(forks.PATIENCE)]

    def after_fork_in_parent(self) -> None:
        """Let connections be opened again."""
        paused, self._paused = self._paused, []
        for pool in paused:
            pool.resume()

    def after_fork_in_child(self) -> None:
        """Let connections be opened; or let go of the parent's, without even closing them."""
        paused, self._paused = self._paused, []
        if len(paused) == 2:
            for pool in paused:
                pool.restart()
            self._lost = self.stays is not None
        elif not self._lost:
            self._lost = self.writer.abandoned = True
            forks.keep_forever(self.writer, self.readers)
            if self._directory is None:
                forks.lost_files.add(self.path)


def _temporary_directory() -> str:
    try:
        return tempfile.mkdtemp(prefix="engine-store-")
    except OSError as error:
        raise UnavailableError(
            f"an in-memory store needs a temporary directory: {error}", retriable=False
        ) from error
