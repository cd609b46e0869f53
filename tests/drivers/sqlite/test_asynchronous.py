"""The asynchronous face: turns, cancellation and closing, with nothing left behind."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

import attrs
import pytest

import engine_store
from engine_store import DatabaseConfig
from engine_store.errors import (
    EngineStoreError,
    NotInTransactionError,
    StoreClosedError,
    TransactionClosedError,
    UnavailableError,
    VersionConflictError,
)
from engine_store.protocols import AsyncStore, AsyncTransaction
from engine_store.sql.stores import SqlStore
from engine_store_contracts.suite.samples import task, workflow
from engine_store_sqlite import driver
from engine_store_sqlite.dialect import MIGRATIONS

PATIENCE = 30.0


def on_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an asynchronous test on an event loop of its own."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 2 * PATIENCE))

    return run


@asynccontextmanager
async def opened(path: Path, **options: object) -> AsyncIterator[Any]:
    config = DatabaseConfig(url=f"sqlite:///{path}", options=options)
    async with await engine_store.open_async(config) as store:
        yield store


async def ids(store: AsyncStore) -> list[str]:
    return sorted(state.workflow_exec_id for state in (await store.workflows.list()).items)


def is_at_rest(store: Any) -> bool:
    """Whether no connection, turn or lock is taken."""
    pool = store.engine.pool
    taken = (store.engine.write_locks.held, pool.write_queue.holder, pool.read_pool.in_use)
    return taken == (0, None, 0)


async def comes_to_rest(store: Any) -> None:
    """Wait until nothing is taken: a checkpoint may be under way, and a leader wait for its end."""
    async with asyncio.timeout(PATIENCE):
        while not is_at_rest(store):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def settled() -> None:
    """Let every task that can go on go on."""
    for _ in range(10):
        await asyncio.sleep(0)


# --- cancelling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@on_a_loop
async def test_calls_cancelled_at_any_moment_leave_nothing_taken(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with opened(path, synchronous="normal", readers=2) as store:
        await store.workflows.create(workflow("w", input={"count": 0}))

        def count(state: Any) -> Any:
            return attrs.evolve(state, input={"count": state.input["count"] + 1})

        async def transact(number: int) -> None:
            async with store.transaction() as tx:
                await tx.workflows.modify("w", count)
                async with tx.transaction() as inner:
                    await inner.workflows.create(workflow(f"t{number}"))
                    await inner.tasks.create(task(f"t{number}", f"t{number}"))

        async def read(number: int) -> None:
            await store.workflows.get("w", with_tasks=True)

        async def write(number: int) -> None:
            await store.workflows.create(workflow(f"w{number}"))

        async def modify(number: int) -> None:
            await store.workflows.modify("w", count)

        kinds = [read, write, modify, transact]
        calls = []
        for number in range(300):
            calls.append(asyncio.create_task(chance.choice(kinds)(number)))
            await asyncio.sleep(chance.choice([0, 0.0005, 0.001]))
            for victim in chance.sample(calls[-4:], k=min(2, len(calls))):
                victim.cancel()
        calls[-1].cancel()
        calls[-1].cancel()  # twice is no more than once
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError | None) for result in results)
        cancelled = sum(result is not None for result in results)
        assert 30 < cancelled < len(calls), "else this tests less than it says"

        await comes_to_rest(store)
        last = await store.workflows.modify("w", count)
        assert last.input["count"] == last.version - 1, "every write happened whole or not at all"
        for state in (await store.workflows.list(limit=1000)).items:
            of_transaction = state.workflow_exec_id.startswith("t")
            assert len(await store.tasks.in_workflow(state.workflow_exec_id)) == of_transaction
        with engine_store.open(f"sqlite:///{path}?busy_timeout=1") as other:
            other.workflows.create(workflow("another writer finds the lock free"))


@on_a_loop
async def test_a_transaction_whose_body_is_cancelled_is_undone(path: Path) -> None:
    async with opened(path) as store:
        inside = asyncio.Event()

        async def transact() -> None:
            async with store.transaction() as tx:
                await tx.workflows.create(workflow())
                inside.set()
                await asyncio.sleep(PATIENCE)

        transaction = asyncio.create_task(transact())
        await inside.wait()
        transaction.cancel()
        with pytest.raises(asyncio.CancelledError):
            await transaction
        assert await ids(store) == []
        assert is_at_rest(store)


@on_a_loop
async def test_a_savepoint_cancelled_while_it_begins_does_not_stay_open(path: Path) -> None:
    async with opened(path) as store:
        async with store.transaction() as tx:
            with pytest.raises(KeyError):
                async with tx.transaction() as outer:
                    await outer.workflows.create(workflow("undone"))
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0), outer.transaction():
                            pytest.fail("it was cancelled before")
                    raise KeyError
            await tx.workflows.create(workflow("kept"))
        assert await ids(store) == ["kept"]


@on_a_loop
async def test_a_call_cancelled_while_it_waits_for_its_turn_does_not_happen(path: Path) -> None:
    async with opened(path) as store:
        async with store.transaction():
            late = asyncio.create_task(store.workflows.create(workflow()))
            await settled()
            late.cancel()
            with pytest.raises(asyncio.CancelledError):
                await late
        assert await ids(store) == []
        assert is_at_rest(store)


@on_a_loop
async def test_a_cancelled_opening_closes_what_it_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, go_on = threading.Event(), threading.Event()
    open_engine = driver.open_engine

    def slowly(*args: Any) -> Any:
        engine = open_engine(*args)
        opening.set()
        assert go_on.wait(PATIENCE)
        return engine

    monkeypatch.setattr(driver, "open_engine", slowly)
    call = asyncio.create_task(engine_store.open_async(f"sqlite:///{path}"))
    await asyncio.to_thread(opening.wait)
    call.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert [found.name for found in path.parent.iterdir()] == ["engine.db"]


# --- turns ---------------------------------------------------------------------------------------


@on_a_loop
async def test_a_write_past_the_tasks_own_transaction_fails_at_once(path: Path) -> None:
    async with opened(path) as store, store.transaction() as tx:
        await tx.workflows.create(workflow())
        for write in (
            lambda: store.workflows.create(workflow("other")),
            lambda: store.workflows.merge_usage("w", engine_store.UsageSummary()),
            lambda: store.migrator.down(0),
            store.transaction().__aenter__,
        ):
            started = time.monotonic()
            with pytest.raises(UnavailableError) as caught:
                await write()
            assert not caught.value.retriable
            assert "this task has a transaction open" in caught.value.reason
            assert time.monotonic() - started < 5
        assert await ids(store) == []  # reading is fine: it sees what is committed
        assert (await tx.workflows.get("w")).version == 1


@on_a_loop
async def test_another_tasks_write_waits_for_the_transactions_end(path: Path) -> None:
    async with opened(path) as store:
        async with store.transaction() as tx:
            stored = await tx.workflows.create(workflow())
            late = asyncio.create_task(store.workflows.update(stored))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(late), 0.05)
        assert (await late).version == 2


@on_a_loop
async def test_another_tasks_write_gives_up_after_the_busy_time_out(path: Path) -> None:
    async with opened(path, busy_timeout=0.1) as store:
        async with store.transaction():
            late = asyncio.create_task(store.workflows.create(workflow()))
            with pytest.raises(UnavailableError) as caught:
                await late
        assert caught.value.retriable
        assert caught.value.reason.startswith("another task held the write lock for 0.1 s")
        assert (await store.workflows.create(workflow())).version == 1


@on_a_loop
async def test_tasks_that_all_write_get_their_turn(path: Path) -> None:
    async with opened(path, synchronous="normal") as store:
        made = await asyncio.gather(
            *(store.workflows.create(workflow(f"w{number}")) for number in range(200))
        )
        assert {state.version for state in made} == {1}


@on_a_loop
async def test_reads_go_on_beside_a_transaction_as_many_at_once_as_there_are_readers(
    path: Path,
) -> None:
    async with opened(path, readers=3) as store, store.transaction() as tx:
        await tx.workflows.create(workflow())
        together = threading.Barrier(3)

        async def read() -> object:
            together.wait(PATIENCE)
            return SqlStore(store.engine.blocking).workflows.list().items

        assert await asyncio.gather(*(store.engine.read(read) for _ in range(3))) == [(), (), ()]


@on_a_loop
async def test_what_needs_a_transaction_says_so(path: Path) -> None:
    async with opened(path) as store:
        await store.workflows.create(workflow())
        with pytest.raises(NotInTransactionError) as caught:
            await store.workflows.get_for_update("w")
        assert caught.value.operation == "workflows.get_for_update"
        async with store.transaction() as tx:
            assert (await tx.workflows.get_for_update("w")).version == 1


@on_a_loop
async def test_an_error_in_a_transaction_comes_out_unchanged_and_undoes_it(path: Path) -> None:
    async with opened(path) as store:
        error = KeyError("mine")
        with pytest.raises(KeyError) as caught:
            async with store.transaction() as tx:
                await tx.workflows.create(workflow())
                raise error
        assert caught.value is error
        assert await ids(store) == []
        with pytest.raises(VersionConflictError):
            async with store.transaction() as tx:
                state = await tx.workflows.create(workflow())
                await tx.workflows.update(attrs.evolve(state, version=7))
        assert await ids(store) == []


@on_a_loop
async def test_savepoints_undo_their_own(path: Path) -> None:
    async with opened(path) as store:
        async with store.transaction() as tx:
            await tx.workflows.create(workflow("kept"))
            with pytest.raises(KeyError):
                async with tx.transaction() as inner:
                    await inner.workflows.create(workflow("undone"))
                    raise KeyError
            async with tx.transaction() as inner:
                await inner.workflows.create(workflow("kept too"))
        assert await ids(store) == ["kept", "kept too"]


@on_a_loop
async def test_a_transaction_that_has_ended_does_nothing(path: Path) -> None:
    async with opened(path) as store:
        async with store.transaction() as tx:
            async with tx.transaction() as inner:
                pass
            with pytest.raises(TransactionClosedError):
                await inner.workflows.list()
        with pytest.raises(TransactionClosedError):
            await tx.workflows.create(workflow())
        with pytest.raises(TransactionClosedError):
            async with tx.transaction():
                pytest.fail("it began")
        assert await ids(store) == []


# --- the migrator and health ---------------------------------------------------------------------


@on_a_loop
async def test_the_migrator_works_in_turn_with_other_writers(path: Path) -> None:
    later = [step.version for step in MIGRATIONS[2:]]
    async with opened(path) as store:
        down = await store.migrator.down(2)
        assert [step.version for step in down.steps] == later[::-1]
        assert [step.version for step in (await store.migrator.plan()).steps] == later
        statuses = await store.migrator.status()
        assert [status.version for status in statuses if status.applied_at is None] == later
        async with store.transaction() as tx:
            up = asyncio.create_task(store.migrator.up())
            await settled()
            assert not up.done()
            await tx.workflows.create(workflow())
        assert [step.version for step in (await up).steps] == later
        await store.migrator.verify()
        assert (await store.health()).ok


@on_a_loop
async def test_health_is_told_also_while_another_task_writes(path: Path) -> None:
    async with opened(path, busy_timeout=0) as store, store.transaction():
        health = await store.health()
        assert (health.can_read, health.can_write, health.problem) == (True, True, None)


# --- closing -------------------------------------------------------------------------------------


@on_a_loop
async def test_after_closing_everything_says_so(path: Path) -> None:
    async with opened(path) as store:
        pass
    await store.close()
    for call in (
        lambda: store.workflows.list(),
        lambda: store.workflows.create(workflow()),
        lambda: store.workflows.modify("w", lambda state: state),
        lambda: store.health(),
        lambda: store.migrator.status(),
        lambda: store.migrator.plan(),
        lambda: store.migrator.up(),
        lambda: store.migrator.down(0),
        lambda: store.migrator.verify(),
        lambda: store.transaction().__aenter__(),
    ):
        with pytest.raises(StoreClosedError):
            await call()


@on_a_loop
async def test_closing_does_not_wait_for_a_transaction_which_cannot_go_on(path: Path) -> None:
    async with opened(path) as store:
        inside, closed = asyncio.Event(), asyncio.Event()

        async def transact() -> None:
            async with store.transaction() as tx:
                await tx.workflows.create(workflow())
                inside.set()
                await closed.wait()
                with pytest.raises(StoreClosedError):
                    await tx.workflows.list()
                with pytest.raises(StoreClosedError):
                    async with tx.transaction():
                        pytest.fail("it began")

        transaction = asyncio.create_task(transact())
        await inside.wait()
        await store.close()
        closed.set()
        with pytest.raises(StoreClosedError):
            await transaction
    assert [found.name for found in path.parent.iterdir()] == ["engine.db"]
    with engine_store.open(f"sqlite:///{path}") as again:
        assert again.workflows.list().items == ()


@on_a_loop
async def test_who_waits_for_a_turn_learns_that_the_store_was_closed(path: Path) -> None:
    async with opened(path) as store:
        inside, closed = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            with suppress(StoreClosedError):
                async with store.transaction():
                    inside.set()
                    await closed.wait()

        async def begin() -> None:
            async with store.transaction():
                pytest.fail("it began")

        holder = asyncio.create_task(hold())
        await inside.wait()
        waiting = [
            asyncio.create_task(call)
            for call in (
                store.workflows.create(workflow()),
                begin(),
                store.migrator.up(),
                store.migrator.down(0),
            )
        ]
        await settled()
        await store.close()
        closed.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [StoreClosedError] * 4
        await holder


@on_a_loop
async def test_closing_ends_the_stores_threads_also_with_calls_under_way(path: Path) -> None:
    def threads() -> set[str]:
        return {thread.name for thread in threading.enumerate() if "engine-store" in thread.name}

    before = threads()
    async with opened(path) as store:
        calls = [
            asyncio.create_task(store.workflows.create(workflow(f"w{number}")))
            for number in range(20)
        ]
        calls += [asyncio.create_task(store.workflows.list()) for _ in range(20)]
        await asyncio.sleep(0.002)
        assert threads() > before
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        assert not isinstance(result, BaseException) or type(result) is StoreClosedError
    deadline = time.monotonic() + PATIENCE
    while threads() > before:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
    assert [found.name for found in path.parent.iterdir()] == ["engine.db"]


def test_what_cannot_be_opened_is_refused_as_by_the_synchronous_face(path: Path) -> None:
    path.mkdir()
    with pytest.raises(EngineStoreError) as here:
        asyncio.run(engine_store.open_async(f"sqlite:///{path}"))
    with pytest.raises(type(here.value)) as there:
        engine_store.open(f"sqlite:///{path}")
    assert str(here.value) == str(there.value)


def test_tasks_that_nest_in_one_transaction_at_a_time_wait_for_each_other(path: Path) -> None:
    async def nest(tx: AsyncTransaction, name: str) -> None:
        with suppress(ZeroDivisionError):
            async with tx.transaction() as inner:
                await inner.workflows.create(workflow(f"{name}1"))
                await asyncio.sleep(0)
                if name == "failing":
                    raise ZeroDivisionError
                await inner.workflows.create(workflow(f"{name}2"))

    async def run() -> set[str]:
        async with await engine_store.open_async(f"sqlite:///{path}") as store:
            async with store.transaction() as tx:
                await asyncio.gather(*(nest(tx, name) for name in ("failing", "a", "b")))
            page = await store.workflows.list()
            return {state.workflow_exec_id for state in page.items}

    assert asyncio.run(run()) == {"a1", "a2", "b1", "b2"}
