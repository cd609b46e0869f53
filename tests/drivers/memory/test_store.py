"""A store in memory, beyond what the contract asks of every store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

from engine_store import Status, User, WorkflowState
from engine_store.drivers import observing
from engine_store.errors import UnavailableError, VersionConflictError
from engine_store.models import Health
from engine_store.rules.entities import USER
from engine_store.values import Document
from engine_store_memory import repository
from engine_store_memory.store import MemoryStore

ANN = User("ann", "ann@example.org")
BOB = User("bob", "bob@example.org")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(busy_timeout=0)


def renamed(user: User) -> User:
    return attrs.evolve(user, email=f"{user.version}@example.org")


def test_its_health_counts_the_rows(store: MemoryStore) -> None:
    store.users.create(ANN)
    counts = {"users": 1, "api_keys": 0, "workflows": 0, "tasks": 0}
    assert store.health() == Health("memory", True, True, schema_version=0, details=counts)


def test_a_committed_snapshot_never_changes(store: MemoryStore) -> None:
    before = store.read()
    store.users.create(ANN)
    assert (list(before[USER]), list(store.read()[USER])) == ([], ["ann"])


def test_what_the_outer_transaction_writes_during_a_savepoint_is_undone_with_it(
    store: MemoryStore,
) -> None:
    with store.transaction() as tx:
        with pytest.raises(LookupError), tx.transaction() as savepoint:
            savepoint.users.create(ANN)
            tx.users.create(BOB)
            raise LookupError
        tx.users.create(BOB)
    assert list(store.read()[USER]) == ["bob"]


def test_a_transform_may_write_in_the_transaction_that_completes(store: MemoryStore) -> None:
    store.workflows.create(WorkflowState("w", "report"))

    def transform(state: WorkflowState) -> Document:
        with tx.transaction() as savepoint:
            savepoint.users.create(ANN)
        return {"made": "ann"}

    with store.transaction() as tx:
        completed = tx.workflows.complete("w", transform)
    assert completed.output == {"made": "ann"}
    assert store.workflows.get("w") == completed
    assert list(store.read()[USER]) == ["ann"]


def test_a_transform_that_writes_its_own_workflow_is_a_conflict(store: MemoryStore) -> None:
    store.workflows.create(WorkflowState("w", "report"))

    def transform(state: WorkflowState) -> Document:
        tx.workflows.set_status("w", Status.RUNNING)
        return {}

    with store.transaction() as tx, pytest.raises(VersionConflictError) as raised:
        tx.workflows.complete("w", transform)
    assert (raised.value.expected, raised.value.actual) == (1, 2)
    assert store.workflows.get("w").status is Status.RUNNING


def test_a_write_waits_no_longer_than_the_busy_timeout(store: MemoryStore) -> None:
    with store.transaction(), ThreadPoolExecutor(1) as thread:
        refused = thread.submit(store.users.create, ANN).exception()
    assert isinstance(refused, UnavailableError)
    assert refused.retriable
    assert "another thread's transaction was open for 0 s" in str(refused)
    store.users.create(ANN)


def test_a_write_past_the_open_transaction_of_its_own_thread_is_refused_at_once() -> None:
    store = MemoryStore(busy_timeout=threading.TIMEOUT_MAX)
    with store.transaction() as tx:
        with pytest.raises(UnavailableError, match="write through it, or end it first") as refused:
            store.users.create(ANN)
        tx.users.create(BOB)
    assert not refused.value.retriable
    assert list(store.read()[USER]) == ["bob"]


class Reported:
    """An observed operation that keeps what is reported."""

    def __init__(self) -> None:
        self.reports: list[VersionConflictError | None] = []

    def conflicted(self, conflict: VersionConflictError) -> None:
        self.reports.append(conflict)

    def retried(self) -> None:
        self.reports.append(None)


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reported]:
    """The reports of this thread's operations, of which `modify` makes three attempts."""
    monkeypatch.setattr(repository, "_PAUSES", (0, 0))
    operation = Reported()
    token = observing.CURRENT.set(operation)
    yield operation
    observing.CURRENT.reset(token)


def test_modify_reports_each_lost_race_that_it_tries_again(
    store: MemoryStore, reported: Reported
) -> None:
    store.users.create(ANN)
    rivals = iter([renamed])

    def with_a_rival(user: User) -> User:
        for rival in rivals:
            store.users.update(rival(user))
        return renamed(user)

    assert store.users.modify("ann", with_a_rival).version == 3
    lost, waited = reported.reports
    assert isinstance(lost, VersionConflictError)
    assert (lost.key, lost.expected, lost.actual) == ("ann", 1, 2)
    assert waited is None


def test_the_conflict_of_the_last_attempt_is_raised_and_not_reported(
    store: MemoryStore, reported: Reported
) -> None:
    store.users.create(ANN)

    def with_a_rival(user: User) -> User:
        store.users.update(renamed(user))
        return renamed(user)

    with pytest.raises(VersionConflictError) as raised:
        store.users.modify("ann", with_a_rival)
    assert (raised.value.expected, raised.value.actual) == (3, 4)
    assert [report and report.expected for report in reported.reports] == [1, None, 2, None]
