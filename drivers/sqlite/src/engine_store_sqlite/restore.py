"""Replacing a database by a backup: all of it or nothing, whatever happens in between.

The log is folded into the old database first, under a lock that nobody else can have, so that
the file alone is the database: then one rename replaces it. A damaged one, which SQLite cannot
open, is locked by the same locks, and its log is moved away before the rename.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from engine_store.config import DatabaseConfig
from engine_store.errors import (
    ConfigurationError,
    ForeignDatabaseError,
    ReadOnlyError,
    UnavailableError,
)
from engine_store.migrations import check_history
from engine_store.sql import forks
from engine_store.sql.places import check_place, usable
from engine_store_sqlite.backup import copy_into
from engine_store_sqlite.dialect import MIGRATIONS
from engine_store_sqlite.failures import ERRORS, is_busy, primary_code, translate
from engine_store_sqlite.files import check_mount, check_ours, read_history
from engine_store_sqlite.options import SqliteOptions, read_options

_LOCKS = (0x4000_0000, 512)
"""The bytes on which SQLite's locks are (https://www.sqlite.org/src/file/src/os.h): whoever has a
database open shares some of them."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR)
_MAGIC = b"SQLite format 3\0"
_LOGS = ("-wal", "-journal", "-shm")


def restore(config: DatabaseConfig, source: Path, progress: Callable[[int, int], None]) -> int:
    """Replace the database of `config` by the backup `source`; return its size in bytes.

    Raises `ConfigurationError`, `ForeignDatabaseError`, `SchemaAheadError`, and `UnavailableError`
    if anybody has the database open; the old one is left in its place then.
    """
    location, options = read_options(config)
    path = location.path
    if path is None:
        raise ConfigurationError("url", "a database in memory is gone with its store; name a file")
    if options.read_only:
        raise ReadOnlyError("restore")
    _check_backup(source, path, options)
    copy = _beside(path, "-restoring")
    with usable(path):
        check_place(path)
        check_mount(path)
        with _alone(path):
            copy.unlink(missing_ok=True)  # of a restore that was killed
            try:
                copy_into(copy, source, options, progress, source)
                _own_alike(copy, path)
                _sync(copy)
                with _logs_aside(path):
                    copy.replace(path)  # the step that counts
            finally:
                copy.unlink(missing_ok=True)
            _sync(path.parent)
        for log in _LOGS:
            _beside(path, f"{log}-replaced").unlink(missing_ok=True)
        return path.stat().st_size


def _check_backup(source: Path, path: Path, options: SqliteOptions) -> None:
    """Check that `source` is one of our databases, no newer than the code; its pages come later."""
    if not source.is_file():
        raise ConfigurationError("source", f"there is no file {source}; name a backup")
    if path.exists() and path.samefile(source):
        raise ConfigurationError("source", f"{source} is the database itself; name a backup of it")
    if not source.stat().st_size:
        raise ForeignDatabaseError(str(source), "nothing")
    check_history(MIGRATIONS, read_history(source, options))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep everybody from opening the database at `path`; its log is in the file, if it is sound.

    Raises `UnavailableError` if anybody has it open, `ForeignDatabaseError` if it is not ours.
    """
    # Locks do not tell what this process has open, and to close the file would end its locks.
    if any(getattr(pool, "path", None) == path and not pool.closed for pool in forks.watched()):  # type: ignore[attr-defined]
        raise _in_use(path)
    if not path.exists():
        yield
        return
    uri = f"file://{quote(os.fsencode(path))}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)) as connection:
        is_sound = _lock(connection, path)
        old = os.open(path, os.O_RDWR)
        try:
            if not is_sound:
                connection.close()
                _lock_damaged(old, path)
            yield
            if os.fstat(old).st_nlink == 0:
                # Who had opened the old file, but not locked it, would take it for the database.
                os.pwrite(old, b"replaced by a backup", 0)
        finally:
            os.close(old)


def _lock(connection: sqlite3.Connection, path: Path) -> bool:
    """Hold the database, with its log folded into it; return False if it is too damaged."""
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        check_ours(connection, path)
        (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        connection.execute("BEGIN EXCLUSIVE")
    except ERRORS as error:
        if is_busy(error):
            raise _in_use(path) from error
        if primary_code(error) not in _DAMAGED:
            raise translate(error) from error
        with path.open("rb") as file:
            if file.read(16) not in (_MAGIC, b""):
                raise ForeignDatabaseError(str(path), "data that is no SQLite database") from error
        return False
    if mode != "delete":
        raise _in_use(path)
    return True


def _lock_damaged(old: int, path: Path) -> None:
    import fcntl  # which not every system has

    try:
        fcntl.lockf(old, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKS[1], _LOCKS[0])
    except OSError as error:
        raise _in_use(path) from error


def _in_use(path: Path) -> UnavailableError:
    return UnavailableError(
        f"SQLite: {path} is open in this or another process; close every store of it, and restore "
        "again",
        retriable=True,
    )


@contextmanager
def _logs_aside(path: Path) -> Iterator[None]:
    """Move logs to other names: those of a database that is damaged, or not there.

    If the block fails, they come back.
    """
    names = {_beside(path, log): _beside(path, f"{log}-replaced") for log in _LOGS}
    names = {log: aside for log, aside in names.items() if log.exists()}
    for log, aside in names.items():
        log.replace(aside)
    try:
        _sync(path.parent)
        yield
    except BaseException:
        for log, aside in names.items():
            aside.replace(log)
        raise


def _own_alike(copy: Path, path: Path) -> None:
    """Give the copy the owner and the permissions of the file that it replaces."""
    if path.exists():
        found = path.stat()
        if (found.st_uid, found.st_gid) != (copy.stat().st_uid, copy.stat().st_gid):
            os.chown(copy, found.st_uid, found.st_gid)
        copy.chmod(stat.S_IMODE(found.st_mode))


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
