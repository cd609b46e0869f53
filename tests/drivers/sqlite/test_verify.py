"""What verifying notices where somebody changed the schema by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine_store.errors import MigrationDriftError, SchemaBehindError
from engine_store.protocols import Store
from engine_store_sqlite.dialect import MIGRATIONS

Connect = Callable[[Path], sqlite3.Connection]


@pytest.fixture
def drifted(
    path: Path, open_store: Callable[..., Store], bare: Connect
) -> Callable[..., list[str]]:
    """What verifying says after somebody changed the schema by hand."""
    store = open_store(path)

    def change(*statements: str) -> list[str]:
        connection = bare(path)
        for statement in statements:
            connection.execute(statement)
        with pytest.raises(MigrationDriftError) as caught:
            store.migrator.verify()
        return list(caught.value.differences)

    return change


def test_the_schema_that_the_steps_make_is_verified(store: Store) -> None:
    store.migrator.verify()


def test_a_dropped_index_is_noticed(drifted: Callable[..., list[str]]) -> None:
    assert drifted("DROP INDEX tasks_by_status") == [
        "missing: index of tasks: tasks_by_status (status, created_at, task_exec_id)"
    ]


def test_an_index_that_is_not_ours_is_noticed(drifted: Callable[..., list[str]]) -> None:
    assert drifted("CREATE INDEX mine ON tasks (action_id, lower(task_id))") == [
        "not ours: index of tasks: mine (action_id, an expression)"
    ]


@pytest.mark.parametrize(
    ("unique", "columns", "where", "found"),
    [
        ("", "agent_id, created_at, task_exec_id", "", ""),
        ("UNIQUE", "agent_id, created_at, task_exec_id", " WHERE agent_id > ''", " unique partial"),
        ("", "agent_id, created_at DESC, task_exec_id", " WHERE agent_id > ''", " partial"),
        ("", "agent_id COLLATE NOCASE", " WHERE agent_id > ''", " partial"),
    ],
    ids=["not partial", "unique", "another order", "another collation"],
)
def test_an_index_of_the_same_name_and_another_kind_is_noticed(
    drifted: Callable[..., list[str]], unique: str, columns: str, where: str, found: str
) -> None:
    index = f"CREATE {unique} INDEX tasks_by_agent ON tasks ({columns}){where}"
    assert drifted("DROP INDEX tasks_by_agent", index) == [
        "missing: index of tasks: tasks_by_agent (agent_id, created_at, task_exec_id) partial",
        f"not ours: index of tasks: tasks_by_agent ({columns}){found}",
    ]


def test_an_extra_column_is_noticed(drifted: Callable[..., list[str]]) -> None:
    added = "ALTER TABLE users ADD COLUMN nickname TEXT NOT NULL DEFAULT 'nobody'"
    assert drifted(added) == ["not ours: column of users: nickname TEXT NOT NULL DEFAULT 'nobody'"]


def test_a_renamed_column_is_noticed_from_both_sides(drifted: Callable[..., list[str]]) -> None:
    assert drifted("ALTER TABLE workflows RENAME COLUMN output TO result") == [
        "missing: column of workflows: output TEXT",
        "not ours: column of workflows: result TEXT",
    ]


def test_a_missing_table_is_noticed_with_all_that_it_had(
    drifted: Callable[..., list[str]],
) -> None:
    differences = drifted("DROP TABLE api_keys")
    assert "missing: table: api_keys STRICT" in differences
    assert "missing: column of api_keys: fingerprint BLOB NOT NULL" in differences
    assert all("api_keys" in line and line.startswith("missing: ") for line in differences)


def test_a_table_a_trigger_and_a_view_that_are_not_ours_are_noticed(
    drifted: Callable[..., list[str]],
) -> None:
    assert drifted(
        "CREATE TABLE songs (title TEXT)",
        "CREATE VIEW admins AS SELECT * FROM users",
        "CREATE TRIGGER sing AFTER INSERT ON users BEGIN SELECT 1; END",
    ) == [
        "not ours: column of songs: title TEXT",
        "not ours: table: songs",
        "not ours: trigger of users: CREATE TRIGGER sing AFTER INSERT ON users BEGIN SELECT 1; END",
        "not ours: view: admins",
    ]


def test_a_table_that_lost_its_foreign_key_or_its_strictness_is_noticed(
    drifted: Callable[..., list[str]], path: Path, bare: Connect
) -> None:
    (text,) = (
        bare(path)
        .execute("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'api_keys'")
        .fetchone()
    )
    loose = text.replace(" STRICT", "").replace(" REFERENCES users (user_id) ON DELETE CASCADE", "")
    indexes = [sql for sql in MIGRATIONS[0].up_sql.split(";\n") if "CREATE INDEX api_keys_" in sql]
    assert len(indexes) == 2
    assert drifted("DROP TABLE api_keys", loose, *indexes) == [
        "missing: foreign key of api_keys: (user_id) REFERENCES users (user_id) ON DELETE CASCADE "
        "ON UPDATE NO ACTION",
        "missing: table: api_keys STRICT",
        "not ours: table: api_keys",
    ]


def test_a_changed_step_is_told_before_its_schema_is_looked_at(
    path: Path, store: Store, bare: Connect
) -> None:
    bare(path).execute("UPDATE engine_store_migrations SET checksum = 'x' WHERE version = 3")
    with pytest.raises(MigrationDriftError) as caught:
        store.migrator.verify()
    assert caught.value.differences == ("step 3 was applied as 'tasks' with another checksum",)


def test_a_schema_that_is_behind_is_told_as_such(store: Store) -> None:
    store.migrator.down(2)
    with pytest.raises(SchemaBehindError) as caught:
        store.migrator.verify()
    assert (caught.value.database, caught.value.code) == (2, len(MIGRATIONS))


def test_the_statistics_of_analyze_are_no_drift(
    store: Store, writer_of: Callable[[Any], sqlite3.Connection]
) -> None:
    writer_of(store).execute("ANALYZE")
    writer_of(store).execute("PRAGMA optimize")
    store.migrator.verify()
