"""`start` and `start_async`: a store that can be used, or a clear error and nothing left open."""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
import psutil
import psycopg
import pytest
from pluggy import PluginManager

import engine_store
from engine_store import Config, DatabaseConfig, WorkflowState, new_id
from engine_store.errors import (
    ConfigurationError,
    MigrationLockError,
    SchemaAheadError,
    SchemaBehindError,
    UnavailableError,
)
from engine_store.models import Health
from engine_store.plugins import hookimpl
from engine_store.run_context import LOGGER
from engine_store.sql.stores import AsyncSqlStore, SqlStore
from engine_store.startup import findings
from engine_store_postgres.options import PostgresOptions
from engine_store_sqlite.options import SqliteOptions

pytestmark = pytest.mark.usefixtures("fixed_sqlite")

PATIENCE = 30.0


@attrs.frozen
class Database:
    """A database that nothing has opened yet, and how much is open of it."""

    driver: str
    url: str
    open_now: Callable[[], int]

    def config(self, **more: Any) -> dict[str, Any]:
        return {"database": {"url": self.url, **more}}

    def all_closed(self) -> bool:
        """Whether nothing is open, as soon as the server has noticed it."""
        deadline = time.monotonic() + PATIENCE
        while self.open_now() and time.monotonic() < deadline:
            pass
        return self.open_now() == 0


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        path = tmp_path / "engine.db"

        def files() -> int:
            opened = psutil.Process().open_files()
            return sum(1 for one in opened if one.path.startswith(str(path)))

        return Database("sqlite", f"sqlite:///{path}", files)
    url = request.getfixturevalue("make_schema")(application_name=f"x{new_id()}")
    admin = request.getfixturevalue("postgres_admin")
    name = re.search("application_name=([^&]*)", url)[1]

    def connections() -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        return admin.execute(query, [name]).fetchone()[0]

    return Database("postgres", url, connections)


class Started:
    """A store that was started, whichever its face."""

    def __init__(self, run: Callable[[Any], Any], store: Any) -> None:
        self.run, self.store = run, store

    def health(self) -> Health:
        return self.run(self.store.health())

    def close(self) -> None:
        self.run(self.store.close())


@pytest.fixture(params=["sync", "async"])
def start(request: pytest.FixtureRequest) -> Iterator[Callable[..., Started]]:
    """Starts a store with one face and with the other; closes it in the end."""
    with asyncio.Runner() as runner:
        started: list[Started] = []

        def run(value: Any) -> Any:
            is_asynchronous = asyncio.iscoroutine(value)
            return runner.run(value, context=copy_context()) if is_asynchronous else value

        def start_it(*given: Any, **named: Any) -> Started:
            begin = engine_store.start if request.param == "sync" else engine_store.start_async
            started.append(Started(run, run(begin(*given, **named))))
            return started[-1]

        yield start_it
        for one in started:
            one.close()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The lines logged so far in the test, with their levels; times are written N."""
    caplog.set_level(logging.INFO, LOGGER)

    def lines() -> list[str]:
        found = [f"{one.levelname} {one.getMessage()}" for one in caplog.records]
        return [re.sub(r"seconds=[\d.e-]+", "seconds=N", line) for line in found]

    return lines


# --- a store that can be used ------------------------------------------------------------------


def test_a_started_store_is_open_migrated_and_healthy(database, start, steps_of):
    started = start(database.config())
    assert started.health().ok
    assert started.health().schema_version == len(steps_of(database.driver))
    assert database.open_now() > 0
    started.close()
    assert database.all_closed()


def test_a_start_logs_each_step_and_one_line_that_says_what_was_started(
    database, start, logged, steps_of
):
    start(database.config()).close()
    start(database.config(auto_migrate=False))
    driver, steps = database.driver, steps_of(database.driver)
    assert logged() == [
        *(
            f"INFO schema step up driver={driver} step={step.version} name={step.name}"
            for step in steps
        ),
        *(
            f"INFO store started driver={driver} mode={mode} schema_version={len(steps)} seconds=N"
            for mode in ("auto-migrate", "no migration")
        ),
    ]


def test_the_line_has_its_fields_as_attributes(database, start, caplog, logged, steps_of):
    start(database.config())
    record = caplog.records[-1]
    assert (record.driver, record.mode, record.schema_version) == (
        database.driver,
        "auto-migrate",
        len(steps_of(database.driver)),
    )
    assert 0 < record.seconds < PATIENCE


def test_the_logger_is_that_of_the_context(database, start, caplog):
    caplog.set_level(logging.INFO, "mine")
    with engine_store.context(logger=logging.getLogger("mine")):
        start(database.config())
    assert {record.name for record in caplog.records} == {"mine"}


def test_operations_are_logged_at_the_level_debug(database, caplog):
    caplog.set_level(logging.DEBUG, LOGGER)
    with engine_store.start(database.config()) as store:
        caplog.clear()
        saved = store.workflows.create(WorkflowState(new_id(), "w"))
        store.workflows.update(saved)
        with pytest.raises(engine_store.errors.VersionConflictError):
            store.workflows.update(saved)
    lines = [re.sub(r"seconds=[\d.e-]+", "seconds=N", one.getMessage()) for one in caplog.records]
    assert lines == [
        f"operation driver={database.driver} operation=workflows.create seconds=N",
        f"operation driver={database.driver} operation=workflows.update seconds=N",
        f"conflict driver={database.driver} operation=workflows.update expected=1 actual=2",
        f"operation driver={database.driver} operation=workflows.update error=VersionConflictError "
        "seconds=N",
    ]


def test_a_configuration_comes_from_a_model_a_file_a_tree_or_the_environment(
    start, tmp_path, monkeypatch
):
    url = f"sqlite:///{tmp_path}/a.db"
    file = tmp_path / "engine.toml"
    file.write_text(f"database.url = '{url}'")
    for given in (Config(DatabaseConfig(url)), file, str(file), {"database": {"url": url}}):
        assert start(given).health().driver == "sqlite"
    monkeypatch.setenv("ENGINE_STORE_DATABASE_URL", url)
    assert start().health().driver == "sqlite"


def test_the_store_gets_the_clock_and_the_listeners(database, start):
    opened = []

    class Listener:
        @hookimpl
        def engine_store_opened(self, driver):
            opened.append(driver)

    moment = engine_store.utc_now().replace(year=2024)
    started = start(database.config(), clock=lambda: moment, plugins=iter([Listener()]))
    saved = started.run(started.store.workflows.create(WorkflowState(new_id(), "w")))
    assert saved.created_at == moment
    assert opened == [database.driver]


@pytest.fixture
def counted(monkeypatch):
    """The numbers of plugin managers and how many settings of drivers were made so far."""
    made = Counter()

    def counting(cls):
        original = cls.__init__

        def init(self, *args, **kwargs):
            made[cls] += 1
            original(self, *args, **kwargs)

        monkeypatch.setattr(cls, "__init__", init)

    for cls in (PluginManager, PostgresOptions, SqliteOptions):
        counting(cls)
    return lambda: (made[PluginManager], made[PostgresOptions] + made[SqliteOptions])


def test_a_start_makes_one_plugin_manager_and_parses_the_settings_once(database, start, counted):
    start(database.config())
    assert counted() == (1, 1)


def test_settings_stay_parsed_where_knowledge_asks_for_vectors(counted):
    dbs = [{"id": "v", "provider": "pgvector", "dimension": 3}]
    tree = {"database": {"port": 5432}, "knowledge": {"vector_dbs": dbs}}
    assert findings(engine_store.load(environment={}, arguments=tree)) == ()
    assert counted() == (1, 1)


def test_an_open_does_too_and_the_same_configuration_is_not_parsed_again(database, counted):
    config = DatabaseConfig(database.url)
    engine_store.open(config).close()
    assert counted() == (1, 1)
    engine_store.open(config).close()
    assert counted() == (2, 1)


@pytest.mark.parametrize("given", [True, False], ids=["asked for", "by knowledge"])
def test_pgvector_is_made_where_knowledge_asks_for_it(given, make_schema, start, monkeypatch):
    asked = []

    async def enable(self, *, auto_migrate):
        asked.append(auto_migrate)

    monkeypatch.setattr("engine_store_postgres.migrator.PostgresMigrator.enable_pgvector", enable)
    database = {"url": make_schema(), **({"pgvector": True} if given else {})}
    dbs = [] if given else [{"id": "v", "provider": "pgvector", "dimension": 3}]
    start({"database": database, "knowledge": {"vector_dbs": dbs}})
    start(Config(DatabaseConfig(database["url"])))
    assert asked == [True]


# --- a clear error and nothing left open -------------------------------------------------------


def test_a_warning_is_logged_with_its_field(start, logged, tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    start({"database": {"url": url}, "knowledge": {}})
    assert logged()[0] == (
        "WARNING there is none, and sqlite keeps no vectors itself; add one with the provider "
        "qdrant, redis or filesystem field=knowledge.vector_dbs"
    )


def test_a_configuration_that_is_refused_opens_nothing(start, tmp_path):
    tree = {
        "database": {"url": f"sqlite:///{tmp_path}/a.db"},
        "knowledge": {"vector_dbs": [{"id": "v", "provider": "pgvector", "dimension": 3}]},
    }
    with pytest.raises(ConfigurationError) as caught:
        start(tree)
    assert [problem.path for problem in caught.value.problems] == ["knowledge.vector_dbs"]
    assert list(tmp_path.iterdir()) == []


def test_a_schema_that_is_behind_is_refused_where_nothing_is_migrated(database, start):
    with pytest.raises(SchemaBehindError):
        start(database.config(auto_migrate=False))
    assert database.all_closed()


def test_a_schema_that_is_ahead_is_refused(database, start, monkeypatch):
    engine_store.open(database.url).close()
    driver = importlib.import_module(f"engine_store_{database.driver}.driver")
    monkeypatch.setattr(driver, "MIGRATIONS", driver.MIGRATIONS[:1])
    with pytest.raises(SchemaAheadError):
        start(database.config())
    assert database.all_closed()


def test_a_store_that_is_not_healthy_is_refused(database, start, monkeypatch):
    async def asynchronous(self):
        return sick

    sick = Health(database.driver, can_read=True, can_write=False, schema_version=3, problem="full")
    monkeypatch.setattr(SqlStore, "health", lambda self: sick)
    monkeypatch.setattr(AsyncSqlStore, "health", asynchronous)
    with pytest.raises(UnavailableError, match=r"^full$"):
        start(database.config())
    assert database.all_closed()


def test_a_store_whose_health_cannot_be_asked_is_closed(database, start, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    for store in (SqlStore, AsyncSqlStore):
        monkeypatch.setattr(store, "health", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start(database.config())
    assert database.all_closed()


def test_a_listener_that_refuses_the_store_closes_it(database, start):
    class Listener:
        @hookimpl
        def engine_store_opened(self, driver):
            raise UnavailableError("not now")

    with pytest.raises(UnavailableError, match=r"^not now$"):
        start(database.config(), plugins=[Listener()])
    assert database.all_closed()


def test_a_migration_waits_no_longer_than_it_may(start, tmp_path):
    path = tmp_path / "engine.db"
    engine_store.open(f"sqlite:///{path}").close()
    with engine_store.open(f"sqlite:///{path}") as store:
        store.migrator.down(0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    tree = {"database": {"url": f"sqlite:///{path}", "migration_timeout": "0s"}}
    with pytest.raises(MigrationLockError) as caught:
        start(tree)
    assert caught.value.timeout == 0
    other.execute("ROLLBACK")
    other.close()
    opened = [one.path for one in psutil.Process().open_files()]
    assert not [one for one in opened if one.startswith(str(path))]


def test_a_server_that_is_not_there_leaves_no_connection(start):
    query = urlencode({"host": "/nowhere-at-all", "connect_timeout": 1})
    before = psutil.Process().num_fds()
    with pytest.raises(UnavailableError):
        start({"database": {"url": f"postgresql:///engine?{query}"}})
    assert psutil.Process().num_fds() == before


def test_a_user_without_rights_leaves_no_connection(start, make_schema, postgres_admin):
    role = f"limited_{new_id().replace('-', '')[:16]}"
    postgres_admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'".encode())
    try:
        name = f"x{new_id()}"
        url = make_schema(user=role, application_name=name)
        with pytest.raises((ConfigurationError, UnavailableError, psycopg.Error)):
            start({"database": {"url": url}})
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        deadline = time.monotonic() + PATIENCE
        while postgres_admin.execute(query, [name]).fetchone()[0] and time.monotonic() < deadline:
            pass
        assert postgres_admin.execute(query, [name]).fetchone() == (0,)
    finally:
        postgres_admin.execute(f"DROP ROLE {role}".encode())
