"""The events that listeners get from stores of each shipped driver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest

import engine_store
from engine_store import Store, WorkflowState
from engine_store.errors import (
    AlreadyExistsError,
    EngineStoreError,
    InvalidValueError,
    NotInTransactionError,
    UnavailableError,
    VersionConflictError,
    WorkflowNotFoundError,
)
from engine_store.migrations import Direction, Migration
from engine_store.plugins import Hooks, hookimpl

REQUEST = ContextVar("REQUEST", default="none")
RETRIED = "retried"
FIRST = WorkflowState("w", "report")


class Listener(Hooks):
    """Notes the events it gets, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []
        self.seconds: list[float] = []
        self.requests: list[str] = []

    @hookimpl
    def engine_store_operation_finished(
        self, driver: str, operation: str, seconds: float, error: BaseException | None
    ) -> None:
        self.events.append((driver, operation, error))
        self.seconds.append(seconds)
        self.requests.append(REQUEST.get())

    @hookimpl
    def engine_store_conflict(
        self, driver: str, operation: str, conflict: VersionConflictError
    ) -> None:
        self.events.append((driver, operation, (conflict.expected, conflict.actual)))

    @hookimpl
    def engine_store_retried(self, driver: str, operation: str) -> None:
        self.events.append((driver, operation, RETRIED))

    @hookimpl
    def engine_store_migration_applied(
        self, driver: str, migration: Migration, direction: Direction
    ) -> None:
        assert type(direction) is Direction
        self.events.append((driver, migration.version, direction))


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture(params=["sqlite", "postgres"])
def driver(request: pytest.FixtureRequest) -> str:
    """The name of each driver that is made with the kit."""
    return request.param


@pytest.fixture
def new_url(driver: str, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes the URL of a store that nothing has opened yet."""
    if driver == "postgres":
        return request.getfixturevalue("make_schema")
    folder = request.getfixturevalue("tmp_path")
    return lambda: f"sqlite:///{folder}/{uuid4()}.db"


@pytest.fixture
def store(listener: Listener, new_url: Callable[[], str]) -> Iterator[Store]:
    with engine_store.open(new_url(), plugins=[listener]) as store:
        listener.events.clear()
        yield store


def raised(call: Any) -> EngineStoreError:
    with pytest.raises(EngineStoreError) as caught:
        call()
    return caught.value


def test_every_operation_is_an_event_with_its_duration(
    store: Store, listener: Listener, driver: str
) -> None:
    store.workflows.create(FIRST)
    store.workflows.get("w")
    store.tasks.list()
    assert listener.events == [
        (driver, "workflows.create", None),
        (driver, "workflows.get", None),
        (driver, "tasks.list", None),
    ]
    assert all(0 < seconds < 10 for seconds in listener.seconds)


def test_what_an_operation_raises_is_reported_as_the_caller_gets_it(
    store: Store, listener: Listener, driver: str
) -> None:
    missing = raised(lambda: store.workflows.get("w"))
    invalid = raised(lambda: store.workflows.get(""))
    outside = raised(lambda: store.workflows.get_for_update("w"))
    assert (type(missing), type(invalid), type(outside)) == (
        WorkflowNotFoundError,
        InvalidValueError,
        NotInTransactionError,
    )
    assert listener.events == [
        (driver, "workflows.get", missing),
        (driver, "workflows.get", invalid),
        (driver, "workflows.get_for_update", outside),
    ]


def test_a_lost_compare_and_set_is_a_conflict_too(
    store: Store, listener: Listener, driver: str
) -> None:
    store.workflows.create(FIRST)
    listener.events.clear()
    lost = raised(lambda: store.workflows.update(attrs.evolve(FIRST, version=7)))
    assert listener.events == [
        (driver, "workflows.update", (7, 1)),
        (driver, "workflows.update", lost),
    ]


def test_other_refusals_are_no_conflicts(store: Store, listener: Listener, driver: str) -> None:
    store.workflows.create(FIRST)
    listener.events.clear()
    taken = raised(lambda: store.workflows.create(FIRST))
    assert type(taken) is AlreadyExistsError
    assert listener.events == [(driver, "workflows.create", taken)]


def test_modify_is_one_operation_with_each_conflict_that_it_retries(
    store: Store, listener: Listener, driver: str
) -> None:
    stored = store.workflows.create(FIRST)
    listener.events.clear()
    rivals = [stored, attrs.evolve(stored, version=2)]

    def change(state: WorkflowState) -> WorkflowState:
        if rivals:
            store.workflows.update(attrs.evolve(rivals.pop(0), input={"rival": True}))
        return attrs.evolve(state, input={"mine": True})

    assert store.workflows.modify("w", change).version == 4
    assert listener.events == [
        (driver, "workflows.update", None),
        (driver, "workflows.modify", (1, 2)),
        (driver, "workflows.modify", RETRIED),
        (driver, "workflows.update", None),
        (driver, "workflows.modify", (2, 3)),
        (driver, "workflows.modify", RETRIED),
        (driver, "workflows.modify", None),
    ]


def test_an_asynchronous_store_gives_the_same_events_of_modify(
    listener: Listener, driver: str, new_url: Callable[[], str]
) -> None:
    url = new_url()
    with engine_store.open(url) as rival:
        rivals = [rival.workflows.create(FIRST)]

        def change(state: WorkflowState) -> WorkflowState:
            if rivals:
                rival.workflows.update(rivals.pop())
            return attrs.evolve(state, input={"mine": True})

        async def modify() -> None:
            async with await engine_store.open_async(url, plugins=[listener]) as store:
                await store.workflows.modify("w", change)

        asyncio.run(modify())
    assert listener.events == [
        (driver, "workflows.modify", (1, 2)),
        (driver, "workflows.modify", RETRIED),
        (driver, "workflows.modify", None),
    ]


def test_a_conflict_of_the_function_passed_to_modify_is_no_conflict_of_modify(
    store: Store, listener: Listener, driver: str, new_url: Callable[[], str]
) -> None:
    store.workflows.create(FIRST)
    listener.events.clear()
    with engine_store.open(new_url()) as other:
        other.workflows.create(FIRST)

        def change(state: WorkflowState) -> WorkflowState:
            outdated = attrs.evolve(FIRST, version=7)
            raised(lambda: other.workflows.update(outdated))
            rivals = iter([1, 2, 3])
            other.workflows.modify(
                "w", lambda found: other.workflows.upsert(found) if next(rivals) < 3 else found
            )
            return store.workflows.update(outdated)

        lost = raised(lambda: store.workflows.modify("w", change))
    assert listener.events == [
        (driver, "workflows.update", (7, 1)),
        (driver, "workflows.update", lost),
        (driver, "workflows.modify", lost),
    ]


def test_the_wait_for_the_turn_to_write_is_part_of_an_asynchronous_operation(
    listener: Listener, tmp_path: Path
) -> None:
    async def wait_in_vain() -> None:
        url = f"sqlite:///{tmp_path}/engine.db?busy_timeout=0.05"
        async with await engine_store.open_async(url, plugins=[listener]) as store:
            listener.events.clear()
            async with store.transaction():
                creating = asyncio.create_task(store.workflows.create(FIRST))
                [lost] = await asyncio.gather(creating, return_exceptions=True)
            assert listener.events == [("sqlite", "workflows.create", lost)]
            assert type(lost) is UnavailableError

    asyncio.run(wait_in_vain())
    assert listener.seconds[0] >= 0.05


def test_operations_of_transactions_and_savepoints_are_events(
    store: Store, listener: Listener, driver: str
) -> None:
    with store.transaction() as tx:
        tx.workflows.create(FIRST)
        with tx.transaction() as inner:
            inner.workflows.modify("w", lambda state: attrs.evolve(state, input={}))
    assert listener.events == [
        (driver, "workflows.create", None),
        (driver, "workflows.modify", None),
    ]


async def _asynchronously(listener: Listener, url: str) -> None:
    async with await engine_store.open_async(url, plugins=[listener]) as store:
        listener.events.clear()
        stored = await store.workflows.create(FIRST)
        with pytest.raises(VersionConflictError):
            await store.workflows.update(attrs.evolve(FIRST, version=7))
        await store.workflows.modify("w", lambda state: attrs.evolve(state, input={}))
        async with store.transaction() as tx:
            await tx.workflows.modify("w", lambda state: stored)


def test_an_asynchronous_store_gives_the_same_events(
    listener: Listener, driver: str, new_url: Callable[[], str]
) -> None:
    asyncio.run(_asynchronously(listener, new_url()))
    lost = listener.events[2][2]
    assert isinstance(lost, VersionConflictError)
    assert listener.events == [
        (driver, "workflows.create", None),
        (driver, "workflows.update", (7, 1)),
        (driver, "workflows.update", lost),
        (driver, "workflows.modify", None),
        (driver, "workflows.modify", None),
    ]


def test_a_listener_sees_the_callers_context_variables(
    listener: Listener, new_url: Callable[[], str]
) -> None:

    def inside() -> None:
        REQUEST.set("this one")
        with engine_store.open(new_url(), plugins=[listener]) as store:
            store.workflows.create(FIRST)
        asyncio.run(_asynchronously(listener, new_url()))

    copy_context().run(inside)
    assert set(listener.requests) == {"this one"}


def test_a_listener_may_take_only_the_arguments_it_wants(new_url: Callable[[], str]) -> None:
    finished: list[str] = []

    class Names:
        @hookimpl
        def engine_store_operation_finished(self, operation: str) -> None:
            finished.append(operation)

    with engine_store.open(new_url(), plugins=[Names()]) as store:
        store.users.list()
    assert finished == ["users.list"]


def test_each_step_of_the_schema_is_reported_once_and_in_its_order(
    listener: Listener,
    driver: str,
    new_url: Callable[[], str],
    steps_of: Callable[[str], tuple[Migration, ...]],
) -> None:
    url, newest = new_url(), len(steps_of(driver))
    up, down = Direction.UP, Direction.DOWN
    with engine_store.open(url, plugins=[listener]):
        assert listener.events == [(driver, number, up) for number in range(1, newest + 1)]
    listener.events.clear()
    with engine_store.open(url, plugins=[listener]) as store:
        assert listener.events == []
        store.migrator.down(1)
        assert listener.events == [(driver, number, down) for number in range(newest, 1, -1)]
        store.migrator.up(2)
        assert listener.events[newest - 1 :] == [(driver, 2, up)]
        store.migrator.plan()
        assert len(listener.events) == newest
