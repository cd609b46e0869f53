"""A real PgBouncer with transaction pooling, where Debian's package is installed.

Its server connections are fewer than its clients', and change hands between transactions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from uuid import uuid4

import attrs
import psycopg
import pytest

import engine_store
from engine_store.protocols import Store
from engine_store_contracts.harness import Harness, scratch_harness
from engine_store_contracts.reuse import Reused
from engine_store_contracts.suite.case import all_at_once
from engine_store_contracts.suite.completion import CompletionCases
from engine_store_contracts.suite.concurrency import ConcurrencyCases
from engine_store_contracts.suite.deletion import DeletionCases
from engine_store_contracts.suite.migrations import MigrationCases
from engine_store_contracts.suite.paging import PagingCases
from engine_store_contracts.suite.reopening import ReopenCases
from engine_store_contracts.suite.samples import user, workflow
from engine_store_contracts.suite.transactions import TransactionCases
from engine_store_contracts.suite.trees import TreeCases
from engine_store_contracts.suite.users import UserCases
from engine_store_contracts.suite.versions import VersionCases
from pgbouncer import PROGRAM, pgbouncer
from postgres_server import PostgresServer

PORT = 6432
SERVER_CONNECTIONS = 3

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed"),
    pytest.mark.xdist_group("pgbouncer"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server behind the pool."""
    with PostgresServer(settings={"fsync": "off"}) as server:
        yield server


@pytest.fixture(scope="module")
def bouncer(server: PostgresServer) -> Iterator[str]:
    """The URL of the pool; its database is the server's."""
    settings = {
        "max_client_conn": 300,
        "default_pool_size": SERVER_CONNECTIONS,
        "server_idle_timeout": 5,
    }
    with pgbouncer(f"host={server.socket_folder} user=postgres", PORT, settings) as folder:
        yield f"postgresql://postgres@/postgres?host={folder}&port={PORT}&pgbouncer=true"


@pytest.fixture
def url(bouncer: str, server: PostgresServer) -> Iterator[str]:
    """A store behind the pool, in a schema of its own."""
    schema = f"test_{uuid4().hex}"
    yield f"{bouncer}&schema={schema}"
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


class TestPgBouncer(
    VersionCases,
    ConcurrencyCases,
    TransactionCases,
    UserCases,
    CompletionCases,
    DeletionCases,
    PagingCases,
    TreeCases,
    ReopenCases,
    MigrationCases,
):
    """The contract behind the pool, but for what does not depend on whose session it is."""

    @pytest.fixture
    def harness(self, bouncer: str, reused: Reused) -> Harness:
        return reused(partial(scratch_harness, bouncer))


def test_more_clients_than_server_connections_lose_nothing(
    url: str, server: PostgresServer
) -> None:
    def increment(state: engine_store.WorkflowState) -> engine_store.WorkflowState:
        assert state.input is not None
        return attrs.evolve(state, input={"n": state.input["n"] + 1})

    def increment_often(store: Store) -> None:
        for _ in range(25):
            store.workflows.modify("w", increment)

    with engine_store.open(url) as one, engine_store.open(url) as other:
        one.workflows.create(workflow(input={"n": 0}))
        stores = [one, other] * 4
        assert all_at_once([partial(increment_often, store) for store in stores]) == [None] * 8
        assert other.workflows.get("w").input == {"n": 200}
        with psycopg.connect(server.url(), autocommit=True) as admin:
            found = admin.execute(
                b"SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'engine-store%'"
            ).fetchone()
    assert found is not None
    assert 0 < found[0] <= SERVER_CONNECTIONS


def test_no_statement_is_left_prepared_in_a_session_of_the_server(
    url: str, server: PostgresServer
) -> None:
    with engine_store.open(url) as store:
        store.users.create(user("ann"))
        for _ in range(20):  # more often than psycopg waits before it prepares
            store.users.get("ann")
    bouncer = url.partition("&pgbouncer")[0]
    with psycopg.connect(bouncer, autocommit=True, prepare_threshold=None) as client:
        for _ in range(20):  # whichever session it gets
            prepared = client.execute(b"SELECT count(*) FROM pg_prepared_statements").fetchone()
            assert prepared == (0,)


def test_the_asynchronous_face_works_behind_it_too(url: str) -> None:
    async def main() -> list[str]:
        async with await engine_store.open_async(url) as store:

            async def write(number: int) -> None:
                async with store.transaction() as tx:
                    await tx.users.create(user(f"{number:02}"))
                    async with tx.transaction() as inner:
                        await inner.workflows.create(workflow(f"{number:02}"))

            await asyncio.gather(*map(write, range(20)))
            return [found.user_id for found in (await store.users.list()).items]

    assert sorted(asyncio.run(main())) == [f"{number:02}" for number in range(20)]


def test_a_setting_that_would_need_a_session_is_refused_in_this_mode(
    bouncer: str, make_error: Callable[[str], str]
) -> None:
    assert "ALTER ROLE" in make_error(f"{bouncer}&statement_timeout=5")


@pytest.fixture
def make_error() -> Callable[[str], str]:
    """The text of the error that opening a URL raises."""

    def open_it(url: str) -> str:
        with pytest.raises(engine_store.errors.ConfigurationError) as caught:
            engine_store.open(url)
        return str(caught.value)

    return open_it
