"""What the tests of the SQLite driver share: places, stores, and other processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import engine_store
from engine_store.protocols import Store

PATIENCE = 30.0
"""Seconds after which something that must happen is taken as not happening."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of a test is; there is nothing yet."""
    return tmp_path / "engine.db"


@pytest.fixture
def open_store() -> Iterator[Callable[..., Any]]:
    """`engine_store.open` for a path or a URL, with options; the store is closed in the end."""
    with ExitStack() as stores:

        def open_(place: Path | str, **options: object) -> Store:
            config = options.pop("config", {})
            plugins = options.pop("plugins", ())
            store = engine_store.open(
                engine_store.DatabaseConfig(
                    url=place if isinstance(place, str) else f"sqlite:///{place}",
                    options=options,
                    **config,
                ),
                plugins=plugins,
            )
            stores.callback(store.close)
            return store

        yield open_


@pytest.fixture
def store(path: Path, open_store: Callable[..., Store]) -> Store:
    """A store on a file."""
    return open_store(path)


@pytest.fixture
def writer_of() -> Callable[[Any], sqlite3.Connection]:
    """The connection of a store that writes, while nothing does."""

    def writer_of(store: Any) -> sqlite3.Connection:
        return store.engine.pool.writer.raw

    return writer_of


class Process:
    """Another interpreter: it says what it prints, and does what it is told line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def says(self) -> str:
        """The next line it prints; waits for it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"it ended: {self.wait()}"
        return line.strip()

    def tell(self, line: str = "") -> None:
        """Give it a line to read."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL: nothing in it gets a chance to tidy up."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def rest(self) -> str:
        """Return what it printed and was not read, after its end."""
        assert self._process.stdout is not None
        return self._process.stdout.read()

    def wait(self) -> tuple[str, str]:
        """The rest of what it prints, and what it printed to stderr; it must end well."""
        out, err = self._process.communicate(timeout=PATIENCE)
        assert self._process.returncode == 0, err
        return out.strip(), err.strip()


@contextmanager
def _start(program: str, *args: object, measured: bool = True) -> Iterator[Process]:
    environment = {
        name: value
        for name, value in os.environ.items()
        # Coverage slows a start down, and cannot write where a process has no rights.
        if measured or not name.startswith("COVERAGE_")
    }
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, args)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


@pytest.fixture
def start() -> Callable[..., AbstractContextManager[Process]]:
    """Start a program in another interpreter, with arguments."""
    return _start


@pytest.fixture
def run() -> Callable[..., str]:
    """Run a program in another interpreter; what it printed."""

    def run(program: str, *args: object, measured: bool = True) -> str:
        with _start(program, *args, measured=measured) as process:
            return process.wait()[0]

    return run


@pytest.fixture
def writing() -> Callable[[Path], AbstractContextManager[Process]]:
    """Another process that holds the write lock of a database, until told to let go of it."""
    return partial(
        _holding,
        """
        import sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        print("holding", flush=True)
        sys.stdin.readline()
        connection.execute("ROLLBACK")
        connection.close()
        print("let go", flush=True)
        """,
    )


@contextmanager
def _holding(program: str, path: Path) -> Iterator[Process]:
    with _start(program, path, measured=False) as process:
        assert process.says() == "holding"
        yield process


@pytest.fixture
def bare() -> Iterator[Callable[[Path], sqlite3.Connection]]:
    """A connection of the bare `sqlite3` module, in autocommit; closed in the end.

    Never read a database that is open by other means: closing a file drops the process's locks.
    """
    with ExitStack() as connections:

        def connect(path: Path) -> sqlite3.Connection:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            connections.callback(connection.close)
            return connection

        yield connect
