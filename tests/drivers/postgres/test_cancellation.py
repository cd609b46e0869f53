"""Cancelling asynchronous calls at random moments leaves nothing behind (contract 9.3)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import attrs
import psycopg
import pytest

import engine_store
from engine_store.errors import EngineStoreError
from engine_store.models import Status, UsageEntry, UsageSummary, WorkflowState
from engine_store.protocols import AsyncStore
from engine_store_contracts.suite.samples import task, user, workflow

CANCELLED = 200
POOL = 8


async def _write_in_a_transaction(store: AsyncStore, key: str) -> None:
    async with store.transaction() as tx:
        await tx.workflows.create(workflow(key))
        await tx.tasks.create(task(key, key))
        async with tx.transaction() as inner:
            await inner.workflows.get_for_update("shared")
            await inner.workflows.set_status(key, Status.RUNNING)


async def _increment(store: AsyncStore, key: str) -> WorkflowState:
    def add(state: WorkflowState) -> WorkflowState:
        return attrs.evolve(state, input={"last": key})

    return await store.workflows.modify("shared", add)


CALLS: tuple[Callable[[AsyncStore, str], Awaitable[object]], ...] = (
    _write_in_a_transaction,
    _increment,
    lambda store, key: store.users.create(user(key)),
    lambda store, key: store.workflows.get("shared", with_tasks=True),
    lambda store, key: store.workflows.complete("shared"),
    lambda store, key: store.workflows.merge_usage(
        "shared", UsageSummary.of([UsageEntry("openai", "gpt", 1)])
    ),
    lambda store, key: store.tasks.list(),
    lambda store, key: store.health(),
)


@pytest.mark.parametrize("seed", range(3))
def test_a_pool_is_full_idle_and_usable_after_many_cancellations(
    make_schema: Callable[..., str], postgres_admin: psycopg.Connection, seed: int
) -> None:
    name = f"cancelled-{seed}"
    url = make_schema(pool_min_size=POOL, pool_max_size=POOL, application_name=name)
    moments = random.Random(seed)

    async def cancelled_soon(store: AsyncStore, number: int) -> str:
        calling = asyncio.ensure_future(CALLS[number % len(CALLS)](store, f"key-{number}"))
        # Some before they have a connection, some in the middle, and some too late.
        await asyncio.sleep(moments.uniform(0, moments.choice([0.005, 0.05, 1.0])))
        calling.cancel()
        try:
            await calling
        except asyncio.CancelledError:
            return "cancelled"
        except EngineStoreError:
            return "refused"
        return "done"

    async def main() -> None:
        async with await engine_store.open_async(url) as store:
            await store.workflows.create(workflow("shared", input={}))
            await store.tasks.create(task("root", "shared"))  # so that it is never complete
            calls = [cancelled_soon(store, number) for number in range(CANCELLED)]
            outcomes = await asyncio.wait_for(asyncio.gather(*calls), 60)
            assert outcomes.count("cancelled") > CANCELLED // 10
            assert "done" in outcomes

            states = postgres_admin.execute(
                b"SELECT DISTINCT state FROM pg_stat_activity WHERE application_name = %s", [name]
            ).fetchall()
            assert states == [("idle",)]
            stats = store.stats()  # type: ignore[attr-defined]
            assert stats == {
                "pool_size": POOL,
                "pool_max": POOL,
                "pool_available": POOL,
                "requests_waiting": 0,
            }
            await use_every_connection_at_once(store)

    asyncio.run(main())


async def use_every_connection_at_once(store: AsyncStore) -> None:
    """Transactions that are all open before any of them ends."""
    inside = asyncio.Barrier(POOL)

    async def write(number: int) -> None:
        async with store.transaction() as tx:
            await tx.users.create(user(f"after-{number}"))
            await inside.wait()

    await asyncio.wait_for(asyncio.gather(*map(write, range(POOL))), 30)
    found = [await store.users.get(f"after-{number}") for number in range(POOL)]
    assert {state.version for state in found} == {1}


def test_a_call_that_waits_for_a_lock_is_cancelled_at_once(postgres_store_url: str) -> None:
    async def main() -> None:
        async with await engine_store.open_async(postgres_store_url) as store:
            await store.workflows.create(workflow())
            async with store.transaction() as tx:
                await tx.workflows.get_for_update("w")
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):  # lock_timeout is 10 s
                        await store.workflows.set_status("w", Status.RUNNING)
            assert (await store.workflows.get("w")).version == 1

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_transaction_goes_on_after_a_call_in_it_was_cancelled(postgres_store_url: str) -> None:
    async def main() -> None:
        async with await engine_store.open_async(postgres_store_url) as store:
            await store.workflows.create(workflow())
            async with store.transaction() as other, store.transaction() as tx:
                await other.workflows.get_for_update("w")
                await tx.users.create(user("before"))
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await tx.workflows.set_status("w", Status.RUNNING)
                await tx.users.create(user("after"))
            users = (await store.users.list()).items
            assert [found.user_id for found in users] == ["before", "after"]
            assert (await store.workflows.get("w")).version == 1

    asyncio.run(asyncio.wait_for(main(), 5))
