"""The connection that writes and those that read, each in one thread's hands at a time."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from engine_store.errors import StoreClosedError, UnavailableError
from engine_store_sqlite.failures import is_busy, translate, translated

LONGEST_POLL = 0.01
"""Seconds between tries for the write lock, at most. SQLite's own busy handler sleeps up to 0.1 s
and lets one of eight busy processes starve for seconds."""


class Writer:
    """The connection that writes, held by one transaction at a time."""

    def __init__(self, open_one: Callable[[], sqlite3.Connection], busy_timeout: float) -> None:
        """A writer on a connection of `open_one`, whose own busy time-out is turned off."""
        self._open_one = open_one
        self._connection: sqlite3.Connection | None = None
        self._busy_timeout = busy_timeout
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._closed = False
        self.abandoned = False
        """In a forked child: this is the parent's connection, and nobody here may use it."""

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for who holds the writer; opened where there is none."""
        if self._connection is None:
            self._connection = self._open_one()
            self._connection.execute("PRAGMA busy_timeout = 0")  # begin() waits, with jitter
        return self._connection

    @property
    def mine(self) -> bool:
        """Whether this thread holds the writer."""
        return self._owner == threading.get_ident()

    def check_not_mine(self) -> None:
        """Raise `UnavailableError` where this thread would wait for itself."""
        if self.mine:
            raise UnavailableError(
                "this thread has a transaction open, and SQLite has one writer; write through "
                "the transaction",
                retriable=False,
            )

    def open(self) -> None:
        """Open the connection now. Raises `UnavailableError`."""
        with self._lock:
            _ = self.connection

    def begin(self, timeout: float | None = None) -> None:
        """Take the connection and the database's write lock.

        Raises `UnavailableError` where either is not free within `timeout` seconds (the busy
        time-out), and at once where this thread holds the connection itself.
        """
        self.check_not_mine()
        timeout = self._busy_timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise UnavailableError(
                f"another thread held the write lock for {timeout:g} s; try again, or keep "
                "transactions short",
                retriable=True,
            )
        self._owner = threading.get_ident()
        try:
            if self._closed:
                raise StoreClosedError
            self._begin_immediate(deadline, timeout)
        except BaseException:
            self.rollback()
            raise

    def _begin_immediate(self, deadline: float, timeout: float) -> None:
        longest = LONGEST_POLL / 16
        while True:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                if not is_busy(error):
                    raise translate(error) from error
                if time.monotonic() >= deadline:
                    raise UnavailableError(
                        f"another process held the write lock for {timeout:g} s; try again, or "
                        "raise busy_timeout",
                        retriable=True,
                    ) from error
            else:
                return
            time.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret
            longest = min(longest * 2, LONGEST_POLL)

    def commit(self) -> None:
        """Make the transaction durable and give the connection back; roll back if that fails."""
        try:
            with translated():
                self.connection.execute("COMMIT")
        except BaseException:  # also a signal's, such as Ctrl-C: nobody else gives it back
            self.rollback()
            raise
        self._release()

    def rollback(self) -> None:
        """Undo the transaction, if one is open, and give the connection back."""
        try:
            if self._connection is not None and self._connection.in_transaction:
                with translated():
                    self._connection.execute("ROLLBACK")
        finally:
            self._release()

    def _release(self) -> None:
        self._owner = None
        self._lock.release()
        if self._closed:
            self.close()

    def close(self) -> None:
        """Close the connection now, or at the end of the transaction that holds it."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            self._drop()
            self._lock.release()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def pause(self, timeout: float) -> bool:
        """Close the connection, and let nobody begin until `resume`. False: it is in use.

        Another thread's transaction is waited for, at most `timeout` seconds.
        """
        if self.mine or not self._lock.acquire(timeout=timeout):
            return False
        self._drop()
        return True

    def resume(self) -> None:
        """Go on after `pause`."""
        self._lock.release()

    def restart(self) -> None:
        """Go on after `pause` in a forked child, which has none of the threads that waited."""
        self._lock = threading.Lock()


class Readers:
    """A bounded pool of connections that read. The last one given back is taken first."""

    def __init__(self, open_one: Callable[[], sqlite3.Connection], size: int, wait: float) -> None:
        """At most `size` connections; `take` waits at most `wait` seconds for one."""
        self._open_one = open_one
        self._size = size
        self._room = size
        self._wait = wait
        self._idle: deque[sqlite3.Connection] = deque()
        self._changed = threading.Condition()
        self._waiting = 0
        self._pausing = False
        self._closed = False

    def take(self) -> sqlite3.Connection:
        """A connection for the caller alone, until `give`."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._take_slowly()

    def _take_slowly(self) -> sqlite3.Connection:
        with self._changed:
            self._waiting += 1
            try:
                found = self._changed.wait_for(self._find, timeout=self._wait)
            finally:
                self._waiting -= 1
        if found is True:
            raise StoreClosedError
        if found is False:
            raise UnavailableError(
                f"every reader was busy for {self._wait:g} s; try again, or raise readers",
                retriable=True,
            )
        return found

    def _find(self) -> sqlite3.Connection | bool:
        """A connection, idle or new; where there is none, whether there will never be one."""
        if self._closed or self._pausing:
            return self._closed
        with suppress(IndexError):
            return self._idle.pop()  # in one step: others take without the lock
        if not self._room:
            return False
        self._room -= 1
        try:
            return self._open_one()
        except BaseException:
            self._room += 1
            raise

    def give(self, connection: sqlite3.Connection) -> None:
        """Give a connection back."""
        if self._pausing:  # nobody may snatch it
            with self._changed:
                connection.close()
                self._room += 1
                self._changed.notify_all()
            return
        self._idle.append(connection)
        if self._waiting or self._closed:
            with self._changed:
                if self._closed:
                    self._close_idle()
                self._changed.notify_all()

    def close(self) -> None:
        """Close the idle connections now, the others as they are given back."""
        with self._changed:
            self._closed = True
            self._close_idle()
            self._changed.notify_all()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()
                self._room += 1

    def pause(self, timeout: float) -> bool:
        """Close every connection, and let nobody take one until `resume`. False: some are in use.

        Those in use are waited for, at most `timeout` seconds.
        """
        self._changed.acquire()
        self._pausing = True
        self._waiting += 1
        paused = self._changed.wait_for(self._none_is_open, timeout)
        self._waiting -= 1
        if paused:
            return True
        self.resume()
        return False

    def _none_is_open(self) -> bool:
        self._close_idle()
        return self._room == self._size

    def resume(self) -> None:
        """Go on after `pause`."""
        self._pausing = False
        self._changed.notify_all()
        self._changed.release()

    def restart(self) -> None:
        """Go on after `pause` in a forked child, which has none of the threads that waited."""
        self._pausing = False
        self._waiting = 0
        self._changed = threading.Condition()
