"""SQLite: databases are files, and the bare module is `sqlite3`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import Any

import engine_store
from benchmarks.data import Dataset, populate
from benchmarks.databases import (
    FINGERPRINT,
    SQLITE,
    Bare,
    Databases,
    Engine,
    Operations,
    Ready,
)
from benchmarks.filled import multiply, repeat
from engine_store import DatabaseConfig
from engine_store.sql.statements import Call, Result
from engine_store_sqlite.connections import connect
from engine_store_sqlite.dialect import DIALECT, QUERIES
from engine_store_sqlite.options import read_options

_NUMBERS = """(
    WITH RECURSIVE counted (number) AS (
        SELECT 1 UNION ALL SELECT number + 1 FROM counted WHERE number < {0}
    )
    SELECT number FROM counted WHERE number <= {0}
)"""
_EARLIER = "strftime('%Y-%m-%dT%H:%M:%f000+00:00', {}, '-' || number || ' seconds')"


@contextmanager
def open_databases(folder: Path) -> Iterator[Databases]:
    """Databases in `folder`."""
    yield SqliteDatabases(folder)


class SqliteDatabases(Databases):
    """Files in one folder."""

    schema = ""

    def __init__(self, folder: Path) -> None:
        """New files in `folder`."""
        version = sqlite3.sqlite_version
        self.engine = Engine(SQLITE, f"SQLite {version}", "sqlite3", {"sqlite": version})
        self.operations = Operations.of(QUERIES, DIALECT.codec)
        self._folder = folder
        self._template = folder / "template.db"

    @contextmanager
    def new(self) -> Iterator[str]:
        with TemporaryDirectory(dir=self._folder) as folder:
            yield f"sqlite:///{folder}/engine.db"

    def multiply(self, url: str, copies: int) -> None:
        with _open(url) as connection:
            multiply(connection.execute, "", _NUMBERS.format(copies), _EARLIER)

    @contextmanager
    def copy(self, url: str) -> Iterator[str]:
        with self.new() as to:
            copy(_path(url), _path(to))
            with _path(to).open("rb") as file:
                os.fsync(file)  # or the first commit would wait for all of it
            yield to

    def rows(self, url: str, text: str) -> list[tuple[Any, ...]]:
        with _open(url) as connection:
            return connection.execute(text).fetchall()

    def repeat(self, url: str, table: str, key: str, copies: int) -> None:
        with _open(url) as connection:
            repeat(connection.execute, table, _NUMBERS.format(copies), [key])

    def template(self) -> Dataset:
        with engine_store.open(f"sqlite:///{self._template}?synchronous=off") as store:
            return populate(store)

    @contextmanager
    def copies(self, *, durable: bool) -> Iterator[tuple[str, str]]:
        ours, theirs = [self._folder / name for name in ("store.db", "bare.db")]
        synchronous = "full" if durable else "normal"
        try:
            for path in (ours, theirs):
                copy(self._template, path)
            yield (
                f"sqlite:///{ours}?synchronous={synchronous}",
                f"sqlite:///{theirs}?synchronous={synchronous}",
            )
        finally:
            ours.unlink(missing_ok=True)
            theirs.unlink(missing_ok=True)

    @contextmanager
    def connect(self, url: str) -> Iterator[Bare]:
        location, options = read_options(DatabaseConfig(url=url))
        assert location.path is not None
        with ExitStack() as stack:
            writer, reader = (
                stack.enter_context(closing(connect(location.path, options, read_only=read_only)))
                for read_only in (False, True)
            )
            writer.execute("PRAGMA wal_autocheckpoint = 1000")  # as the module has it
            yield BareSqlite(writer, reader)


class BareSqlite:
    """`benchmarks.databases.Bare`: a connection that writes, and one that reads."""

    def __init__(self, writer: sqlite3.Connection, reader: sqlite3.Connection) -> None:
        """On two connections of one database."""
        self._writer = writer
        self._reader = reader

    def ready(self, call: Call) -> Ready:
        statement, parameters = call
        return Ready(statement.text(parameters), parameters, statement.result is Result.ONE)

    def read(self, ready: Ready) -> object:
        return _fetch(self._reader, ready)

    def write(self, ready: Ready) -> object:
        return self.transact((ready,))

    def transact(self, ready: Iterable[Ready]) -> object:
        self._writer.execute("BEGIN IMMEDIATE")
        rows = [_fetch(self._writer, statement) for statement in ready]
        self._writer.execute("COMMIT")
        return rows

    def fingerprint(self) -> object:
        return self._reader.execute(FINGERPRINT.format(tasks="tasks")).fetchone()


def _path(url: str) -> Path:
    """The file of a database."""
    path = read_options(DatabaseConfig(url=url))[0].path
    assert path is not None
    return path


@contextmanager
def _open(url: str) -> Iterator[sqlite3.Connection]:
    """A connection of the module's own, which commits in the end."""
    with closing(sqlite3.connect(_path(url))) as connection, connection:
        yield connection


def _fetch(connection: sqlite3.Connection, ready: Ready) -> object:
    cursor = connection.execute(ready.query, ready.parameters)
    return cursor.fetchone() if ready.one else cursor.fetchall()
