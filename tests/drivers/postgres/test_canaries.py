"""A password is nowhere in an error: not in its words, its causes, nor the variables of our code.

Tracebacks of rich, Sentry and pytest show variables, and those of the standard library show causes.
`CANARIES` in the environment makes more random URLs than the usual run.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import pytest

import engine_store
from engine_store import keys
from engine_store.config import DatabaseConfig
from engine_store.drivers.discovery import load_driver
from engine_store.errors import EngineStoreError, NotFoundError
from engine_store.startup import load
from engine_store.urls import parse_url
from engine_store_contracts.suite.samples import user

CANARY = "Canary7Bird"

NOWHERE = f"postgresql://ada:{CANARY}@127.0.0.1:1/engine"
URLS = [
    NOWHERE,
    f"postgresql://ada:{CANARY}%zz@127.0.0.1/engine",
    f"postgresql://ada:{CANARY}%@127.0.0.1/engine",
    f"postgresql://ada:{CANARY}%FF@127.0.0.1/engine",
    f"postgresql://%DA:{CANARY}@127.0.0.1/engine",
    f"postgresql://ada:{CANARY}\udcff@127.0.0.1/engine",
    f"postgresql://ada:{CANARY}\x00@127.0.0.1/engine",
    f"postgresql://ada:{CANARY}@x@127.0.0.1/engine",
    f"postgresql://ada:{CANARY}@[::1/engine",
    f"postgresql://ada:{CANARY}@a\u202eb/engine",
    f"postgresql://ada:{CANARY}@a..b/engine",
    f"postgresql://ada:{CANARY}@{'x' * 64}/engine",
    f"postgresql://ada:{CANARY}@127.0.0.1:port/engine",
    f"{NOWHERE}?sslmode=maybe",
    f"{NOWHERE}?nothing=known",
    f"{NOWHERE}?pool_max_size=many",
    f"{NOWHERE}?schema=a&schema=b",
    f"{NOWHERE}?schema=",
    f"{NOWHERE}?sslrootcert=/nowhere&sslmode=verify-full",
    f"{NOWHERE}\n&x",
    f"mysql://ada:{CANARY}@127.0.0.1/engine",
    f"://ada:{CANARY}@127.0.0.1/engine",
    f"ada:{CANARY}@127.0.0.1",
]
OPTIONS = [
    {"password": CANARY, "host": "127.0.0.1", "port": "1"},
    {"password": CANARY, "port": "many"},
    {"password": f"{CANARY}\0", "host": "127.0.0.1"},
    {"password": f"{CANARY}\udcff", "host": "127.0.0.1", "port": "1"},
    {"password": [CANARY]},
    {"password": CANARY, "pool_max_size": 0},
    {"password": CANARY, "nothing": "known"},
    {"conn_string": f"host=127.0.0.1 port=1 password={CANARY}"},
    {"conn_string": f"host=127.0.0.1 password={CANARY}' user="},
    {"conn_string": f"host=127.0.0.1 password={CANARY} nothing=known"},
]


def opened(config: DatabaseConfig | str) -> None:
    engine_store.open(config).close()


def opened_async(config: DatabaseConfig | str) -> None:
    asyncio.run(engine_store.open_async(config))


def checked(config: DatabaseConfig | str) -> None:
    config = DatabaseConfig(url=config) if isinstance(config, str) else config
    with load_driver("postgres").scratch(str(config.url)):
        pass


def frames(trace: TracebackType | None) -> Iterator[tuple[str, str]]:
    """The variables of each of our frames, as tools that show them do."""
    while trace is not None:
        frame = trace.tb_frame
        module = frame.f_globals.get("__name__", "")
        if module.startswith("engine_store"):
            for name, value in frame.f_locals.items():
                yield f"{module}:{trace.tb_lineno} {name}", repr(value)
        trace = trace.tb_next


def shown(error: BaseException | None) -> Iterator[tuple[str, str]]:
    """All that may be shown of an error."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        kind = type(error).__name__
        yield f"str of {kind}", str(error)
        yield f"repr of {kind}", repr(error)
        yield f"args of {kind}", repr(error.args)
        yield from frames(error.__traceback__)
        waiting += [error.__cause__, error.__context__]


def places(call: Callable[[], object], canary: str = CANARY) -> list[str]:
    """The places in which the canary is to be seen when `call` fails."""
    with pytest.raises(EngineStoreError) as caught:
        call()
    return [place for place, text in shown(caught.value) if canary in text]


@pytest.mark.parametrize("call", [opened, opened_async, checked])
@pytest.mark.parametrize("url", URLS, ids=ascii)
def test_of_a_url_that_cannot_be_used(call: Callable[[str], None], url: str) -> None:
    assert places(lambda: call(url)) == []


@pytest.mark.parametrize("end", ["?schema=a&schema=b", "?schema=", "\n&x", "\x00"], ids=ascii)
def test_of_a_url_that_cannot_be_parsed(end: str) -> None:
    assert places(lambda: parse_url(NOWHERE + end)) == []


def mutated(chance: random.Random) -> str:
    """A URL with something wrong, or odd, anywhere but in the canary."""
    url = chance.choice(URLS)
    for _ in range(chance.randrange(1, 4)):
        place = chance.choice([n for n in range(len(url)) if not inside(url, n)])
        what = chance.randrange(3)
        if what == 0:
            url = url[:place] + chance.choice(ODD) + url[place:]
        elif what == 1:
            url = url[:place] + url[place + 1 :]
        else:
            url += chance.choice(["&", "?"]) + chance.choice(QUERIES)
    return url


def inside(url: str, place: int) -> bool:
    """True if a change at this place would be one of the canary."""
    start = url.index(CANARY)
    return start <= place <= start + len(CANARY)


AS_PASSWORD = re.compile(rf"://[^:/?#@]*:[^/?#]*{CANARY}[^/?#]*@")
ODD = [
    *"%@:/?#&=[]{}\\ '\"+;,~|^",
    "%zz",
    "%00",
    "%0A",
    "\x00",
    "\n",
    "\udcff",
    "\u202e",
    "é",
    "::",
]
QUERIES = [
    *("port=1", "port=x", "host=127.0.0.1", "user=", "sslmode=x", "connect_timeout=1", "service=x"),
    *("passfile=/nowhere", "options=-c%20x", "schema=Ä", "statement_timeout=x", "pgvector=maybe"),
]


def test_of_urls_that_are_wrong_in_any_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "1")
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    for number in range(int(os.environ.get("CANARIES", "300"))):
        url = mutated(chance)
        if "127.0.0.1" not in url or not AS_PASSWORD.search(url):
            continue  # a name would be looked for in the network, and a user's name is no secret
        try:
            found = places(lambda: opened(url))  # noqa: B023 - called at once
        except pytest.fail.Exception:  # it was opened: a file of SQLite, or the memory
            continue
        assert found == [], f"seed {seed}, number {number}: {url!a}"


@pytest.mark.parametrize("call", [opened, opened_async])
@pytest.mark.parametrize("options", OPTIONS, ids=ascii)
def test_of_options_that_cannot_be_used(
    call: Callable[[DatabaseConfig], None], options: dict[str, object]
) -> None:
    assert places(lambda: call(DatabaseConfig(options=options))) == []


def test_of_a_password_that_is_wrong(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "pass"
    file.write_text(f"*:*:*:*:{CANARY}\n")
    file.chmod(0o600)
    for name, text in (("PGPASSWORD", CANARY), ("PGPASSFILE", str(file))):
        with monkeypatch.context() as patch:
            patch.setenv(name, text)
            url = postgres_url.replace("postgres@", "nobody-of-this-name@")
            assert places(lambda: opened(url)) == []  # noqa: B023 - called at once


@pytest.mark.parametrize("wrong", ["pool_max_size: many", "nothing: known", "port: [1]"])
def test_of_a_configuration_with_mistakes(wrong: str, tmp_path: Path) -> None:
    file = tmp_path / "engine.yaml"
    file.write_text(f"database:\n  password: {CANARY}\n  url: {NOWHERE}\n  {wrong}\n")
    assert places(lambda: load(file, environment={})) == []
    name, _, value = wrong.partition(": ")
    database = {"url": NOWHERE, "password": CANARY, name: value}
    assert places(lambda: load(environment={}, arguments={"database": database})) == []
    variables = {f"ENGINE_STORE_DATABASE_{key}".upper(): text for key, text in database.items()}
    assert places(lambda: load(environment={**os.environ, **variables})) == []


def test_of_an_api_key_that_was_given_for_an_id() -> None:
    with engine_store.open("sqlite:///:memory:") as store:
        store.users.create(user("ann"))
        _, secret = keys.create(store, "ann")
        plaintext = secret.reveal()
        for call in (
            store.users.get,
            store.api_keys.get,
            store.api_keys.get_by_prefix,
            store.workflows.get,
            store.workflows.delete,
            store.tasks.get,
            store.tasks.tree,
            lambda key: keys.create(store, key),
        ):
            with pytest.raises((NotFoundError, EngineStoreError)) as caught:
                call(plaintext)
            said = f"{caught.value} {caught.value!r} {caught.value.args}"
            assert plaintext not in said
            assert f"{secret.prefix}_***" in said
