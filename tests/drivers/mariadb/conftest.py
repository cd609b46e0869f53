"""The fixtures of the MariaDB driver's tests: a server of their own, and stores on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

import engine_store
from database_server import NotInstalledError
from engine_store.protocols import Store
from mariadb_server import MariadbServer


@pytest.fixture(scope="module")
def server() -> Iterator[MariadbServer]:
    """A server that a test may stop; the test is skipped if none is installed."""
    try:
        made = MariadbServer()
    except NotInstalledError as error:
        pytest.skip(str(error))
    with made:
        yield made


@pytest.fixture
def database() -> str:
    """The name of a database that is not there yet."""
    return f"test_{uuid4().hex}"


@pytest.fixture
def open_store(server: MariadbServer, database: str) -> Iterator[Callable[..., Store]]:
    """Opens a store on the database; keywords are further settings in the URL."""
    with ExitStack() as stores:
        yield lambda **settings: stores.enter_context(
            engine_store.open(server.url(database, **settings))
        )


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """A store on an empty database."""
    return open_store()
