"""Copying a database while it is in use, by SQLite's own online backup."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from engine_store.config import DatabaseConfig
from engine_store.errors import ConfigurationError, ForeignDatabaseError, UnavailableError
from engine_store_sqlite.connections import connect, reading_mode
from engine_store_sqlite.failures import primary_code, translated
from engine_store_sqlite.options import SqliteOptions, read_options

PAGES = 1000
"""Copied at a time, between two calls of `progress`."""


def backup(config: DatabaseConfig, target: Path, progress: Callable[[int, int], None]) -> int:
    """Copy the file of `config` into `target`, readable by its owner only; the size in bytes.

    Raises `ConfigurationError`, `UnavailableError`. Nothing is left of a copy that fails.
    """
    location, options = read_options(config)
    if location.path is None or not location.path.exists():
        raise ConfigurationError("database.path", f"there is no file to copy: {location}")
    copy_into(target, location.path, options, progress, target)
    return target.stat().st_size


def copy_into(
    target: Path,
    source: Path,
    options: SqliteOptions,
    progress: Callable[[int, int], None],
    named: Path,
) -> None:
    """Copy a database into the new file `target`, readable by its owner only, and check the copy.

    Raises as `backup` does, and `ForeignDatabaseError` for a damaged one, which is called `named`.
    Nothing is left of a copy that fails.
    """
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise ConfigurationError("target", f"{target}: {error.strerror}") from error
    mode = reading_mode(source)
    try:
        with (
            translated(),
            closing(connect(source, options, read_only=True, mode=mode)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            # One snapshot: without it the copy begins again whenever another connection writes,
            # which is without end on a busy store (https://www.sqlite.org/backup.html).
            original.execute("BEGIN")
            original.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            original.backup(
                copy, pages=PAGES, progress=lambda _, left, total: progress(total - left, total)
            )
            check = copy.execute("PRAGMA integrity_check").fetchone()
        if check != ("ok",):
            raise ForeignDatabaseError(str(named), f"a damaged copy ({check[0]})")
    except BaseException as error:
        for ending in ("", "-journal", "-wal", "-shm"):  # on a full disk a journal is left
            target.with_name(target.name + ending).unlink(missing_ok=True)
        if primary_code(error.__cause__ or error) == sqlite3.SQLITE_FULL:  # the source is but read
            raise UnavailableError(
                f"SQLite: there is no room for {target}; a copy takes as much as the database",
                retriable=False,
            ) from error
        raise
