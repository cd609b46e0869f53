"""The files of an open database, which are to stay where its name leads.

SQLite goes on writing into a file that was deleted, moved or replaced, and nobody finds again what
was acknowledged then (https://www.sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from engine_store.errors import UnavailableError

_SETTLED = 100_000_000
"""Nanoseconds after which the time of a folder tells its last change from a later one: file systems
count in steps of some milliseconds."""

_Identity = tuple[int, int]
"""The device and the number of a file."""


class Place:
    """The files of an open database, by their names."""

    def __init__(self, path: Path) -> None:
        """The database at `path`, which is open."""
        self._database = path
        self._log = path.with_name(f"{path.name}-wal")
        self._file = _identity(path)
        self._log_file: _Identity | None = None
        self._unchanged = -1

    def reopened(self) -> None:
        """Take note that the log may be another one: no connection was open for a moment."""
        self._log_file = None
        self._unchanged = -1

    def check(self) -> None:
        """Check that the files are in their place, while a transaction has them open.

        One look at their folder, for 2 microseconds, tells whether any file in it was made,
        deleted, moved or replaced. Raises `UnavailableError`.
        """
        changed = _time(self._database.parent)
        if changed == self._unchanged:
            return
        if self._file is None or _identity(self._database) != self._file:
            raise self._gone(self._database)
        log = _identity(self._log)
        if self._log_file is None:
            self._log_file = log
        if log != self._log_file:
            raise self._gone(self._log)
        if time.time_ns() - changed > _SETTLED:
            self._unchanged = changed

    def _gone(self, path: Path) -> UnavailableError:
        return UnavailableError(
            f"SQLite: {path} was deleted, moved or replaced while it was open; nothing was "
            "written: put it back, with the log beside it, and open the store anew",
            retriable=False,
        )


def _identity(path: Path) -> _Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - each commit looks, and Path's takes twice as long
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _time(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0
