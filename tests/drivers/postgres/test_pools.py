"""The pool: every connection at work at once, dead ones replaced unseen, waits that end."""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

import engine_store
from engine_store.errors import StoreClosedError, UnavailableError
from engine_store_contracts.suite.samples import user, workflow

PATIENCE = 30.0


def test_eight_threads_on_a_pool_of_eight_use_eight_connections_at_once(
    make_schema: Callable[..., str], backends: Callable[[str], dict[int, str]]
) -> None:
    all_inside, may_leave = threading.Barrier(9), threading.Event()
    url = make_schema(pool_max_size=8, application_name="eight")
    with engine_store.open(url) as store, ThreadPoolExecutor(8) as threads:

        def write(number: int) -> None:
            with store.transaction() as tx:
                tx.workflows.create(workflow(str(number)))
                all_inside.wait(PATIENCE)
                may_leave.wait(PATIENCE)

        running = [threads.submit(write, number) for number in range(8)]
        all_inside.wait(PATIENCE)
        found = backends("eight")
        may_leave.set()
        for thread in running:
            thread.result(PATIENCE)
        assert list(found.values()) == ["idle in transaction"] * 8
        assert len(store.workflows.list().items) == 8


def test_eight_tasks_of_one_event_loop_use_eight_connections_at_once(
    make_schema: Callable[..., str], backends: Callable[[str], dict[int, str]]
) -> None:
    async def main() -> dict[int, str]:
        url = make_schema(pool_max_size=8, application_name="eight-tasks")
        all_inside, may_leave = asyncio.Barrier(9), asyncio.Event()
        async with await engine_store.open_async(url) as store:

            async def write(number: int) -> None:
                async with store.transaction() as tx:
                    await tx.workflows.create(workflow(str(number)))
                    await all_inside.wait()
                    await may_leave.wait()

            running = [asyncio.create_task(write(number)) for number in range(8)]
            await all_inside.wait()
            found = backends("eight-tasks")
            may_leave.set()
            await asyncio.gather(*running)
            return found

    assert list(asyncio.run(main()).values()) == ["idle in transaction"] * 8


def test_who_finds_every_connection_busy_is_told_so_when_its_time_is_over(
    make_schema: Callable[..., str],
) -> None:
    url = make_schema(pool_max_size=1, pool_timeout=0.05)
    with engine_store.open(url) as store, store.transaction() as tx:
        tx.users.create(user("ann"))
        with ThreadPoolExecutor(1) as thread, pytest.raises(UnavailableError) as caught:
            thread.submit(store.users.create, user("bob")).result(PATIENCE)
    assert caught.value.retriable is True
    assert str(caught.value) == (
        "all 1 connections were busy for 0.05 s; try again, raise pool_max_size, or keep "
        "transactions short"
    )


def test_more_calls_than_may_wait_are_refused_at_once(make_schema: Callable[..., str]) -> None:
    url = make_schema(pool_max_size=1, pool_max_waiting=1)
    with engine_store.open(url) as store, ThreadPoolExecutor(1) as thread:
        with store.transaction():
            waiting = thread.submit(store.users.create, user("ann"))
            while not store.stats()["requests_waiting"]:  # type: ignore[attr-defined]
                assert not waiting.done()
            with pytest.raises(UnavailableError, match="pool_max_waiting") as caught:
                store.users.create(user("bob"))
        assert waiting.result(PATIENCE).version == 1
    assert caught.value.retriable is True


def end_all(admin: psycopg.Connection, name: str) -> int:
    """End the server's processes for an application name; how many there were."""
    ended = admin.execute(
        b"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s",
        [name],
    ).fetchall()
    assert all(done for (done,) in ended)
    return len(ended)


def use_connections(store: Any, number: int) -> None:
    """Have so many connections in the pool."""
    inside = threading.Barrier(number)

    def hold() -> None:
        with store.transaction() as tx:
            tx.users.list()
            inside.wait(PATIENCE)

    with ThreadPoolExecutor(number) as threads:
        for thread in [threads.submit(hold) for _ in range(number)]:
            thread.result(PATIENCE)


@pytest.mark.parametrize("check", ["socket", "query"])
def test_connections_that_died_in_the_pool_are_replaced_unseen(
    make_schema: Callable[..., str], postgres_admin: psycopg.Connection, check: str
) -> None:
    name = f"dead-{check}"
    url = make_schema(pool_max_size=4, check=check, application_name=name)
    with engine_store.open(url) as store:
        use_connections(store, 4)
        assert end_all(postgres_admin, name) == 4
        assert store.users.create(user("ann")).version == 1
        with store.transaction() as tx:
            tx.users.create(user("bob"))
        assert [u.user_id for u in store.users.list().items] == ["ann", "bob"]


@pytest.mark.parametrize("check", ["socket", "query"])
def test_an_asynchronous_store_replaces_dead_connections_unseen(
    make_schema: Callable[..., str], postgres_admin: psycopg.Connection, check: str
) -> None:
    async def main() -> int:
        url = make_schema(application_name=f"dead-async-{check}", check=check)
        async with await engine_store.open_async(url) as store:
            await store.users.create(user("ann"))
            end_all(postgres_admin, f"dead-async-{check}")
            return (await store.users.create(user("bob"))).version

    assert asyncio.run(main()) == 1


def test_an_asynchronous_store_without_a_check_fails_once_and_goes_on(
    make_schema: Callable[..., str], postgres_admin: psycopg.Connection
) -> None:
    async def main() -> None:
        url = make_schema(pool_max_size=1, check="off", application_name="trusting-async")
        async with await engine_store.open_async(url) as store:
            await store.users.create(user("ann"))
            end_all(postgres_admin, "trusting-async")
            with pytest.raises(UnavailableError):
                await store.users.get("ann")
            assert (await store.users.get("ann")).version == 1

    asyncio.run(main())


def test_an_asynchronous_store_says_in_a_forked_child_that_it_is_not_its_own(
    postgres_store_url: str,
) -> None:
    async def main() -> int:
        async with await engine_store.open_async(postgres_store_url) as store:
            await store.users.create(user("ann"))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
                child = os.fork()
            if child == 0:
                code = 1
                try:
                    store.users.get("ann").send(None)
                except UnavailableError as error:
                    code = 0 if not error.retriable and "forked child" in str(error) else 2
                finally:
                    os._exit(code)
            _, status = os.waitpid(child, 0)  # noqa: ASYNC222 - it ends at once
            assert (await store.users.get("ann")).version == 1  # the parent's goes on
            return os.waitstatus_to_exitcode(status)

    assert asyncio.run(main()) == 0


def test_without_a_check_the_first_call_on_a_dead_connection_fails_and_the_next_one_works(
    make_schema: Callable[..., str], postgres_admin: psycopg.Connection
) -> None:
    url = make_schema(pool_max_size=1, check="off", application_name="trusting")
    with engine_store.open(url) as store:
        store.users.create(user("ann"))
        end_all(postgres_admin, "trusting")
        with pytest.raises(UnavailableError) as caught:
            store.users.get("ann")
        assert caught.value.retriable is True
        assert store.users.get("ann").version == 1


def test_closing_ends_the_wait_for_a_connection(make_schema: Callable[..., str]) -> None:
    store = engine_store.open(make_schema(pool_max_size=1))
    with ThreadPoolExecutor(1) as thread:
        with pytest.raises(StoreClosedError), store.transaction() as tx:
            tx.users.create(user("ann"))
            waiting = thread.submit(store.users.create, user("bob"))
            while not store.stats()["requests_waiting"]:  # type: ignore[attr-defined]
                assert not waiting.done()
            store.close()
        with pytest.raises(StoreClosedError):
            waiting.result(PATIENCE)


def test_a_closed_store_leaves_no_connection_behind(
    make_schema: Callable[..., str],
    backends: Callable[[str], dict[int, str]],
    postgres_admin: psycopg.Connection,
) -> None:
    url = make_schema(application_name="closing")
    with engine_store.open(url) as store:
        use_connections(store, 3)
        pids = list(backends("closing"))
        assert len(pids) == 3
    # Waits for the server to notice: a process that is gone cannot be ended.
    for pid in pids:
        postgres_admin.execute(b"SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert backends("closing") == {}


def test_a_store_that_cannot_be_opened_leaves_no_connection_behind(
    make_schema: Callable[..., str], backends: Callable[[str], dict[int, str]]
) -> None:
    config = engine_store.DatabaseConfig(
        url=make_schema(application_name="refused"), auto_migrate=False
    )
    with pytest.raises(engine_store.errors.SchemaBehindError):
        engine_store.open(config)
    while backends("refused"):  # the server needs a moment to see the closed socket
        pass
