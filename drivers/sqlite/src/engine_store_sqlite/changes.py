"""Hints of what other processes write: a thread looks at the file while somebody waits.

SQLite tells nobody of a commit. `PRAGMA data_version` of a connection changes with the commits of
all others (https://www.sqlite.org/pragma.html#pragma_data_version), and costs some microseconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import suppress

from engine_store.errors import EngineStoreError
from engine_store.sql import forks
from engine_store.waiting.notifier import Notifier
from engine_store_sqlite.connections import SqliteConnection
from engine_store_sqlite.failures import ERRORS

PACE = 0.01
"""Seconds between two looks at the file, at least."""

PACE_OF_A_WAITER = 0.0005
"""The same, for each waiter: all of them look after a change, which may concern none."""

LINGER = 1.0
"""Seconds for which the thread goes on after the last waiter left: a worker soon waits again."""


class FileChanges(forks.Forkable):
    """`engine_store.waiting.notifier.Source` of a file."""

    publishes = False

    def __init__(self, connect: Callable[[], SqliteConnection], notifier: Notifier) -> None:
        """Hints for `notifier`, by a connection of their own that `connect` opens."""
        self._connect = connect
        self._notifier = notifier
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: SqliteConnection | None = None
        self._seen: int | None = None
        forks.watch(self)

    def listen(self) -> None:
        """Start the thread, if it does not run."""
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                thread = threading.Thread(target=self._run, name="engine-store-wait", daemon=True)
                thread.start()
                self._thread = thread

    def publish(self, topics: Collection[str]) -> None:
        """Do nothing: others see the file change."""

    async def close(self) -> None:
        """End the thread, and close its connection."""
        with self._lock:
            self._stopped.set()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._stopped.is_set() or self._notifier.is_idle(LINGER):
                    self._disconnect()
                    self._thread = None
                    return
                changed = self._has_changed()
            if changed:
                self._notifier.hint_all()
            self._stopped.wait(max(PACE, PACE_OF_A_WAITER * self._notifier.watches))

    def _has_changed(self) -> bool:
        """Return whether the file may have changed since the last look.

        If it cannot be looked at, waiters look by themselves, and meet the same trouble.
        """
        try:
            if self._connection is None:
                self._connection = self._connect()
            (version,) = self._connection.raw.execute("PRAGMA data_version").fetchone()
        except (*ERRORS, EngineStoreError, OSError):
            self._disconnect()
            return False
        changed: bool = version != self._seen
        self._seen = version
        return changed

    def _disconnect(self) -> None:
        connection, self._connection, self._seen = self._connection, None, None
        if connection is not None:
            with suppress(*ERRORS):
                connection.close()

    # --- forks: see `SingleWriterPool` -----------------------------------------------------------

    def before_fork(self) -> None:
        """Close the connection: SQLite's locks are a process's own."""
        self._lock.acquire()
        self._disconnect()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock, self._thread = threading.Lock(), None
