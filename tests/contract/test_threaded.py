"""The thread-backed asynchronous face, beyond what the contract asks of every face."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from engine_store import User, WorkflowState
from engine_store.concurrency.threads import run_in_thread, threaded
from engine_store.errors import StoreClosedError, TransactionClosedError
from engine_store.protocols import AsyncStore, Endpoint, Observable
from engine_store_memory.store import MemoryStore

ANN = User("ann", "ann@example.org")


@pytest.fixture
def store() -> AsyncStore:
    return threaded(MemoryStore())


def test_a_transaction_keeps_one_thread_of_its_own_for_its_whole_life(store: AsyncStore) -> None:
    seen: list[int] = []

    def note_thread(user: User) -> User:
        seen.append(threading.get_ident())
        return user

    async def main() -> None:
        await store.users.create(ANN)
        async with store.transaction() as tx:
            await tx.users.modify("ann", note_thread)
            await asyncio.gather(*(store.users.get("ann") for _ in range(20)))
            async with tx.transaction() as inner:
                await inner.users.modify("ann", note_thread)
            await tx.users.modify("ann", note_thread)

    asyncio.run(main())
    assert len(seen) == 3
    assert set(seen) != {threading.get_ident()}
    assert len(set(seen)) == 1


def test_calls_see_the_context_of_their_caller(store: AsyncStore) -> None:
    logger = ContextVar[str]("logger")
    seen: list[str] = []

    def note_logger(user: User) -> User:
        seen.append(logger.get())
        return user

    async def main() -> None:
        await store.users.create(ANN)
        logger.set("mine")
        await store.users.modify("ann", note_logger)
        async with store.transaction() as tx:
            await tx.users.modify("ann", note_logger)

    asyncio.run(main())
    assert seen == ["mine", "mine"]


def test_stop_iteration_of_a_callers_function_does_not_hang_the_call(store: AsyncStore) -> None:
    def stop(state: WorkflowState) -> Any:
        return next(iter(()))

    async def main() -> None:
        await store.workflows.create(WorkflowState("w", "report"))
        with pytest.raises(RuntimeError) as caught:
            await asyncio.wait_for(store.workflows.modify("w", stop), 5)
        assert isinstance(caught.value.__cause__, StopIteration)

    asyncio.run(main())


def test_cancelling_waits_for_the_running_call_however_often() -> None:
    async def main() -> None:
        begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

        def call() -> None:
            begun.set()
            may_end.wait(5)
            ended.set()

        with ThreadPoolExecutor(1) as thread:
            running = asyncio.create_task(run_in_thread(thread, call))
            await asyncio.to_thread(begun.wait, 5)
            for _ in range(3):
                running.cancel()
                await asyncio.sleep(0)
                assert not running.done()
            may_end.set()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert ended.is_set()

    asyncio.run(main())


def test_a_name_that_is_no_method_is_refused_before_any_call(store: AsyncStore) -> None:
    with pytest.raises(AttributeError, match="fetch"):
        store.users.fetch  # type: ignore[attr-defined]  # noqa: B018


def test_the_thread_of_an_ended_transaction_takes_no_call(store: AsyncStore) -> None:
    async def main() -> None:
        async with store.transaction() as tx:
            await tx.users.create(ANN)
        with pytest.raises(TransactionClosedError):
            await tx.users.get("ann")

    asyncio.run(main())


class _Observed(MemoryStore):
    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("memory", "here")

    def stats(self) -> dict[str, int | float | str]:
        return {"rows": 0}


def test_a_face_is_observable_exactly_if_its_store_is(store: AsyncStore) -> None:
    assert not isinstance(store, Observable)
    observed = threaded(_Observed())
    assert isinstance(observed, Observable)
    assert (observed.endpoint, observed.stats()) == (Endpoint("memory", "here"), {"rows": 0})


def test_closing_either_face_closes_the_other() -> None:
    store = MemoryStore()

    async def main() -> None:
        async with threaded(store) as face:
            await face.users.create(ANN)
        with pytest.raises(StoreClosedError):
            await face.users.get("ann")

    asyncio.run(main())
    with pytest.raises(StoreClosedError):
        store.users.get("ann")
