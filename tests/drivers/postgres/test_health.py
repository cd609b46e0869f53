"""What `health` says of a PostgreSQL store, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from engine_store.errors import ReadOnlyError, StoreClosedError, UnavailableError
from engine_store.models import Health
from engine_store.urls import parse_url
from engine_store_contracts.suite.samples import workflow
from engine_store_postgres.driver import MIGRATIONS
from postgres_server import PostgresServer

STANDBY = "the server is a standby"
READ_ONLY = "transactions are read-only by default_transaction_read_only"


@pytest.fixture
def schema(postgres_store_url: str) -> str:
    return parse_url(postgres_store_url).options["schema"]


def version_of(connection: psycopg.Connection) -> str:
    row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    version: str = row[0]
    return version


# --- a server in order ---------------------------------------------------------------------------


def test_a_store_in_order_says_so_with_its_statistics(
    store: Any, postgres_admin: psycopg.Connection
) -> None:
    health = store.health()
    details = {
        "server_version": version_of(postgres_admin),
        "pool_size": 1,
        "pool_max": 8,
        "pool_available": 1,
        "requests_waiting": 0,
    }
    assert health == Health("postgres", True, True, len(MIGRATIONS), None, details)
    assert health.ok


def test_the_statistics_are_those_of_the_pool(
    open_store: Callable[..., Any], postgres_store_url: str
) -> None:
    store = open_store(postgres_store_url, pool_min_size=0, pool_max_size=3)
    with store.transaction() as one, store.transaction() as two:
        one.workflows.create(workflow("one"))
        two.workflows.create(workflow("two"))
        details = store.health().details
    assert {name: details[name] for name in ("pool_size", "pool_max", "pool_available")} == {
        "pool_size": 3,
        "pool_max": 3,
        "pool_available": 1,
    }
    assert store.health().details["pool_available"] == 3


def test_the_schemas_version_is_what_is_applied(store: Any) -> None:
    store.migrator.down(1)
    assert store.health().schema_version == 1
    store.migrator.down(0)
    assert store.health().schema_version == 0


def test_inside_a_transaction_the_store_is_healthy_and_the_transaction_goes_on(store: Any) -> None:
    with store.transaction() as tx:
        tx.workflows.create(workflow())
        assert store.health().ok
        tx.workflows.create(workflow("after"))
    assert len(store.workflows.list().items) == 2


def test_a_database_that_is_being_written_is_healthy(
    store: Any, postgres_url: str, schema: str
) -> None:
    with psycopg.connect(postgres_url) as writer:
        writer.execute(f"LOCK TABLE {schema}.workflows".encode())
        assert store.health().ok


def test_no_connection_to_ask_with_is_a_problem(
    open_store: Callable[..., Any], postgres_store_url: str
) -> None:
    store = open_store(postgres_store_url, pool_max_size=1, pool_timeout=0.3)
    with store.transaction() as tx:
        tx.workflows.create(workflow())
        health = store.health()
    problem = (
        "all 1 connections were busy for 0.3 s; try again, raise pool_max_size, or keep "
        "transactions short"
    )
    assert health == Health("postgres", False, False, 0, problem)
    assert store.health().ok


def test_health_leaves_nothing_taken(
    open_store: Callable[..., Any], postgres_store_url: str
) -> None:
    store = open_store(postgres_store_url, pool_max_size=1, pool_timeout=0.3)
    for _ in range(5):
        assert store.health().ok
    with store.transaction() as tx:
        tx.workflows.create(workflow())


def test_a_closed_store_has_no_health(store: Any) -> None:
    store.close()
    with pytest.raises(StoreClosedError):
        store.health()


# --- what may not be read or written -------------------------------------------------------------


def test_a_server_that_is_read_only_can_still_be_read(
    open_store: Callable[..., Any], store: Any, postgres_store_url: str
) -> None:
    store.workflows.create(workflow())
    url = f"{postgres_store_url}&options=-c%20default_transaction_read_only%3Don"
    limited = open_store(url)
    health = limited.health()
    assert health == Health("postgres", True, False, len(MIGRATIONS), READ_ONLY, health.details)
    assert not health.ok
    assert health.details == store.health().details
    assert limited.workflows.get("w").version == 1
    with pytest.raises(UnavailableError):
        limited.workflows.create(workflow("late"))


@pytest.fixture
def role(store: Any, schema: str, postgres_admin: psycopg.Connection) -> Iterator[str]:
    """A user who may look into the schema of a store and see no table."""
    name = f"test_{uuid4().hex}"
    postgres_admin.execute(f"CREATE ROLE {name}; GRANT USAGE ON SCHEMA {schema} TO {name}".encode())
    yield name
    postgres_admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


@pytest.fixture
def open_granted(
    open_store: Callable[..., Any],
    postgres_store_url: str,
    postgres_admin: psycopg.Connection,
    schema: str,
    role: str,
) -> Callable[[str], Any]:
    """Opens the store as that user, after granting rights on every table."""

    def open_(rights: str) -> Any:
        postgres_admin.execute(
            f"GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {role}".encode()
        )
        return open_store(f"{postgres_store_url}&options=-c%20role%3D{role}")

    return open_


def test_a_user_who_may_read_and_write_has_a_healthy_store(
    open_granted: Callable[[str], Any],
) -> None:
    assert open_granted("SELECT, INSERT, UPDATE, DELETE").health().ok


def test_a_user_who_may_only_read_cannot_write(open_granted: Callable[[str], Any]) -> None:
    store = open_granted("SELECT")
    with pytest.raises(UnavailableError):
        store.workflows.create(workflow())
    health = store.health()
    assert (health.can_read, health.can_write, health.schema_version) == (
        True,
        False,
        len(MIGRATIONS),
    )
    assert health.problem is not None


def test_a_schema_that_the_user_may_not_look_into_any_more_is_said(
    open_granted: Callable[[str], Any],
    postgres_admin: psycopg.Connection,
    schema: str,
    role: str,
) -> None:
    store = open_granted("SELECT")
    postgres_admin.execute(f"REVOKE USAGE ON SCHEMA {schema} FROM {role}".encode())
    problem = "PostgreSQL: the user lacks a privilege; grant it, or open the store as another user"
    assert store.health() == Health("postgres", False, False, 0, problem)


def test_a_problem_that_nobody_foresaw_is_in_the_answer_too_as_a_sentence(
    store: Any, postgres_admin: psycopg.Connection, schema: str
) -> None:
    table = f"{schema}.engine_store_migrations"
    postgres_admin.execute(
        f"ALTER TABLE {table} RENAME TO hidden;"
        f"CREATE VIEW {table} AS SELECT (E'no\\nnumber' || left(name, 0))::bigint AS version,"
        f"name, checksum, applied_at FROM {schema}.hidden".encode()
    )
    health = store.health()
    assert health.problem is not None
    assert 'invalid input syntax for type bigint: "no' in health.problem
    assert health == Health("postgres", False, False, 0, health.problem)


# --- a server of its own -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(start_server: Callable[..., PostgresServer]) -> Iterator[PostgresServer]:
    """A server that may be stopped. Tests leave it running."""
    with start_server() as server:
        yield server


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_server_that_is_gone_is_said_and_one_that_is_back_is_found(
    open_store: Callable[..., Any], server: PostgresServer, end: str
) -> None:
    store = open_store(server.url(pool_timeout="0.3"))
    assert store.health().ok
    getattr(server, end)()
    try:
        health = store.health()
        with pytest.raises(UnavailableError) as caught:
            store.workflows.list()
    finally:
        server.start()
    problem = (
        "PostgreSQL could not be reached for 0.3 s; try again when it is back; the log of "
        "psycopg.pool has its answers"
    )
    assert health == Health("postgres", False, False, 0, problem)
    assert (caught.value.reason, caught.value.retriable) == (problem, True)
    patient = open_store(server.url())
    assert patient.health().ok


def test_a_store_whose_server_was_away_is_healthy_again_by_itself(
    open_store: Callable[..., Any], server: PostgresServer
) -> None:
    store = open_store(server.url())
    server.stop()
    server.start()
    assert store.health().ok


def test_a_standby_can_be_read_and_once_it_is_promoted_written(
    open_store: Callable[..., Any], start_server: Callable[..., PostgresServer]
) -> None:
    with start_server() as server:
        first = open_store(server.url())
        first.workflows.create(workflow())
        first.close()
        server.stop()
        Path(server.socket_folder, "data", "standby.signal").touch()
        server.start()
        store = open_store(server.url())
        health = store.health()
        assert health == Health("postgres", True, False, len(MIGRATIONS), STANDBY, health.details)
        assert store.workflows.get("w").version == 1
        with pytest.raises(UnavailableError) as caught:
            store.workflows.create(workflow("late"))
        assert caught.value.retriable
        reader = open_store(server.url(), read_only=True)
        assert reader.health().ok
        assert reader.workflows.get("w").version == 1
        with pytest.raises(ReadOnlyError):
            reader.workflows.create(workflow("late"))
        with pytest.raises(UnavailableError, match="verify it on the primary"):
            reader.migrator.verify()
        reader.close()
        with psycopg.connect(server.url(), autocommit=True) as admin:
            assert admin.execute("SELECT pg_promote(wait_seconds => 30)").fetchone() == (True,)
        assert store.health().ok
        assert store.workflows.create(workflow("late")).version == 1
        store.close()
