"""Work that a pool does between its writers.

It is done in a thread of its own, so that no writer's answer waits for it. A process with a single
thread does it itself: a second one, though it sleeps, made every write there 10 % slower (glibc
takes its locks for real from then on), and nobody else would be served meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

PATIENCE = 0.25
"""Seconds for which the thread waits for the writer; it is asked again after the next write."""


class Upkeep:
    """Runs its work when it is asked to, once at a time."""

    def __init__(self, work: Callable[[float], None]) -> None:
        """Upkeep by `work`, which waits for so many seconds at most.

        If it fails, it is tried when it is next asked for.
        """
        self._work = work
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._asked = False
        self._closed = False

    def ask(self) -> None:
        """Run the work soon, unless it is about to run."""
        with self._lock:
            if self._asked or self._closed:
                return
            self._asked = True
            is_alone = threading.active_count() == 1
            if not is_alone:
                if self._threads is None:
                    self._threads = ThreadPoolExecutor(1, "engine-store-upkeep")
                with suppress(RuntimeError):  # the interpreter ends
                    self._threads.submit(self._run, PATIENCE)
        if is_alone:
            self._run(0)

    def _run(self, patience: float) -> None:
        try:
            with suppress(Exception):  # writers meet the same trouble, and report it
                self._work(patience)
        finally:
            self._asked = False

    def close(self) -> None:
        """Wait for the end of work that runs, and do none from now on."""
        with self._lock:
            self._closed = True
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def forget(self) -> None:
        """Begin anew in a forked child, which has none of its parent's threads."""
        self._lock = threading.Lock()
        self._threads = None
        self._asked = False
