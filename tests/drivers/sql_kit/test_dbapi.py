"""Connections of any DB-API module, by the standard library's `sqlite3`."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from engine_store.errors import StoreClosedError, UnavailableError
from engine_store.protocols import Endpoint
from engine_store.sql.blocking import run
from engine_store.sql.dbapi import DbapiConnection, DbapiPool, placeholders
from engine_store.sql.dialect import Dialect
from engine_store.sql.failures import Failures
from engine_store.sql.operation import Op, step, write
from engine_store.sql.session import Session
from engine_store.sql.statements import Queries, parse_statements
from engine_store.waiting.notifier import Notifier

QUERIES = Queries(
    parse_statements("""
-- name: add! :one
INSERT INTO t (id) VALUES (:id)
RETURNING id

-- name: rename! :one
UPDATE t SET id = :new WHERE id = :id
;
SELECT id FROM t WHERE id = :new

-- name: ids :many
SELECT id FROM t ORDER BY id
""")
)


class Noting(DbapiConnection):
    """A connection that notes what it runs; an error of an integer key ends its transaction."""

    def __init__(self) -> None:
        raw = sqlite3.connect(":memory:", isolation_level=None)
        super().__init__(raw, "named")
        raw.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        self.commands: list[str] = []
        raw.set_trace_callback(self.commands.append)

    def ends_transaction(self, error: Exception) -> bool:
        return isinstance(error, sqlite3.IntegrityError)


class Pool(DbapiPool[Noting]):
    """A pool of one connection."""

    async def is_usable(self, connection: Noting) -> bool:
        return "SELECT 'broken'" not in connection.commands


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(Noting, Endpoint("test"), size=1, timeout=0.01)
    yield made
    run(made.close())


@pytest.fixture
def connection(pool: Pool) -> Iterator[Noting]:
    lent = run(pool.acquire())
    yield lent
    run(lent.release())


@pytest.mark.parametrize(
    ("style", "text", "names"),
    [
        ("named", "a = :a AND b = :b AND a < :a", None),
        ("pyformat", "a = %(a)s AND b = %(b)s AND a < %(a)s", None),
        ("qmark", "a = ? AND b = ? AND a < ?", ("a", "b", "a")),
        ("format", "a = %s AND b = %s AND a < %s", ("a", "b", "a")),
        ("numeric", "a = $1 AND b = $2 AND a < $1", ("a", "b")),
    ],
)
def test_parameters_are_written_in_the_style_of_the_module(
    style: str, text: str, names: tuple[str, ...] | None
) -> None:
    assert placeholders("a = :a AND b = :b AND a < :a", style) == (text, names)


def test_a_percent_sign_is_no_placeholder() -> None:
    assert placeholders("a LIKE '%' AND b = :b", "format") == ("a LIKE '%%' AND b = %s", ("b",))


def test_the_last_part_gives_the_row_and_one_that_matches_none_ends_the_statement(
    connection: Noting,
) -> None:
    run(connection.run(QUERIES.add(id=1)))
    assert run(connection.run(QUERIES.rename(id=1, new=2))) == (2,)
    connection.commands.clear()
    assert run(connection.run(QUERIES.rename(id=1, new=2))) is None
    assert connection.commands == ["UPDATE t SET id = 2 WHERE id = 1\n"]


def test_a_connection_that_was_interrupted_in_a_call_is_closed_and_replaced(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server says next would answer that call."""
    monkeypatch.setattr(Noting, "errors", (sqlite3.Error,))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    first = run(pool.acquire())
    run(first.run(QUERIES.add(id=1), before=["BEGIN"]))
    with monkeypatch.context() as patch:
        patch.setattr(Noting, "_execute", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(first.run(QUERIES.add(id=2)))
    assert not first.in_transaction
    run(first.release())
    second = run(pool.acquire())
    assert second is not first
    assert run(second.run(QUERIES.ids())) == []
    run(second.release())


def test_an_error_that_ends_the_transaction_is_known_to(connection: Noting) -> None:
    run(connection.run(QUERIES.add(id=1), before=["BEGIN"]))
    assert connection.in_transaction
    with pytest.raises(sqlite3.OperationalError):
        run(connection.execute("SELECT nothing"))
    assert connection.in_transaction
    with pytest.raises(sqlite3.IntegrityError):
        run(connection.run(QUERIES.add(id=1)))
    assert not connection.in_transaction


def test_a_connection_that_cannot_be_used_is_replaced(pool: Pool) -> None:
    first = run(pool.acquire())
    run(first.release())
    assert run(pool.acquire()) is first
    run(first.execute("SELECT 'broken'"))
    run(first.release())
    second = run(pool.acquire())
    assert second is not first
    with pytest.raises(UnavailableError, match="all 1 connections were busy"):
        run(pool.acquire())
    run(second.release())
    run(pool.close())
    with pytest.raises(StoreClosedError):
        run(pool.acquire())


def test_a_connection_whose_rollback_fails_is_closed_and_replaced(pool: Pool) -> None:
    first = run(pool.acquire())
    run(first.execute("BEGIN"))
    first.raw.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
    run(first.rollback())
    run(first.release())
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        first.raw.execute("SELECT 1")
    second = run(pool.acquire())
    assert second is not first
    run(second.release())


def test_an_idle_connection_is_asked_whether_it_answers() -> None:
    pool: DbapiPool[Noting] = DbapiPool(Noting, Endpoint("test"), size=1)
    first = run(pool.acquire())
    assert first.commands == ["SELECT 1"]
    run(first.release())
    first.raw.close()
    second = run(pool.acquire())
    assert second is not first
    run(second.release())
    run(pool.close())


def test_a_forked_child_keeps_the_connections_that_its_parent_used(pool: Pool) -> None:
    connection = run(pool.acquire())
    used = weakref.ref(connection)
    pool.after_fork_in_child()
    del connection
    assert used() is not None


def test_the_pool_of_an_asynchronous_store_is_lost_by_a_fork(pool: Pool) -> None:
    pool.after_fork_in_child()
    run(run(pool.acquire()).release())
    pool.process_bound = "an asynchronous store stays with its process"
    pool.after_fork_in_child()
    with pytest.raises(UnavailableError) as caught:
        run(pool.acquire())
    assert str(caught.value) == (
        "an asynchronous store stays with its process; open another one in the forked child"
    )


class Writes:
    """Operations of one statement: of one part, and of two."""

    @write
    def add(self) -> Op[Any]:
        return (yield QUERIES.add(id=1))

    @write
    def rename(self) -> Op[Any]:
        return (yield QUERIES.rename(id=1, new=2))


def test_a_write_of_several_parts_is_a_transaction_and_one_of_one_part_commits_by_itself(
    pool: Pool,
) -> None:
    dialect = Dialect("test", Failures("Test", sqlite3.Error, lambda error: None, {}, {}))
    session = Session(pool, dialect, Notifier())
    noting = run(pool.acquire())
    run(noting.release())
    noting.commands.clear()
    assert run(session.attempt(step(Writes().add))) == (1,)
    assert [command.split()[0] for command in noting.commands] == ["INSERT"]
    noting.commands.clear()
    assert run(session.attempt(step(Writes().rename))) == (2,)
    words = [command.split()[0] for command in noting.commands]
    assert words == ["BEGIN", "UPDATE", "SELECT", "COMMIT"]
