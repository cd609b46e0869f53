"""Section 9.3: what only the asynchronous face can do, cancellation above all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from engine_store.errors import WorkflowNotFoundError
from engine_store.models import Status, WorkflowState
from engine_store.protocols import AsyncStore
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.faces import Face
from engine_store_contracts.hanging import run_in_loop
from engine_store_contracts.harness import Harness
from engine_store_contracts.suite.case import ContractCase, clause
from engine_store_contracts.suite.samples import task, user, workflow


def asynchronous(
    case: Callable[[Any, AsyncStore], Awaitable[None]],
) -> Callable[[Any, Harness, ManualClock], None]:
    """A case that runs on an event loop of its own, with a fresh store of that loop."""

    def run(self: object, harness: Harness, clock: ManualClock) -> None:
        async def on_store() -> None:
            async with await harness.open_async(clock=clock) as store:
                await case(self, store)

        run_in_loop(on_store)

    run.__name__, run.__doc__ = case.__name__, case.__doc__
    return run


async def users_of(store: AsyncStore) -> set[str]:
    """The ids of every user."""
    return {found.user_id for found in (await store.users.list()).items}


class AsyncCases(ContractCase, faces=(Face.ASYNC,)):
    """Contract 9.3."""

    @clause("9.3")
    @asynchronous
    async def test_a_transaction_cancelled_in_its_body_is_rolled_back(
        self, store: AsyncStore
    ) -> None:
        inside = asyncio.Event()

        async def never_ends() -> None:
            async with store.transaction() as tx:
                await tx.users.create(user("ann"))
                async with tx.transaction() as inner:
                    await inner.users.create(user("bob"))
                    inside.set()
                    await asyncio.Event().wait()

        running = asyncio.create_task(never_ends())
        await inside.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await users_of(store) == set()
        assert (await store.users.create(user("ann"))).version == 1

    @clause("9.3")
    @asynchronous
    async def test_a_write_cancelled_while_it_waits_leaves_nothing_behind(
        self, store: AsyncStore
    ) -> None:
        await store.workflows.create(workflow())
        async with store.transaction() as tx:
            await tx.workflows.set_status("w", Status.RUNNING)
            waiting = asyncio.create_task(store.workflows.set_status("w", Status.PAUSED))
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(waiting), 0.02)
            waiting.cancel()
        # `wait_for` of Python 3.11 forgets a cancellation that meets the end of what it waits for:
        # then the write is done. Whether a cancelled one was is not known, either.
        [outcome] = await asyncio.gather(waiting, return_exceptions=True)
        assert isinstance(outcome, asyncio.CancelledError | WorkflowState)
        assert (await store.workflows.get("w")).version in (2, 3)
        assert (await store.workflows.set_status("w", Status.FAILED)).version in (3, 4)

    @clause("9.3")
    @asynchronous
    async def test_a_transaction_cancelled_while_it_waits_to_begin_leaves_nothing_behind(
        self, store: AsyncStore
    ) -> None:
        await store.workflows.create(workflow())

        async def second() -> None:
            async with store.transaction() as tx:
                await tx.workflows.get_for_update("w")
                await tx.users.create(user("second"))

        async with store.transaction() as tx:
            await tx.workflows.get_for_update("w")
            waiting = asyncio.create_task(second())
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(waiting), 0.02)
            waiting.cancel()
            await tx.users.create(user("first"))
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await users_of(store) == {"first"}
        await second()
        assert await users_of(store) == {"first", "second"}

    @clause("9.3", "3.1")
    @asynchronous
    async def test_cancelled_at_any_moment_a_transaction_is_there_or_not(
        self, store: AsyncStore
    ) -> None:
        async def write(key: str) -> None:
            async with store.transaction() as tx:
                await tx.workflows.create(workflow(key))
                await tx.tasks.create(task(key, key))
                async with tx.transaction() as inner:
                    await inner.workflows.set_status(key, Status.RUNNING)

        async def is_there(key: str) -> bool:
            try:
                state = await store.workflows.get(key, with_tasks=True)
            except WorkflowNotFoundError:
                return False
            assert (state.version, list(state.tasks)) == (2, [key])
            return True

        for turns in range(60):
            writing = asyncio.create_task(write(str(turns)))
            for _ in range(turns):
                await asyncio.sleep(0)
            cancelled = writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            if not cancelled:
                assert await is_there(str(turns))
            elif not await is_there(str(turns)):
                await write(str(turns))
                assert await is_there(str(turns))
        assert (await store.health()).ok

    @clause("9.3", "3.2")
    @asynchronous
    async def test_a_cancelled_savepoint_may_be_caught_and_the_transaction_goes_on(
        self, store: AsyncStore
    ) -> None:
        async with store.transaction() as tx:
            await tx.users.create(user("ann"))
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02), tx.transaction() as inner:
                    await inner.users.create(user("bob"))
                    await asyncio.Event().wait()
            await tx.users.create(user("cleo"))
        assert await users_of(store) == {"ann", "cleo"}

    @clause("9.3", "3.4")
    @asynchronous
    async def test_many_tasks_with_a_transaction_each_do_not_mix(self, store: AsyncStore) -> None:
        async def write(number: int) -> None:
            async with store.transaction() as tx:
                await tx.workflows.create(workflow(str(number)))
                await asyncio.sleep(0)
                await tx.tasks.create(task(f"{number}", str(number)))
                if number % 2:
                    raise ZeroDivisionError

        outcomes = await asyncio.gather(*(write(n) for n in range(10)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [type(None), ZeroDivisionError] * 5
        workflows = (await store.workflows.list()).items
        tasks = (await store.tasks.list()).items
        kept = {"0", "2", "4", "6", "8"}
        assert {w.workflow_exec_id for w in workflows} == kept
        assert {t.task_exec_id for t in tasks} == kept

    @clause("9.3", "3.4")
    @asynchronous
    async def test_the_loop_goes_on_while_a_call_waits(self, store: AsyncStore) -> None:
        await store.workflows.create(workflow())
        async with store.transaction() as tx:
            await tx.workflows.set_status("w", Status.RUNNING)
            waiting = asyncio.create_task(store.workflows.set_status("w", Status.PAUSED))
            reads = [await store.workflows.get("w") for _ in range(5)]
            assert not waiting.done()
        assert {read.status for read in reads} == {Status.PENDING}
        assert (await waiting).version == 3
