"""The passing of time: in coroutines that never suspend, and in those of an event loop."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from engine_store.concurrency.cancellation import shield
from engine_store.waiting.notifier import Watch

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that never waits for an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking session waited for an event loop")


LONGEST_POLL = 0.01
"""Seconds between tries for a lock, at most."""


def persist(call: Callable[[], T], is_busy: Callable[[Exception], bool], deadline: float) -> T:
    """Return what `call` returns; until the deadline, try again while its error is a lock."""
    longest = LONGEST_POLL / 16
    while True:
        try:
            return call()
        except Exception as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret
        longest = min(longest * 2, LONGEST_POLL)


class Blocking:
    """The base of pools that block their thread: time passes in it, and nothing cancels."""

    async def sleep(self, seconds: float) -> None:
        """Block the thread."""
        time.sleep(seconds)  # noqa: ASYNC251 - no event loop runs this

    async def nap(self, watch: Watch, seconds: float) -> bool:
        """Block the thread until a hint comes, at most so long; return whether one came."""
        return watch.sleep(seconds)

    async def shield(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns."""
        return await work


class Suspending:
    """The base of pools for an event loop: other tasks run, and a call may be cancelled."""

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run."""
        await asyncio.sleep(seconds)

    async def nap(self, watch: Watch, seconds: float) -> bool:
        """Let other tasks run until a hint comes, at most so long; return whether one came."""
        return await watch.sleep_async(seconds)

    async def shield(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns; a cancellation waits for its end."""
        return await shield(work)
