"""The fixtures of all tests: real servers, each started once for each process of the tests."""

from __future__ import annotations

import importlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

import mariadb_server
from database_server import NotInstalledError
from engine_store.migrations import Migration
from engine_store_sqlite import library
from mariadb_server import MariadbServer
from postgres_server import UNSAFE, PostgresServer

# A shell that starts the tests in the background has them ignore Ctrl-C, and all they start would.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Processes that the tests start share their bytecode, also where none is to be written.

    To compile the project and all it needs anew would take most of their time.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(folder / "bytecode"))
        yield


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the test starts are not measured, which takes half the time of a short one."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Waits for what a thread, or a server, is about to do; 30 seconds are taken as never."""

    def wait_until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.001)

    return wait_until


@pytest.fixture
def steps_of() -> Callable[[str], tuple[Migration, ...]]:
    """The steps of the schema, by the name of a driver."""
    return lambda driver: importlib.import_module(f"engine_store_{driver}.driver").MIGRATIONS


@pytest.fixture
def fixed_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is to be noted of SQLite's library, whatever the machine's is."""
    monkeypatch.setattr(library, "RESET_BUG", None)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a database whose schemas are the tests' own.

    `ENGINE_STORE_TEST_POSTGRES_URL` names one on another server, and
    `ENGINE_STORE_TEST_POSTGRES_PROGRAMS` the folder of another version's programs.
    """
    if given := os.environ.get("ENGINE_STORE_TEST_POSTGRES_URL"):
        yield given
        return
    programs = os.environ.get("ENGINE_STORE_TEST_POSTGRES_PROGRAMS")
    with PostgresServer(programs=Path(programs) if programs else None, settings=UNSAFE) as server:
        yield server.url()


@pytest.fixture(scope="session")
def postgres_admin(postgres_url: str) -> Iterator[psycopg.Connection]:
    """A connection for looking behind a store's back, and for removing what tests leave."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def make_schema(
    postgres_url: str, postgres_admin: psycopg.Connection
) -> Iterator[Callable[..., str]]:
    """Makes URLs of stores, each in a schema of its own that is gone after the test.

    Keywords are further settings in the URL.
    """
    made: list[str] = []

    def make(**settings: object) -> str:
        made.append(f"test_{uuid4().hex}")
        options = {"schema": made[-1], **settings}
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"{postgres_url}{'&' if '?' in postgres_url else '?'}{query}"

    yield make
    for schema in made:
        postgres_admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


@pytest.fixture
def postgres_store_url(make_schema: Callable[..., str]) -> str:
    """The URL of a store that nothing has opened yet."""
    return make_schema()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that nothing has opened yet, of each driver."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/engine.db"
    made: str = request.getfixturevalue("postgres_store_url")
    return made


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """The URL of a database of a MariaDB server; the test is skipped if none is installed.

    `ENGINE_STORE_TEST_MARIADB_URL` names one on another server.
    """
    if given := os.environ.get("ENGINE_STORE_TEST_MARIADB_URL"):
        yield given
        return
    try:
        server = MariadbServer(mariadb_server.UNSAFE)
    except NotInstalledError as error:
        pytest.skip(str(error))
    with server:
        yield server.url()


ONE_FACE_IS_ENOUGH = {"TestSqliteMemory", "TestPgBouncer"}
"""Their asynchronous face is the code of another class, which runs every case with both."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what would take minutes, and prove nothing that is not proven beside it.

    What one process does alone comes first: at the end, the others would wait for it.
    """
    doubled = {
        item
        for item in items
        if item.parent is not None
        and item.parent.name in ONE_FACE_IS_ENOUGH
        and "[async" in item.name
    }
    config.hook.pytest_deselected(items=list(doubled))
    items[:] = sorted(
        (item for item in items if item not in doubled),
        key=lambda item: item.get_closest_marker("xdist_group") is None,
    )
