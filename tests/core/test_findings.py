"""What is found wrong, or risky, with a configuration before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine_store import Config, DatabaseConfig, load
from engine_store.config import Finding, Knowledge, Severity, VectorDatabase, VectorProvider, Worker
from engine_store.errors import ConfigurationError, DriverLoadError, UnknownDriverError
from engine_store.plugins import hookimpl
from engine_store.startup import check, findings
from engine_store_sqlite.driver import MEASURED_WORKFLOWS

pytestmark = pytest.mark.usefixtures("fixed_sqlite")

ERROR, WARNING = Severity.ERROR, Severity.WARNING

PGVECTOR = VectorDatabase("p", VectorProvider.PGVECTOR, 3)
FOLDER = VectorDatabase("f", VectorProvider.FILESYSTEM, 3, path="vectors")


def sqlite(path: object = ":memory:", *dbs: VectorDatabase, **options: Any) -> Config:
    """A configuration of SQLite, with vector databases where there are any."""
    database = DatabaseConfig(driver="sqlite", options={"path": str(path), **options})
    return Config(database, Knowledge(dbs) if dbs else None)


def postgres(*dbs: VectorDatabase, url: str | None = None, **options: Any) -> Config:
    """A configuration of PostgreSQL."""
    return Config(DatabaseConfig(url, options=options), Knowledge(dbs) if dbs else None)


@pytest.mark.parametrize(
    "config",
    [
        sqlite(),
        sqlite(":memory:", FOLDER),
        postgres(),
        postgres(PGVECTOR),
        postgres(PGVECTOR, FOLDER),
        Config(knowledge=Knowledge()),
        Config(worker=Worker(10_000)),
        Config(DatabaseConfig("sqlite:///:memory:"), worker=Worker(MEASURED_WORKFLOWS)),
    ],
)
def test_nothing_is_found_where_nothing_is_wrong(config):
    assert findings(config) == ()


# --- vectors -----------------------------------------------------------------------------------

NO_PGVECTOR = Finding(
    ERROR,
    "knowledge.vector_dbs",
    "sqlite has no pgvector: use Qdrant, Redis or the filesystem beside it; set the provider to "
    "qdrant, redis or filesystem, or the driver to postgres",
)


def test_sqlite_with_pgvector_is_an_error_that_names_the_alternatives():
    assert findings(sqlite(":memory:", PGVECTOR)) == (NO_PGVECTOR,)
    assert findings(sqlite(":memory:", FOLDER, PGVECTOR)) == (NO_PGVECTOR,)


def test_sqlite_with_knowledge_and_no_vector_database_is_a_warning():
    assert findings(Config(sqlite().database, Knowledge())) == (
        Finding(
            WARNING,
            "knowledge.vector_dbs",
            "there is none, and sqlite keeps no vectors itself; add one with the provider qdrant, "
            "redis or filesystem",
        ),
    )


def test_an_id_that_is_given_twice_is_an_error():
    assert findings(postgres(PGVECTOR, FOLDER, PGVECTOR)) == (
        Finding(ERROR, "knowledge.vector_dbs", "the id 'p' is given twice"),
    )


# --- what is asked of SQLite -------------------------------------------------------------------


def test_more_workflows_than_sqlite_was_measured_with_are_a_warning_with_the_figure():
    config = Config(sqlite().database, worker=Worker(MEASURED_WORKFLOWS + 1))
    assert findings(config) == (
        Finding(
            WARNING,
            "worker.max_concurrent_workflows",
            "301 is more than the 300 that SQLite was measured to hold, with 99 of 100 updates "
            "within 100 ms: they share one writer; use postgres, or expect writes to wait",
        ),
    )


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610])
def test_a_file_that_others_may_use_is_a_warning(mode, tmp_path):
    path = tmp_path / "engine.db"
    path.touch()
    path.chmod(mode)
    assert findings(sqlite(path)) == (
        Finding(WARNING, "database.path", f"{path} is open to others; run chmod 600 on it"),
    )
    path.chmod(0o600)
    assert findings(sqlite(path)) == ()


def test_a_folder_in_the_place_of_a_file_gets_no_advice_for_files(tmp_path):
    assert findings(sqlite(tmp_path)) == ()


@pytest.mark.parametrize("path", ["../engine.db", "a/../../engine.db", "/engine.db"])
def test_a_path_that_leads_out_of_the_base_directory_is_an_error(path, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    assert findings(sqlite(path, base_dir=str(base))) == (
        Finding(
            ERROR,
            "database.path",
            f"{path!r} leads out of the base directory {str(base)!r}; name a file inside it",
        ),
    )
    assert findings(sqlite("a/../engine.db", base_dir=str(base))) == ()


def test_a_link_out_of_the_base_directory_is_an_error_too(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "out").symlink_to(tmp_path)
    [found] = findings(sqlite("out/engine.db", base_dir=str(tmp_path / "base")))
    assert (found.severity, found.field) == (ERROR, "database.path")


# --- what a driver thinks wrong with its settings ----------------------------------------------


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        (
            Config(DatabaseConfig(driver="sqlite")),
            "database.url",
            "expected sqlite:///file.db, or the option path",
        ),
        (
            Config(DatabaseConfig("sqlite://host/a.db")),
            "database.url",
            "a SQLite database has no host, found sqlite://host/a.db; a relative file is written "
            "sqlite:///file.db, an absolute one sqlite:////path/to/file.db",
        ),
        (
            Config(DatabaseConfig("sqlite:///a.db", options={"path": "b.db"})),
            "database.path",
            "expected a URL or a path, found both",
        ),
        (postgres(port="0"), "database.port", "expected 1 to 65535, or such for each host"),
        (
            postgres(url="postgresql://h/d", conn_string="host=h"),
            "database.conn_string",
            "expected a URL or this, found both",
        ),
        (
            postgres(url="postgresql://h/d?shema=x"),
            "database.url",
            "no parameter of a PostgreSQL URL is called shema",
        ),
        (
            postgres(pool_min_size=9),
            "database.pool_min_size",
            "expected at most pool_max_size, which is 8",
        ),
    ],
)
def test_what_the_driver_cannot_use_is_an_error_at_its_place(config, field, message):
    assert findings(config) == (Finding(ERROR, field, message),)


def test_several_mistakes_in_a_url_are_several_errors():
    found = findings(Config(DatabaseConfig("sqlite:///a.db?readers=0&busy_timeout=soon")))
    assert [(one.field, one.message) for one in found] == [
        ("database.busy_timeout", "expected a duration, such as 5s or 2m, found text"),
        ("database.readers", "expected 1 or more"),
    ]


@pytest.mark.parametrize("name", ["mysql", "broken"])
def test_a_driver_that_cannot_be_had_is_an_error_of_its_own(name, distributions):
    distributions("x", "[engine_store.drivers]\nbroken = x_broken", {"x_broken": "import x_none"})
    with pytest.raises((UnknownDriverError, DriverLoadError)):
        findings(Config(DatabaseConfig(driver=name)))


# --- rules of others, and what a start makes of them -------------------------------------------


class House:
    """A rule of an engine's own."""

    @hookimpl
    def engine_store_check(self, config: Config) -> list[Finding]:
        return [
            Finding(WARNING, "worker", "think twice"),
            Finding(ERROR, "worker", f"{config.worker.max_concurrent_workflows} is not a prime"),
        ]


class Silent:
    """A rule that finds nothing."""

    @hookimpl
    def engine_store_check(self) -> None:
        return None


def test_a_plugin_has_rules_of_its_own_and_errors_come_first():
    assert findings(sqlite(), [House(), Silent()]) == (
        Finding(ERROR, "worker", "10 is not a prime"),
        Finding(WARNING, "worker", "think twice"),
    )


def test_a_check_returns_warnings_and_raises_every_error():
    config = Config(sqlite().database, Knowledge())
    assert [one.severity for one in check(config)] == [WARNING]
    with pytest.raises(ConfigurationError) as caught:
        check(sqlite(":memory:", PGVECTOR), [House()])
    assert [str(problem) for problem in caught.value.problems] == [
        "worker: 10 is not a prime",
        f"knowledge.vector_dbs: {NO_PGVECTOR.message}",
    ]


def test_a_rule_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    check(load(environment={}, arguments={"database": {"url": "sqlite:///engine.db"}}))
    check(postgres(url="postgresql://nobody@nowhere.invalid/engine"))
    assert list(tmp_path.iterdir()) == []
