"""The schema's steps: up, down, side by side, with data in between, all of them or none."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import attrs
import pytest

import engine_store
from engine_store.errors import (
    ConfigurationError,
    DatabaseError,
    StoreClosedError,
)
from engine_store.migrations import Direction, Migration
from engine_store.protocols import OpenContext, Store
from engine_store.sql.blocking import run
from engine_store.sql.stores import BlockingMigrator
from engine_store_contracts.suite.samples import api_key, full_task, full_workflow, user
from engine_store_sqlite import files
from engine_store_sqlite.connections import SqliteConnection, connect
from engine_store_sqlite.dialect import DIALECT, MIGRATIONS, QUERIES
from engine_store_sqlite.migrator import APPLICATION_ID, SqliteMigrator

Connect = Callable[[Path], sqlite3.Connection]

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)

NEWEST = len(MIGRATIONS)


def schema(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    """The text of every object in a database."""
    return connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
    ).fetchall()


def versions(plan: Any) -> list[int]:
    return [step.version for step in plan.steps]


class Steps:
    """Listeners that note the steps of the schema."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, Direction]] = []

    def migration_applied(self, driver: str, migration: Migration, direction: Direction) -> None:
        self.steps.append((migration.version, direction))


@pytest.fixture
def applied() -> Steps:
    return Steps()


@pytest.fixture
def migrator_of(applied: Steps) -> Callable[..., BlockingMigrator]:
    """A migrator of a store's database with other steps than the driver's."""

    def make(store: Any, steps: tuple[Migration, ...]) -> BlockingMigrator:
        context = OpenContext(lambda: NOW, applied)
        pool = store.engine.pool
        return BlockingMigrator(SqliteMigrator(pool, DIALECT, QUERIES, steps, context, 10))

    return make


# --- up and down ---------------------------------------------------------------------------------


def test_opening_applies_every_step_and_marks_the_file_as_ours(
    path: Path, store: Store, bare: Connect
) -> None:
    connection = bare(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert APPLICATION_ID.to_bytes(4, "big") == b"ESTR"
    applied = connection.execute(
        "SELECT version, name, checksum FROM engine_store_migrations ORDER BY version"
    ).fetchall()
    assert applied == [(step.version, step.name, step.checksum) for step in MIGRATIONS]
    assert store.health().schema_version == NEWEST


@pytest.mark.parametrize("low", range(NEWEST))
def test_applying_reverting_and_applying_again_gives_the_same_schema(
    path: Path, store: Store, bare: Connect, low: int
) -> None:
    connection = bare(path)
    fresh = schema(connection)
    assert versions(store.migrator.down(low)) == list(range(NEWEST, low, -1))
    assert versions(store.migrator.up()) == list(range(low + 1, NEWEST + 1))
    assert schema(connection) == fresh
    store.migrator.verify()


def test_reverting_everything_leaves_the_record_of_steps_alone(
    path: Path, store: Store, bare: Connect
) -> None:
    store.migrator.down(0)
    connection = bare(path)
    assert [name for kind, name, *_ in schema(connection) if kind == "table"] == [
        "engine_store_migrations"
    ]
    assert connection.execute("SELECT * FROM engine_store_migrations").fetchall() == []
    assert store.health().schema_version == 0


def test_one_step_at_a_time_is_the_same_as_all_at_once(
    path: Path, store: Store, bare: Connect
) -> None:
    fresh = schema(bare(path))
    store.migrator.down(0)
    for step in MIGRATIONS:
        assert versions(store.migrator.up(step.version)) == [step.version]
    assert schema(bare(path)) == fresh


def test_up_does_not_go_down_nor_down_up(store: Store) -> None:
    assert versions(store.migrator.up(1)) == []
    assert store.migrator.up(1).direction is Direction.UP
    assert versions(store.migrator.down(NEWEST)) == []
    assert store.migrator.down(NEWEST).direction is Direction.DOWN
    assert store.health().schema_version == NEWEST
    store.migrator.down(1)
    assert versions(store.migrator.down(2)) == []
    assert store.health().schema_version == 1


@pytest.mark.parametrize("target", [-1, NEWEST + 1])
def test_a_step_that_is_not_there_is_refused(store: Store, target: int) -> None:
    for call in (store.migrator.up, store.migrator.down, store.migrator.plan):
        with pytest.raises(ConfigurationError) as caught:
            call(target)
        assert caught.value.field == "target"
    assert store.health().schema_version == NEWEST


@pytest.mark.parametrize("version", range(NEWEST - 1, 0, -1))
def test_data_written_before_a_step_is_read_after_it(
    path: Path, store: Store, bare: Connect, version: int
) -> None:
    ann = store.users.create(user("ann"))
    key = store.api_keys.create(api_key("k"))
    state = store.workflows.create(full_workflow())
    root = full_task().evolve(queue="default", priority=0, due_at=None)  # which came with a step
    store.tasks.create(root)
    store.tasks.create(attrs.evolve(root, task_exec_id="c", parent_state_id="t"))
    tasks = store.tasks.tree("t")

    store.migrator.down(version)
    assert bare(path).execute("PRAGMA foreign_key_check").fetchall() == []
    store.migrator.up()

    assert store.users.get("ann") == ann
    assert store.api_keys.get("k") == key
    assert bare(path).execute("PRAGMA foreign_key_check").fetchall() == []
    if version >= 2:
        assert store.workflows.get("w") == state
    if version >= 3:
        assert store.tasks.tree("t") == tasks


# --- plan and status -----------------------------------------------------------------------------


def test_a_plan_shows_the_sql_and_runs_nothing(path: Path, store: Store, bare: Connect) -> None:
    before = schema(bare(path))
    down = store.migrator.plan(1)
    assert (down.direction, versions(down)) == (Direction.DOWN, list(range(NEWEST, 1, -1)))
    assert down.sql == "\n".join(step.down_sql for step in MIGRATIONS[:0:-1])
    assert store.migrator.plan().steps == ()
    assert schema(bare(path)) == before
    store.migrator.down(1)
    up = store.migrator.plan()
    assert (up.direction, versions(up)) == (Direction.UP, list(range(2, NEWEST + 1)))
    assert "CREATE TABLE tasks" in up.sql
    assert store.health().schema_version == 1


def test_the_status_says_when_each_step_was_applied_by_the_stores_clock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = timezone(timedelta(hours=2))
    clock = lambda: NOW.astimezone(here)  # noqa: E731
    with engine_store.open(f"sqlite:///{path}", clock=clock) as store:
        store.migrator.down(1)
        status = store.migrator.status()
    assert [(step.version, step.name) for step in status] == [
        (step.version, step.name) for step in MIGRATIONS
    ]
    assert [step.applied_at for step in status] == [NOW, *[None] * (NEWEST - 1)]
    assert status[0].applied_at is not None
    assert status[0].applied_at.utcoffset() == timedelta(0)


def test_a_closed_store_migrates_nothing(store: Store) -> None:
    store.close()
    for call in (
        store.migrator.status,
        store.migrator.plan,
        store.migrator.up,
        lambda: store.migrator.down(0),
        store.migrator.verify,
    ):
        with pytest.raises(StoreClosedError):
            call()


# --- whole steps ------------------------------------------------------------------------------

BROKEN = Migration(
    NEWEST + 2,
    "broken",
    "CREATE TABLE all_ (x);\nALTER TABLE all_ RENAME TO half;\nINSERT INTO missing VALUES (1);",
    "DROP TABLE half;\nDROP TABLE missing;",
)
FINE = Migration(NEWEST + 1, "fine", "CREATE TABLE fine (x);", "DROP TABLE fine;")


def test_a_failing_step_changes_nothing_and_the_steps_before_it_stay(
    path: Path,
    store: Store,
    bare: Connect,
    migrator_of: Callable[..., BlockingMigrator],
    applied: Steps,
) -> None:
    migrator = migrator_of(store, (*MIGRATIONS, FINE, BROKEN))
    fine = FINE.version
    assert versions(migrator.up(fine)) == [fine]
    before = schema(bare(path))
    assert versions(migrator.down(NEWEST)) == [fine]
    with pytest.raises(DatabaseError, match="no such table: missing"):
        migrator.up()
    assert schema(bare(path)) == before
    assert store.health().schema_version == fine
    assert applied.steps == [(fine, Direction.UP), (fine, Direction.DOWN), (fine, Direction.UP)]
    assert store.workflows.create(full_workflow()).version == 1, "the lock is free"


def test_a_step_that_cannot_be_reverted_changes_nothing(
    path: Path,
    store: Store,
    bare: Connect,
    migrator_of: Callable[..., BlockingMigrator],
    applied: Steps,
) -> None:
    stuck = Migration(NEWEST + 1, "stuck", "CREATE TABLE stuck (x);", "DROP TABLE missing;")
    last = Migration(NEWEST + 2, "last", "CREATE TABLE last (x);", "DROP TABLE last;")
    migrator = migrator_of(store, (*MIGRATIONS, stuck, last))
    migrator.up(stuck.version)
    before = schema(bare(path))
    migrator.up()
    with pytest.raises(DatabaseError, match="no such table: missing"):
        migrator.down(NEWEST)
    assert schema(bare(path)) == before
    assert versions(migrator.plan(0)) == list(range(stuck.version, 0, -1))
    assert applied.steps == [
        (stuck.version, Direction.UP),
        (last.version, Direction.UP),
        (last.version, Direction.DOWN),
    ]


def test_a_fresh_file_whose_first_step_fails_stays_empty(
    path: Path, monkeypatch: pytest.MonkeyPatch, bare: Connect
) -> None:
    steps = (attrs.evolve(BROKEN, version=1),)
    monkeypatch.setattr("engine_store_sqlite.driver.MIGRATIONS", steps)
    with pytest.raises(DatabaseError, match="no such table: missing"):
        engine_store.open(f"sqlite:///{path}")
    assert schema(bare(path)) == []
    assert bare(path).execute("PRAGMA application_id").fetchone() == (0,)


def test_racing_threads_apply_each_step_once(path: Path, bare: Connect) -> None:
    together = threading.Barrier(8)

    def open_() -> int:
        together.wait(30)
        with engine_store.open(f"sqlite:///{path}") as store:
            return store.health().schema_version

    with ThreadPoolExecutor(8) as threads:
        found = [threads.submit(open_) for _ in range(8)]
        assert [future.result(60) for future in found] == [NEWEST] * 8
    applied = bare(path).execute("SELECT version FROM engine_store_migrations ORDER BY 1")
    assert applied.fetchall() == [(step.version,) for step in MIGRATIONS]


def test_who_waited_for_another_migrator_runs_only_what_is_still_missing(
    store: Any, writer_of: Callable[[Any], sqlite3.Connection]
) -> None:
    store.migrator.down(1)
    writer = SqliteConnection(writer_of(store))
    with ThreadPoolExecutor(1) as thread, store.transaction():
        waiting = thread.submit(store.migrator.up)
        for step in MIGRATIONS[1:]:
            run(writer.execute(step.up_sql))
            record = QUERIES.record_applied(
                version=step.version,
                name=step.name,
                checksum=step.checksum,
                applied_at=NOW.isoformat(),
            )
            run(writer.run(record))
    assert versions(waiting.result(30)) == []
    store.migrator.verify()


# --- splitting scripts ---------------------------------------------------------------------------


def test_a_script_is_split_where_its_statements_end_and_nowhere_else() -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM b;\n  DELETE FROM c;\nEND;\n"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        ran: list[str] = []
        raw.set_trace_callback(ran.append)
        script = "CREATE TABLE a (x DEFAULT ';');\n{}CREATE TABLE b (x);\n-- nothing; at all\n\n"
        run(SqliteConnection(raw).execute(script.format(trigger)))
        run(SqliteConnection(raw).execute(""))
        assert ran == ["CREATE TABLE a (x DEFAULT ';');", trigger.strip(), "CREATE TABLE b (x);"]
        assert not raw.in_transaction


def test_a_database_that_is_migrated_during_the_check_is_not_taken_for_a_foreign_one(
    path: Path, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(path)) as empty:
        empty.execute("PRAGMA journal_mode = WAL")  # as a racing starter has left it so far
    migrated: list[Store] = []

    def connect_and_be_overtaken(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)

        def overtake(statement: str) -> None:
            if statement.startswith("SELECT count(*)") and not migrated:
                monkeypatch.setattr(files, "connect", connect)
                migrated.append(open_store(path))

        connection.set_trace_callback(overtake)
        return connection

    monkeypatch.setattr(files, "connect", connect_and_be_overtaken)
    assert open_store(path).health().ok
    assert len(migrated) == 1
