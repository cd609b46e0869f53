"""No password and no key is ever shown: not by a log line, a repr, an error, or a command.

A canary is put wherever a secret may stand, rightly or by mistake, and looked for in all that is
said about it.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import engine_store
from engine_store import load
from engine_store.config import DatabaseConfig
from engine_store.config.structure import names_of
from engine_store.errors import EngineStoreError
from engine_store.run_context import LOGGER
from engine_store.startup import findings, json_schema
from engine_store.startup.loading import COMMON, SECTIONS
from engine_store_postgres.options import PostgresOptions
from engine_store_sqlite.options import SqliteOptions

Run = Callable[..., Any]

CANARY = "S3CRETcanary"
URL = f"postgresql://ada:{CANARY}@nowhere.invalid/engine?connect_timeout=1"
SECRETS = [
    ("a URL", URL),
    ("a URL with more @", f"postgresql://ada:{CANARY}@{CANARY}@nowhere.invalid/engine"),
    ("a URL with #", f"sqlite:///engine.db?key={CANARY}#"),
    ("a URL of another driver", f"mysql://ada:{CANARY}@nowhere.invalid/engine"),
    ("a file's URL", f"sqlite:///engine.db?password={CANARY}"),
    ("pairs", f"host=nowhere.invalid password={CANARY} connect_timeout=1"),
    ("broken pairs", f"password='{CANARY} host=nowhere.invalid"),
    ("a list", [CANARY]),
    ("a section", {"password": CANARY}),
]

FIELDS = [
    *((driver, name) for driver in ("sqlite", "postgres") for name in COMMON),
    *(("sqlite", name) for name in names_of(SqliteOptions)),
    *(("postgres", name) for name in names_of(PostgresOptions)),
]


def shown(error: BaseException) -> str:
    """All that may be shown of an error, by itself or by a traceback."""
    chain = "".join(traceback.format_exception(error))
    return f"{error} {error!r} {getattr(error, 'problems', '')!r} {chain}"


def tried(tree: dict[str, Any]) -> Iterator[str]:
    """What is said of a configuration: by loading it, by its rules, by starting it."""
    try:
        config = load(environment={}, arguments=tree)
    except EngineStoreError as error:
        yield shown(error)
        return
    yield f"{config!r} {config}"
    try:
        yield repr(findings(config))
        engine_store.start(config).close()
    except EngineStoreError as error:
        yield shown(error)


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: Any) -> Iterator[None]:
    """Nothing that anybody logs shows the canary."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG, LOGGER)
    caplog.set_level(logging.DEBUG)
    yield
    assert CANARY not in caplog.text


@pytest.mark.parametrize(("what", "secret"), SECRETS, ids=[what for what, _ in SECRETS])
@pytest.mark.parametrize(("driver", "name"), FIELDS, ids=[f"{d}-{n}" for d, n in FIELDS])
def test_a_secret_in_the_wrong_place_of_a_configuration_is_not_shown(
    driver: str, name: str, what: str, secret: Any
) -> None:
    database = {"driver": driver, "migration_timeout": 1, name: secret}
    if driver == "postgres" and name not in {"url", "conn_string", "host"}:
        database |= {"host": "nowhere.invalid", "connect_timeout": 1, name: secret}
    for text in tried({"database": database}):
        assert CANARY not in text


@pytest.mark.parametrize("name", ["password", "conn_string", "url"])
def test_a_secret_in_the_right_place_is_not_shown_either(name: str) -> None:
    secret = {"password": CANARY}.get(name, URL)
    database = {"host": "nowhere.invalid", "connect_timeout": 1} if name == "password" else {}
    said = list(tried({"database": database | {name: secret}}))
    assert len(said) == 3
    assert CANARY not in "".join(said)


@pytest.mark.parametrize("section", ["knowledge", "worker", "database", "no_section"])
@pytest.mark.parametrize(("what", "secret"), SECRETS, ids=[what for what, _ in SECRETS])
def test_a_secret_for_a_section_or_in_another_one_is_not_shown(
    section: str, what: str, secret: Any
) -> None:
    trees: list[dict[str, Any]] = [{section: secret}]
    if section in SECTIONS and section != "database":
        trees += [{section: {name: secret}} for name in names_of(SECTIONS[section])]
    if section == "knowledge":
        whole = {"id": "v", "provider": "qdrant", "dimension": 3, "url": "http://x"}
        trees += [{section: {"vector_dbs": [whole | {name: secret}]}} for name in whole]
    for tree in trees:
        for text in tried({"database": {"url": "sqlite:///:memory:"}} | tree):
            assert CANARY not in text


FILES = {
    "a.yaml": [
        f"database:\n  password: '{CANARY}",
        f"database:\n  password: *{CANARY}",
        f"database:\n  password: !{CANARY} x",
        f"database:\n  password: {CANARY}: x",
        f"database:\n  url: [{URL}\n",
        f"- {CANARY}",
        f"{URL}",
        f"database: {CANARY}",
        f"database:\n  password: ${{{'X'}}}{CANARY}",
    ],
    "a.toml": [
        f"database.password = '{CANARY}",
        f"database.password = {CANARY}",
        f"database.password = '{CANARY}' x",
        f"database = '{CANARY}'",
        f"database.password = '${{X}}{CANARY}'",
    ],
    "a.ini": [f"password={CANARY}"],
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_read_is_not_quoted(name: str, tmp_path: Path) -> None:
    for text in FILES[name]:
        (tmp_path / name).write_text(text)
        with pytest.raises(EngineStoreError) as caught:
            load(tmp_path / name, environment={})
        assert CANARY not in shown(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "ENGINE_STORE_DATABASE_PASSWORD",
        "ENGINE_STORE_DATABASE_URL",
        "ENGINE_STORE_DATABASE_DRIVER",
        "ENGINE_STORE_DATABASE_PORT",
        "ENGINE_STORE_DATABASE_PASSWD",
        "ENGINE_STORE_PASSWORD",
        "ENGINE_STORE_KNOWLEDGE_VECTOR_DBS",
        "ENGINE_STORE_WORKER_MAX_CONCURRENT_WORKFLOWS",
        "ENGINE_STORE_CONFIG",
    ],
)
def test_a_variable_is_not_quoted(name: str, here: Run) -> None:
    for secret in (URL, json.dumps([{"id": "v", "url": URL}])):
        done = here("check", **{"ENGINE_STORE_DATABASE_HOST": "nowhere.invalid", name: secret})
        assert CANARY not in done.out + done.err


@pytest.mark.parametrize(
    "command", [("health",), ("check", "--json"), ("start",), ("users", "list")]
)
def test_no_command_shows_an_option_or_a_slip(command: tuple[str, ...], here: Run) -> None:
    for arguments in (
        ("--url", URL),
        ("--url", f"sqlite:///a.db?token={CANARY}"),
        ("--url", f"ada:{CANARY}@host"),
        ("--db-path", URL),
        ("--db-driver", URL),
        ("--db-driver", "postgres", "--db-path", URL),
        ("--config", f"{URL}.yaml"),
        (URL,),
        (f"--urll={URL}",),
        ("--limit", URL),
    ):
        done = here(*command, *arguments)
        assert done.code > 0 or command == ("check", "--json")
        assert CANARY not in done.out + done.err


def test_no_command_shows_what_a_script_is_given(run: Run, postgres_url: str) -> None:
    at, mark, rest = postgres_url.partition("@")
    wrong = f"{at.partition('://')[0]}://nobody:{CANARY}{mark}{rest}"
    for command in (("health",), ("migrate", "status"), ("conformance", wrong)):
        options = () if command[0] == "conformance" else ("--url", wrong)
        done = run(*command, *options)
        assert done.code in {2, 3}
        assert CANARY not in done.out + done.err


def test_nothing_of_a_key_is_shown_but_its_prefix(here: Run, tmp_path: Path) -> None:
    from engine_store import User
    from engine_store.models import ApiKey

    with engine_store.open(f"sqlite:///{tmp_path}/engine.db") as store:
        store.users.create(User("ada", "ada@example.org"))
        digest, opaque = CANARY.encode().ljust(32, b"."), CANARY.encode()
        key = store.api_keys.create(ApiKey("k", "ada", "es_1", digest, opaque))
    assert CANARY not in repr(key)
    for command in (
        ("users", "show", "ada"),
        ("users", "show", "ada", "--json"),
        ("users", "delete", "ada", "--dry-run", "--json"),
        ("health",),
    ):
        done = here(*command, "--db-path", "engine.db")
        assert done.code == 0
        assert CANARY not in done.out + done.err


def test_a_configuration_with_secrets_shows_none_of_them(here: Run, tmp_path: Path) -> None:
    config = load(
        environment={"ENGINE_STORE_DATABASE_PASSWORD": CANARY},
        arguments={
            "database": {"url": URL},
            "knowledge": {
                "vector_dbs": [
                    {"id": "v", "provider": "redis", "dimension": 3, "url": f"redis://:{CANARY}@h"}
                ]
            },
        },
    )
    options = PostgresOptions(password=CANARY, conn_string=URL)
    with engine_store.context(config=config):
        assert CANARY not in f"{config} {config!r} {options} {engine_store.current()!r}"
    assert CANARY not in repr(DatabaseConfig(options={CANARY: 1, "password": CANARY}))
    help_, schema = here("users", "--help"), json_schema()
    assert CANARY not in help_.out + json.dumps(schema)
