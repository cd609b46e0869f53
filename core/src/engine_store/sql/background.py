"""Work beside a store's calls: in a thread if they block, else as a task of their event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from engine_store.sql.blocking import run

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

PATIENCE = 2.0
"""Seconds for which `stop` waits for work that is about to notice it."""


class Background:
    """A coroutine that runs while it is wanted. It looks at `is_stopped`, and raises nothing."""

    def __init__(self, work: Work) -> None:
        """`work`, which does not run yet."""
        self.is_stopped = False
        self._work = work
        self.forget()

    def forget(self) -> None:
        """Begin anew in a forked child, in which it does not run."""
        self._lock = threading.Lock()
        self._wanted = self._runs = False

    def start(self) -> None:
        """Run it; if it runs, once more after its end."""
        with self._lock:
            self._wanted = True
            if self._runs or self.is_stopped:
                return
            self._runs = True
        self._spawn()

    async def stop(self) -> None:
        """Let it end, and wait for that for a while."""
        with self._lock:
            self.is_stopped = True
            if not self._runs:
                return
        await self._join()

    async def _main(self) -> None:
        while self._goes_on():
            await self._work()

    def _goes_on(self) -> bool:
        with self._lock:
            self._runs = self._wanted and not self.is_stopped
            self._wanted = False
            return self._runs

    def _spawn(self) -> None:
        raise NotImplementedError

    async def _join(self) -> None:
        raise NotImplementedError


class BackgroundThread(Background):
    """Work whose waits block."""

    def _spawn(self) -> None:
        self._thread = threading.Thread(
            target=lambda: run(self._main()), name="engine-store-background", daemon=True
        )
        self._thread.start()

    async def _join(self) -> None:
        self._thread.join(PATIENCE)


class BackgroundTask(Background):
    """Work that is awaited, on the event loop that starts it."""

    def _spawn(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._main())

    async def _join(self) -> None:
        if self._task.get_loop() is asyncio.get_running_loop():  # else it ended with its loop
            await asyncio.wait([self._task], timeout=PATIENCE)
            self._task.cancel()
