"""A pool for databases that have one writer at a time, such as those in a file."""

from __future__ import annotations

import time
from threading import get_ident
from typing import Any, TypeVar

from engine_store.errors import UnavailableError
from engine_store.protocols import Endpoint
from engine_store.sql.blocking import Blocking, run
from engine_store.sql.connection import BasePool
from engine_store.sql.dbapi import DbapiConnection
from engine_store.sql.operation import Request
from engine_store.sql.pool import ConnectionPool

D = TypeVar("D", bound=DbapiConnection)

FORK_PATIENCE = 1.0
"""Seconds that a fork waits for other threads to release their connections."""


class SingleWriterPool(BasePool[D], Blocking):
    """`engine_store.sql.connection.BlockingPool`: one connection that writes, several that read.

    A connection that is acquired to write holds the database's write lock. Locks on a file are a
    process's own, so before a fork every connection is closed; parent and child open new ones.
    """

    writers = 1

    reopens = True
    """True if connections that were closed can be opened again."""

    def __init__(self, endpoint: Endpoint, readers: int, timeout: float) -> None:
        """A pool without connections; a call waits at most `timeout` seconds for one."""
        super().__init__(endpoint, timeout)
        self.readers = readers
        self.write_pool = ConnectionPool(
            self.open_writer,
            1,
            timeout,
            "another thread held the write lock for {seconds} s; try again, or keep transactions "
            "short",
        )
        self.read_pool = ConnectionPool(
            self.open_reader,
            readers,
            timeout,
            "every reader was busy for {seconds} s; try again, or raise readers",
        )
        self._owner: int | None = None
        self._paused: list[ConnectionPool[D]] = []

    def open_writer(self) -> D:
        """Return a new connection that writes; its `pool` is this one."""
        raise NotImplementedError

    def open_reader(self) -> D:
        """Return a new connection that reads; its `pool` is `read_pool`."""
        raise NotImplementedError

    def begin(self, connection: D, deadline: float, timeout: float) -> None:
        """Begin a transaction that holds the write lock. Raises `UnavailableError` at `deadline`.

        `timeout` is what the error says was waited for.
        """
        raise NotImplementedError

    @property
    def is_mine(self) -> bool:
        """True if this thread holds the connection that writes."""
        return self._owner == get_ident()

    async def acquire(self, *, write: bool = False, timeout: float | None = None) -> D:
        """Return a connection; one that writes is in a transaction that holds the write lock.

        Raises `UnavailableError` at once if this thread holds the write lock itself.
        """
        if not write:
            return self.read_pool.acquire(timeout)
        if self.is_mine:
            raise UnavailableError(
                "this thread has a transaction open, and the database has one writer; write "
                "through the transaction",
                retriable=False,
            )
        timeout = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        connection = self.write_pool.acquire(timeout)
        self._owner = get_ident()
        try:
            self.begin(connection, deadline, timeout)
        except BaseException:
            self.release(connection)
            raise
        return connection

    def release(self, connection: D) -> None:
        """Take the connection that writes back, without a transaction."""
        try:
            if connection.in_transaction:
                run(connection.rollback())
        finally:
            self._owner = None
            broken = connection.in_transaction
            (self.write_pool.discard if broken else self.write_pool.release)(connection)

    async def fetch(self, request: Request) -> Any:
        """Return the rows of a request that only reads. It costs half of what `acquire` costs."""
        connection = self.read_pool.acquire()
        try:
            return connection.fetch(request)
        finally:
            self.read_pool.release(connection)

    async def close(self) -> None:
        self.closed = True
        if not self.lost:
            self.write_pool.close()
            self.read_pool.close()

    # --- forks -----------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Close every connection, if none is in use."""
        if self.reopens and not self.lost and not self.is_mine:
            pools = (self.write_pool, self.read_pool)
            self._paused = [pool for pool in pools if pool.pause(FORK_PATIENCE)]

    def after_fork_in_parent(self) -> None:
        """Let connections be opened again."""
        paused, self._paused = self._paused, []
        for pool in paused:
            pool.resume()

    def after_fork_in_child(self) -> None:
        """Let connections be opened; or let go of the parent's, without even closing them."""
        paused, self._paused = self._paused, []
        if self.lost:
            return
        super().after_fork_in_child()
        self.write_pool.forget()
        self.read_pool.forget()
        if len(paused) < 2:  # a connection was in use
            self.lose()

    def lose(self) -> None:
        """Say in `lost` why a child cannot use connections that were in use at the fork."""
        self.lost = self.lost or (
            "this process was forked in the middle of a transaction; fork outside of "
            "transactions, or start the process anew"
        )
