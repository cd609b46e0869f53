"""What the tests of the PostgreSQL driver share: stores of both faces, and servers of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

import engine_store
from engine_store import DatabaseConfig
from engine_store.protocols import Store
from engine_store_contracts.loops import Loops
from postgres_server import UNSAFE, PostgresServer

PATIENCE = 30.0
"""Seconds after which something that must happen is taken as not happening."""


@contextmanager
def _opening(face: str) -> Iterator[Callable[..., Any]]:
    with closing(Loops()) as loops, ExitStack() as stores:

        def open_(url: str | None = None, *, auto_migrate: bool = True, **options: object) -> Store:
            config = DatabaseConfig(url=url, options=options, auto_migrate=auto_migrate)
            if face == "sync":
                store = engine_store.open(config)
            else:
                store = loops.open(partial(engine_store.open_async, config))
            stores.callback(store.close)
            return store

        yield open_


@pytest.fixture(params=["sync", "async"])
def open_store(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Opens a store by a URL, with options, with one face and the other; closed in the end."""
    with _opening(request.param) as open_:
        yield open_


@pytest.fixture
def open_sync() -> Iterator[Callable[..., Any]]:
    """`open_store`, with the synchronous face alone."""
    with _opening("sync") as open_:
        yield open_


@pytest.fixture
def store(open_store: Callable[..., Any], postgres_store_url: str) -> Any:
    """A store in a schema of its own."""
    return open_store(postgres_store_url)


@pytest.fixture
def backends(postgres_admin: psycopg.Connection) -> Callable[[str], dict[int, str]]:
    """The server's processes for an application name, each with what it is doing."""

    def find(name: str) -> dict[int, str]:
        query = b"SELECT pid, state FROM pg_stat_activity WHERE application_name = %s"
        return dict(postgres_admin.execute(query, [name]).fetchall())

    return find


@pytest.fixture(scope="session")
def start_server() -> Callable[..., PostgresServer]:
    """Makes a server of the test's own, which runs while in a `with`; with further settings."""
    given = os.environ.get("ENGINE_STORE_TEST_POSTGRES_PROGRAMS")
    programs = Path(given) if given else None

    def make(**settings: str) -> PostgresServer:
        return PostgresServer(programs=programs, settings={**UNSAFE, **settings})

    return make


@pytest.fixture(scope="session")
def until_it_waits(postgres_admin: psycopg.Connection) -> Callable[[str], int]:
    """Waits until a connection, known by its application's name, waits for a lock; its process."""

    def wait(application_name: str) -> int:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            row = postgres_admin.execute(
                "SELECT pid FROM pg_stat_activity "
                "WHERE application_name = %s AND wait_event_type = 'Lock'",
                [application_name],
            ).fetchone()
            if row is not None:
                pid: int = row[0]
                return pid
        raise AssertionError(f"{application_name} waits for no lock")

    return wait
