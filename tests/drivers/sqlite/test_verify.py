"""What verifying notices where somebody changed the schema by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from engine_store.errors import MigrationDriftError, SchemaBehindError
from engine_store.protocols import Store
from engine_store_sqlite.driver import MIGRATIONS
from engine_store_sqlite.migrator import split

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
    (difference,) = drifted("DROP INDEX tasks_by_status")
    assert difference.startswith("index of tasks missing: ")
    assert "tasks_by_status" in difference


def test_an_index_that_is_not_ours_is_noticed(drifted: Callable[..., list[str]]) -> None:
    (difference,) = drifted("CREATE INDEX mine ON tasks (action_id)")
    assert difference.startswith("index of tasks not ours: ")
    assert "mine" in difference


@pytest.mark.parametrize(
    "index",
    [
        "CREATE INDEX tasks_by_agent ON tasks (agent_id, created_at, task_exec_id)",
        "CREATE UNIQUE INDEX tasks_by_agent ON tasks (agent_id, created_at, task_exec_id) "
        "WHERE agent_id IS NOT NULL",
        "CREATE INDEX tasks_by_agent ON tasks (agent_id, created_at DESC, task_exec_id) "
        "WHERE agent_id IS NOT NULL",
    ],
    ids=["not partial", "unique", "another order"],
)
def test_an_index_of_the_same_name_and_another_kind_is_noticed(
    drifted: Callable[..., list[str]], index: str
) -> None:
    missing, not_ours = drifted("DROP INDEX tasks_by_agent", index)
    assert missing.startswith("index of tasks missing: ")
    assert not_ours.startswith("index of tasks not ours: ")
    assert "tasks_by_agent" in missing
    assert "tasks_by_agent" in not_ours


def test_an_extra_column_is_noticed(drifted: Callable[..., list[str]]) -> None:
    (difference,) = drifted("ALTER TABLE users ADD COLUMN nickname TEXT")
    assert difference.startswith("column of users not ours: ")
    assert "nickname" in difference


def test_a_renamed_column_is_noticed_from_both_sides(drifted: Callable[..., list[str]]) -> None:
    differences = drifted("ALTER TABLE workflows RENAME COLUMN output TO result")
    assert [difference.partition(":")[0] for difference in differences] == [
        "column of workflows missing",
        "column of workflows not ours",
    ]
    assert "'output'" in differences[0]
    assert "'result'" in differences[1]


def test_a_missing_table_is_noticed(drifted: Callable[..., list[str]]) -> None:
    assert drifted("DROP TABLE api_keys") == ["table missing: api_keys"]


def test_a_table_a_trigger_and_a_view_that_are_not_ours_are_noticed(
    drifted: Callable[..., list[str]],
) -> None:
    assert drifted(
        "CREATE TABLE songs (title TEXT)",
        "CREATE VIEW admins AS SELECT * FROM users",
        "CREATE TRIGGER sing AFTER INSERT ON users BEGIN SELECT 1; END",
    ) == ["table not ours: songs", "trigger not ours: sing", "view not ours: admins"]


def test_a_table_that_lost_its_foreign_key_or_its_strictness_is_noticed(
    drifted: Callable[..., list[str]], path: Path, bare: Connect
) -> None:
    (text,) = (
        bare(path)
        .execute("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'api_keys'")
        .fetchone()
    )
    loose = text.replace(" STRICT", "").replace(" REFERENCES users (user_id) ON DELETE CASCADE", "")
    indexes = [sql for sql in split(MIGRATIONS[0].up_sql) if "CREATE INDEX api_keys_" in sql]
    assert len(indexes) == 2
    differences = drifted("DROP TABLE api_keys", loose, *indexes)
    assert len(differences) == 2
    assert differences[0].startswith("foreign key of api_keys missing: ")
    assert differences[1] == "table api_keys is not STRICT"


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
    assert (caught.value.database, caught.value.code) == (2, 3)
