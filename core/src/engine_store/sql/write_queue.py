"""The queue of the threads that want to write where there is one writer."""

from __future__ import annotations

import threading
import time
from collections import deque

from engine_store.errors import StoreClosedError, UnavailableError
from engine_store.sql.write_group import Member


class Patience:
    """The time for which members wait.

    What passes while groups run and the file is looked after does not count: everybody's turn
    comes. What counts is the time for which a transaction, or another process, keeps the writer.
    """

    def __init__(self, timeout: float) -> None:
        """Members wait at most `timeout` seconds."""
        self.timeout = timeout
        self._excused = 0.0

    def now(self) -> float:
        """Return the time that counts, in seconds."""
        return time.monotonic() - self._excused

    def excuse(self, since: float) -> None:
        """Do not count the time since `since`, as `now` told it."""
        self._excused += max(self.now() - since, 0)


class WriteQueue:
    """Members wait in the order in which they came; the first one has the writer, or leads."""

    def __init__(self, timeout: float) -> None:
        """An empty queue, in which members wait at most `timeout` seconds."""
        self.patience = Patience(timeout)
        self._lock = threading.Lock()
        self._holder: Member | None = None
        self._waiting: deque[Member] = deque()
        self._closed = False

    @property
    def waiting(self) -> int:
        """The number of members that wait."""
        return len(self._waiting)

    def enter(self, member: Member, seconds: float, timeout: float) -> bool:
        """Wait for the writer; return whether the member has it, until `leave`.

        If not, another one led it, and its outcome is there. Raises `StoreClosedError`,
        `UnavailableError` after `seconds`, which says that `timeout` seconds passed.
        """
        with self._lock:
            if self._closed:
                raise StoreClosedError
            if self._holder is None:
                self._holder = member
                return True
            member.wake = wake = threading.Lock()
            wake.acquire()
            self._waiting.append(member)
        deadline = self.patience.now() + seconds
        while not wake.acquire(timeout=max(deadline - self.patience.now(), 0)):
            if self.patience.now() >= deadline and self._give_up(member):
                raise UnavailableError(
                    f"another thread held the write lock for {timeout:g} s; try again, or keep "
                    "transactions short",
                    retriable=True,
                )
            if member.begun:
                wake.acquire()
                break
        return not member.ended

    def _give_up(self, member: Member) -> bool:
        """Leave the queue, unless the member has begun or has the writer; return whether so."""
        with self._lock:
            if member.begun or member is self._holder or member.ended:
                return False
            self._waiting.remove(member)
            return True

    def following(self) -> Member | None:
        """Return the member that waits longest, for the group that is led; None: there is none.

        One that wants the connection for itself ends the group.
        """
        with self._lock:
            if self._waiting and self._waiting[0].work is not None:
                member = self._waiting.popleft()
                member.begun = True
                return member
        return None

    def leave(self, member: Member) -> None:
        """Hand the writer on; or be forgotten, if the member waits or has left already."""
        with self._lock:
            if self._holder is member:
                self._holder = self._waiting.popleft() if self._waiting else None
                if self._holder is not None:
                    wake(self._holder)
            elif not member.begun and not member.ended and member in self._waiting:
                self._waiting.remove(member)

    def close(self) -> None:
        """Refuse members from now on, and those that wait."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, deque()
        for member in waiting:
            member.fail(StoreClosedError())
            wake(member)

    def forget(self) -> None:
        """Begin anew in a forked child: it has none of its parent's threads."""
        self._lock = threading.Lock()
        self._holder = None
        self._waiting = deque()


def wake(member: Member) -> None:
    """Let the thread of a member go on."""
    if member.wake is not None and member.wake.locked():
        member.wake.release()
