"""Work that a pool does between its writers, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress


class Upkeep:
    """Runs its work when it is asked to, once at a time, without keeping who asks."""

    def __init__(self, work: Callable[[], None]) -> None:
        """Upkeep by `work`; if that fails, it is tried when it is next asked for."""
        self._work = work
        self._threads: ThreadPoolExecutor | None = None
        self._asked = False

    def ask(self) -> None:
        """Run the work soon, unless it is about to run. One thread asks at a time."""
        if self._asked:
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, "engine-store-upkeep")
        with suppress(RuntimeError):  # closed, or the interpreter ends
            self._threads.submit(self._run)
            self._asked = True

    def _run(self) -> None:
        try:
            with suppress(Exception):  # writers meet the same trouble, and report it
                self._work()
        finally:
            self._asked = False

    def close(self) -> None:
        """Wait for the end of work that runs, and do none from now on."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def forget(self) -> None:
        """Begin anew in a forked child, which has none of its parent's threads."""
        self._threads = None
        self._asked = False
