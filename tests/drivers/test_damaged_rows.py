"""Stored values that cannot be read: of a damaged file, or of rows that were changed by hand."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

import engine_store
from engine_store.errors import DamagedRowError
from engine_store.models import ApiKey, Status, TaskState, UsageEntry, UsageSummary, User
from engine_store.protocols import Store

STATUSES = ", ".join(sorted(Status))
A_STATUS = f"one of {STATUSES}"
AN_OBJECT = "a JSON object"
AN_ERROR = "the JSON object of an error"
A_USAGE = "the JSON array of a usage summary"
A_TIME = "a time in UTC"

USED = (
    '[{"provider":"p","model":"m","prompt_tokens":%s,"completion_tokens":1,"total_tokens":2,'
    '"agent_ids":%s}]'
)

WRONG = [
    ("users", "role", "root", "one of admin, user"),
    ("users", "version", 0, "an integer from 1"),
    ("workflows", "status", "DONE", A_STATUS),
    ("tasks", "status", "", A_STATUS),
    ("tasks", "component", "thing", "one of agent, log, task, tool, workflow"),
    ("tasks", "version", -1, "an integer from 1"),
    ("tasks", "input", "[1]", AN_OBJECT),
    ("tasks", "output", "null", AN_OBJECT),
    ("tasks", "output", "7", AN_OBJECT),
    ("tasks", "error", '"no"', AN_ERROR),
    ("tasks", "error", '{"message": 1, "code": null, "details": null}', AN_ERROR),
    ("tasks", "error", '{"message": "m", "code": null, "details": []}', AN_ERROR),
    ("tasks", "error", '{"massage": "m", "code": null, "details": null}', AN_ERROR),
    ("tasks", "usage", "{}", A_USAGE),
    ("tasks", "usage", "[7]", A_USAGE),
    ("tasks", "usage", USED % (-1, "[]"), A_USAGE),
    ("tasks", "usage", USED % ("true", "[]"), A_USAGE),
    ("tasks", "usage", USED % ('"1"', "[]"), A_USAGE),
    ("tasks", "usage", USED % (1, "[1]"), A_USAGE),
    ("tasks", "usage", USED % (1, '"ab"'), A_USAGE),
    ("tasks", "usage", (USED % (1, "[]")).replace("model", "madel"), A_USAGE),
    ("workflows", "usage", '[{"provider":"p"}]', A_USAGE),
]
ONLY_IN_SQLITE = [
    ("tasks", "input", "{", AN_OBJECT),
    ("tasks", "input", b"\xff\xfe", AN_OBJECT),
    ("tasks", "usage", "[", A_USAGE),
    ("tasks", "error", "", AN_ERROR),
    ("tasks", "workflow_id", b"w", "text"),
    ("tasks", "task_id", None, "text"),
    ("tasks", "agent_id", b"a", "text"),
    ("tasks", "version", 1.5, "an integer from 1"),
    ("tasks", "version", "x", "an integer from 1"),
    ("tasks", "created_at", "2026-01-31T12:00:00.00000", A_TIME),
    ("tasks", "created_at", "2026-13-31T12:00:00.000000+00:00", A_TIME),
    ("tasks", "updated_at", "2026-01-31T12:00:00.000000+10:00", A_TIME),
    ("users", "updated_at", "2026-01-31", A_TIME),
    ("api_keys", "last_used", "never", A_TIME),
    ("api_keys", "fingerprint", 7, "bytes"),
    ("api_keys", "hash", "text", "bytes"),
]
ONLY_IN_POSTGRES = [
    ("tasks", "created_at", "infinity", A_TIME),
    ("tasks", "updated_at", "0044-03-15 12:00+00 BC", A_TIME),
    ("api_keys", "last_used", "-infinity", A_TIME),
]
KEYS = {"users": "user_id", "api_keys": "key_id", "workflows": "workflow_exec_id"}

Spoil = Callable[[str, str, Any], None]


def filled(url: str) -> Store:
    """Return a store with a row of each kind, whose id is its table's name."""
    store = engine_store.open(url)
    store.users.create(User("users", "ada@example.org"))
    store.api_keys.create(ApiKey("api_keys", "users", "prefix", b"f" * 32, b"hash"))
    store.workflows.create(engine_store.WorkflowState("workflows", "w"))
    usage = UsageSummary.of([UsageEntry("p", "m", 1, 1)])
    store.tasks.create(TaskState("workflows", "parent", "p", "w"))
    store.tasks.create(
        TaskState("workflows", "tasks", "t", "w", parent_state_id="parent", usage=usage, output={})
    )
    return store


def expected(table: str, column: str, what: str, key: str | None = "") -> tuple[Any, ...]:
    return table, table if key == "" else key, column, what


def found(call: Callable[[], object]) -> tuple[Any, ...]:
    with pytest.raises(DamagedRowError) as caught:
        call()
    error = caught.value
    assert not error.retriable
    return error.table, error.key, error.column, error.expected


@pytest.fixture(name="sqlite")
def _sqlite(tmp_path: Any) -> Iterator[tuple[Store, Spoil]]:
    """A store, and a way to put any value into a column, as a flipped bit in a page does."""
    path = tmp_path / "engine.db"
    with filled(f"sqlite:///{path}") as store:

        def spoil(table: str, column: str, value: Any) -> None:
            with closing(sqlite3.connect(path, isolation_level=None)) as raw:
                raw.execute("PRAGMA ignore_check_constraints = ON")
                raw.execute("PRAGMA writable_schema = ON")
                raw.execute(
                    "UPDATE sqlite_schema SET sql = replace(replace(sql, ' NOT NULL', ''), "
                    "' STRICT', '') WHERE type = 'table' AND name = ?",
                    [table],
                )
                raw.execute("PRAGMA writable_schema = RESET")
                cast = "CAST(? AS TEXT)" if value == b"\xff\xfe" else "?"
                key = KEYS.get(table, "task_exec_id")
                raw.execute(f"UPDATE {table} SET {column} = {cast} WHERE {key} = ?", [value, table])

        yield store, spoil


@pytest.fixture(name="postgres")
def _postgres(
    postgres_store_url: str, postgres_admin: psycopg.Connection
) -> Iterator[tuple[Store, Spoil]]:
    schema = re.search(r"schema=(\w+)", postgres_store_url)[1]  # type: ignore[index]
    with filled(postgres_store_url) as store:

        def spoil(table: str, column: str, value: Any) -> None:
            postgres_admin.execute(
                f"""
                DO $$
                DECLARE name text;
                BEGIN
                  FOR name IN SELECT conname FROM pg_constraint
                    WHERE contype = 'c' AND conrelid = '{schema}.{table}'::regclass
                  LOOP EXECUTE 'ALTER TABLE {schema}.{table} DROP CONSTRAINT ' || name; END LOOP;
                END $$
                """.encode()
            )
            key = KEYS.get(table, "task_exec_id")
            statement = f"UPDATE {schema}.{table} SET {column} = %s WHERE {key} = '{table}'"
            postgres_admin.execute(statement.encode(), [value])

        yield store, spoil


def assert_named(
    store: Store, spoil: Spoil, table: str, column: str, value: Any, what: str
) -> None:
    """Spoil a value: it is named by what reads the row, and by what lists it."""
    spoil(table, column, value)
    repository = getattr(store, table)
    assert found(lambda: repository.get(table)) == expected(table, column, what)
    assert found(lambda: repository.list()) == expected(table, column, what)


@pytest.mark.parametrize(("table", "column", "value", "what"), [*WRONG, *ONLY_IN_SQLITE])
def test_a_value_that_is_none_is_named_by_sqlite(
    sqlite: tuple[Store, Spoil], table: str, column: str, value: Any, what: str
) -> None:
    assert_named(*sqlite, table, column, value, what)


@pytest.mark.parametrize(("table", "column", "value", "what"), [*WRONG, *ONLY_IN_POSTGRES])
def test_a_value_that_is_none_is_named_by_postgres(
    postgres: tuple[Store, Spoil], table: str, column: str, value: Any, what: str
) -> None:
    assert_named(*postgres, table, column, value, what)


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
def test_each_way_to_read_a_column_names_it(driver: str, request: pytest.FixtureRequest) -> None:
    store, spoil = request.getfixturevalue(driver)
    spoil("tasks", "usage", "{}")
    usage = expected("tasks", "usage", A_USAGE)
    assert found(lambda: store.tasks.usage("tasks")) == usage
    assert found(lambda: store.tasks.merge_usage("tasks", UsageSummary())) == usage
    assert found(lambda: store.workflows.get("workflows", with_tasks=True)) == usage
    spoil("tasks", "output", "[]")
    outputs = expected("tasks", "output", AN_OBJECT)
    assert found(lambda: store.tasks.children_outputs("parent")) == outputs
    spoil("tasks", "status", "DONE")
    assert found(lambda: store.tasks.progress("parent")) == expected(
        "tasks", "status", A_STATUS, None
    )


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
def test_a_damaged_row_can_be_written_over_and_deleted(
    driver: str, request: pytest.FixtureRequest
) -> None:
    store, spoil = request.getfixturevalue(driver)
    spoil("tasks", "input", "[]")
    mended = TaskState("workflows", "tasks", "t", "w", parent_state_id="parent")
    assert store.tasks.upsert(mended).input is None
    spoil("tasks", "input", "[]")
    store.workflows.delete("workflows")
    assert store.workflows.list().items == ()


def test_text_that_is_no_utf_8_is_named_by_a_write_too(sqlite: tuple[Store, Spoil]) -> None:
    store, spoil = sqlite
    spoil("workflows", "input", b"\xff\xfe")
    error = expected("workflows", "input", AN_OBJECT)
    assert found(lambda: store.workflows.set_status("workflows", Status.RUNNING)) == error
    store.workflows.create(engine_store.WorkflowState("others", "are read"))


def test_a_record_of_steps_that_cannot_be_read_is_named_at_opening(
    sqlite: tuple[Store, Spoil],
) -> None:
    store, _ = sqlite
    path = store.engine.pool.path  # type: ignore[attr-defined]
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE engine_store_migrations SET applied_at = 'then' WHERE version = 2")
    error = ("engine_store_migrations", "2", "applied_at", "a time")
    assert found(lambda: engine_store.open(f"sqlite:///{path}")) == error
    assert found(store.migrator.status) == error
    assert not store.health().ok
