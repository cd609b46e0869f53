"""From a file, the environment and arguments to a configuration, or to every mistake at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from engine_store import Config, DatabaseConfig, load
from engine_store.config import Knowledge, VectorDatabase, VectorProvider, Worker, seconds
from engine_store.errors import ConfigurationError

Load = Callable[..., Config]


@pytest.fixture
def load_toml(tmp_path: Path) -> Load:
    """Loads TOML text as `engine.toml`, with an environment and arguments of the test's own."""

    def load_it(
        text: str = "",
        environment: Mapping[str, str] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> Config:
        file = tmp_path / "engine.toml"
        file.write_text(text, "utf-8")
        return load(file, environment=environment or {}, arguments=arguments)

    return load_it


def problems(call: Callable[[], object]) -> list[str]:
    """The lines of the error that `call` raises, one for each mistake."""
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert caught.value.field in {"configuration", "config"}
    assert caught.value.reason == "; ".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


@frozen
class Case:
    """A configuration of three sources."""

    name: str
    text: str = ""
    environment: Mapping[str, str] = {}
    arguments: Mapping[str, Any] = {}


def database(driver: str = "postgres", url: str | None = None, **options: object) -> Config:
    return Config(DatabaseConfig(url=url, driver=driver, options=options))


def vectors(*dbs: VectorDatabase) -> Knowledge:
    return Knowledge(tuple(dbs))


QDRANT = VectorDatabase("docs", VectorProvider.QDRANT, 1536, url="http://vectors:6333")

VALID: list[tuple[Case, Config]] = [
    (Case("nothing"), Config()),
    (Case("empty sections", "[database]\n[worker]"), Config()),
    (Case("an empty section of knowledge", "[knowledge]"), Config(knowledge=Knowledge())),
    (Case("sections of nothing", arguments={"database": None, "worker": None}), Config()),
    (Case("nothing in knowledge", arguments={"knowledge": None}), Config(knowledge=Knowledge())),
    (Case("a driver", "database.driver = 'sqlite'"), database("sqlite")),
    (
        Case("a URL", "database.url = 'sqlite:///engine.db'"),
        database(url="sqlite:///engine.db"),
    ),
    (
        Case("a URL says more than the driver", "[database]\nurl='sqlite:///a'\ndriver='postgres'"),
        database(url="sqlite:///a"),
    ),
    (
        Case("fields of SQLite", "[database]\ndriver='sqlite'\npath='a.db'\nreaders=2"),
        database("sqlite", path="a.db", readers=2),
    ),
    (
        Case("a duration", "[database]\ndriver='sqlite'\nbusy_timeout='5s'"),
        database("sqlite", busy_timeout="5s"),
    ),
    (
        Case("fields of PostgreSQL", "[database]\nhost='h'\nport=5432\nuser='u'\npassword='p'"),
        database(host="h", port=5432, user="u", password="p"),
    ),
    (
        Case("other names", "[database]\nname='engine'\nssl_mode='require'"),
        database(name="engine", ssl_mode="require"),
    ),
    (
        Case("a pool", "[database]\npool_max_size=20\npool_timeout='2m'\nlock_timeout='500ms'"),
        database(pool_max_size=20, pool_timeout="2m", lock_timeout="500ms"),
    ),
    (
        Case("a connection string", "database.conn_string = 'host=h dbname=d'"),
        database(conn_string="host=h dbname=d"),
    ),
    (
        Case("no migration", "[database]\nauto_migrate=false\nmigration_timeout='5m'"),
        Config(DatabaseConfig(auto_migrate=False, migration_timeout=300.0)),
    ),
    (
        Case("a worker", "worker.max_concurrent_workflows = 4"),
        Config(worker=Worker(4)),
    ),
    (
        Case(
            "a vector database",
            "[[knowledge.vector_dbs]]\nid='docs'\nprovider='qdrant'\ndimension=1536\n"
            "url='http://vectors:6333'",
        ),
        Config(knowledge=vectors(QDRANT)),
    ),
    (
        Case(
            "a folder of vectors",
            "[[knowledge.vector_dbs]]\nid='f'\nprovider='filesystem'\ndimension=3\npath='v'",
        ),
        Config(knowledge=vectors(VectorDatabase("f", VectorProvider.FILESYSTEM, 3, path="v"))),
    ),
    (
        Case(
            "pgvector: the database is opened for it",
            "[[knowledge.vector_dbs]]\nid='p'\nprovider='pgvector'\ndimension=3",
        ),
        Config(
            DatabaseConfig(vectors=True),
            knowledge=vectors(VectorDatabase("p", VectorProvider.PGVECTOR, 3)),
        ),
    ),
    # the environment
    (
        Case(
            "variables",
            environment={
                "ENGINE_STORE_DATABASE_DRIVER": "sqlite",
                "ENGINE_STORE_DATABASE_PATH": "e.db",
                "ENGINE_STORE_DATABASE_AUTO_MIGRATE": "no",
                "ENGINE_STORE_DATABASE_MIGRATION_TIMEOUT": "2m",
                "ENGINE_STORE_WORKER_MAX_CONCURRENT_WORKFLOWS": "7",
            },
        ),
        Config(
            DatabaseConfig(
                driver="sqlite",
                options={"path": "e.db"},
                auto_migrate=False,
                migration_timeout=120.0,
            ),
            worker=Worker(7),
        ),
    ),
    (
        Case("another name", environment={"ENGINE_STORE_DATABASE_NAME": "engine"}),
        database(name="engine"),
    ),
    (
        Case(
            "a list as JSON",
            environment={
                "ENGINE_STORE_KNOWLEDGE_VECTOR_DBS": json.dumps(
                    [{"id": "docs", "provider": "qdrant", "dimension": 1536, "url": QDRANT.url}]
                )
            },
        ),
        Config(knowledge=vectors(QDRANT)),
    ),
    (
        Case("a text like JSON", environment={"ENGINE_STORE_DATABASE_PASSWORD": '["p"]'}),
        database(password='["p"]'),
    ),
    (
        Case(
            "variables of others",
            environment={
                "ENGINE_STORE_TEST_POSTGRES_URL": "x",
                "HOME": "y",
                "ENGINE_STOREHOUSE": "z",
            },
        ),
        Config(),
    ),
    # precedence
    (
        Case(
            "each stronger than the one before",
            "[database]\ndriver='sqlite'\npath='file'\nreaders=1\nbusy_timeout=1\nsynchronous='off'",
            {"ENGINE_STORE_DATABASE_READERS": "2", "ENGINE_STORE_DATABASE_BUSY_TIMEOUT": "2"},
            {"database": {"busy_timeout": 3}},
        ),
        database("sqlite", path="file", synchronous="off", readers="2", busy_timeout=3),
    ),
    (
        Case(
            "a driver in one source, its settings in another",
            "database.path = 'a.db'",
            {"ENGINE_STORE_DATABASE_DRIVER": "sqlite"},
        ),
        database("sqlite", path="a.db"),
    ),
    (
        Case(
            "settings before the driver is known",
            environment={"ENGINE_STORE_DATABASE_PATH": "a.db"},
            arguments={"database": {"driver": "sqlite"}},
        ),
        database("sqlite", path="a.db"),
    ),
    (
        Case(
            "another driver: nothing that was the first one's own counts",
            "[database]\ndriver='sqlite'\npath='a.db'\nreaders=2\nmigration_timeout=5",
            arguments={"database": {"driver": "postgres", "host": "h"}},
        ),
        Config(DatabaseConfig(options={"host": "h"}, migration_timeout=5.0)),
    ),
    (
        Case(
            "another driver by its URL",
            "[database]\nhost='h'\npassword='p'\nauto_migrate=false",
            {"ENGINE_STORE_DATABASE_URL": "sqlite:///a.db"},
        ),
        Config(DatabaseConfig("sqlite:///a.db", auto_migrate=False)),
    ),
    (
        Case(
            "a driver takes the place of another one's URL",
            "database.url = 'sqlite:///a.db'",
            arguments={"database": {"driver": "postgres"}},
        ),
        database(),
    ),
    (
        Case(
            "another URL of the same driver: its other settings stay",
            "[database]\ndriver='sqlite'\npath='a.db'\nsynchronous='normal'",
            arguments={"database": {"url": "sqlite:///b.db"}},
        ),
        database("sqlite", "sqlite:///b.db", synchronous="normal"),
    ),
    (
        Case(
            "another URL: no password of another place is sent to it",
            "[database]\nhost='h'\nuser='u'\npassword='p'\nname='n'\nport=1\npool_max_size=3",
            arguments={"database": {"url": "postgresql://other/db"}},
        ),
        database(url="postgresql://other/db", pool_max_size=3),
    ),
    (
        Case(
            "a path takes the place of a URL",
            "database.url = 'sqlite:///a.db'",
            arguments={"database": {"driver": "sqlite", "path": "b.db"}},
        ),
        database("sqlite", path="b.db"),
    ),
    (
        Case(
            "a host takes the place of a URL",
            "database.url = 'postgresql://one/db'",
            {"ENGINE_STORE_DATABASE_HOST": "two"},
        ),
        database(host="two"),
    ),
    (
        Case(
            "a host takes the place of a host alone",
            "[database]\nhost='one'\nuser='u'",
            {"ENGINE_STORE_DATABASE_HOST": "two"},
        ),
        database(host="two", user="u"),
    ),
    (
        Case(
            "a password completes a URL",
            "database.url = 'postgresql://ada@one/db'",
            {"ENGINE_STORE_DATABASE_PASSWORD": "p"},
        ),
        database(url="postgresql://ada@one/db", password="p"),
    ),
    (
        Case(
            "the two names of one driver",
            "[database]\ndriver='postgres'\npool_max_size=3",
            {"ENGINE_STORE_DATABASE_URL": "postgresql://h/d"},
        ),
        database("postgres", "postgresql://h/d", pool_max_size=3),
    ),
    (
        Case(
            "the two names of one setting",
            "[database]\ndbname='one'",
            {"ENGINE_STORE_DATABASE_NAME": "two"},
        ),
        database(name="two"),
    ),
    (
        Case(
            "a list is replaced as a whole",
            "[[knowledge.vector_dbs]]\nid='p'\nprovider='pgvector'\ndimension=3",
            {"ENGINE_STORE_KNOWLEDGE_VECTOR_DBS": "[]"},
        ),
        Config(knowledge=Knowledge()),
    ),
    # variables in files
    (
        Case("a variable", "database.driver = '${KIND}'", {"KIND": "sqlite"}),
        database("sqlite"),
    ),
    (Case("a default", "database.driver = '${KIND:-sqlite}'"), database("sqlite")),
    (
        Case("a default for an empty variable", "database.driver='${K:-sqlite}'", {"K": ""}),
        database("sqlite"),
    ),
    (
        Case(
            "variables inside a text",
            "database.url = 'postgresql://${USER_NAME}:${PASS}@h/${DB:-engine}'",
            {"USER_NAME": "ada", "PASS": "p%40ss"},
        ),
        database(url="postgresql://ada:p%40ss@h/engine"),
    ),
    (
        Case("a variable for a number", "worker.max_concurrent_workflows='${N}'", {"N": "3"}),
        Config(worker=Worker(3)),
    ),
    (Case("an empty variable", "database.password = 'a${E}b'", {"E": ""}), database(password="ab")),
    (Case("an empty default", "database.password = 'a${E:-}b'"), database(password="ab")),
    (Case("no variable", "database.password = '$${E} $E {E}'"), database(password="${E} $E {E}")),
    (
        Case("a variable's text is taken as it is", "database.password='${P}'", {"P": "${Q}"}),
        database(password="${Q}"),
    ),
]


@pytest.mark.parametrize(("case", "expected"), VALID, ids=lambda value: getattr(value, "name", ""))
def test_what_is_valid_becomes_the_model(case: Case, expected: Config, load_toml: Load) -> None:
    made = load_toml(case.text, case.environment, case.arguments)
    assert made == evolve(expected, database=evolve(expected.database, driver=made.database.driver))
    assert made.database.driver_name == expected.database.driver_name


OF_DATABASE = "auto_migrate, base_dir, busy_timeout, driver, history, max_document_bytes, "
OF_DATABASE += "migration_timeout, path, poll_interval, read_only, readers, synchronous, url"

INVALID: list[tuple[Case, list[str]]] = [
    # names
    (
        Case("a section", "[databse]\ndriver='sqlite'"),
        ["databse (engine.toml): no section is called so; did you mean database?"],
    ),
    (
        Case("no section at all like it", "[logging]"),
        ["logging (engine.toml): no section is called so; there are database, knowledge, worker"],
    ),
    (
        Case("a setting without its section", "driver = 'sqlite'"),
        ["driver (engine.toml): no section is called so; did you mean database.driver?"],
    ),
    (
        Case("a setting of the driver", "[database]\ndriver='sqlite'\nbusy_timout=3"),
        ["database.busy_timout (engine.toml): no setting is called so; did you mean busy_timeout?"],
    ),
    (
        Case("a setting of every driver", "[database]\nauto_migrat=true"),
        ["database.auto_migrat (engine.toml): no setting is called so; did you mean auto_migrate?"],
    ),
    (
        Case("another driver's setting", "[database]\ndriver='sqlite'\nhost='h'"),
        [f"database.host (engine.toml): no setting is called so; there are {OF_DATABASE}"],
    ),
    (
        Case("what is not to be configured", "[database]\ndriver='sqlite'\nvectors=true"),
        [f"database.vectors (engine.toml): no setting is called so; there are {OF_DATABASE}"],
    ),
    (
        Case("options are no section", "[database.options]\npath='a'\n[database]\ndriver='sqlite'"),
        [f"database.options (engine.toml): no setting is called so; there are {OF_DATABASE}"],
    ),
    (
        Case("of a worker", "worker.max_concurent_workflows = 3"),
        [
            "worker.max_concurent_workflows (engine.toml): no setting is called so; did you mean "
            "max_concurrent_workflows?"
        ],
    ),
    (
        Case("of knowledge", "knowledge.vectordbs = []"),
        [
            "knowledge.vectordbs (engine.toml): no setting is called so; did you mean vector_dbs?",
        ],
    ),
    (
        Case(
            "of a vector database",
            "[[knowledge.vector_dbs]]\nid='a'\nprovider='pgvector'\ndimensions=3",
        ),
        [
            "knowledge.vector_dbs[0].dimension (engine.toml): it is missing",
            "knowledge.vector_dbs[0].dimensions (engine.toml): no setting is called so; did you "
            "mean dimension?",
        ],
    ),
    (
        Case("two names of one setting", "[database]\nname='a'\ndbname='b'"),
        ["database.name (engine.toml): it is the same as dbname; give one"],
    ),
    (
        Case("a name that is no text", arguments={3: 4}),
        ["3 (arguments): no section is called so; there are database, knowledge, worker"],
    ),
    (
        Case("a setting's name that is no text", arguments={"worker": {True: 4}}),
        [
            "worker.True (arguments): no setting is called so; there are max_concurrent_workflows",
        ],
    ),
    # types
    (
        Case("a list for a section", "database = []"),
        ["database (engine.toml): expected a section, found a list"],
    ),
    (
        Case("a text for a section", "worker = '3'"),
        ["worker (engine.toml): expected a section, found text"],
    ),
    (
        Case("a text for a number", "worker.max_concurrent_workflows = 'many'"),
        ["worker.max_concurrent_workflows (engine.toml): expected a whole number, found text"],
    ),
    (
        Case("a truth value for a number", "worker.max_concurrent_workflows = true"),
        [
            "worker.max_concurrent_workflows (engine.toml): expected a whole number, found true or "
            "false"
        ],
    ),
    (
        Case("a broken number", "worker.max_concurrent_workflows = 1.5"),
        ["worker.max_concurrent_workflows (engine.toml): expected a whole number, found a number"],
    ),
    (
        Case("a number for a truth value", "database.auto_migrate = 1"),
        ["database.auto_migrate (engine.toml): expected true or false, found a whole number"],
    ),
    (
        Case("a text for a truth value", "database.auto_migrate = 'perhaps'"),
        ["database.auto_migrate (engine.toml): expected true or false, found text"],
    ),
    (
        Case("a number for a text", "database.password = 1234"),
        ["database.password (engine.toml): expected text, found a whole number"],
    ),
    (
        Case("a number for a URL", "database.url = 5"),
        ["database.url (engine.toml): expected text, found a whole number"],
    ),
    (
        Case("a section for a text", "database.host = {}"),
        ["database.host (engine.toml): expected text, found a section"],
    ),
    (
        Case("a port of another type", "database.port = 5432.0"),
        ["database.port (engine.toml): expected a text or a whole number, found a number"],
    ),
    (
        Case("nothing for a driver", arguments={"database": {"driver": None}}),
        ["database.driver (arguments): expected text, found nothing"],
    ),
    (
        Case("no duration", "database.migration_timeout = '5 parsecs'"),
        [
            "database.migration_timeout (engine.toml): expected a duration, such as 5s or 2m, "
            "found text"
        ],
    ),
    (
        Case("a duration without end", "database.migration_timeout = 'inf'"),
        [
            "database.migration_timeout (engine.toml): expected a duration, such as 5s or 2m, "
            "found text"
        ],
    ),
    (
        Case("a day as a duration", "database.statement_timeout = 1979-05-27"),
        [
            "database.statement_timeout (engine.toml): expected a duration, such as 5s or 2m, "
            "found date"
        ],
    ),
    (
        Case("no such choice", "[database]\ndriver='sqlite'\nsynchronous='fulll'"),
        [
            "database.synchronous (engine.toml): expected one of extra, full, normal, off, found "
            "text"
        ],
    ),
    (
        Case(
            "no such provider",
            "[[knowledge.vector_dbs]]\nid='a'\nprovider='chroma'\ndimension=3",
        ),
        [
            "knowledge.vector_dbs[0].provider (engine.toml): expected one of pgvector, qdrant, "
            "redis, filesystem, found text"
        ],
    ),
    (
        Case("a text for a list", "knowledge.vector_dbs = 'qdrant'"),
        ["knowledge.vector_dbs (engine.toml): expected a list, found text"],
    ),
    (
        Case("a section for a list", "knowledge.vector_dbs = {}"),
        ["knowledge.vector_dbs (engine.toml): expected a list, found a section"],
    ),
    (
        Case("a text in a list of sections", "knowledge.vector_dbs = ['qdrant']"),
        ["knowledge.vector_dbs[0] (engine.toml): expected a section, found text"],
    ),
    # bounds
    (
        Case("too few", "worker.max_concurrent_workflows = 0"),
        ["worker.max_concurrent_workflows (engine.toml): expected 1 or more"],
    ),
    (
        Case("too long", "database.migration_timeout = '25h'"),
        ["database.migration_timeout (engine.toml): expected 0 to 86400 seconds"],
    ),
    (
        Case("of the driver", "[database]\ndriver='sqlite'\nreaders=0\nbusy_timeout=-1"),
        [
            "database.busy_timeout (engine.toml): expected 0 to 86400 seconds",
            "database.readers (engine.toml): expected 1 or more",
        ],
    ),
    (
        Case("of an optional one", "database.lock_timeout = -1"),
        ["database.lock_timeout (engine.toml): expected 0 to 86400 seconds"],
    ),
    (
        Case(
            "of a vector",
            "[[knowledge.vector_dbs]]\nid='a'\nprovider='pgvector'\ndimension=0",
        ),
        ["knowledge.vector_dbs[0].dimension (engine.toml): expected 1 or more"],
    ),
    # what is missing, what is too much
    (
        Case("missing", "[[knowledge.vector_dbs]]\nid='a'"),
        [
            "knowledge.vector_dbs[0].provider (engine.toml): it is missing",
            "knowledge.vector_dbs[0].dimension (engine.toml): it is missing",
        ],
    ),
    (
        Case(
            "the place of a vector database",
            "[[knowledge.vector_dbs]]\nid='a'\nprovider='qdrant'\ndimension=3\n"
            "[[knowledge.vector_dbs]]\nid='b'\nprovider='filesystem'\ndimension=3",
        ),
        [
            "knowledge.vector_dbs[0].url (engine.toml): qdrant needs it",
            "knowledge.vector_dbs[1].path (engine.toml): filesystem needs it",
        ],
    ),
    (
        Case(
            "a place too much",
            "[[knowledge.vector_dbs]]\nid='a'\nprovider='pgvector'\ndimension=3\nurl='http://x'",
        ),
        ["knowledge.vector_dbs[0].url (engine.toml): pgvector has none"],
    ),
    # URLs and drivers
    (
        Case(
            "a slip is no setting of the default driver",
            "database.pth = 'a.db'",
            {"ENGINE_STORE_DATABASE_DRIVER": "sqlite"},
        ),
        ["database.pth (engine.toml): no setting is called so; did you mean path?"],
    ),
    (
        Case("no URL", "database.url = 'engine.db'"),
        [
            "database.url (engine.toml): expected scheme://..., such as sqlite:///engine.db, found "
            "'engine.db'"
        ],
    ),
    (
        Case("an option of a URL", "database.url = 'sqlite:///a?busy_timeout=soon'"),
        ["database.busy_timeout (engine.toml): expected a duration, such as 5s or 2m, found text"],
    ),
    (
        Case("no such driver", "database.driver = 'mysql'"),
        [
            "database.driver (engine.toml): no driver named 'mysql' (installed: mariadb, memory, "
            "postgres, postgresql, sqlite). Check the URL's scheme, or install the distribution "
            "that offers this driver"
        ],
    ),
    (
        Case("nearly a driver", "database.url = 'sqlit:///engine.db'"),
        [
            "database.url (engine.toml): no driver named 'sqlit' (installed: mariadb, memory, "
            "postgres, postgresql, sqlite). Did you mean sqlite? Check the URL's scheme, or "
            "install the distribution that offers this driver"
        ],
    ),
    # other sources
    (
        Case(
            "of the environment",
            environment={
                "ENGINE_STORE_WORKER_MAX_CONCURRENT_WORKFLOWS": "many",
                "ENGINE_STORE_DATABASE_PASWORD": "x",
                "ENGINE_STORE_KNOWLEDGE_VECTOR_DBS": '[{"id":',
            },
        ),
        [
            "database.pasword (ENGINE_STORE_DATABASE_PASWORD): no setting is called so; did you "
            "mean password?",
            "knowledge.vector_dbs (ENGINE_STORE_KNOWLEDGE_VECTOR_DBS): expected a list, found text",
            "worker.max_concurrent_workflows (ENGINE_STORE_WORKER_MAX_CONCURRENT_WORKFLOWS): "
            "expected a whole number, found text",
        ],
    ),
    (
        Case(
            "in a list of the environment",
            environment={
                "ENGINE_STORE_KNOWLEDGE_VECTOR_DBS": '[{"id": "a", "provider": "pgvector"}]'
            },
        ),
        [
            "knowledge.vector_dbs[0].dimension (ENGINE_STORE_KNOWLEDGE_VECTOR_DBS): it is missing",
        ],
    ),
    (
        Case("a variable without its section", environment={"ENGINE_STORE_URL": "sqlite:///a"}),
        [
            "ENGINE_STORE_URL (environment): no setting is called so; did you mean "
            "ENGINE_STORE_DATABASE_URL?"
        ],
    ),
    (
        Case(
            "a variable of no section",
            environment={"ENGINE_STORE_LOG_LEVEL": "x", "ENGINE_STORE_WORKER": "3"},
        ),
        [
            f"{name} (environment): no setting is called so; settings begin with "
            "ENGINE_STORE_DATABASE_, ENGINE_STORE_KNOWLEDGE_, ENGINE_STORE_WORKER_"
            for name in ("ENGINE_STORE_LOG_LEVEL", "ENGINE_STORE_WORKER")
        ],
    ),
    (
        Case("of the arguments", arguments={"worker": {"max_concurrent_workflows": 0}}),
        ["worker.max_concurrent_workflows (arguments): expected 1 or more"],
    ),
    (
        Case(
            "each with the source that won",
            "[database]\ndriver='sqlite'\nreaders='a'\nbusy_timeout='b'\nsynchronous='c'",
            {"ENGINE_STORE_DATABASE_READERS": "d"},
            {"database": {"busy_timeout": "e"}},
        ),
        [
            "database.busy_timeout (arguments): expected a duration, such as 5s or 2m, found text",
            "database.synchronous (engine.toml): expected one of extra, full, normal, off, found "
            "text",
            "database.readers (ENGINE_STORE_DATABASE_READERS): expected a whole number, found text",
        ],
    ),
    # all at once
    (
        Case(
            "everything wrong",
            "[databas]\n[database]\ndriver='sqlite'\nauto_migrate='x'\nreaders='x'\npth='x'\n"
            "[worker]\nmax_concurrent_workflows=0\n[knowledge]\nvector_dbs=3",
            {"ENGINE_STORE_PATH": "x"},
        ),
        [
            "ENGINE_STORE_PATH (environment): no setting is called so; did you mean "
            "ENGINE_STORE_DATABASE_PATH?",
            "databas (engine.toml): no section is called so; did you mean database?",
            "database.pth (engine.toml): no setting is called so; did you mean path?",
            "database.readers (engine.toml): expected a whole number, found text",
            "database.auto_migrate (engine.toml): expected true or false, found text",
            "knowledge.vector_dbs (engine.toml): expected a list, found a whole number",
            "worker.max_concurrent_workflows (engine.toml): expected 1 or more",
        ],
    ),
    (
        Case(
            "a wrong driver, and what else is wrong",
            "database.driver = 'sqlit'\nworker.max_concurrent_workflows = 0\n"
            "database.migration_timeout = -1",
        ),
        [
            "database.driver (engine.toml): no driver named 'sqlit' (installed: mariadb, memory, "
            "postgres, postgresql, sqlite). Did you mean sqlite? Check the URL's scheme, or "
            "install the distribution that offers this driver",
            "database.migration_timeout (engine.toml): expected 0 to 86400 seconds",
            "worker.max_concurrent_workflows (engine.toml): expected 1 or more",
        ],
    ),
    # variables in files
    (
        Case("a variable that is not set", "database.password = 'a${S3CRET_NAME}b'"),
        [
            "database.password (engine.toml): the variable S3CRET_NAME is not set; set it, or "
            "write ${S3CRET_NAME:-default}"
        ],
    ),
    (
        Case(
            "several of them",
            "[database]\nurl='postgresql://${A}@${B}/d'\n[[knowledge.vector_dbs]]\nid='${C}'",
        ),
        [
            f"{path} (engine.toml): the variable {name} is not set; set it, or write "
            f"${{{name}:-default}}"
            for path, name in (
                ("database.url", "A"),
                ("database.url", "B"),
                ("knowledge.vector_dbs[0].id", "C"),
            )
        ],
    ),
]


@pytest.mark.parametrize(
    ("case", "expected"), INVALID, ids=lambda value: getattr(value, "name", "")
)
def test_every_mistake_is_reported_with_its_path_its_source_and_what_was_expected(
    case: Case, expected: list[str], load_toml: Load
) -> None:
    assert problems(lambda: load_toml(case.text, case.environment, case.arguments)) == expected


def test_the_table_is_long_enough() -> None:
    assert len(VALID) + len(INVALID) >= 60


# --- files -------------------------------------------------------------------------------------

YAML = """
database:
  driver: sqlite
  path: ${FOLDER:-data}/engine.db
  busy_timeout: 5s
worker:
knowledge:
  vector_dbs:
    - id: docs
      provider: qdrant
      url: http://vectors:6333
      dimension: 1536
"""


@pytest.mark.parametrize("name", ["engine.yaml", "engine.yml", "ENGINE.YAML"])
def test_yaml_says_the_same_as_toml(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(YAML)
    assert load(file, environment={}) == Config(
        DatabaseConfig(driver="sqlite", options={"path": "data/engine.db", "busy_timeout": "5s"}),
        Knowledge((QDRANT,)),
    )


def test_a_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("database.driver = 'sqlite'")
    (tmp_path / "b.toml").write_text("worker.max_concurrent_workflows = 3")
    environment = {"ENGINE_STORE_CONFIG": str(tmp_path / "a.toml")}
    assert load(environment=environment) == database("sqlite")
    assert load(tmp_path / "b.toml", environment=environment) == Config(worker=Worker(3))
    assert load(environment={"ENGINE_STORE_CONFIG": ""}) == Config()


def test_the_environment_is_that_of_the_process_unless_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENGINE_STORE_DATABASE_DRIVER", "sqlite")
    assert load() == database("sqlite")


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_file_is_a_configuration(text: str, tmp_path: Path) -> None:
    file = tmp_path / "engine.yaml"
    file.write_text(text)
    assert load(file, environment={}) == Config()


@pytest.fixture
def usual_recursion_limit() -> Iterator[None]:
    """Allow as many frames as Python does; hypothesis raises the limit, for good."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("usual_recursion_limit")
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("engine.ini", b"", "expected a file .yaml, .yml, .toml, found 'engine.ini'"),
        ("engine", b"", "expected a file .yaml, .yml, .toml, found 'engine'"),
        ("none.toml", None, "{path} cannot be read: No such file or directory"),
        ("folder.toml", "folder", "{path} cannot be read: Is a directory"),
        ("a.toml", b"database = [", "{path} is no toml: Invalid value (at end of document)"),
        (
            "a.toml",
            b"[database]\ndriver = sqlite",
            "{path} is no toml: Invalid value (at line 2, column 10)",
        ),
        (
            "a.toml",
            b"\xff",
            "{path} is no toml: 'utf-8' codec can't decode byte 0xff in position 0: invalid start "
            "byte",
        ),
        (
            "a.yaml",
            b"database:\n  password: *S3CRET",
            "{path} is no yaml: line 2, column 13: it cannot be read; put texts with special "
            "characters in quotes",
        ),
        (
            "a.yaml",
            b"database:\n  password: 'S3CRET",
            "{path} is no yaml: line 2, column 20: it cannot be read; put texts with special "
            "characters in quotes",
        ),
        (
            "a.yaml",
            b"password: !S3CRET x",
            "{path} is no yaml: line 1, column 11: it cannot be read; put texts with special "
            "characters in quotes",
        ),
        (
            "a.yaml",
            b"day: 2024-13-45",
            "{path} is no yaml: it cannot be read; put texts with special characters in quotes",
        ),
        ("a.yaml", b"- one\n- two", "{path}: expected sections, found something else"),
        ("a.yaml", b"just a text", "{path}: expected sections, found something else"),
        ("a.yaml", b"a: &a [*a]", "{path} has sections without end"),
        pytest.param("a.yaml", b"[" * 5_000, "{path} has sections without end", id="endless"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(
    name: str, content: bytes | str | None, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    if content == "folder":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(file, environment={})
    assert caught.value.field == "config"
    assert caught.value.reason == reason.format(path=file)
    assert "S3CRET" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_where_yaml_is_missing_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "engine.yaml").write_text(YAML)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "engine.yaml", environment={})
    assert str(caught.value) == (
        'config: YAML needs an extra: pip install "engine-store[yaml]"; TOML needs none'
    )


# --- durations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5s", 5), ("2m", 120), ("1h", 3600), ("500ms", 0.5), ("1.5 s", 1.5), ("7", 7), ("0.5", 0.5)],
)
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "5 parsecs", "5S", "m5", "-5s", "1h30m", "5  s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        seconds(text)


# --- drivers of others -------------------------------------------------------------------------

CLOUD = """
from attrs import frozen
from engine_store.config import setting

@frozen
class Options:
    region: str = setting(help="Where.")
    size: int = setting(default=1, minimum=1, maximum=9, help="How much.")

DRIVER.settings = Options
"""


@pytest.fixture
def cloud(distributions: Callable[..., None], driver_module: str) -> None:
    """A driver that describes its settings, one that does not, and one that cannot be loaded."""
    points = (
        "[engine_store.drivers]\n"
        "cloud = x_cloud:DRIVER\nquiet = x_quiet:DRIVER\nbroken = x_broken:DRIVER"
    )
    cloud = driver_module + CLOUD
    modules = {"x_cloud": cloud, "x_quiet": driver_module, "x_broken": "import x_none"}
    distributions("x-cloud", points, modules)


@pytest.mark.usefixtures("cloud")
def test_the_settings_of_any_driver_are_checked_alike() -> None:
    def given(**settings: object) -> Config:
        return load(environment={}, arguments={"database": {"driver": "cloud", **settings}})

    assert given(region="eu", size=3).database.options == {"region": "eu", "size": 3}
    assert problems(given) == ["database.region (arguments): it is missing"]
    assert problems(lambda: given(region=3, size=10, regio="x")) == [
        "database.regio (arguments): no setting is called so; did you mean region?",
        "database.region (arguments): expected text, found a whole number",
        "database.size (arguments): expected 1 to 9",
    ]


@pytest.mark.usefixtures("cloud")
def test_what_a_url_states_is_not_missing() -> None:
    tree = {"database": {"url": "cloud://place?region=eu", "size": 2}}
    assert load(environment={}, arguments=tree).database.driver_options() == {
        "region": "eu",
        "size": 2,
    }


@pytest.mark.usefixtures("cloud")
def test_the_settings_of_a_driver_that_says_nothing_are_passed_on() -> None:
    tree = {"database": {"driver": "quiet", "anything": [1]}}
    environment = {"ENGINE_STORE_DATABASE_MORE": "x"}
    made = load(environment=environment, arguments=tree)
    assert made.database.options == {"anything": [1], "more": "x"}


@pytest.mark.usefixtures("cloud")
def test_a_driver_that_cannot_be_loaded_is_a_mistake_with_its_remedy() -> None:
    tree = {"database": {"driver": "broken", "size": "x"}, "worker": 3}
    assert problems(lambda: load(environment={}, arguments=tree)) == [
        "database.driver (arguments): driver 'broken' of x-cloud cannot be loaded: "
        "ModuleNotFoundError: No module named 'x_none'. Install it again: pip install "
        "--force-reinstall x-cloud",
        "worker (arguments): expected a section, found a whole number",
    ]


@pytest.mark.usefixtures("cloud")
def test_where_the_default_driver_is_not_installed_its_extra_is_named() -> None:
    assert problems(lambda: load(environment={})) == [
        "database.driver: no driver named 'postgres' (installed: broken, cloud, quiet). Install "
        'it: pip install "engine-store[postgres]"'
    ]


# --- Kubernetes ----------------------------------------------------------------------------------

LINKS = {
    "ENGINE_STORE_SERVICE_HOST": "10.0.0.11",
    "ENGINE_STORE_SERVICE_PORT": "8080",
    "ENGINE_STORE_SERVICE_PORT_HTTP": "8080",
    "ENGINE_STORE_PORT": "tcp://10.0.0.11:8080",
    "ENGINE_STORE_PORT_8080_TCP": "tcp://10.0.0.11:8080",
    "ENGINE_STORE_PORT_8080_TCP_PROTO": "tcp",
    "ENGINE_STORE_PORT_8080_TCP_PORT": "8080",
    "ENGINE_STORE_PORT_8080_TCP_ADDR": "10.0.0.11",
}
"""The variables of a pod for a Service called engine-store."""


@pytest.mark.parametrize("service", ["", "DATABASE_", "WORKER_", "EXPLORER_"])
def test_the_links_of_a_service_are_no_settings(service: str) -> None:
    links = {name.replace("STORE_", f"STORE_{service}", 1): text for name, text in LINKS.items()}
    url = {"ENGINE_STORE_DATABASE_URL": "sqlite:///engine.db"}
    assert load(environment={**links, **url}) == load(environment=url)


@pytest.mark.parametrize("name", ["ENGINE_STORE_PORT", "ENGINE_STORE_SERVICE", "ENGINE_STORE_HOST"])
def test_what_is_nearly_a_link_is_a_mistake(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        load(environment={name: "5432"})


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    for name, text in (
        ("a.toml", '[database]\nurl = "memory://"\n'),
        ("a.yaml", "database:\n  url: memory://\n"),
    ):
        (tmp_path / name).write_text(text, "utf-8-sig")
        assert load(tmp_path / name, environment={}).database.url == "memory://"
