"""PostgreSQL: databases of one server of our own, and the bare module is psycopg."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import Connection

import engine_store
from benchmarks.data import Dataset, populate
from benchmarks.databases import (
    FINGERPRINT,
    POSTGRES,
    Bare,
    Databases,
    Engine,
    Operations,
    Ready,
)
from benchmarks.filled import multiply, repeat
from engine_store import DatabaseConfig
from engine_store.sql.blocking import run
from engine_store.sql.statements import Call, Result
from engine_store_postgres.connection import numbered
from engine_store_postgres.driver import DIALECT, queries_of
from engine_store_postgres.options import PostgresOptions, read_options
from engine_store_postgres.pool import PostgresPool
from postgres_server import PostgresServer, home_in

SETTINGS = {"autovacuum": "off", "checkpoint_timeout": "1h"}
"""What would run now and then, in some rounds and not in others. All that makes a commit durable
stays as PostgreSQL ships it."""

_TEMPLATE, _OURS, _THEIRS = "template_of_benchmarks", "store", "bare"
_SCHEMA = PostgresOptions().schema

_NUMBERS = "generate_series(1, {}) AS counted (number)"
_EARLIER = "{} - number * interval '1 second'"


@contextmanager
def open_databases(folder: Path) -> Iterator[Databases]:
    """Databases of a new server with its data in `folder`, if that can be.

    Raises `database_server.ServerError`.
    """
    home = home_in(folder)
    with PostgresServer(home, settings=SETTINGS) as server:
        yield PostgresDatabases(
            server, "beside the results" if home else "in the temporary directory"
        )


class PostgresDatabases(Databases):
    """Databases of one server."""

    schema = f"{_SCHEMA}."

    def __init__(self, server: PostgresServer, place: str) -> None:
        """New databases of `server`, whose data are in `place`."""
        self._server = server
        self._names = (f"new_{number}" for number in count(1))
        self.operations = Operations.of(queries_of(_SCHEMA), DIALECT.codec)
        with psycopg.connect(server.url(), autocommit=True) as connection:
            self.engine = _engine(connection, place)

    def new(self) -> AbstractContextManager[str]:
        return self._new("")

    def multiply(self, url: str, copies: int) -> None:
        with _executing(url) as execute:
            multiply(execute, self.schema, _NUMBERS.format(copies), _EARLIER)
            execute("VACUUM (ANALYZE)")

    def copy(self, url: str) -> AbstractContextManager[str]:
        return self._new(f"TEMPLATE {urlsplit(url).path[1:]}")

    def rows(self, url: str, text: str) -> list[tuple[Any, ...]]:
        with _executing(url) as execute:
            cursor = execute(text)
            return cursor.fetchall() if cursor.description else []

    def repeat(self, url: str, table: str, key: str, copies: int) -> None:
        with _executing(url) as execute:
            repeat(execute, table, _NUMBERS.format(copies), [key])
            execute("VACUUM (ANALYZE)")

    def template(self) -> Dataset:
        self._command(f"CREATE DATABASE {_TEMPLATE}")
        url = self._server.url(_TEMPLATE)
        with engine_store.open(url) as store:
            dataset = populate(store)
        with psycopg.connect(url, autocommit=True) as connection:
            # Copies have the statistics too: both sides plan alike, as on a server in use.
            connection.execute("VACUUM (ANALYZE)")
        return dataset

    @contextmanager
    def copies(self, *, durable: bool) -> Iterator[tuple[str, str]]:
        if not durable:
            raise ValueError("commits on PostgreSQL are always durable here")
        try:
            for name in (_OURS, _THEIRS):
                self._command(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
            yield self._server.url(_OURS), self._server.url(_THEIRS)
        finally:
            for name in (_OURS, _THEIRS):
                self._command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextmanager
    def connect(self, url: str) -> Iterator[Bare]:
        connection = run(PostgresPool(*read_options(DatabaseConfig(url=url))).connect())
        try:
            yield BarePostgres(connection.raw)
        finally:
            run(connection.release())

    @contextmanager
    def _new(self, template: str) -> Iterator[str]:
        name = next(self._names)
        self._command(f"CREATE DATABASE {name} {template}")
        try:
            yield self._server.url(name)
        finally:
            self._command(f"DROP DATABASE {name} WITH (FORCE)")

    def _command(self, text: str) -> None:
        with _executing(self._server.url()) as execute:
            execute(text)


class BarePostgres:
    """`benchmarks.databases.Bare`: one connection, in autocommit mode."""

    def __init__(self, connection: Connection[Any]) -> None:
        """On a connection made as the driver makes its own."""
        # One for all: a new one for each look-up would cost psycopg a quarter more.
        self._cursor = connection.cursor(binary=True)

    def ready(self, call: Call) -> Ready:
        statement, parameters = call
        query, names = numbered(statement.text(parameters))
        return Ready(query, [parameters[name] for name in names], statement.result is Result.ONE)

    def read(self, ready: Ready) -> object:
        cursor = self._cursor.execute(ready.query, ready.parameters)
        return cursor.fetchone() if ready.one else cursor.fetchall()

    write = read  # which commits by itself

    def transact(self, ready: Iterable[Ready]) -> object:
        self._cursor.execute(b"BEGIN", prepare=False)
        rows = [self.read(statement) for statement in ready]
        self._cursor.execute(b"COMMIT", prepare=False)
        return rows

    def fingerprint(self) -> object:
        text = FINGERPRINT.format(tasks=f"{_SCHEMA}.tasks")
        return self._cursor.execute(text.encode()).fetchone()


@contextmanager
def _executing(url: str) -> Iterator[Callable[[str], Any]]:
    """What executes a statement on a connection of its own, and commits it."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield lambda text: connection.execute(text.encode())


def _engine(connection: Connection[Any], place: str) -> Engine:
    """The server's version, how durable its commits are, and where its data are."""
    rows = connection.execute(
        "SELECT name, setting FROM pg_settings WHERE name = ANY (%s)",
        [["server_version", "fsync", "synchronous_commit", "full_page_writes"]],
    )
    settings: dict[str, str] = dict(rows.fetchall())
    version = settings.pop("server_version")
    facts = {
        "postgresql": version,
        "psycopg": f"{psycopg.__version__} ({psycopg.pq.__impl__})",
        **settings,
        "data": place,
    }
    return Engine(POSTGRES, f"PostgreSQL {version}", "psycopg", facts)
