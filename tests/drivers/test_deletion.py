"""Deleting executions of many tasks: in batches, without anybody noticing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count

import pytest

import engine_store
from engine_store.errors import (
    InvalidReferenceError,
    NotFoundError,
    UnavailableError,
    WorkflowNotFoundError,
)
from engine_store.models import PurgeReport, Status
from engine_store.protocols import Store
from engine_store.sql.batches import BatchSize
from engine_store.sql.operation import Pause
from engine_store.sql.session import Session
from engine_store_contracts.suite.samples import USAGE, child, task, workflow

LATER = datetime(9999, 1, 1, tzinfo=UTC)
TASKS = 3_000


def plant(store: Store, workflow_exec_id: str = "w", tasks: int = TASKS) -> None:
    """A workflow with a root task and its children, of which each is older than the one before."""
    with store.transaction() as tx:
        tx.workflows.create(workflow(workflow_exec_id))
        of = {"workflow_exec_id": workflow_exec_id}
        tx.tasks.create(task(f"{workflow_exec_id}-0", workflow_exec_id))
        for number in range(1, tasks):
            parent = f"{workflow_exec_id}-{(number - 1) // 2}"
            tx.tasks.create(child(f"{workflow_exec_id}-{number}", parent, **of))
        tx.workflows.set_status(workflow_exec_id, Status.SUCCESS)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], object]]]:
    """What to do between two batches, of 200 rows each; there is no other pause."""
    monkeypatch.setattr(BatchSize, "FIRST", 200)
    monkeypatch.setattr(BatchSize, "LARGEST", 200)
    actions: list[Callable[[], object]] = []

    async def pause(self: Session, pause: Pause) -> None:
        for action in actions:
            action()

    monkeypatch.setattr(Session, "pause", pause)
    yield actions


@pytest.fixture
def other(url: str) -> Iterator[Store]:
    """Another store on the same database: another process, as far as it can know."""
    with engine_store.open(url) as store:
        yield store


def delete(store: Store) -> None:
    store.workflows.delete("w")


def purge(store: Store) -> None:
    assert store.workflows.purge(LATER) == PurgeReport(1, TASKS, dry_run=False)


HOW = pytest.mark.parametrize("how", [delete, purge])


@HOW
def test_others_write_between_two_batches(
    url: str, other: Store, between: list[Callable[[], object]], how: Callable[[Store], None]
) -> None:
    numbers = count()
    between.append(lambda: other.workflows.create(workflow(f"other-{next(numbers)}")))
    with engine_store.open(url) as store:
        plant(store)
        how(store)
    assert next(numbers) == TASKS // 200 + 1


@HOW
def test_between_two_batches_nothing_of_the_execution_is_there(
    url: str, other: Store, between: list[Callable[[], object]], how: Callable[[Store], None]
) -> None:
    def look() -> None:
        between.clear()
        assert other.workflows.list().items == ()
        assert other.tasks.list().items == ()
        assert other.tasks.in_workflow("w") == {}
        assert other.tasks.children("w-0") == ()
        assert other.tasks.children_outputs("w-0") == {}
        assert other.tasks.progress("w-0").total == 0
        for call, *args in (
            (other.workflows.get, "w"),
            (other.workflows.latest, "report"),
            (other.workflows.delete, "w"),
            (other.workflows.set_status, "w", Status.RUNNING),
            (other.workflows.merge_usage, "w", USAGE),
            (other.workflows.complete, "w"),
            (other.workflows.update, states[0]),
            (other.tasks.get, "w-0"),
            (other.tasks.usage, "w-0"),
            (other.tasks.child, "w-0", "w-1"),
            (other.tasks.tree, "w-0"),
            (other.tasks.update, states[1]),
            (other.tasks.merge_usage, "w-0", USAGE),
        ):
            with pytest.raises(NotFoundError):
                call(*args)  # type: ignore[operator]
        for call in (other.tasks.create, other.tasks.upsert):
            with pytest.raises(InvalidReferenceError):
                call(task("new"))
        looked.append(True)

    looked: list[bool] = []
    with engine_store.open(url) as store:
        plant(store)
        states = store.workflows.get("w"), store.tasks.get("w-0")
        between.append(look)
        how(store) if how is delete else store.workflows.purge(LATER)
    assert looked == [True]


@HOW
def test_what_a_killed_process_deleted_is_gone_and_purge_removes_what_is_left(
    url: str, other: Store, how: Callable[[Store], None]
) -> None:
    plant(other)
    call = "delete('w')" if how is delete else "purge(datetime(9999, 1, 1, tzinfo=UTC))"
    killed = subprocess.run([sys.executable, "-c", KILLED.format(url=url, call=call)])
    assert killed.returncode == -signal.SIGKILL

    with pytest.raises(WorkflowNotFoundError):
        other.workflows.get("w")
    assert other.tasks.list().items == ()
    with pytest.raises(UnavailableError, match="purge"):
        other.workflows.create(workflow())
    assert other.workflows.purge(LATER) == PurgeReport(1, TASKS - 200, dry_run=False)
    other.workflows.create(workflow())


KILLED = """
import os, signal
from datetime import UTC, datetime

import engine_store
from engine_store.sql.batches import BatchSize
from engine_store.sql.session import Session

BatchSize.FIRST = 200
Session.pause = lambda self, pause: os.kill(os.getpid(), signal.SIGKILL)
with engine_store.open({url!r}) as store:
    store.workflows.{call}
"""


def test_a_second_delete_goes_on_with_one_that_was_interrupted(
    url: str, other: Store, between: list[Callable[[], object]]
) -> None:
    plant(other)
    between.append(lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        other.workflows.delete("w")
    between.clear()
    with pytest.raises(WorkflowNotFoundError):
        other.workflows.delete("w")
    plant(other)


def test_inside_a_transaction_a_large_execution_goes_or_stays_as_a_whole(
    url: str, other: Store
) -> None:
    plant(other)
    with pytest.raises(LookupError), other.transaction() as tx:
        tx.workflows.delete("w")
        assert tx.tasks.list().items == ()
        raise LookupError
    assert len(other.tasks.in_workflow("w")) == TASKS
    with other.transaction() as tx:
        tx.workflows.delete("w")
        tx.workflows.create(workflow())
    assert other.tasks.in_workflow("w") == {}
