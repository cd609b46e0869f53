"""The two equal databases of a case: one behind the store, one behind the bare module.

The bare side runs what the store runs: connections from the driver's own `connect`, so the same
pragmas, and the statements and parameters that the store's own operations yield. They are made
ready before the clock starts; what is timed is `sqlite3` alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from shutil import copy
from types import TracebackType
from typing import Any, NamedTuple, Self

import engine_store
from benchmarks.data import Dataset
from engine_store import DatabaseConfig
from engine_store.sql.operation import Op
from engine_store.sql.operations import Context, TaskOperations, WorkflowOperations
from engine_store.sql.rows import Rows
from engine_store.sql.statements import Call, Result
from engine_store_sqlite.connections import connect
from engine_store_sqlite.driver import CODEC, QUERIES
from engine_store_sqlite.options import read_options

_CONTEXT = Context(QUERIES, Rows(CODEC), engine_store.utc_now)
TASKS = TaskOperations(_CONTEXT)
WORKFLOWS = WorkflowOperations(_CONTEXT)

_FINGERPRINT = "SELECT count(*), sum(version), sum(length(input)), sum(length(output)) FROM tasks"


class Statement(NamedTuple):
    """SQL with its parameters, ready for `sqlite3`."""

    text: str
    parameters: dict[str, Any]
    one: bool


def statements(op: Op[Any]) -> list[Statement]:
    """What `op` asks of the database first, which is all it asks when nothing is refused."""
    request = next(op)
    calls = (request,) if isinstance(request, Call) else request
    return [
        Statement(statement.text(parameters), parameters, statement.result is Result.ONE)
        for statement, parameters in calls
    ]


class Bare:
    """A database behind nothing but `sqlite3`: a connection that writes, and one that reads."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        """Connections as the driver makes them, closed with `stack`."""
        location, options = read_options(DatabaseConfig(url=url))
        assert location.path is not None
        self.path = location.path
        self._writer, self._reader = (
            stack.enter_context(closing(connect(self.path, options, read_only=read_only)))
            for read_only in (False, True)
        )

    def read(self, ready: Statement) -> object:
        """One statement outside of a transaction."""
        return _fetch(self._reader, ready)

    def write(self, ready: Iterable[Statement]) -> object:
        """Statements in a transaction of their own."""
        self._writer.execute("BEGIN IMMEDIATE")
        rows = [_fetch(self._writer, statement) for statement in ready]
        self._writer.execute("COMMIT")
        return rows


def _fetch(connection: sqlite3.Connection, ready: Statement) -> object:
    cursor = connection.execute(ready.text, ready.parameters)
    return cursor.fetchone() if ready.one else cursor.fetchall()


class Bench:
    """A case's databases, open inside a `with` block. `stack` closes what a case adds."""

    def __init__(self, template: Path, dataset: Dataset, synchronous: str) -> None:
        """Two copies of `template`, which holds `dataset`, beside it."""
        self.dataset = dataset
        self.stack = ExitStack()
        self._paths = [
            Path(copy(template, template.with_name(name))) for name in ("store.db", "bare.db")
        ]
        self.url, bare_url = (f"sqlite:///{path}?synchronous={synchronous}" for path in self._paths)
        self.store = self.stack.enter_context(engine_store.open(self.url))
        self.bare = Bare(bare_url, self.stack)

    def check_same_work(self) -> None:
        """That both sides have left equal databases, so that what was compared is the same work."""
        found = []
        for path in self._paths:
            with closing(sqlite3.connect(path)) as connection:
                found.append(connection.execute(_FINGERPRINT).fetchone())
        if found[0] != found[1]:
            raise RuntimeError(f"the two sides did different work: {found[0]}, {found[1]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stack.close()
        for path in self._paths:
            path.unlink()
