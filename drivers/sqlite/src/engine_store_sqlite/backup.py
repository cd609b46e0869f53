"""Copying a database while it is in use, by SQLite's own online backup."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from engine_store.config import DatabaseConfig
from engine_store.errors import ConfigurationError, ForeignDatabaseError
from engine_store_sqlite.connections import connect
from engine_store_sqlite.failures import translated
from engine_store_sqlite.options import read_options

PAGES = 1000
"""Copied at a time, between two calls of `progress`."""


def backup(config: DatabaseConfig, target: Path, progress: Callable[[int, int], None]) -> int:
    """Copy the file of `config` into `target`, readable by its owner only; the size in bytes.

    Raises `ConfigurationError`, `UnavailableError`. Nothing is left of a copy that fails.
    """
    location, options = read_options(config)
    if location.path is None or not location.path.exists():
        raise ConfigurationError("database.path", f"there is no file to copy: {location}")
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise ConfigurationError("target", f"{target}: {error.strerror}") from error
    try:
        with (
            translated(),
            closing(connect(location.path, options, read_only=True)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            # One snapshot: without it the copy begins again whenever another connection writes,
            # which is without end on a busy store (https://www.sqlite.org/backup.html).
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            source.backup(
                copy, pages=PAGES, progress=lambda _, left, total: progress(total - left, total)
            )
            check = copy.execute("PRAGMA integrity_check").fetchone()
        if check != ("ok",):
            raise ForeignDatabaseError(str(target), f"a damaged copy ({check[0]})")
    except BaseException:
        target.unlink()
        raise
    return target.stat().st_size
