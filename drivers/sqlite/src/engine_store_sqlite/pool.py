"""The connections of a store: one that writes, several that read; new ones after a fork."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from threading import get_ident
from typing import Any

from attrs import evolve

from engine_store.errors import StoreClosedError, UnavailableError
from engine_store.protocols import Endpoint
from engine_store.sql import forks
from engine_store.sql.blocking import Blocking
from engine_store.sql.operation import Request
from engine_store.sql.pool import ConnectionPool
from engine_store_sqlite.connections import (
    SqliteConnection,
    begin_immediate,
    check_not_lost,
    connect,
    lose,
    set_wal,
)
from engine_store_sqlite.failures import translated
from engine_store_sqlite.options import MEMORY, Location, SqliteOptions

PATIENCE = 1.0
"""Seconds that a fork waits for other threads to release their connections."""

_PRAGMAS = ("page_count", "page_size", "freelist_count", "journal_mode")


class SqlitePool(Blocking, forks.Forkable):
    """`engine_store.sql.connection.BlockingPool` of a file, or of a new private database.

    A connection that is acquired to write holds the database's write lock.

    SQLite notes in memory which locks the process has on a file, and in a forked child the note is
    untrue. So before a fork every connection is closed; parent and child open new ones.
    """

    writers = 1

    def __init__(self, location: Location, options: SqliteOptions) -> None:
        """A pool without connections. That of `:memory:` has a file without a name."""
        self.options = options
        self.location = location
        self.stays: str | None = None
        self.closed = False
        self._lost = False
        self._paused: list[ConnectionPool[SqliteConnection]] = []
        self._directory: str | None = None
        if location.path is None:
            self._directory = _temporary_directory()
            self.path = Path(self._directory, "memory.db")
            self.path.touch(mode=0o600)
            self.options = evolve(options, synchronous="off")
            self.stays = "an in-memory store stays with the process that opened it"
        else:
            self.path = location.path
        # The file without its folders: they may name a user, or a machine.
        self.endpoint = Endpoint("sqlite", MEMORY if location.path is None else self.path.name)
        self.readers = self.options.readers
        self.timeout = self.options.busy_timeout
        self.write_pool = ConnectionPool(
            self._open_writer,
            1,
            self.timeout,
            "another thread held the write lock for {seconds} s; try again, or keep transactions "
            "short",
        )
        self.read_pool = ConnectionPool(
            self._open_reader,
            self.readers,
            self.timeout,
            "every reader was busy for {seconds} s; try again, or raise readers",
        )
        self._owner: int | None = None
        forks.watch(self)

    async def open(self) -> None:
        """Open the connection that writes, and take the name of `:memory:` away."""
        writer = self.write_pool.acquire()
        try:
            if self._directory is not None:
                self._unlink(writer)
        finally:
            self.write_pool.release(writer)

    def _open_writer(self) -> SqliteConnection:
        with translated():
            raw = connect(self.path, self.options, read_only=False)
        try:
            set_wal(raw, self.options.busy_timeout)
            raw.execute("PRAGMA busy_timeout = 0")  # begin_immediate waits, with jitter
        except BaseException:
            raw.close()
            raise
        return _Writer(raw, self)

    def _open_reader(self) -> SqliteConnection:
        with translated():
            raw = connect(self.path, self.options, read_only=True)
        reader = SqliteConnection(raw)
        reader.pool = self.read_pool
        return reader

    def _unlink(self, writer: SqliteConnection) -> None:
        """Open every reader and take the file's name away: nothing outlives the process.

        SQLite's own `:memory:` belongs to one connection, so that readers would wait for, or look
        into, an open transaction; and a shared cache does not do WAL. A nameless file in the
        temporary directory keeps every promise of a real one, and no commit waits for the disk.
        """
        readers = [self.read_pool.acquire() for _ in range(self.readers)]
        for connection in (writer, *readers):  # a first read opens the WAL
            connection.raw.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        for connection in readers:
            self.read_pool.release(connection)
        self._remove_directory()

    def _remove_directory(self) -> None:
        if self._directory is not None:
            rmtree(self._directory, ignore_errors=True)

    @property
    def is_mine(self) -> bool:
        """Whether this thread holds the connection that writes."""
        return self._owner == get_ident()

    async def acquire(
        self, *, write: bool = False, timeout: float | None = None
    ) -> SqliteConnection:
        """Return a connection; one that writes is in a transaction that holds the write lock.

        Raises `UnavailableError` at once if this thread holds the write lock itself.
        """
        if not write:
            return self.read_pool.acquire(timeout)
        if self.is_mine:
            raise UnavailableError(
                "this thread has a transaction open, and SQLite has one writer; write through "
                "the transaction",
                retriable=False,
            )
        timeout = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        connection = self.write_pool.acquire(timeout)
        self._owner = get_ident()
        try:
            begin_immediate(connection.raw, deadline, timeout)
        except BaseException:
            self.release_writer(connection)
            raise
        return connection

    async def fetch(self, request: Request) -> Any:
        """Return the rows of a request that only reads. It costs half of what `acquire` costs."""
        connection = self.read_pool.acquire()
        try:
            return connection.fetch(request)
        finally:
            self.read_pool.release(connection)

    def release_writer(self, connection: SqliteConnection) -> None:
        try:
            if connection.raw.in_transaction:
                connection.raw.execute("ROLLBACK")
        finally:
            self._owner = None
            self.write_pool.release(connection)

    def check_open(self) -> None:
        """Raise `StoreClosedError` after `close`, `UnavailableError` if a fork lost the pool."""
        if self.closed:
            raise StoreClosedError
        if self._lost:
            check_not_lost(self.path)
            raise UnavailableError(
                f"{self.stays}; open another one in the forked child", retriable=False
            )

    async def close(self) -> None:
        """Close every connection; those in use are closed as they are released."""
        self.closed = True
        if not self._lost:
            self.write_pool.close()
            self.read_pool.close()
        self._remove_directory()

    # --- health ----------------------------------------------------------------------------------

    def stats(self) -> Mapping[str, int | float | str]:
        """Return sizes of the database, its file and its log."""
        reader = self.read_pool.acquire()
        try:
            found = {name: reader.raw.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS}
        finally:
            self.read_pool.release(reader)
        found["file_bytes"] = (
            found["page_count"] * found["page_size"]  # the file of :memory: has no name
            if self.location.path is None
            else _size(self.path)
        )
        found["wal_bytes"] = _size(self.path.with_name(self.path.name + "-wal"))
        found["sqlite_version"] = sqlite3.sqlite_version
        return found

    async def write_problem(self) -> str | None:
        """Return why no transaction could write; None: one could, or another one is writing."""
        if self.location.path is not None and not os.access(self.path, os.W_OK):
            return f"{self.path} may not be written or is gone"
        if self.is_mine:  # in the middle of a transaction
            return None
        try:
            connection = await self.acquire(write=True, timeout=0)
        except UnavailableError as error:
            return None if error.retriable else str(error)
        await connection.release()
        return None

    # --- forks -----------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Close every connection, if none is in use. That of a memory cannot be opened again."""
        if self._directory is None and not self._lost and not self.is_mine:
            pools = (self.write_pool, self.read_pool)
            self._paused = [pool for pool in pools if pool.pause(PATIENCE)]

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
                pool.forget()
            self._lost = self.stays is not None
        elif not self._lost:
            self._lost = True
            forks.keep_forever(self.write_pool, self.read_pool)
            if self._directory is None:
                lose(self.path)


class _Writer(SqliteConnection):
    """The connection that writes; it is released without a transaction."""

    def __init__(self, raw: sqlite3.Connection, writes: SqlitePool) -> None:
        super().__init__(raw)
        self._writes = writes

    async def release(self) -> None:
        self._writes.release_writer(self)


def _size(path: Path) -> int:
    """Return the bytes of a file; 0 if it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _temporary_directory() -> str:
    try:
        return tempfile.mkdtemp(prefix="engine-store-")
    except OSError as error:
        raise UnavailableError(
            f"an in-memory store needs a temporary directory: {error}", retriable=False
        ) from error
