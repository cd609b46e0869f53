"""A bounded pool of connections that block."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar
from weakref import WeakSet

from engine_store.errors import StoreClosedError, UnavailableError
from engine_store.sql.forks import keep_forever


class Closable(Protocol):
    """A connection as this pool sees it."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


class ConnectionPool(Generic[C]):
    """Connections that are acquired and released. The last one released is acquired first."""

    def __init__(self, connect: Callable[[], C], size: int, timeout: float, busy: str) -> None:
        """At most `size` connections; `acquire` waits at most `timeout` seconds for one.

        `busy` is what is said if none was free in time; `{seconds}` in it is the time waited.
        """
        self._connect = connect
        self._size = size
        self._room = size
        self._timeout = timeout
        self._busy = busy
        self._idle: deque[C] = deque()
        self._made: WeakSet[C] = WeakSet()
        self._changed = threading.Condition()
        self._waiting = 0
        self._pausing = False
        self._closed = False

    @property
    def idle(self) -> int:
        """The number of connections that are open and not in use."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """The number of calls that wait for a connection."""
        return self._waiting

    @property
    def in_use(self) -> int:
        """The number of connections in callers' hands."""
        return self._size - self._room - len(self._idle)

    def acquire(self, timeout: float | None = None) -> C:
        """Return a connection for the caller alone, until `release`.

        Raises `StoreClosedError`, `UnavailableError`, and what connecting raises.
        """
        try:
            return self._idle.pop()
        except IndexError:
            return self._acquire_slowly(self._timeout if timeout is None else timeout)

    def _acquire_slowly(self, timeout: float) -> C:
        with self._changed:
            self._waiting += 1
            try:
                found = self._changed.wait_for(self._find, timeout=timeout)
            finally:
                self._waiting -= 1
        if found is True:
            raise StoreClosedError
        if found is False:
            raise UnavailableError(self._busy.format(seconds=f"{timeout:g}"), retriable=True)
        return found

    def _find(self) -> C | bool:
        """Return a connection, idle or new; if there is none, whether there will never be one."""
        if self._closed or self._pausing:
            return self._closed
        with suppress(IndexError):
            return self._idle.pop()  # in one step: others acquire without the lock
        if not self._room:
            return False
        self._room -= 1
        try:
            connection = self._connect()
        except BaseException:
            self._room += 1
            raise
        self._made.add(connection)
        return connection

    def release(self, connection: C) -> None:
        """Give a connection back."""
        if self._pausing:  # nobody may snatch it
            self.discard(connection)
            return
        self._idle.append(connection)
        if self._waiting or self._closed:
            with self._changed:
                if self._closed:
                    self._close_idle()
                    self._changed.notify_all()
                else:
                    self._changed.notify()  # all of them would wake up for one connection

    def discard(self, connection: C) -> None:
        """Close a connection instead of giving it back."""
        with self._changed:
            connection.close()
            self._room += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Close the idle connections now, the others as they are released."""
        with self._changed:
            self._closed = True
            self._close_idle()
            self._changed.notify_all()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()
                self._room += 1

    # --- forks -----------------------------------------------------------------------------------

    def pause(self, timeout: float) -> bool:
        """Close every connection, and let nobody acquire one until `resume`.

        Connections in use are waited for, at most `timeout` seconds. False: some still are.
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

    def forget(self) -> None:
        """Begin anew in a forked child: it has none of its parent's threads.

        The parent's connections, also one in use, are left alone: they are not even closed.
        """
        keep_forever(*self._made)
        self._idle = deque()
        self._room = self._size
        self._pausing = False
        self._waiting = 0
        self._changed = threading.Condition()
