"""Work that a pool does between its writers.

It is done in a thread of its own, so that no writer's answer waits for it. A process with a single
thread does it itself: a second one, though it sleeps, made every write there 10 % slower (glibc
takes its locks for real from then on), and nobody else would be served meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from engine_store.errors import EngineStoreError

PATIENCE = 0.25
"""Seconds for which the thread waits for the writer; it is asked again after the next write."""


class Upkeep:
    """Runs its work when it is asked to."""

    def __init__(self, work: Callable[[float], None]) -> None:
        """Upkeep by `work`, which waits for so many seconds at most.

        If it fails, it is tried when it is next asked for.
        """
        self._work = work
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._asked: Future[None] | None = None
        self._closed = False

    def ask(self) -> None:
        """Run the work soon, unless it is about to run."""
        if threading.active_count() == 1:
            if not self._closed:
                self._run(0)
            return
        with self._lock, suppress(RuntimeError):  # the interpreter ends
            if self._closed or (self._asked is not None and not self._asked.done()):
                return
            if self._threads is None:
                self._threads = ThreadPoolExecutor(1, "engine-store-upkeep")
            self._asked = self._threads.submit(self._run, PATIENCE)

    def _run(self, patience: float) -> None:
        with suppress(EngineStoreError, OSError):  # writers meet the same trouble, and report it
            self._work(patience)

    def close(self) -> None:
        """Wait for the end of work that runs, and do none from now on."""
        with self._lock:
            self._closed = True
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def forget(self) -> None:
        """Begin anew in a forked child, which has none of its parent's threads."""
        self._lock = threading.Lock()
        self._threads = self._asked = None
