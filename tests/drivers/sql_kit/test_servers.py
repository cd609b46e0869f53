"""What drivers of databases with a server share: settings, looking at connections, reasons."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen

from engine_store.config import ServerOptions, structure
from engine_store.errors import ConfigurationError, StoreClosedError, UnavailableError
from engine_store.protocols import Endpoint
from engine_store.sql.blocking import run
from engine_store.sql.connection import BasePool
from engine_store.sql.failures import Failures
from engine_store.sql.statements import split_script


class Connection:
    """A connection that is as quiet as it is told, and counts what it is asked."""

    def __init__(self, *, quiet: bool, answers: bool = True) -> None:
        self.is_quiet = quiet
        self.answers = answers
        self.asked: list[str] = []
        self.fate = ""

    async def execute(self, script: str) -> None:
        self.asked.append(script)
        if not self.answers:
            raise OSError("gone")

    async def release(self) -> None:
        self.fate = "released"

    async def discard(self) -> None:
        self.fate = "discarded"


class Pool(BasePool[Any]):
    def __init__(self, *connections: Connection) -> None:
        super().__init__(Endpoint("test"), 1.0)
        self.connections = list(connections)

    async def next_connection(self, seconds: float, owner: object) -> Connection:
        return self.connections.pop(0)


@pytest.mark.parametrize(
    ("check", "given", "asked"),
    [("off", "loud", []), ("socket", "mute", []), ("query", "good", [""])],
)
def test_an_idle_connection_is_looked_at_as_the_settings_say(
    check: Any, given: str, asked: list[str]
) -> None:
    idle = {
        "loud": Connection(quiet=False),
        "mute": Connection(quiet=True, answers=False),
        "good": Connection(quiet=True),
    }
    pool = Pool(*idle.values())
    pool.check = check
    connection = run(pool.acquire())
    assert connection is idle[given]
    assert connection.asked == asked
    earlier = list(idle.values())[: list(idle).index(given)]
    assert [one.fate for one in earlier] == ["discarded"] * len(earlier)


def test_a_pool_that_stays_with_its_process_is_refused_in_a_forked_child() -> None:
    pool = Pool()
    pool.after_fork_in_child()
    pool.check_open()
    pool.process_bound = "it stays here"
    pool.after_fork_in_child()
    with pytest.raises(UnavailableError, match="it stays here; open another one in the forked"):
        pool.check_open()
    pool.closed = True
    with pytest.raises(StoreClosedError):
        pool.check_open()


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("", []),
        ("-- no transaction\nSELECT 1;\n", ["SELECT 1"]),
        ("SELECT ';' ; \n  -- a comment; and more\nSELECT\n2", ["SELECT ';'", "SELECT\n2"]),
    ],
)
def test_a_script_is_split_where_a_line_ends_a_statement(
    script: str, statements: list[str]
) -> None:
    assert split_script(script) == statements


def failures(**more: Any) -> Failures:
    return Failures("Base", OSError, lambda error: None, {}, {}, **more)


def test_a_server_that_cannot_be_reached_is_named_with_the_reason_and_without_the_password() -> (
    None
):
    with pytest.raises(UnavailableError) as caught, failures().reaching("one:1", "hunter2"):
        raise OSError("no,\n  password='hunter2'")
    assert caught.value.reason == "Base at one:1: no, password='***'"
    assert caught.value.retriable
    assert "hunter2" not in repr(caught.value.__context__)


def test_a_server_that_closes_every_connection_is_given_up_in_time() -> None:
    pool = Pool(*(Connection(quiet=False) for _ in range(3)))
    pool.check, pool.timeout = "socket", 0.0
    with pytest.raises(UnavailableError, match="closes every connection"):
        run(pool.acquire())
    assert len(pool.connections) == 2


def test_what_refuses_a_connection_for_good_is_not_to_be_tried_again() -> None:
    refusing = failures(refused=lambda error: isinstance(error, PermissionError))
    with pytest.raises(UnavailableError) as caught, refusing.reaching("one", None):
        raise PermissionError
    assert not caught.value.retriable


def test_only_what_connecting_raises_is_a_reason() -> None:
    with pytest.raises(TimeoutError), failures(connecting=ConnectionError).reaching("one", None):
        raise TimeoutError


@frozen
class Options(ServerOptions):
    """A driver's settings."""


@pytest.mark.parametrize("name", ["host", "user"])
def test_a_text_that_looks_as_if_it_held_a_password_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"^options\.{name}: it looks like a URL"
    ) as caught:
        structure({name: "base://ada:hunter2@one"}, Options)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["host", "user", "password"])
def test_a_text_with_a_nul_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^options\.{name}: it may not hold NUL"):
        structure({name: "a\0b"}, Options)


def test_a_password_is_not_in_the_repr_of_settings() -> None:
    assert "hunter2" not in repr(structure({"password": "hunter2"}, Options))
