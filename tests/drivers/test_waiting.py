"""Hints: who wakes a waiter, and what waiting costs those who wait and those who do not."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

import engine_store
from engine_store import Status, Store, TaskState, WorkflowState
from engine_store.config import DatabaseConfig
from engine_store_contracts.suite.samples import task, workflow

NEVER = 600.0
"""A poll interval in seconds, so long that a test would time out if no hint came."""

SOON = 30.0
"""Seconds within which a hint comes."""

WAITERS = 1000

WaitUntil = Callable[[Callable[[], object]], None]


def settings(url: str, **others: Any) -> DatabaseConfig:
    return DatabaseConfig(url=url, poll_interval=NEVER, **others)


@pytest.fixture
def pair(url: str) -> Iterator[tuple[Store, Store]]:
    """Two stores of one database, which know nothing of each other, as in two processes."""
    with engine_store.open(settings(url)) as store, engine_store.open(settings(url)) as other:
        store.workflows.create(workflow("w"))
        yield store, other


@contextmanager
def asleep(store: Any, call: Callable[[], Any], wait_until: WaitUntil) -> Iterator[Future[Any]]:
    """Give the future of a call that sleeps by now, in a thread of its own."""
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(call)
        wait_until(lambda: store.engine.notifier.watches == 1)
        time.sleep(0.2)  # what listens begins beside the waiter
        yield future


CHANGES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "a status": (
        lambda store: store.workflows.wait("w", timeout=SOON),
        lambda other: other.workflows.set_status("w", Status.SUCCESS),
    ),
    "an event": (
        lambda store: store.events.wait("w", timeout=SOON),
        lambda other: other.events.append("w", "x"),
    ),
    "an event in a transaction": (
        lambda store: store.events.wait("w", timeout=SOON),
        lambda other: other.run(lambda tx: tx.events.append("w", "x")),
    ),
    "the end of a workflow": (
        lambda store: list(store.events.follow("w")) or True,
        lambda other: other.workflows.cancel("w"),
    ),
    "a task": (
        lambda store: store.tasks.claim("ann", lease=9, wait=SOON),
        lambda other: other.tasks.create(task("t")),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_the_same_store_wakes_a_waiter(
    pair: tuple[Store, Store], wait_until: WaitUntil, change: str
) -> None:
    wait, make = CHANGES[change]
    with asleep(pair[0], lambda: wait(pair[0]), wait_until) as waiting:
        make(pair[0])
        assert waiting.result(SOON)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_another_store_wakes_a_waiter(
    pair: tuple[Store, Store], wait_until: WaitUntil, change: str
) -> None:
    wait, make = CHANGES[change]
    with asleep(pair[0], lambda: wait(pair[0]), wait_until) as waiting:
        if pair[1].engine.dialect.name == "postgres":  # type: ignore[attr-defined]
            time.sleep(1.1)  # a writer that has just seen that nobody waits looks again in a second
        make(pair[1])
        assert waiting.result(SOON)


def test_a_task_that_comes_due_wakes_a_waiter(pair: tuple[Store, Store]) -> None:
    store, _ = pair
    due_at = engine_store.utc_now() + timedelta(seconds=0.3)
    store.tasks.create(task("t", due_at=due_at))
    [claim] = store.tasks.claim("ann", lease=0.2, wait=SOON)
    assert engine_store.utc_now() >= due_at
    [again] = store.tasks.claim("bob", lease=9, wait=SOON)  # when the first lease has expired
    assert (again.task.attempt, again.expires_at > claim.expires_at) == (2, True)


# --- what it costs -------------------------------------------------------------------------------


def test_a_thousand_waiters_have_no_thread_each_and_one_connection(
    url: str, postgres_admin: psycopg.Connection
) -> None:
    listening = (
        b"SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        b"WHERE locktype = 'advisory' AND mode = 'ShareLock' AND application_name = 'thousand'"
    )
    if url.startswith("postgres"):
        url += "&application_name=thousand"

    async def main() -> None:
        async with await engine_store.open_async(settings(url)) as store:
            keys = [f"w{number}" for number in range(WAITERS)]
            async with store.transaction() as tx:
                for key in keys:
                    await tx.workflows.create(workflow(key))
            before = threading.active_count()
            waits = [asyncio.create_task(store.workflows.wait(key)) for key in keys]
            notifier = store.engine.notifier  # type: ignore[attr-defined]
            async with asyncio.timeout(SOON):
                while True:
                    if notifier.watches == WAITERS:
                        break
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            assert threading.active_count() <= before + 8  # readers, and one that looks
            if url.startswith("postgres"):
                assert postgres_admin.execute(listening).fetchone() == (1,)
            async with store.transaction() as tx:
                for key in keys:
                    await tx.workflows.set_status(key, Status.SUCCESS)
            async with asyncio.timeout(SOON):
                states = await asyncio.gather(*waits)
            assert {state.status for state in states} == {Status.SUCCESS}
            assert notifier.watches == 0

    asyncio.run(main())


def test_who_does_not_wait_starts_nothing_on_sqlite(tmp_path: Any) -> None:
    with engine_store.open(f"sqlite:///{tmp_path}/engine.db") as store:
        before = set(threading.enumerate())
        store.workflows.create(workflow("w"))
        store.tasks.create(task("t"))
        store.tasks.claim("ann", lease=9)
        store.events.append("w", "x")
        assert not store.engine.notifier.is_active  # type: ignore[attr-defined]
        assert set(threading.enumerate()) == before


def test_nobody_is_notified_if_nobody_waits(
    postgres_store_url: str, postgres_admin: psycopg.Connection
) -> None:
    with engine_store.open(postgres_store_url) as store:
        schema = store.engine.pool.options.schema  # type: ignore[attr-defined]
        postgres_admin.execute(f'LISTEN "{schema}"'.encode())
        store.workflows.create(workflow("w"))
        for number in range(20):
            store.events.append("w", str(number))
            time.sleep(0.01)
    assert list(postgres_admin.notifies(timeout=0.2)) == []


def test_what_is_written_together_is_notified_together(
    postgres_store_url: str, postgres_admin: psycopg.Connection, wait_until: WaitUntil
) -> None:
    with (
        engine_store.open(settings(postgres_store_url)) as waiter,
        engine_store.open(settings(postgres_store_url)) as writer,
    ):
        schema = writer.engine.pool.options.schema  # type: ignore[attr-defined]
        postgres_admin.execute(f'LISTEN "{schema}"'.encode())
        writer.workflows.create(workflow("w"))
        with asleep(
            waiter, lambda: waiter.workflows.wait("w", timeout=SOON), wait_until
        ) as waiting:
            time.sleep(1.1)
            for number in range(200):
                writer.events.append("w", str(number))
            writer.workflows.set_status("w", Status.SUCCESS)
            assert waiting.result(SOON).status is Status.SUCCESS
    found = list(postgres_admin.notifies(timeout=0.2))
    assert 1 <= len(found) < 200


# --- what may go wrong ---------------------------------------------------------------------------


def test_a_lost_connection_of_who_listens_is_made_anew(
    postgres_store_url: str, postgres_admin: psycopg.Connection, wait_until: WaitUntil
) -> None:
    url = f"{postgres_store_url}&application_name=listener"
    listening = (
        b"SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid) "
        b"WHERE locktype = 'advisory' AND mode = 'ShareLock' AND application_name = 'listener'"
    )
    with engine_store.open(settings(url)) as store, engine_store.open(settings(url)) as other:
        store.workflows.create(workflow("w"))
        with asleep(store, lambda: store.workflows.wait("w", timeout=SOON), wait_until) as waiting:
            wait_until(lambda: postgres_admin.execute(listening).fetchone())
            [first] = postgres_admin.execute(listening).fetchall()
            postgres_admin.execute("SELECT pg_terminate_backend(%s)", first)
            wait_until(lambda: postgres_admin.execute(listening).fetchall() not in ([], [first]))
            time.sleep(1.1)
            other.workflows.set_status("w", Status.SUCCESS)
            assert waiting.result(SOON).status is Status.SUCCESS


def test_behind_pgbouncer_a_waiter_looks_by_itself(postgres_store_url: str) -> None:
    url = f"{postgres_store_url}&pgbouncer=true"
    config = DatabaseConfig(url=url, poll_interval=0.05)
    with engine_store.open(config) as store, engine_store.open(url) as other:
        store.workflows.create(workflow("w"))
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(lambda: store.workflows.wait("w", timeout=SOON))
            other.workflows.set_status("w", Status.SUCCESS)
            assert waiting.result(SOON).status is Status.SUCCESS


def test_a_store_that_is_closed_leaves_no_thread(url: str, wait_until: WaitUntil) -> None:
    before = set(threading.enumerate())
    with engine_store.open(settings(url)) as store:
        store.workflows.create(workflow("w"))
        with asleep(store, lambda: store.workflows.wait("w", timeout=SOON), wait_until) as waiting:
            store.workflows.set_status("w", Status.SUCCESS)
            waiting.result(SOON)
    wait_until(lambda: set(threading.enumerate()) <= before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_waits_and_wakes_its_parent(url: str, wait_until: WaitUntil) -> None:
    with engine_store.open(settings(url)) as store:
        store.workflows.create(WorkflowState("w", "x"))
        store.workflows.create(WorkflowState("done", "x"))
        with asleep(store, lambda: store.workflows.wait("w", timeout=SOON), wait_until) as waiting:
            time.sleep(1.1)
            child = os.fork()
            if not child:
                code = 1
                try:
                    store.tasks.create(TaskState("w", "t", "t", "x"))
                    [claim] = store.tasks.claim("child", lease=9, wait=SOON)
                    store.tasks.finish(claim)
                    store.workflows.set_status("w", Status.SUCCESS)
                    time.sleep(0.2)  # what is told, is told beside
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitpid(child, 0)[1] == 0
            assert waiting.result(SOON).status is Status.SUCCESS
