"""The tests of the engine, as they would stand in its own project."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

import engine_store
from engine_store import AsyncStore, ErrorInfo, Status, Store, TaskState, WorkflowState
from engine_store.errors import VersionConflictError, WorkflowNotFoundError
from sqlite_memory.conftest import MEMORY, ManualClock, RunAsync
from sqlite_memory.engine import claim, claim_next, claim_next_async, finish, finish_async, time_out

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)

WORKFLOW = WorkflowState("run-1", "nightly-report", Status.RUNNING)
TASKS = [TaskState("run-1", f"exec-{n}", f"task-{n}", "nightly-report") for n in range(10)]
ONE_TASK = TASKS[:1]


def plan(store: Store, tasks: list[TaskState]) -> None:
    """Store the workflow with its tasks."""
    with store.transaction() as tx:
        tx.workflows.create(WORKFLOW)
        for task in tasks:
            tx.tasks.create(task)


async def plan_async(store: AsyncStore, tasks: list[TaskState]) -> None:
    """Store the workflow with its tasks."""
    async with store.transaction() as tx:
        await tx.workflows.create(WORKFLOW)
        for task in tasks:
            await tx.tasks.create(task)


# --- one worker --------------------------------------------------------------------------------


def test_a_task_is_claimed_and_finished(store: Store) -> None:
    plan(store, ONE_TASK)
    claimed = claim_next(store, "run-1", "ada")
    assert claimed is not None
    finish(store, claimed, {"pages": 3})
    stored = store.tasks.get("exec-0")
    assert (stored.status, stored.version) == (Status.SUCCESS, 3)
    assert (stored.input, stored.output) == ({"worker": "ada"}, {"pages": 3})


def test_a_worker_finds_nothing_where_no_task_waits(store: Store) -> None:
    plan(store, ONE_TASK)
    claim_next(store, "run-1", "ada")
    assert claim_next(store, "run-1", "bob") is None


def test_the_store_sets_the_time_of_the_clock(store: Store, clock: ManualClock) -> None:
    plan(store, ONE_TASK)
    clock.advance(5 * SECOND)
    claimed = claim_next(store, "run-1", "ada")
    assert claimed is not None
    assert (claimed.created_at, claimed.updated_at) == (NOON, NOON + 5 * SECOND)
    clock.advance(90 * SECOND)
    assert finish(store, claimed, {}).updated_at - claimed.updated_at == 90 * SECOND


def test_a_task_times_out_after_the_limit_and_not_before(store: Store, clock: ManualClock) -> None:
    plan(store, ONE_TASK)
    claimed = claim_next(store, "run-1", "ada")
    assert claimed is not None
    clock.advance(60 * SECOND)
    assert time_out(store, "run-1", clock.now, 60 * SECOND) == 0
    clock.advance(timedelta(microseconds=1))
    assert time_out(store, "run-1", clock.now, 60 * SECOND) == 1
    assert store.tasks.get("exec-0").error == ErrorInfo("no result within 0:01:00", "TIMED_OUT")
    with pytest.raises(VersionConflictError):
        finish(store, claimed, {"too": "late"})


# --- two workers -------------------------------------------------------------------------------


def test_of_two_workers_that_race_for_a_task_one_gets_it(store: Store) -> None:
    plan(store, ONE_TASK)
    read = store.tasks.get("exec-0")  # what both have seen, before either acts
    start = Barrier(2)

    def race(worker: str) -> TaskState | None:
        start.wait()
        return claim(store, read, worker)

    with ThreadPoolExecutor() as threads:
        claims = list(threads.map(race, ["ada", "bob"]))
    (won,) = [claimed for claimed in claims if claimed is not None]
    assert store.tasks.get("exec-0") == won
    assert won.version == 2


def test_two_workers_on_an_event_loop_do_every_task_once(run_async: RunAsync) -> None:
    async def test(store: AsyncStore) -> None:
        await plan_async(store, TASKS)

        async def work(worker: str) -> list[str]:
            done = []
            while claimed := await claim_next_async(store, "run-1", worker):
                done.append((await finish_async(store, claimed, {})).task_exec_id)
            return done

        ada, bob = await asyncio.gather(work("ada"), work("bob"))
        assert sorted([*ada, *bob]) == [task.task_exec_id for task in TASKS]
        stored = await store.tasks.by_status("run-1", Status.SUCCESS)
        assert [task.version for task in stored] == [3] * len(TASKS)

    run_async(test)


def test_times_are_exact_on_an_event_loop_too(run_async: RunAsync, clock: ManualClock) -> None:
    async def test(store: AsyncStore) -> None:
        await plan_async(store, ONE_TASK)
        clock.advance(SECOND)
        claimed = await claim_next_async(store, "run-1", "ada")
        assert claimed is not None
        assert (claimed.created_at, claimed.updated_at) == (NOON, NOON + SECOND)

    run_async(test)


# --- what a store in memory is -----------------------------------------------------------------


def test_a_reader_sees_the_last_commit_while_a_transaction_is_open(store: Store) -> None:
    plan(store, ONE_TASK)
    with store.transaction() as tx:
        task = tx.tasks.get("exec-0")
        tx.tasks.update(task.evolve(status=Status.RUNNING))
        assert store.tasks.get("exec-0").status is Status.PENDING  # read beside the writer
    assert store.tasks.get("exec-0").status is Status.RUNNING


def test_two_stores_in_memory_share_nothing(store: Store) -> None:
    plan(store, ONE_TASK)
    with engine_store.open(MEMORY) as other, pytest.raises(WorkflowNotFoundError):
        other.workflows.get("run-1")
