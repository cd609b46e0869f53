"""Deleting large workflows: deep trees, and work that grows with what is deleted alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import engine_store
from engine_store.errors import TaskNotFoundError
from engine_store.models import Status
from engine_store.protocols import Store
from engine_store_contracts.suite.samples import api_key, child, task, user, workflow
from engine_store_sqlite.dialect import QUERIES

DEEP = 2_000
LATER = datetime(9999, 1, 1, tzinfo=UTC)


@pytest.fixture
def memory() -> Iterator[Any]:
    with engine_store.open("sqlite:///:memory:") as store:
        yield store


def plant(store: Store, workflow_exec_id: str, deep: int, wide: int) -> None:
    """A workflow with a chain of `deep` tasks, each the parent of the next, and `wide` leaves."""
    with store.transaction() as tx:
        tx.workflows.create(workflow(workflow_exec_id))
        tx.tasks.create(task(f"{workflow_exec_id}-0", workflow_exec_id))
        for number in range(1, deep):
            parent = f"{workflow_exec_id}-{number - 1}"
            tx.tasks.create(child(f"{workflow_exec_id}-{number}", parent, **of(workflow_exec_id)))
        for number in range(wide):
            parent = f"{workflow_exec_id}-{number % deep}"
            tx.tasks.create(child(f"{workflow_exec_id}-l{number}", parent, **of(workflow_exec_id)))
        tx.workflows.set_status(workflow_exec_id, Status.SUCCESS)


def of(workflow_exec_id: str) -> dict[str, str]:
    return {"workflow_exec_id": workflow_exec_id}


def steps(connection: sqlite3.Connection, action: Callable[[], object]) -> int:
    """How many thousand instructions of its virtual machine SQLite needs for `action`."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(tick, 1000)
    try:
        action()
    finally:
        connection.set_progress_handler(None, 0)
    return count


@pytest.mark.parametrize("how", ["delete", "purge"])
def test_a_chain_deeper_than_triggers_nest_goes_with_its_workflow(memory: Store, how: str) -> None:
    plant(memory, "big", deep=DEEP, wide=8_000)
    plant(memory, "other", deep=3, wide=3)
    memory.workflows.set_status("other", Status.RUNNING)
    assert memory.tasks.tree("big-0", max_depth=10_000)[-1].task_exec_id.startswith("big-")
    if how == "delete":
        memory.workflows.delete("big")
    else:
        assert memory.workflows.purge(LATER).tasks == DEEP + 8_000
    with pytest.raises(TaskNotFoundError):
        memory.tasks.get(f"big-{DEEP - 1}")
    assert len(memory.tasks.list(limit=1000).items) == 6
    assert memory.tasks.tree("other-0")[0].task_exec_id == "other-0"


def test_deleting_costs_as_much_as_what_is_deleted(
    memory: Store, writer: sqlite3.Connection
) -> None:
    plant(memory, "small", deep=50, wide=450)
    plant(memory, "large", deep=200, wide=1_800)
    plant(memory, "beside", deep=50, wide=450)
    small = steps(writer, lambda: memory.workflows.delete("small"))
    large = steps(writer, lambda: memory.workflows.delete("large"))
    assert small > 0
    assert large < 4 * small * 2, "four times the tasks is about four times the work"


@pytest.fixture
def writer(memory: Store, writer_of: Callable[[Any], sqlite3.Connection]) -> sqlite3.Connection:
    return writer_of(memory)


def opened_by(connection: sqlite3.Connection, sql: str) -> list[set[str]]:
    """For each program that a statement runs, the tables and indexes it opens.

    `EXPLAIN` shows the programs of foreign keys behind the statement's own; a number is a root
    page, which the schema maps to a name.
    """
    names = dict(
        connection.execute("SELECT rootpage, name FROM sqlite_schema WHERE rootpage > 0").fetchall()
    )
    programs: list[set[str]] = [set()]
    for _, opcode, _, p2, *_ in connection.execute(f"EXPLAIN {sql}"):
        if opcode == "Init" and programs[-1]:
            programs.append(set())
        if opcode in ("OpenRead", "OpenWrite", "ReopenIdx") and p2 in names:
            programs[-1].add(names[p2])
    return programs


def test_deleting_a_task_finds_its_children_by_an_index(writer: sqlite3.Connection) -> None:
    (found, *_) = opened_by(writer, "DELETE FROM tasks WHERE task_exec_id = 'x'")
    assert "tasks_by_parent" in found
    plan = writer.execute("EXPLAIN QUERY PLAN DELETE FROM tasks WHERE task_exec_id = 'x'")
    assert [step for *_, step in plan] == [
        "SEARCH tasks USING INDEX sqlite_autoindex_tasks_1 (task_exec_id=?)",
        "SEARCH tasks USING COVERING INDEX tasks_by_parent (parent_state_id=?)",
    ]


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("delete_small_workflow", "tasks"),
        ("remove_tasks", "tasks"),
        ("remove_workflows", "tasks"),
        ("delete_user", "api_keys"),
    ],
)
def test_deleting_finds_what_refers_to_it_by_an_index(
    writer: sqlite3.Connection, statement: str, table: str
) -> None:
    query = QUERIES.all()[statement]
    parameters = dict.fromkeys([*query.parameters, *query.optional], "x")
    plan = writer.execute(f"EXPLAIN QUERY PLAN {query.text(parameters)}", parameters)
    found = [step for *_, step in plan]
    assert any(step.startswith(f"SEARCH {table} USING") for step in found), found
    assert not any(step.startswith(f"SCAN {table}") for step in found), found


def test_foreign_keys_hold_where_rows_are_written_by_other_means(
    writer: sqlite3.Connection, memory: Store
) -> None:
    memory.workflows.create(workflow("w"))
    memory.workflows.create(workflow("other"))
    memory.tasks.create(task("t"))
    memory.tasks.create(child("c", "t"))
    for statement in (
        "DELETE FROM tasks WHERE task_exec_id = 't'",
        "UPDATE tasks SET parent_state_id = 'missing' WHERE task_exec_id = 'c'",
        "UPDATE tasks SET workflow_exec_id = 'other' WHERE task_exec_id = 'c'",
        "UPDATE tasks SET parent_state_id = 'c' WHERE task_exec_id = 'c'",
        "UPDATE tasks SET status = 'BORED' WHERE task_exec_id = 'c'",
        "UPDATE tasks SET version = 0 WHERE task_exec_id = 'c'",
        "UPDATE tasks SET created_at = '2026-01-01' WHERE task_exec_id = 'c'",
        "UPDATE tasks SET version = 'one' WHERE task_exec_id = 'c'",
        "INSERT INTO tasks (workflow_exec_id, task_exec_id, parent_state_id, task_id, workflow_id, "
        "component, execution_type, status, usage, version, created_at, updated_at) "
        "SELECT 'other', 'o', 't', task_id, workflow_id, component, execution_type, status, usage, "
        "version, created_at, updated_at FROM tasks LIMIT 1",
        "INSERT INTO api_keys SELECT 'k', 'nobody', 'p', zeroblob(32), x'00', created_at, NULL "
        "FROM tasks LIMIT 1",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            writer.execute(statement)


def test_a_users_keys_go_with_it_and_no_others(memory: Store) -> None:
    for name in ("ann", "bob"):
        memory.users.create(user(name))
        for number in range(50):
            memory.api_keys.create(api_key(f"{name}-{number}", name))
    memory.users.delete("ann")
    assert {key.user_id for key in memory.api_keys.list(limit=100).items} == {"bob"}
