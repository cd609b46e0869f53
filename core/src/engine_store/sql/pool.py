"""A bounded pool of connections that block."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from engine_store.errors import StoreClosedError, UnavailableError
from engine_store.sql.forks import keep_forever
from engine_store.sql.holds import Block


class Closable(Protocol):
    """A connection as this pool sees it."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)

LOOK_AGAIN = 0.25
"""Seconds after which a call that waits looks again: who was to wake it may be interrupted."""


class ConnectionPool(Generic[C]):
    """Connections that are acquired and released; each has a place, and a place has an owner.

    An owner is noted in the step that takes the place, and removed in the one that gives it back,
    so that an interrupted call leaves a note. A `Block` that is over owns nothing any more, and a
    thread, by its number, nothing when it asks for a connection.
    """

    def __init__(self, connect: Callable[[], C], size: int, timeout: float, busy: str) -> None:
        """At most `size` connections; `acquire` waits at most `timeout` seconds for one.

        `busy` is what is said if none was free in time; `{seconds}` in it is the time waited.
        """
        self._connect = connect
        self._size = size
        self._timeout = timeout
        self._busy = busy
        self._connections: list[C | None] = [None] * size
        self._owners: dict[int, object] = {}
        self._lock = threading.RLock()
        self._waiting: deque[threading.Lock] = deque()
        self._pausing = False
        self._closed = False

    @property
    def idle(self) -> int:
        """The number of connections that are open and not in use."""
        return sum(
            connection is not None and place not in self._owners
            for place, connection in enumerate(self._connections)
        )

    @property
    def waiting(self) -> int:
        """The number of calls that wait for a connection."""
        return len(self._waiting)

    @property
    def in_use(self) -> int:
        """The number of connections in callers' hands."""
        return sum(owner is not self for owner in list(self._owners.values()))

    def acquire(self, timeout: float | None = None, owner: object = None) -> C:
        """Return a connection for the caller alone, until `release`.

        `owner` is a `Block`, or the number of this thread for a call that acquires no other. The
        first places are taken first: their connections have the warmest caches. Raises
        `StoreClosedError`, `UnavailableError`, and what connecting raises.
        """
        if owner is None:
            owner = object()
        for place, connection in enumerate(self._connections):
            if (
                connection is not None
                and place not in self._owners
                and self._owners.setdefault(place, owner) == owner
            ):
                if connection is self._connections[place] and not self._pausing:
                    return connection
                self._free(place)
        return self._acquire_slowly(self._timeout if timeout is None else timeout, owner)

    def _acquire_slowly(self, timeout: float, owner: object) -> C:
        deadline = time.monotonic() + timeout
        with self._waking() as wake:
            while (place := self._take(owner)) is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise UnavailableError(
                        self._busy.format(seconds=f"{timeout:g}"), retriable=True
                    )
                wake(left)
        return self._connected(place)

    def _take(self, owner: object) -> int | None:
        """Return a place that is the owner's from now on; None: there is none."""
        with self._lock:
            if self._closed:
                raise StoreClosedError
            if self._pausing:
                return None
            # Those with a connection first.
            for place in sorted(range(self._size), key=lambda at: self._connections[at] is None):
                self._find_lost(place, owner)
                if self._owners.setdefault(place, owner) == owner:
                    return place
        return None

    def _find_lost(self, place: int, mine: object = None) -> None:
        """Free a place whose owner was interrupted; its connection may be in any state.

        It is a block that is over, a thread that is `mine`, or one that has ended.
        """
        owner = self._owners.get(place)
        if isinstance(owner, Block):
            is_lost = owner.is_over
        else:
            is_lost = isinstance(owner, int) and (
                owner == mine or owner not in sys._current_frames()  # noqa: SLF001 - it is documented
            )
        if is_lost:
            self._close(place)
            del self._owners[place]

    def _connected(self, place: int) -> C:
        connection = self._connections[place]
        if connection is None:
            try:
                self._connections[place] = connection = self._connect()
            except BaseException:
                self._free(place)
                raise
        return connection

    def release(self, connection: C) -> None:
        """Give a connection back."""
        self._free(self._connections.index(connection))
        if self._closed:  # looked at last: `close` may just have passed this one by
            self._close_idle()

    def discard(self, connection: C) -> None:
        """Close a connection instead of giving it back."""
        place = self._connections.index(connection)
        self._close(place)
        self._free(place)

    def give_up(self, owner: Block) -> None:
        """Close the connections of a block that is over, however it ended."""
        if owner not in self._owners.values():
            return
        with self._lock:  # or who waits might find them lost, and take them, at the same moment
            for place in range(self._size):
                if self._owners.get(place) is owner:
                    self._close(place)
                    self._free(place)

    def _free(self, place: int) -> None:
        """Let others have a place, and wake one that waits: all would wake up for one place."""
        self._owners.pop(place, None)
        if self._waiting:
            self._wake(1)

    def _close(self, place: int) -> None:
        connection, self._connections[place] = self._connections[place], None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close the idle connections now, the others as they are released."""
        self._closed = True
        self._close_idle()
        self._wake(self._size)

    def _close_idle(self) -> bool:
        """Close what is not in use, and own its place; return whether nothing is in use."""
        with self._lock:
            for place in range(self._size):
                self._find_lost(place)
                if self._owners.setdefault(place, self) is self:
                    self._close(place)
            return all(self._owners.get(place) is self for place in range(self._size))

    # --- waiting ---------------------------------------------------------------------------------

    @contextmanager
    def _waking(self) -> Iterator[Callable[[float], None]]:
        """Let the call be woken from now on; it gets what waits for that, some seconds at most."""
        wake = threading.Lock()
        wake.acquire()
        self._waiting.append(wake)

        def wait(seconds: float) -> None:
            if wake.acquire(timeout=min(seconds, LOOK_AGAIN)):
                self._waiting.append(wake)

        try:
            yield wait
        finally:
            with self._lock:
                if wake in self._waiting:
                    self._waiting.remove(wake)
            if not wake.locked():  # it was woken, and needed no place: another one may
                self._wake(1)

    def _wake(self, count: int) -> None:
        with self._lock:
            for _ in range(min(count, len(self._waiting))):
                self._waiting.popleft().release()

    # --- forks -----------------------------------------------------------------------------------

    def pause(self, timeout: float) -> bool:
        """Close every connection, and let nobody acquire one until `resume`.

        Connections in use are waited for, at most `timeout` seconds. False: some still are.
        """
        deadline = time.monotonic() + timeout
        self._pausing = True
        with self._waking() as wake:
            while not self._close_idle():
                if time.monotonic() >= deadline:
                    self.resume()
                    return False
                wake(deadline - time.monotonic())
        return True

    def resume(self) -> None:
        """Go on after `pause`."""
        with self._lock:
            for place in [at for at, owner in self._owners.items() if owner is self]:
                if not self._closed:
                    del self._owners[place]
            self._pausing = False
        self._wake(len(self._waiting))

    def forget(self) -> None:
        """Begin anew in a forked child: it has none of its parent's threads.

        The parent's connections, also one in use, are left alone: they are not even closed.
        """
        keep_forever(*self._connections)
        self._connections = [None] * self._size
        self._owners = {}
        self._waiting = deque()
        self._lock = threading.RLock()
        self._pausing = False
