"""What SQLite's errors mean to a caller, by result code, never by text.

Codes: https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from engine_store.errors import InvalidValueError, UnavailableError

_RETRIABLE = {
    sqlite3.SQLITE_BUSY: "another connection holds the lock",
    sqlite3.SQLITE_LOCKED: "another connection holds the lock",
    sqlite3.SQLITE_PROTOCOL: "another connection holds the lock",
    sqlite3.SQLITE_INTERRUPT: "the statement was interrupted",
}
_LASTING = {
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_IOERR: "the disk could not be read or written; look at the system's log",
    sqlite3.SQLITE_READONLY: "the database may not be written; check the permissions of the file "
    "and of its directory",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened; check that it is there and its "
    "permissions",
    sqlite3.SQLITE_PERM: "the database may not be accessed; check its permissions",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; restore a backup",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database any more; restore a backup",
    sqlite3.SQLITE_NOMEM: "SQLite ran out of memory",
}


def primary_code(error: Exception) -> int | None:
    """SQLite's primary result code; None where the error is the Python module's own."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether a lock was held by somebody else."""
    return primary_code(error) in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
    )


def translate(error: Exception) -> Exception:
    """The store's error for SQLite's; one that only a mistake of ours can cause stays as it is."""
    code = primary_code(error)
    if code in _RETRIABLE:
        return UnavailableError(f"SQLite: {_RETRIABLE[code]}; try again", retriable=True)
    if code in _LASTING:
        return UnavailableError(f"SQLite: {_LASTING[code]}", retriable=False)
    if code == sqlite3.SQLITE_TOOBIG:
        return InvalidValueError("value", "larger than a SQLite database can hold in one row")
    return error


@contextmanager
def translated() -> Iterator[None]:
    """Raise the store's errors for SQLite's."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error) from error
