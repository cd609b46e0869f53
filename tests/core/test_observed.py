"""Observed stores: whatever the driver, listeners get its events and all else stays as it is."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import asynccontextmanager, contextmanager

import pytest

from engine_store.drivers.observed import observed, observed_async
from engine_store.drivers.observing import conflicted, retried
from engine_store.errors import VersionConflictError
from engine_store.plugins import Hooks, Plugins, hookimpl
from engine_store.protocols import AsyncStore, Endpoint, Observable, Store

LOST = VersionConflictError("task", "t", 1, 2)
AGAIN = VersionConflictError("task", "t", 2, 3)


class Listener(Hooks):
    """Notes the events it gets, in order."""

    def __init__(self):
        self.events = []

    @hookimpl
    @contextmanager
    def engine_store_operation(self, driver, operation):
        self.events.append(f"enter {operation}")
        try:
            yield
        except VersionConflictError as error:
            self.events.append(f"leave {operation} by {type(error).__name__}")
        else:
            self.events.append(f"leave {operation}")

    @hookimpl
    def engine_store_operation_finished(self, driver, operation, seconds, error):
        assert (driver, seconds > 0) == ("fake", True)
        self.events.append((operation, error))

    @hookimpl
    def engine_store_conflict(self, driver, operation, conflict):
        self.events.append((driver, operation, conflict))

    @hookimpl
    def engine_store_retried(self, driver, operation):
        self.events.append((driver, operation, "retried"))


class Tasks:
    """A repository of a driver that reports no more than `modify` retries."""

    shard = 7

    def get(self, task_exec_id: str, *, workflow_exec_id: str | None = None) -> str:
        """Return the state."""
        return f"{task_exec_id} of {workflow_exec_id}"

    def update(self, task):
        raise LOST

    def modify(self, task_exec_id, fn):
        conflicted(LOST)
        retried()
        conflicted(AGAIN)
        fn("state")
        raise AGAIN


class Transaction:
    """Repositories, and transactions inside of them that note how they end."""

    def __init__(self):
        self.tasks = self.users = Tasks()
        self.ends = []

    @contextmanager
    def transaction(self):
        """All or none."""
        inner = Transaction()
        try:
            yield inner
        except BaseException as error:
            self.ends.append(type(error))
            raise
        self.ends.append(inner.ends)


class FakeStore(Transaction):
    migrator = object()
    closed = False

    def health(self):
        return "fine"

    def close(self):
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.close()


class ObservableStore(FakeStore):
    endpoint = Endpoint("fake", "here")

    def stats(self):
        return {"rows": 3}


class AsyncTasks:
    def __init__(self, tasks):
        self.tasks = tasks

    async def get(self, task_exec_id: str, *, workflow_exec_id: str | None = None) -> str:
        """Return the state."""
        await asyncio.sleep(0)
        return self.tasks.get(task_exec_id, workflow_exec_id=workflow_exec_id)

    async def update(self, task):
        self.tasks.update(task)

    async def modify(self, task_exec_id, fn):
        return self.tasks.modify(task_exec_id, fn)


class AsyncFakeStore:
    def __init__(self, store):
        self.store = store
        self.tasks = AsyncTasks(store.tasks)

    @asynccontextmanager
    async def transaction(self):
        with self.store.transaction() as tx:
            yield AsyncFakeStore(tx)

    async def close(self):
        self.store.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *raised):
        await self.close()


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def inner():
    return FakeStore()


@pytest.fixture
def store(inner, listener) -> Store:
    return observed(inner, "fake", Plugins([listener]))


@pytest.fixture
def async_store(inner, listener) -> AsyncStore:
    return observed_async(AsyncFakeStore(inner), "fake", Plugins([listener]))


# --- what stays as it is -----------------------------------------------------------------------


def test_a_method_looks_as_the_drivers_does(store, async_store, inner):
    for method, original in (
        (store.tasks.get, inner.tasks.get),
        (async_store.tasks.get, AsyncTasks(inner.tasks).get),
        (store.transaction, inner.transaction),
    ):
        assert inspect.signature(method) == inspect.signature(original)
        assert inspect.getdoc(method) == inspect.getdoc(original)
        assert method.__qualname__ == original.__qualname__
    assert dir(store) == dir(inner)
    assert dir(store.tasks) == dir(inner.tasks)


def test_what_is_no_operation_is_passed_on(store, inner, listener):
    assert store.migrator is inner.migrator
    assert store.health() == "fine"
    assert store.tasks.shard == 7
    with pytest.raises(AttributeError, match="no attribute 'agents'"):
        _ = store.agents
    with store as entered:
        assert entered is store
    assert inner.closed
    assert listener.events == []


def test_an_asynchronous_store_is_entered_and_closed(async_store, inner):
    async def use():
        async with async_store as entered:
            return entered

    assert asyncio.run(use()) is async_store
    assert inner.closed


def test_a_store_is_observable_exactly_if_the_drivers_is(store, async_store):
    assert not isinstance(store, Observable)
    assert not isinstance(async_store, Observable)
    for wrap in (observed, observed_async):
        wrapped = wrap(ObservableStore(), "fake", Plugins())
        assert isinstance(wrapped, Observable)
        assert (wrapped.endpoint, wrapped.stats()) == (Endpoint("fake", "here"), {"rows": 3})


# --- events ------------------------------------------------------------------------------------


def test_a_listeners_context_manager_is_entered_before_and_left_after_an_operation(
    store, async_store, listener
):
    expected = ["enter tasks.get", "leave tasks.get", ("tasks.get", None)]
    assert store.tasks.get("t", workflow_exec_id="w") == "t of w"
    assert listener.events == expected
    assert asyncio.run(async_store.tasks.get("t")) == "t of None"
    assert listener.events == expected * 2


def test_a_context_manager_cannot_suppress_an_error(store, async_store, listener):
    for call in (store.tasks.update, lambda task: asyncio.run(async_store.tasks.update(task))):
        listener.events.clear()
        with pytest.raises(VersionConflictError) as caught:
            call("t")
        assert caught.value is LOST
        assert listener.events == [
            "enter tasks.update",
            ("fake", "tasks.update", LOST),
            "leave tasks.update by VersionConflictError",
            ("tasks.update", LOST),
        ]


def test_the_last_conflict_of_modify_is_one_event(store, async_store, listener):
    for call in (
        lambda: store.tasks.modify("t", str),
        lambda: store.tasks.modify("t", fn=str),
        lambda: asyncio.run(async_store.tasks.modify("t", str)),
    ):
        listener.events.clear()
        with pytest.raises(VersionConflictError):
            call()
        assert listener.events[1:-2] == [
            ("fake", "tasks.modify", LOST),
            ("fake", "tasks.modify", "retried"),
            ("fake", "tasks.modify", AGAIN),
        ]


def test_what_a_function_of_the_caller_does_is_no_part_of_the_operation(store, listener):
    def with_another_store(state):
        assert state == "state"
        conflicted(LOST)
        retried()
        store.tasks.get("t")
        conflicted(LOST)
        raise LOST

    with pytest.raises(VersionConflictError):
        store.tasks.modify("t", with_another_store)
    assert listener.events[4:] == [
        "enter tasks.get",
        "leave tasks.get",
        ("tasks.get", None),
        "leave tasks.modify by VersionConflictError",
        ("tasks.modify", LOST),
    ]
    listener.events.clear()
    conflicted(LOST)
    retried()
    assert listener.events == []


def test_operations_of_transactions_and_savepoints_are_observed(store, inner, listener):
    with store.transaction() as tx:
        tx.tasks.get("outer")
        with pytest.raises(ZeroDivisionError), tx.transaction() as savepoint:
            savepoint.users.get("inner")
            raise ZeroDivisionError
    assert [event[0] for event in listener.events if isinstance(event, tuple)] == [
        "tasks.get",
        "users.get",
    ]
    assert inner.ends == [[ZeroDivisionError]]


def test_operations_of_asynchronous_transactions_are_observed(async_store, inner, listener):
    async def use():
        async with async_store.transaction() as tx, tx.transaction() as savepoint:
            await savepoint.tasks.get("inner")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(use())
    assert listener.events == ["enter tasks.get", "leave tasks.get", ("tasks.get", None)]
    assert inner.ends == [ZeroDivisionError]


def test_an_operation_that_a_listener_refuses_does_not_run(inner, listener):
    class Refusing:
        @hookimpl
        def engine_store_operation(self, operation):
            raise PermissionError(operation)

    store = observed(inner, "fake", Plugins([listener, Refusing()]))
    with pytest.raises(PermissionError, match=r"tasks\.get"):
        store.tasks.get("t")
    assert listener.events == []


def test_tasks_side_by_side_are_operations_of_their_own(async_store, listener):
    async def use():
        await asyncio.gather(
            *(async_store.tasks.get(str(number)) for number in range(8)),
            *(async_store.tasks.modify(str(number), str) for number in range(8)),
            return_exceptions=True,
        )

    asyncio.run(use())
    conflicts = [event for event in listener.events if len(event) == 3 and event[2] != "retried"]
    assert [event[1] for event in conflicts] == ["tasks.modify"] * 16
