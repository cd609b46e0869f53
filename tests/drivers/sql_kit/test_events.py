"""What listeners hear of operations, told at one place by the kit."""

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
from engine_store.plugins import hookimpl

REQUEST = ContextVar("REQUEST", default="nobody's")
FIRST = WorkflowState("w", "report")


class Listener:
    """Notes what it hears, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.seconds: list[float] = []
        self.requests: list[str] = []

    @hookimpl
    def engine_store_operation_finished(
        self, driver: str, operation: str, seconds: float, error: BaseException | None
    ) -> None:
        self.heard.append((driver, operation, error))
        self.seconds.append(seconds)
        self.requests.append(REQUEST.get())

    @hookimpl
    def engine_store_conflict(
        self, driver: str, operation: str, conflict: VersionConflictError
    ) -> None:
        self.heard.append((driver, operation, (conflict.expected, conflict.actual)))


class MigrationListener:
    """Notes the steps of the schema."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, Direction]] = []

    @hookimpl
    def engine_store_migration_applied(
        self, driver: str, migration: Migration, direction: Direction
    ) -> None:
        assert type(direction) is Direction
        self.heard.append((driver, migration.version, direction))


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
        yield store


def raised(call: Any) -> EngineStoreError:
    with pytest.raises(EngineStoreError) as caught:
        call()
    return caught.value


def test_every_operation_is_heard_with_its_duration(
    store: Store, listener: Listener, driver: str
) -> None:
    store.workflows.create(FIRST)
    store.workflows.get("w")
    store.tasks.list()
    assert listener.heard == [
        (driver, "workflows.create", None),
        (driver, "workflows.get", None),
        (driver, "tasks.list", None),
    ]
    assert all(0 < seconds < 10 for seconds in listener.seconds)


def test_what_an_operation_raises_is_heard_as_the_caller_gets_it(
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
    assert listener.heard == [
        (driver, "workflows.get", missing),
        (driver, "workflows.get", invalid),
        (driver, "workflows.get_for_update", outside),
    ]


def test_a_lost_compare_and_set_is_heard_as_a_conflict_too(
    store: Store, listener: Listener, driver: str
) -> None:
    store.workflows.create(FIRST)
    listener.heard.clear()
    lost = raised(lambda: store.workflows.update(attrs.evolve(FIRST, version=7)))
    assert listener.heard == [
        (driver, "workflows.update", (7, 1)),
        (driver, "workflows.update", lost),
    ]


def test_other_refusals_are_no_conflicts(store: Store, listener: Listener, driver: str) -> None:
    store.workflows.create(FIRST)
    listener.heard.clear()
    taken = raised(lambda: store.workflows.create(FIRST))
    assert type(taken) is AlreadyExistsError
    assert listener.heard == [(driver, "workflows.create", taken)]


def test_modify_is_one_operation_and_tells_each_conflict_it_tries_again(
    store: Store, listener: Listener, driver: str
) -> None:
    stored = store.workflows.create(FIRST)
    listener.heard.clear()
    rivals = [stored, attrs.evolve(stored, version=2)]

    def change(state: WorkflowState) -> WorkflowState:
        if rivals:
            store.workflows.update(attrs.evolve(rivals.pop(0), input={"rival": True}))
        return attrs.evolve(state, input={"mine": True})

    assert store.workflows.modify("w", change).version == 4
    assert listener.heard == [
        (driver, "workflows.update", None),
        (driver, "workflows.modify", (1, 2)),
        (driver, "workflows.update", None),
        (driver, "workflows.modify", (2, 3)),
        (driver, "workflows.modify", None),
    ]


class Retries:
    """Notes which operations are tried again."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    @hookimpl
    def engine_store_retried(self, driver: str, operation: str) -> None:
        self.heard.append((driver, operation))


def test_each_further_attempt_of_modify_is_heard(driver: str, new_url: Callable[[], str]) -> None:
    listener = Retries()
    with engine_store.open(new_url(), plugins=[listener]) as store:
        rivals = [store.workflows.create(FIRST)]
        rivals.append(attrs.evolve(rivals[0], version=2))

        def change(state: WorkflowState) -> WorkflowState:
            if rivals:
                store.workflows.update(rivals.pop(0))
            return attrs.evolve(state, input={"mine": True})

        assert store.workflows.modify("w", change).version == 4
    assert listener.heard == [(driver, "workflows.modify")] * 2


def test_the_asynchronous_face_tells_of_further_attempts_too(
    driver: str, new_url: Callable[[], str]
) -> None:
    listener = Retries()
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
    assert listener.heard == [(driver, "workflows.modify")]


def test_the_wait_for_the_turn_to_write_is_part_of_an_asynchronous_operation(
    listener: Listener, tmp_path: Path
) -> None:
    async def wait_in_vain() -> None:
        url = f"sqlite:///{tmp_path}/engine.db?busy_timeout=0.05"
        async with await engine_store.open_async(url, plugins=[listener]) as store:
            async with store.transaction():
                creating = asyncio.create_task(store.workflows.create(FIRST))
                [lost] = await asyncio.gather(creating, return_exceptions=True)
            assert listener.heard == [("sqlite", "workflows.create", lost)]
            assert type(lost) is UnavailableError

    asyncio.run(wait_in_vain())
    assert listener.seconds[0] >= 0.05


def test_operations_of_transactions_and_savepoints_are_heard(
    store: Store, listener: Listener, driver: str
) -> None:
    with store.transaction() as tx:
        tx.workflows.create(FIRST)
        with tx.transaction() as inner:
            inner.workflows.modify("w", lambda state: attrs.evolve(state, input={}))
    assert listener.heard == [
        (driver, "workflows.create", None),
        (driver, "workflows.modify", None),
    ]


async def _asynchronously(listener: Listener, url: str) -> None:
    async with await engine_store.open_async(url, plugins=[listener]) as store:
        stored = await store.workflows.create(FIRST)
        with pytest.raises(VersionConflictError):
            await store.workflows.update(attrs.evolve(FIRST, version=7))
        await store.workflows.modify("w", lambda state: attrs.evolve(state, input={}))
        async with store.transaction() as tx:
            await tx.workflows.modify("w", lambda state: stored)


def test_the_asynchronous_face_tells_the_same(
    listener: Listener, driver: str, new_url: Callable[[], str]
) -> None:

    asyncio.run(_asynchronously(listener, new_url()))
    assert [(operation, kind) for _, operation, kind in listener.heard if kind is None] == [
        ("workflows.create", None),
        ("workflows.modify", None),
        ("workflows.modify", None),
    ]
    assert (driver, "workflows.update", (7, 1)) in listener.heard
    assert len(listener.heard) == 5


def test_a_listener_sees_the_callers_context_variables_with_both_faces(
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
    heard: list[str] = []

    class Names:
        @hookimpl
        def engine_store_operation_finished(self, operation: str) -> None:
            heard.append(operation)

    with engine_store.open(new_url(), plugins=[Names()]) as store:
        store.users.list()
    assert heard == ["users.list"]


def test_one_who_listens_to_conflicts_alone_hears_them(new_url: Callable[[], str]) -> None:
    heard: list[int] = []

    class Conflicts:
        @hookimpl
        def engine_store_conflict(self, conflict: VersionConflictError) -> None:
            heard.append(conflict.actual)

    with engine_store.open(new_url(), plugins=[Conflicts()]) as store:
        store.workflows.create(FIRST)
        raised(lambda: store.workflows.update(attrs.evolve(FIRST, version=7)))
    assert heard == [1]


def test_each_step_of_the_schema_is_heard_once_and_in_its_order(
    driver: str, new_url: Callable[[], str]
) -> None:
    listener = MigrationListener()
    url = new_url()
    up, down = Direction.UP, Direction.DOWN
    with engine_store.open(url, plugins=[listener]):
        assert listener.heard == [(driver, 1, up), (driver, 2, up), (driver, 3, up)]
    listener.heard.clear()
    with engine_store.open(url, plugins=[listener]) as store:
        assert listener.heard == []
        store.migrator.down(1)
        assert listener.heard == [(driver, 3, down), (driver, 2, down)]
        store.migrator.up(2)
        assert listener.heard[2:] == [(driver, 2, up)]
        store.migrator.plan()
        assert len(listener.heard) == 3
