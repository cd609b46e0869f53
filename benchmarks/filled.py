"""Stores with many rows: one workflow through the store, and copies of it by the database."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from attrs import frozen

import engine_store
from benchmarks.data import add_workflow
from benchmarks.databases import Databases
from engine_store.protocols import Store

_IDS = {"workflow_exec_id", "task_exec_id", "parent_state_id"}
_TIMES = {"created_at", "updated_at"}


@frozen
class Filled:
    """A store that holds so many equal workflows."""

    store: Store
    url: str
    workflow: str
    tasks: tuple[str, ...]
    workflows: int

    def any_workflow(self) -> str:
        """The id of one of the workflows."""
        return _of_copy(self.workflow, random.randrange(self.workflows))

    def any_task(self) -> str:
        """The id of one of all tasks."""
        return _of_copy(random.choice(self.tasks), random.randrange(self.workflows))


@contextmanager
def filled(databases: Databases, workflows: int, tasks: int) -> Iterator[Filled]:
    """A new store with so many workflows, each with so many finished tasks."""
    with databases.new() as url:
        with engine_store.open(url) as store, store.transaction() as tx:
            workflow, keys = add_workflow(tx, tasks)
        if workflows > 1:
            databases.multiply(url, workflows - 1)
        with engine_store.open(url) as store:
            yield Filled(store, url, workflow, keys, workflows)


def multiply(execute: Callable[[str], Any], schema: str, numbers: str, earlier: str) -> None:
    """`Databases.multiply`, for databases that take the same SQL but for a few words.

    `schema` stands before the name of a table. `numbers` is a table with a column `number`;
    `earlier` is the time that is so many seconds before `{}`.
    """
    times = {column: earlier.format(column) for column in _TIMES}
    for table in (f"{schema}workflows", f"{schema}tasks"):
        repeat(execute, table, numbers, _IDS, times)


def repeat(
    execute: Callable[[str], Any],
    table: str,
    numbers: str,
    ids: Collection[str],
    values: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Insert each row of a table again for each of `numbers`.

    Columns of `ids` get the number behind them; `values` has what becomes of others.
    """
    values = {**{column: f"{column} || '-' || number" for column in ids}, **values}
    columns = [column[0] for column in execute(f"SELECT * FROM {table} LIMIT 0").description]
    execute(
        f"INSERT INTO {table} ({', '.join(columns)}) "
        f"SELECT {', '.join(values.get(column, column) for column in columns)} "
        f"FROM {numbers} CROSS JOIN {table}"
    )


def _of_copy(key: str, number: int) -> str:
    return f"{key}-{number}" if number else key
