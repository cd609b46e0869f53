"""Connections of the standard library's `sqlite3`, and what each is set to."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from engine_store.errors import UnavailableError
from engine_store.sql.blocking import persist
from engine_store.sql.dbapi import DbapiConnection
from engine_store.sql.statements import Call, Result
from engine_store_sqlite.failures import ERRORS, is_busy, primary_code, translated
from engine_store_sqlite.options import SqliteOptions

_lost: dict[Path, str] = {}
"""In a forked child: files to which there was a connection when it was forked, and what that means
for it."""


def lose(path: Path) -> str:
    """Note that this process, a forked child, cannot use `path` safely; return the reason.

    SQLite notes in memory which locks the process has on a file, for all connections to it. In the
    child the note is untrue (https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_across_a_fork_).
    """
    _lost[path] = (
        f"this process was forked in the middle of a transaction, and SQLite cannot use {path} "
        "here; fork outside of transactions, or start the process anew"
    )
    return _lost[path]


class SqliteConnection(DbapiConnection):
    """A connection as the kit uses it. A statement needs no cursor of its own to be made."""

    raw: sqlite3.Connection
    errors = ERRORS

    def __init__(self, raw: sqlite3.Connection, pool: Any = None) -> None:
        """The connection `raw`, which goes back to `pool`."""
        super().__init__(raw, "named")
        self.pool = pool

    @property
    def in_transaction(self) -> bool:
        return self.raw.in_transaction

    async def execute(self, script: str) -> None:
        if ";" not in script:
            self.command(script)
            return
        # Not `executescript`, which would commit the transaction first.
        statement = ""
        for line in script.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                self.raw.execute(statement)
                statement = ""
        if statement.strip():
            self.raw.execute(statement)

    def command(self, text: str) -> None:
        self.raw.execute(text)

    def _fetch(self, call: Call) -> Any:
        statement, parameters = call
        *parts, text = statement.parts(parameters)
        for part in parts:
            if not self.raw.execute(part, parameters).rowcount:
                return None if statement.result is Result.ONE else []
        cursor = self.raw.execute(text, parameters)
        fetch = cursor.fetchone if statement.result is Result.ONE else cursor.fetchall
        try:
            return fetch()
        except sqlite3.OperationalError as error:
            if primary_code(error) is not None:
                raise
        # A text that is no UTF-8. The cursor still stands before its row, which the kit is to name.
        self.raw.text_factory = _text_or_bytes
        try:
            return fetch()
        finally:
            self.raw.text_factory = str


def _text_or_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


IMMUTABLE = "ro&immutable=1"
"""The mode for a file that nobody changes: SQLite looks for no log and takes no lock."""


def reading_mode(path: Path) -> str:
    """Return the mode in which a file is read and left as it is, log and all.

    The last connection to close empties a log into the file, unless it may only read; but if there
    is no log, it would leave an empty one behind. A log can be made only in a folder that may be
    written; where there is none, and none can be made, nobody else writes to the file either.
    """
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        return "ro"
    if not os.access(path.parent, os.W_OK):
        return IMMUTABLE
    return "rw" if os.access(path, os.W_OK) else "ro"


def connect(
    path: Path, options: SqliteOptions, *, read_only: bool, mode: str = "rw"
) -> sqlite3.Connection:
    """Connect to an existing file in a mode of SQLite's. Raises `ERRORS`, `UnavailableError`."""
    if path in _lost:
        raise UnavailableError(_lost[path], retriable=False)
    connection = sqlite3.connect(
        f"file://{quote(os.fsencode(path))}?mode={mode}",
        uri=True,
        timeout=options.busy_timeout,
        isolation_level=None,  # no implicit BEGIN: transactions are begun by name
        check_same_thread=False,  # a pool hands connections from thread to thread
        cached_statements=256,
    )
    try:
        for pragma in (
            "foreign_keys = ON",  # off by default, and set for each connection
            f"synchronous = {options.synchronous}",  # full: a commit survives a power cut
            "trusted_schema = OFF",  # a tampered file cannot run functions by views or triggers
            "wal_autocheckpoint = 0",  # never beside a commit: see `SqlitePool.upkeep`
            "journal_size_limit = 16777216",  # a WAL grown by a long reader shrinks to 16 MiB again
            # No temporary files: there may be no room for them, or no place. What is sorted is
            # returned, and was stored, whole. In memory a writer also notes how to undo a
            # statement, by pieces of 64 KiB unless told so: as glibc gives them back each time, an
            # update took up to four times as long.
            "temp_store = memory",
            f"query_only = {read_only:d}",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def set_wal(connection: sqlite3.Connection, timeout: float) -> None:
    """Turn on write-ahead logging: readers and the writer do not wait for each other.

    The change needs the file for itself for a moment and does not call SQLite's busy handler
    (https://www.sqlite.org/wal.html#persistence_of_wal_mode), so racing starters try again here.
    """
    deadline = time.monotonic() + timeout
    with translated():
        (mode,) = _persist(connection, "PRAGMA journal_mode", deadline)
        if mode != "wal":
            (mode,) = _persist(connection, "PRAGMA journal_mode = WAL", deadline)
    if mode != "wal":
        raise UnavailableError(
            "SQLite: this file system cannot do write-ahead logging (it stays at journal mode "
            f"{mode}); put the database on a local disk",
            retriable=False,
        )


def _persist(connection: sqlite3.Connection, statement: str, deadline: float) -> Any:
    """Return the row of a statement; until the deadline, try again while the database is locked.

    SQLite's own busy handler sleeps up to 0.1 s and lets one of eight busy processes starve for
    seconds.
    """
    return persist(lambda: connection.execute(statement).fetchone(), is_busy, deadline)
