"""The queue of the threads that want to write where there is one writer."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from engine_store.errors import StoreClosedError, UnavailableError
from engine_store.sql.operation import LostRace
from engine_store.sql.write_group import Member

POLL = 0.05
"""Seconds that a thread waits at least, while the time stands still."""

LOOK_AGAIN = 0.25
"""Seconds after which a thread that waits looks again whether it still has to."""


class Patience:
    """The time for which members wait.

    What passes while groups run and the file is looked after does not count: everybody's turn
    comes. What counts is the time for which a transaction, or another process, keeps the writer.
    """

    def __init__(self, timeout: float) -> None:
        """Members wait at most `timeout` seconds."""
        self.timeout = timeout
        self._excused = 0.0
        self._since: float | None = None

    def now(self) -> float:
        """Return the time that counts, in seconds."""
        since = self._since
        return (time.monotonic() if since is None else since) - self._excused

    def pause(self) -> None:
        """Let the time stand still."""
        if self._since is None:
            self._since = time.monotonic()

    def resume(self) -> None:
        """Let the time go on."""
        if self._since is not None:
            self._excused += time.monotonic() - self._since
            self._since = None

    def left(self, deadline: float) -> float:
        """Return the seconds until `deadline`, at least `POLL` while the time stands still."""
        return max(deadline - self.now(), 0 if self._since is None else POLL)

    def is_over(self, deadline: float) -> bool:
        """Return whether `deadline` has passed; never while the time stands still."""
        return self._since is None and self.now() >= deadline


class WriteQueue:
    """Members wait in the order in which they came; the first one has the writer, or leads."""

    def __init__(self, timeout: float, settle: Callable[[], None]) -> None:
        """An empty queue, in which members wait at most `timeout` seconds.

        `settle` ends what the last member left undone; it runs before the writer goes on.
        """
        self.patience = Patience(timeout)
        self._settle = settle
        # The garbage collector may end another block of this thread in the middle of a step.
        self._lock = threading.RLock()
        self._waiting: deque[Member] = deque()
        self._closed = False
        self.holder: Member | None = None
        """The member that has the writer."""

    @property
    def waiting(self) -> int:
        """The number of members that wait."""
        return len(self._waiting)

    def enter(
        self, member: Member, deadline: float, timeout: float, *, at_once: bool = False
    ) -> bool:
        """Wait for the writer; return whether the member has it, until `leave`.

        If not, another one led it, and its outcome is there. Raises `StoreClosedError`,
        `UnavailableError` at `deadline`, as `patience` counts, which says that `timeout` seconds
        passed; `at_once` if anybody has the writer.
        """
        with self._lock:
            if self._closed:
                raise StoreClosedError
            if not self._is_held():
                self.holder = member
                return True
            if at_once:
                raise _too_late(timeout)
            member.wake = wake = threading.Lock()
            wake.acquire()
            self._waiting.append(member)
        deadline = max(deadline, self.patience.now() + POLL)  # a group may just begin
        # Also the one before may be interrupted at any moment, and tell nobody.
        while not wake.acquire(timeout=min(self.patience.left(deadline), LOOK_AGAIN)):
            if member.begun:
                if self.holder is not member.leader and not member.ended:
                    member.fail(LostRace("the thread that led the group was interrupted"))
                if member.ended:
                    break
            elif self._has_turn(member):
                break
            elif self.patience.is_over(deadline) and self._give_up(member):
                raise _too_late(timeout)
        return not member.ended

    def _is_held(self) -> bool:
        """Return whether a member has the writer; settle what a lost one had."""
        if self.holder is not None and self.holder.is_lost:
            self._end_turn()
            self.holder = None
        return self.holder is not None

    def _end_turn(self) -> None:
        self.patience.resume()  # who paused it may have been interrupted
        self._settle()

    def _has_turn(self, member: Member) -> bool:
        with self._lock:
            if not self._is_held():
                self._hand_on()
            return self.holder is member

    def _give_up(self, member: Member) -> bool:
        """Leave the queue, unless the member has begun or has the writer; return whether so."""
        with self._lock:
            if member.begun or member is self.holder or member.ended:
                return False
            self._remove(member)
            return True

    def following(self) -> Member | None:
        """Return the member that waits longest, for the group that is led; None: there is none.

        One that wants the connection for itself ends the group.
        """
        with self._lock:
            member = self._first()
            if member is None or member.work is None:
                return None
            member.leader, member.begun = self.holder, True
            self._waiting.popleft()
            return member

    def _first(self) -> Member | None:
        """Return the member that waits longest; forget those that do not wait any more."""
        while self._waiting:
            member = self._waiting[0]
            if not (member.begun or member.ended or member.is_lost or member is self.holder):
                return member
            self._waiting.popleft()
        return None

    def leave(self, member: Member) -> None:
        """Hand the writer on; or be forgotten, if the member waits or has left already."""
        with self._lock:
            if self.holder is member:
                self._end_turn()
                self._hand_on()
            elif not member.begun and not member.ended:
                self._remove(member)

    def _hand_on(self) -> None:
        self.holder = member = self._first()
        if member is not None:
            self._waiting.popleft()
            member.tell()

    def _remove(self, member: Member) -> None:
        if member in self._waiting:
            self._waiting.remove(member)

    def close(self) -> None:
        """Refuse members from now on, and those that wait."""
        with self._lock:
            self._closed = True
            if not self._is_held():
                self._settle()
            waiting, self._waiting = self._waiting, deque()
        for member in waiting:
            member.fail(StoreClosedError())
            member.tell()

    def forget(self) -> None:
        """Begin anew in a forked child: it has none of its parent's threads."""
        self._lock = threading.RLock()
        self.holder = None
        self._waiting = deque()
        self.patience = Patience(self.patience.timeout)


def _too_late(timeout: float) -> UnavailableError:
    return UnavailableError(
        f"another thread held the write lock for {timeout:g} s; try again, or keep transactions "
        "short",
        retriable=True,
    )
