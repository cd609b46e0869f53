"""Reads of single rows on the event loop, a little at a time.

A row of some hundred bytes takes 40 microseconds to read and decode here, and 250 with the way to
a thread and back. A large one would keep a thread's interpreter lock for most of its time, too. So
rows are read on the loop; those that are asked for at the same moment are spread over its turns,
so that timers and other tasks run in between.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

LONGEST = 0.002
"""Seconds of a turn of the loop that reads take, at most; the last one may take longer."""


class LoopReads:
    """Runs reads on the event loop in the order in which they are asked for."""

    def __init__(self) -> None:
        """Without reads."""
        self._waiting: deque[tuple[asyncio.Future[Any], Callable[[], Any]]] = deque()
        self._turn_is_taken = False

    async def run(self, read: Callable[[], Any]) -> Any:
        """Return what `read` returns, or raise what it raises. Other tasks run, too."""
        loop = asyncio.get_running_loop()
        if self._turn_is_taken:
            future = loop.create_future()
            self._waiting.append((future, read))
            return await future
        self._turn_is_taken = True
        loop.call_soon(self._next_turn, loop)
        try:
            return read()
        finally:
            await asyncio.sleep(0)

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        until = time.perf_counter() + LONGEST
        try:
            while self._waiting and time.perf_counter() < until:
                self._run(*self._waiting.popleft())
        finally:
            self._turn_is_taken = bool(self._waiting)
            if self._waiting:
                loop.call_soon(self._next_turn, loop)

    def _run(self, future: asyncio.Future[Any], read: Callable[[], Any]) -> None:
        if future.done():  # its task was cancelled
            return
        try:
            future.set_result(read())
        except Exception as error:  # noqa: BLE001 - it is for the task that asked
            future.set_exception(error)
        except BaseException:  # it is for whoever runs the loop
            future.cancel()
            raise
