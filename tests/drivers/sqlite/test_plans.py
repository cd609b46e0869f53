"""The statements compile, return their model's columns, and use the indexes made for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest

import engine_store
from engine_store.rules.entities import API_KEY, TASK, USER, WORKFLOW
from engine_store.sql import catalogue
from engine_store.sql.blocking import run
from engine_store.sql.statements import Call, Statement
from engine_store_sqlite.connections import SqliteConnection
from engine_store_sqlite.dialect import MIGRATIONS, QUERIES

TRIGGERS = {"record_workflows", "record_tasks"}
STATEMENTS = {name: one for name, one in QUERIES.all().items() if name not in TRIGGERS}
OF_MIGRATIONS = {entry.name for entry in catalogue.MIGRATIONS}


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    """A migrated database, empty."""
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(QUERIES.create_migrations.text({}))
    for step in MIGRATIONS:
        run(SqliteConnection(connection).execute(step.up_sql))
    yield connection
    connection.close()


def nothing(statement: Statement) -> dict[str, Any]:
    """Every parameter of a statement: None, but for a limit that is always there."""
    always = {"limit": 1} if "limit" in statement.parameters else {}
    return {**dict.fromkeys(statement.parameters | set(statement.optional)), **always}


def with_(statement: Statement, *present: str) -> dict[str, Any]:
    """The parameters of a call with only these optional ones."""
    return {**nothing(statement), **dict.fromkeys(present, 1)}


def together(name: str) -> list[str]:
    """An optional parameter, and those it never comes without."""
    return [name, "by_task"] if name in ("agent_id", "task_id", "tool_id") else [name]


def variants(statement: Statement) -> Iterator[dict[str, Any]]:
    """No optional line, each one alone, and all together."""
    yield nothing(statement)
    for name in statement.optional:
        needed = together(name) if "by_task" in statement.optional else [name]
        yield with_(statement, *needed)
    yield with_(statement, *statement.optional)


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_variant_of_a_statement_compiles_and_writes_if_its_heading_says_so(
    database: sqlite3.Connection, name: str
) -> None:
    statement = STATEMENTS[name]
    for parameters in variants(statement):
        programs = [
            database.execute(f"EXPLAIN {part}", parameters).fetchall()
            for part in statement.parts(parameters)
        ]
        steps = chain.from_iterable(programs)
        writes = any(opcode == "Transaction" and p2 for _, opcode, _, p2, *_ in steps)
        assert writes == statement.writes or name == "create_migrations"  # it is there already


def plan(database: sqlite3.Connection, text: str, parameters: dict[str, Any]) -> list[str]:
    """The steps of SQLite's plan, of each part of a statement."""
    parts = text.split(";\n")
    rows = [database.execute(f"EXPLAIN QUERY PLAN {part}", parameters) for part in parts]
    return [step for *_, step in chain.from_iterable(rows)]


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - OF_MIGRATIONS))
def test_no_statement_reads_a_whole_table_without_an_index(
    database: sqlite3.Connection, name: str
) -> None:
    statement = STATEMENTS[name]
    tables = ("users", "api_keys", "workflows", "tasks", "later", "other", "parent", "child")
    for parameters in variants(statement):
        for step in plan(database, statement.text(parameters), parameters):
            verb, _, rest = step.partition(" ")
            if verb == "SCAN" and rest.split()[0] in tables:
                assert "USING" in rest, step


# A list without a filter, or with one that no index serves, walks the index of its order.
# So does what counts all that waits.
WALKS = {"list_users", "list_api_keys", "list_workflows", "list_tasks", "queue_stats"}


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - OF_MIGRATIONS - WALKS))
def test_what_is_no_list_looks_up_rows_by_index_and_never_walks_one(
    database: sqlite3.Connection, name: str
) -> None:
    statement = STATEMENTS[name]
    own = ("CONSTANT", "json_each", "tree", "found", "levels", "counted", "(subquery")  # its own
    few = "workflows USING INDEX workflows_deleted"  # and they are removed at once
    for parameters in variants(statement):
        for step in plan(database, statement.text(parameters), parameters):
            verb, _, rest = step.partition(" ")
            assert verb != "SCAN" or rest.startswith(own) or few in rest, step


@pytest.mark.parametrize(
    ("name", "present"),
    [
        ("list_users", []),
        ("list_users", ["role"]),
        ("list_users", ["role", "after_id"]),
        ("list_api_keys", []),
        ("list_api_keys", ["user_id"]),
        ("list_api_keys", ["user_id", "after_id"]),
        ("list_workflows", []),
        ("list_workflows", ["workflow_id"]),
        ("list_workflows", ["workflow_id", "before_id"]),
        ("list_workflows", ["created_from", "created_before", "before_id"]),
        ("list_tasks", ["limit"]),
        ("list_tasks", ["limit", "task_id", "action_id", "execution_type", "after_id"]),
        ("list_tasks", ["limit", "parent_state_id"]),
        ("list_tasks", ["limit", "workflow_exec_id"]),
        ("list_tasks", ["limit", "workflow_exec_id", "after_id"]),
        ("list_tasks", ["limit", "agent_id", "after_id"]),
        ("list_tasks", ["limit", "tool_id", "after_id"]),
        ("latest_workflow", []),
        ("latest_workflow", ["by_task", "task_id"]),
        ("latest_child", []),
        ("latest_child", ["workflow_exec_id"]),
        ("children_outputs", []),
    ],
)
def test_rows_come_from_the_index_in_their_order_and_are_not_sorted(
    database: sqlite3.Connection, name: str, present: list[str]
) -> None:
    statement = STATEMENTS[name]
    parameters = with_(statement, *present)
    assert not [
        step
        for step in plan(database, statement.text(parameters), parameters)
        if "TEMP B-TREE" in step
    ]


@pytest.mark.parametrize(
    ("name", "present", "index"),
    [
        ("get_user_by_email", [], "(email_folded=?)"),
        ("get_api_key_by_fingerprint", [], "(fingerprint=?)"),
        ("get_api_key_by_prefix", [], "(prefix=?)"),
        ("find_admin", [], "users_admins"),
        ("get_task", [], "(task_exec_id=?)"),
        ("get_task", ["workflow_exec_id"], "(task_exec_id=?)"),
        ("latest_workflow", [], "workflows_by_workflow"),
        ("latest_child", [], "tasks_by_parent"),
        ("children_outputs", [], "tasks_by_parent"),
        ("count_children", [], "tasks_by_parent"),
        ("latest_tasks", [], "tasks_by_workflow"),
        ("latest_tasks_and_roots", [], "tasks_by_workflow"),
        ("task_tree", [], "tasks_by_parent"),
        ("lock_purgeable", [], "workflows_by_end"),
        ("list_tasks", ["limit", "statuses"], "tasks_by_status"),
    ],
)
def test_a_look_up_uses_the_index_made_for_it(
    database: sqlite3.Connection, name: str, present: list[str], index: str
) -> None:
    statement = STATEMENTS[name]
    parameters = with_(statement, *present)
    steps = plan(database, statement.text(parameters), parameters)
    assert any(index in step for step in steps), steps


# --- columns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        ("get_user", USER.fields),
        ("get_user_by_email", USER.fields),
        ("list_users", USER.fields),
        ("get_api_key", API_KEY.fields),
        ("list_api_keys", API_KEY.fields),
        ("get_workflow", WORKFLOW.fields),
        ("lock_workflow", WORKFLOW.fields),
        ("list_workflows", WORKFLOW.fields),
        ("latest_workflow", WORKFLOW.fields),
        ("get_task", TASK.fields),
        ("lock_task", TASK.fields),
        ("list_tasks", TASK.fields),
        ("latest_tasks", TASK.fields),
        ("latest_child", TASK.fields),
        ("task_tree", TASK.fields),
    ],
)
def test_what_is_read_as_a_model_has_the_models_columns_in_their_order(
    database: sqlite3.Connection, statement: str, columns: tuple[str, ...]
) -> None:
    query = STATEMENTS[statement]
    found = database.execute(query.text(nothing(query)), nothing(query)).description
    assert tuple(column[0] for column in found) == columns


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        (name, columns)
        for kind, columns in [
            ("user", USER.fields),
            ("api_key", API_KEY.fields),
            ("workflow", WORKFLOW.fields),
            ("task", TASK.fields),
        ]
        for name in STATEMENTS
        if name in {f"create_{kind}", f"update_{kind}", f"upsert_{kind}", f"touch_{kind}"}
        or name in {f"set_{kind}_status", f"set_{kind}_usage"}
    ],
)
def test_what_is_written_returns_the_models_columns_in_their_order(
    database: sqlite3.Connection, statement: str, columns: tuple[str, ...]
) -> None:
    query = STATEMENTS[statement]
    # A virtual machine's columns are known before it runs: `EXPLAIN` would hide them.
    text = query.text(nothing(query))
    returning = text.rpartition("RETURNING")[2]
    assert [name.strip(' \n"') for name in returning.split(",")] == list(columns)


# --- what a page costs ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowd() -> Iterator[sqlite3.Connection]:
    """A database to be filled, with a count of what SQLite's virtual machine does."""
    with engine_store.open("sqlite:///:memory:") as store:
        yield store.engine.pool.writer.raw  # type: ignore[attr-defined]


def fill(connection: sqlite3.Connection, start: int, end: int) -> None:
    """Workflows with a root task and nine children each, in three statuses."""
    connection.executemany(
        "INSERT INTO workflows VALUES (?, 'report', ?, null, null, null, '[]', 1, ?, ?, 0)",
        [
            (f"w{n:05}", ("SUCCESS", "FAILED", "RUNNING")[n % 3], time(n), time(n))
            for n in range(start, end)
        ],
    )
    connection.executemany(
        "INSERT INTO tasks (workflow_exec_id, task_exec_id, task_id, workflow_id, component,"
        " execution_type, status, parent_state_id, agent_id, action_id, tool_id, output, usage,"
        " version, created_at, updated_at) VALUES (?, ?, ?, 'report', 'task', 'composite', ?, ?,"
        " ?, 'act', ?, '{}', '[]', 1, ?, ?)",
        [
            (
                f"w{n:05}",
                f"t{n:05}-{i}",
                f"step-{i}",
                ("SUCCESS", "FAILED", "RUNNING")[(n + i) % 3],
                f"t{n:05}-0" if i else None,
                f"agent-{i}",
                f"tool-{i}",
                time(n),
                time(n),
            )
            for n in range(start, end)
            for i in range(10)
        ],
    )


def time(number: int) -> str:
    """A time as it is stored."""
    return f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}.{number:06}+00:00"


def steps_of(connection: sqlite3.Connection, call: Call) -> int:
    """How many instructions of its virtual machine SQLite needs for a call."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(tick, 10)
    try:
        connection.execute(call.statement.text(call.parameters), call.parameters).fetchall()
    finally:
        connection.set_progress_handler(None, 0)
    return count


MIDDLE = time(60)
PAGES = {
    "workflows": ("list_workflows", {}),
    "workflows of a status": ("list_workflows", {"statuses": '["FAILED"]'}),
    "workflows of some statuses": ("list_workflows", {"statuses": '["FAILED", "SUCCESS"]'}),
    "workflows of one kind": ("list_workflows", {"workflow_id": "report"}),
    "workflows of one kind and status": (
        "list_workflows",
        {"workflow_id": "report", "statuses": '["FAILED"]'},
    ),
    "tasks": ("list_tasks", {}),
    "tasks of a status": ("list_tasks", {"statuses": '["FAILED"]'}),
    "tasks of some statuses": ("list_tasks", {"statuses": '["FAILED", "SUCCESS"]'}),
    "tasks of an agent": ("list_tasks", {"agent_id": "agent-3"}),
    "tasks of an agent and status": (
        "list_tasks",
        {"agent_id": "agent-3", "statuses": '["FAILED"]'},
    ),
    "tasks of a tool": ("list_tasks", {"tool_id": "tool-3"}),
    "tasks of a workflow": ("list_tasks", {"workflow_exec_id": "w00007"}),
    "tasks of a workflow and status": (
        "list_tasks",
        {"workflow_exec_id": "w00007", "statuses": '["FAILED"]', "limit": None},
    ),
    "tasks of a workflow and agent": (
        "list_tasks",
        {"workflow_exec_id": "w00007", "agent_id": "agent-3", "limit": None},
    ),
    "tasks of a workflow and tool": (
        "list_tasks",
        {"workflow_exec_id": "w00007", "tool_id": "tool-3", "limit": None},
    ),
    "tasks of a workflow and task": (
        "list_tasks",
        {"workflow_exec_id": "w00007", "task_id": "step-3"},
    ),
    "workflows further on": ("list_workflows", {"before_created_at": MIDDLE, "before_id": "w"}),
    "workflows of a status further on": (
        "list_workflows",
        {"statuses": '["FAILED"]', "before_created_at": MIDDLE, "before_id": "w"},
    ),
    "tasks further on": ("list_tasks", {"after_created_at": MIDDLE, "after_id": "t"}),
    "tasks of a status further on": (
        "list_tasks",
        {"statuses": '["FAILED"]', "after_created_at": MIDDLE, "after_id": "t"},
    ),
    "tasks of an agent further on": (
        "list_tasks",
        {"agent_id": "agent-3", "after_created_at": MIDDLE, "after_id": "t"},
    ),
    "children": ("list_tasks", {"parent_state_id": "t00007-0"}),
    "latest execution": ("latest_workflow", {"workflow_id": "report"}),
    "latest execution with an agent": (
        "latest_workflow",
        {"workflow_id": "report", "by_task": 1, "agent_id": "agent-3"},
    ),
    "children in a workflow": (
        "list_tasks",
        {"workflow_exec_id": "w00007", "parent_state_id": "t00007-0", "limit": None},
    ),
    "child in a workflow": (
        "latest_child",
        {"workflow_exec_id": "w00007", "parent_state_id": "t00007-0", "task_id": "step-3"},
    ),
    "latest execution with a task": (
        "latest_workflow",
        {"workflow_id": "report", "by_task": 1, "task_id": "step-3"},
    ),
    "latest execution with a tool": (
        "latest_workflow",
        {"workflow_id": "report", "by_task": 1, "tool_id": "tool-3"},
    ),
    "tree": ("task_tree", {"root": "t00007-0", "max_depth": 100}),
    "latest tasks": ("latest_tasks", {"workflow_exec_id": "w00007"}),
    "purgeable": (
        "lock_purgeable",
        {"statuses": '["FAILED"]', "older_than": "9999", "limit": 20},
    ),
}


def page(name: str) -> Call:
    """The call for a page of 20."""
    statement, given = PAGES[name]
    query = STATEMENTS[statement]
    limited = {"limit": 20} if "limit" in query.parameters else {}
    return query(**{**nothing(query), **limited, **given})


def test_a_page_costs_the_same_however_many_rows_there_are(crowd: sqlite3.Connection) -> None:
    fill(crowd, 0, 100)
    few = {name: steps_of(crowd, page(name)) for name in PAGES}
    fill(crowd, 100, 2000)
    many = {name: steps_of(crowd, page(name)) for name in PAGES}
    grown = {name: (few[name], many[name]) for name in PAGES if many[name] > 1.5 * few[name] + 20}
    assert grown == {}
