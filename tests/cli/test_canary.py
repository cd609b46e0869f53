"""A secret that is put everywhere comes out nowhere."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import yaml

import engine_store
from engine_store.errors import EngineStoreError
from engine_store.plugins import driver_settings
from engine_store.startup import findings, load

CANARY = "C4N4RY-s3cr3t"

URLS = [
    f"postgresql://ada:{CANARY}@127.0.0.1:1/db?connect_timeout=1",
    f"postgresql://127.0.0.1:1/db?user=ada&password={CANARY}&connect_timeout=1",
    f"postgresql://ada:{CANARY}@127.0.0.1:1/db?nonsense=1",
    f"postgresql://ada:{CANARY}@127.0.0.1:notaport/db",
    f"postgresql://ada:{CANARY}#@127.0.0.1:1/db",
    f"nosuchdriver://ada:{CANARY}@host/db",
    f"sqlite://ada:{CANARY}@host/db",
    f"//ada:{CANARY}@host/db",
]

postgres = driver_settings("postgres")
assert postgres is not None
FIELDS = [field.name for field in attrs.fields(postgres)]

TREES: dict[str, dict[str, Any]] = {
    **{f"url {number}": {"database": {"url": url}} for number, url in enumerate(URLS)},
    **{name: {"database": {"driver": "postgres", name: [CANARY]}} for name in FIELDS},
    "password": {"database": {"host": "127.0.0.1", "port": 1, "password": CANARY}},
    "a wrong type": {"database": {"password": {"is": CANARY}}},
    "conn_string": {"database": {"conn_string": f"host=127.0.0.1 port=1 password={CANARY}"}},
    "a vector database": {
        "database": {"url": "sqlite:///:memory:"},
        "knowledge": {
            "vector_dbs": [
                {
                    "id": "a",
                    "provider": "qdrant",
                    "dimension": 0,
                    "url": f"http://:{CANARY}@host",
                }
            ]
        },
    },
}


@pytest.mark.parametrize("name", TREES)
def test_no_error_log_or_repr_has_it(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []
    try:
        config = load(arguments=TREES[name], environment={})
        shown += [repr(config), str(config), repr(findings(config))]
        engine_store.start(config).close()
    except EngineStoreError as error:
        shown += [
            str(error),
            repr(error),
            repr(error.args),
            "".join(traceback.format_exception(error)),
        ]
    assert shown
    assert CANARY not in "".join(shown) + caplog.text


@pytest.mark.parametrize("url", URLS)
def test_no_variable_gives_it_away(url: str) -> None:
    with pytest.raises(EngineStoreError) as caught:
        engine_store.start(load(environment={"ENGINE_STORE_DATABASE_URL": url}))
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", URLS)
def test_no_command_prints_it(run: Callable[..., Any], url: str) -> None:
    done = run("health", "--url", url)
    assert done.code in (2, 3)
    assert done.err
    assert CANARY not in done.out + done.err


def test_no_file_gives_it_away(run: Callable[..., Any], tmp_path: Any) -> None:
    file = tmp_path / "engine.yaml"
    file.write_text(yaml.safe_dump({"database": {"url": "${URL}", "pasword": "${SECRET}"}}))
    variables = {"URL": URLS[0], "SECRET": CANARY}
    for command in ("check", "start", "health", "drivers"):
        done = run(command, "--config", file, **variables)
        assert CANARY not in done.out + done.err
