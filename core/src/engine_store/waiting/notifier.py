"""The waiters of a store, and the hints that wake them before their next look is due.

A topic is what a hint is about: the status of a workflow, its events, or a queue. Hints come from
the store's own writes, in any thread, and from a driver's `Source`, which hears of other processes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

from engine_store.clock import Clock, utc_now
from engine_store.models import Claim, Event, Status, TaskState, WorkflowState

POLL_INTERVAL = 1.0
"""Seconds between the looks of a waiter that no hint reaches, unless the configuration says."""

_NONE: tuple[str, ...] = ()


def workflow_topic(workflow_exec_id: str) -> str:
    """Return the topic of a workflow's status."""
    return f"workflow/{workflow_exec_id}"


def events_topic(workflow_exec_id: str) -> str:
    """Return the topic of a workflow's events."""
    return f"events/{workflow_exec_id}"


def queue_topic(queue: str) -> str:
    """Return the topic of the tasks that wait in a queue."""
    return f"queue/{queue}"


def topics_of(written: Any, *, history: bool = False) -> tuple[str, ...]:
    """Return what a write that returned this may have changed for waiters.

    With `history` changes of a status are events, too.
    """
    kind = written.__class__
    if kind is tuple:
        found = [topic for one in written for topic in topics_of(one, history=history)]
        return tuple(dict.fromkeys(found))
    topics = _NONE
    if kind is TaskState and written.status is Status.PENDING:
        topics = (queue_topic(written.queue),)
    elif kind is WorkflowState:
        topics = (workflow_topic(written.workflow_exec_id),)
    elif kind is Claim:
        written = written.task
    if kind is Event or (history and kind in (TaskState, WorkflowState, Claim)):
        topics += (events_topic(written.workflow_exec_id),)
    return topics


class Source(Protocol):
    """A driver's way to hear of the writes of other processes, and to tell them of its own.

    `listen` and `publish` are called from any thread, raise nothing and do not wait.
    """

    @property
    def publishes(self) -> bool:
        """True if `publish` wants the topics of the store's own writes."""

    def listen(self) -> None:
        """Make sure that hints come, until nobody waits any more: somebody begins to wait."""

    def publish(self, topics: Collection[str]) -> None:
        """Tell other processes, in good time, that these topics changed."""

    async def close(self) -> None:
        """End all of it: the store closes."""


class Notifier:
    """The waiters of a store, in any thread and on any event loop."""

    def __init__(self, clock: Clock = utc_now, poll_interval: float = POLL_INTERVAL) -> None:
        """A notifier without waiters. A waiter looks every `poll_interval` seconds at least."""
        self.clock = clock
        self.poll_interval = poll_interval
        self.history = False
        """True if changes of a status are events."""
        self.is_active = False
        """True if there is somebody who could want to know of a write."""
        self._left = time.monotonic()
        self._source: Source | None = None
        self._watches: dict[str, dict[Watch, None]] = {}
        self._count = 0
        self._lock = threading.Lock()

    @property
    def watches(self) -> int:
        """The number of waiters."""
        return self._count

    def is_idle(self, seconds: float) -> bool:
        """Return whether the last waiter left longer ago than so many seconds."""
        return not self._count and time.monotonic() - self._left > seconds

    def connect(self, source: Source) -> None:
        """Hear of other processes by `source`."""
        self._source = source
        self._update()

    async def close(self) -> None:
        """Hear nothing more, and tell nothing more: the store closes."""
        if self._source is not None:
            await self._source.close()

    def topics_of(self, written: Any) -> tuple[str, ...]:
        """Return what a write of this store that returned this may have changed for waiters."""
        return topics_of(written, history=self.history)

    def changed(self, topics: Collection[str]) -> None:
        """Wake who waits for one of these topics, here and in other processes."""
        if topics:
            self.hint(topics)
            if self._source is not None and self._source.publishes:
                self._source.publish(topics)

    def hint(self, topics: Collection[str]) -> None:
        """Wake who waits here for one of these topics.

        Of those that would take the same task from a queue one is enough: it wakes the next one if
        it finds some work.
        """
        for topic in topics:
            with self._lock:
                found = list(self._watches.get(topic, ()))
            taken = False
            for watch in found:
                if not watch.takes:
                    watch.hint()
                elif not taken:
                    taken = watch.hint()

    def hint_all(self) -> None:
        """Wake everybody: something changed."""
        with self._lock:
            found = [watch for watches in self._watches.values() for watch in watches]
        for watch in found:
            watch.hint()

    def forget(self) -> None:
        """Begin anew in a forked child, in which nobody waits."""
        self._lock = threading.Lock()
        self._watches, self._count = {}, 0
        self._update()

    def begin(self, watch: Watch) -> None:
        """Let hints reach `watch` from now on."""
        with self._lock:
            for topic in watch.topics:
                self._watches.setdefault(topic, {})[watch] = None
            self._count += 1
            self._update()
        if self._source is not None:
            self._source.listen()

    def end(self, watch: Watch) -> None:
        """Let no hint reach `watch` any more."""
        with self._lock:
            for topic in watch.topics:
                watches = self._watches.get(topic, {})
                watches.pop(watch, None)
                if not watches:
                    self._watches.pop(topic, None)
            self._count = max(self._count - 1, 0)
            self._left = time.monotonic()
            self._update()

    def _update(self) -> None:
        publishes = self._source is not None and self._source.publishes
        self.is_active = publishes or self._count > 0


class Watch:
    """A waiter's ear for hints: one that comes between its look and its sleep ends the sleep."""

    def __init__(self, notifier: Notifier, topics: Collection[str], *, takes: bool = False) -> None:
        """A watch that has not begun. If it `takes` what it finds, one of its kind is enough."""
        self.topics = tuple(dict.fromkeys(topics))
        self.takes = takes
        self._notifier = notifier
        self._begun = False
        self._hinted = False
        self._wake: Callable[[], object] | None = None

    def begin(self) -> bool:
        """Begin, and return True; False if it has begun before."""
        if self._begun:
            return False
        self._begun = True
        self._notifier.begin(self)
        return True

    def hint(self) -> bool:
        """End the sleep, or the next one; return False if a hint was there already."""
        if self._hinted:
            return False
        self._hinted = True
        wake = self._wake
        if wake is not None:
            wake()
        return True

    def pass_on(self) -> None:
        """Wake the next one that takes: there may be more."""
        if self._begun and self.takes:
            self._notifier.hint(self.topics)

    def end(self) -> None:
        """Hear nothing more. A hint that came too late is passed on."""
        if self._begun:
            self._notifier.end(self)
            if self._hinted:
                self.pass_on()

    def sleep(self, seconds: float) -> bool:
        """Block the thread for so many seconds, or until a hint comes; return whether one came."""
        event = threading.Event()
        self._wake = event.set
        try:
            if not self._hinted:
                event.wait(seconds)
        finally:
            self._wake = None
        return self._take_hint()

    async def sleep_async(self, seconds: float) -> bool:
        """Let other tasks run meanwhile, as `sleep` does."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        timer = loop.call_later(seconds, _resolve, woken)
        self._wake = lambda: _call(loop, woken)
        try:
            if not self._hinted:
                await woken
        finally:
            self._wake = None
            timer.cancel()
        return self._take_hint()

    def _take_hint(self) -> bool:
        hinted, self._hinted = self._hinted, False
        return hinted


def _resolve(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def _call(loop: asyncio.AbstractEventLoop, woken: asyncio.Future[None]) -> None:
    """Wake a task from any thread. A loop that is closed has none any more."""
    try:
        loop.call_soon_threadsafe(_resolve, woken)
    except RuntimeError:
        if not loop.is_closed():
            raise
