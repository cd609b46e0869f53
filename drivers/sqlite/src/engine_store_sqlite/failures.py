"""What SQLite's errors mean to a caller, by result code, never by text.

Codes: https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

import sqlite3

from engine_store.sql.failures import Failures

_LOCKED = "another connection holds the lock; try again"
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""The module's errors; the second if SQLite's own words about a damaged schema are no UTF-8."""


def primary_code(error: BaseException) -> int | None:
    """Return SQLite's primary result code; None if the error is the Python module's own."""
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_busy(error: Exception) -> bool:
    """Return whether another connection held a lock."""
    return primary_code(error) in _BUSY


def _code(error: Exception) -> int | None:
    """Return the primary code, but of those that say nothing of the database itself."""
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    return extended if extended == sqlite3.SQLITE_IOERR_GETTEMPPATH else primary_code(error)


FAILURES = Failures(
    product="SQLite",
    errors=ERRORS,
    code=_code,
    retriable={
        **dict.fromkeys(_BUSY, _LOCKED),
        sqlite3.SQLITE_INTERRUPT: "the statement was interrupted; try again",
    },
    lasting={
        sqlite3.SQLITE_FULL: "the disk is full; free some 20 MB of it, with which `engine-store "
        "workflows purge` can make room inside of the file",
        sqlite3.SQLITE_IOERR_GETTEMPPATH: "no folder for temporary files may be written; name one "
        "with SQLITE_TMPDIR",
        sqlite3.SQLITE_IOERR: "the disk could not be read or written; look at the system's log",
        sqlite3.SQLITE_READONLY: "the database may not be written; check the permissions of the "
        "file and of its directory",
        sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened; check that it is there and "
        "its permissions",
        sqlite3.SQLITE_PERM: "the database may not be accessed; check its permissions",
        sqlite3.SQLITE_CORRUPT: "the database is damaged; restore a backup",
        sqlite3.SQLITE_NOTADB: "the file is no SQLite database any more; restore a backup",
        sqlite3.SQLITE_NOMEM: "SQLite ran out of memory",
    },
    too_large=(sqlite3.SQLITE_TOOBIG,),
)
translate, translated = FAILURES.translate, FAILURES.translated
