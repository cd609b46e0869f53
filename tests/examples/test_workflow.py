"""The quickstart's workflow on a store: plan, claims, results, its end, and the checks after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from engine_store import (
    ErrorInfo,
    Status,
    Store,
    TaskFilter,
    TaskState,
    UsageEntry,
    UsageSummary,
    WorkflowFilter,
    WorkflowState,
)
from engine_store.errors import InvalidValueError
from quickstart.checks import check
from quickstart.events import Event, Kind
from quickstart.sources import Source, folder_or_file
from quickstart.steps import Result
from quickstart.worker import Worker
from quickstart.workflow import (
    FILES,
    SUMMARY,
    Claimant,
    claim,
    claimable,
    claims,
    find_unfinished,
    finish,
    plan,
    record_end,
)

ONE, OTHER = Claimant("worker-1.a"), Claimant("worker-2.b")
DONE = Result({"top_terms": []}, usage=UsageSummary.of([UsageEntry("local", "rule", 3, 2)]))
FAILED = Result(error=ErrorInfo("no", "NO"))


@pytest.fixture
def source() -> Source:
    return Source("a source", "/nowhere", ("a.txt", "b.txt"))


@pytest.fixture
def read(store: Store, source: Source) -> Callable[[], WorkflowState]:
    """Read the planned workflow with its tasks."""
    exec_id = plan(store, source).workflow_exec_id
    return lambda: store.workflows.get(exec_id, with_tasks=True)


def run(store: Store, exec_id: str, claimant: Claimant = ONE) -> list[Event]:
    """Run a worker in this thread to the end; its events."""
    events: list[Event] = []

    def announce(kind: Kind, task: TaskState) -> None:
        events.append(Event.of(kind, task))

    Worker(store, exec_id, claimant, announce, lambda _: False).run()
    return events


# --- the plan ----------------------------------------------------------------------------------


def test_a_plan_has_a_child_for_each_file_and_a_summary(
    read: Callable[[], WorkflowState],
) -> None:
    tasks = read().tasks
    assert {task_id: (task.status, task.input) for task_id, task in tasks.items()} == {
        "files": (Status.RUNNING, None),
        "file-0001": (Status.PENDING, {"path": "a.txt", "claims": []}),
        "file-0002": (Status.PENDING, {"path": "b.txt", "claims": []}),
        "summary": (Status.PENDING, {"claims": []}),
    }
    assert tasks["file-0001"].parent_state_id == tasks[FILES].task_exec_id


def test_a_plan_that_cannot_be_stored_whole_is_not_stored_at_all(store: Store) -> None:
    with pytest.raises(InvalidValueError):
        plan(store, Source("a source", "/nowhere", ("a.txt", "\udcff.txt")))
    assert store.workflows.list().items == ()
    assert store.tasks.list().items == ()


def test_the_newest_unfinished_workflow_of_the_same_source_is_resumed(
    store: Store, source: Source
) -> None:
    plan(store, source)
    newest = plan(store, source)
    ended = plan(store, source)
    store.workflows.set_status(ended.workflow_exec_id, Status.CANCELED)
    plan(store, evolve(source, name="another source"))
    assert find_unfinished(store, source) == newest


def test_without_an_unfinished_workflow_there_is_nothing_to_resume(
    store: Store, source: Source
) -> None:
    assert find_unfinished(store, source) is None


def test_an_unfinished_workflow_is_found_behind_many_others(store: Store, source: Source) -> None:
    oldest = plan(store, source)
    with store.transaction() as tx:
        for number in range(150):
            other = {"source": f"other {number}", "root": "/", "ended_workers": []}
            tx.workflows.create(
                evolve(oldest, workflow_exec_id=f"other-{number}", input=other, version=0)
            )
    assert find_unfinished(store, source) == oldest


# --- claims ------------------------------------------------------------------------------------


def test_of_two_workers_that_read_the_same_version_one_gets_the_task(
    store: Store, read: Callable[[], WorkflowState]
) -> None:
    task = claimable(read())[0]
    won = claim(store, task, ONE)
    assert won is not None
    assert claim(store, task, OTHER) is None
    stored = store.tasks.get(task.task_exec_id)
    assert stored == won
    assert (stored.status, stored.version) == (Status.RUNNING, 2)
    assert [entry["worker"] for entry in claims(stored)] == [ONE.name]


def test_a_claimed_task_is_left_to_its_worker_for_the_lease(
    store: Store, read: Callable[[], WorkflowState]
) -> None:
    first, second = claimable(read())
    assert claim(store, first, ONE)
    assert claimable(read()) == [second]


def test_a_claim_whose_lease_is_over_may_be_taken_over(
    store: Store, read: Callable[[], WorkflowState]
) -> None:
    task = claimable(read())[0]
    lost = claim(store, task, evolve(ONE, lease=timedelta(0)))
    assert claimable(read())[0] == lost


def test_a_claim_of_a_worker_that_was_seen_to_end_may_be_taken_over(
    store: Store, read: Callable[[], WorkflowState]
) -> None:
    first, second = claimable(read())
    lost = claim(store, first, ONE)
    held = claim(store, second, OTHER)
    assert lost is not None
    assert held is not None
    record_end(store, lost.workflow_exec_id, ONE.name)
    assert claimable(read()) == [lost]


def test_the_end_of_a_worker_is_not_recorded_in_a_workflow_that_has_ended(
    store: Store, source: Source
) -> None:
    exec_id = plan(store, source).workflow_exec_id
    ended = store.workflows.set_status(exec_id, Status.CANCELED)
    record_end(store, exec_id, ONE.name)
    assert store.workflows.get(exec_id) == ended


# --- results -----------------------------------------------------------------------------------


def test_a_result_and_its_share_of_the_usage_are_stored_together(
    store: Store, read: Callable[[], WorkflowState]
) -> None:
    claimed = claim(store, claimable(read())[0], ONE)
    assert claimed is not None
    done = finish(store, claimed, DONE)
    assert done is not None
    assert store.tasks.get(claimed.task_exec_id) == done
    assert (done.status, done.version, done.output) == (Status.SUCCESS, 3, DONE.output)
    assert read().usage == done.usage == DONE.usage


def test_a_result_that_comes_after_the_claim_was_lost_is_dropped(
    store: Store, read: Callable[[], WorkflowState]
) -> None:
    lost = claim(store, claimable(read())[0], evolve(ONE, lease=timedelta(0)))
    assert lost is not None
    taken_over = claim(store, lost, OTHER)
    assert taken_over is not None
    before = read()
    assert finish(store, lost, FAILED) is None
    assert read() == before
    done = finish(store, taken_over, DONE)
    assert done is not None
    assert done.version == 4
    assert finish(store, lost, FAILED) is None
    assert read().usage == DONE.usage


def test_a_failed_result_keeps_its_error(store: Store, read: Callable[[], WorkflowState]) -> None:
    claimed = claim(store, claimable(read())[0], ONE)
    assert claimed is not None
    failed = finish(store, claimed, FAILED)
    assert failed is not None
    assert (failed.status, failed.error, failed.output) == (Status.FAILED, FAILED.error, None)


# --- a worker ----------------------------------------------------------------------------------


def test_a_worker_runs_every_task_once_and_ends_the_workflow(store: Store, texts: Path) -> None:
    exec_id = plan(store, folder_or_file(str(texts))).workflow_exec_id
    events = run(store, exec_id)
    workflow = store.workflows.get(exec_id, with_tasks=True)
    assert [event.kind for event in events] == [Kind.CLAIMED, Kind.FINISHED] * 4
    assert {id_: (task.status, task.version) for id_, task in workflow.tasks.items()} == {
        "files": (Status.SUCCESS, 2),
        "file-0001": (Status.SUCCESS, 3),
        "file-0002": (Status.SUCCESS, 3),
        "file-0003": (Status.SUCCESS, 3),
        "summary": (Status.SUCCESS, 3),
    }
    assert workflow.status is Status.SUCCESS
    assert workflow.output == workflow.tasks[SUMMARY].output
    assert workflow.output is not None
    assert (workflow.output["files"], workflow.output["words"]) == (3, 12)
    assert workflow.output["common_terms"] == [["cat", 2]]
    assert all(found.ok for found in check(workflow, {}, events))


def test_one_file_that_fails_does_not_fail_the_workflow(store: Store, texts: Path) -> None:
    (texts / "cats.txt").write_bytes(b"\xff")
    exec_id = plan(store, folder_or_file(str(texts))).workflow_exec_id
    run(store, exec_id)
    workflow = store.workflows.get(exec_id, with_tasks=True)
    assert workflow.tasks["file-0001"].status is Status.FAILED
    assert workflow.tasks[FILES].status is Status.SUCCESS
    assert workflow.tasks[FILES].output == {"files": 3, "analysed": 2}
    assert workflow.status is Status.SUCCESS


def test_the_workflow_fails_where_every_file_does(
    store: Store, read: Callable[[], WorkflowState]
) -> None:
    run(store, read().workflow_exec_id)
    workflow = read()
    assert workflow.status is Status.FAILED
    assert workflow.tasks[FILES].status is Status.FAILED
    summary = workflow.tasks[SUMMARY]
    assert summary.error == ErrorInfo("no file could be analysed", "NOTHING_TO_SUMMARISE")


def test_a_worker_takes_over_where_another_stopped(store: Store, texts: Path) -> None:
    exec_id = plan(store, folder_or_file(str(texts))).workflow_exec_id
    answers = iter([False] * 3)
    Worker(store, exec_id, ONE, lambda *_: None, lambda _: next(answers, True)).run()
    done = store.tasks.list(TaskFilter(exec_id, [Status.SUCCESS])).items
    assert [task.task_id for task in done] == ["file-0001", "file-0002"]
    run(store, exec_id, OTHER)
    tasks = store.tasks.in_workflow(exec_id)
    assert [tasks[task.task_id] for task in done] == list(done)
    workers = {
        task_id: [entry["worker"] for entry in claims(task)] for task_id, task in tasks.items()
    }
    assert workers == {
        "files": [],
        "file-0001": [ONE.name],
        "file-0002": [ONE.name],
        "file-0003": [OTHER.name],
        "summary": [OTHER.name],
    }


def test_a_worker_finds_nothing_to_do_in_a_workflow_that_has_ended(
    store: Store, read: Callable[[], WorkflowState]
) -> None:
    run(store, read().workflow_exec_id)
    ended = read()
    assert run(store, ended.workflow_exec_id, OTHER) == []
    assert read() == ended
    assert store.workflows.list(WorkflowFilter(statuses=[Status.RUNNING])).items == ()


# --- the checks --------------------------------------------------------------------------------


@pytest.fixture
def ended(store: Store, texts: Path) -> tuple[WorkflowState, list[Event]]:
    """A workflow that has ended well, and the events of its worker."""
    exec_id = plan(store, folder_or_file(str(texts))).workflow_exec_id
    events = run(store, exec_id)
    return store.workflows.get(exec_id, with_tasks=True), events


def broken(workflow: WorkflowState, task_id: str, **changes: Any) -> WorkflowState:
    """The workflow with one task changed behind its back."""
    changed = evolve(workflow.tasks[task_id], **changes)
    return evolve(workflow, tasks={**workflow.tasks, task_id: changed})


def failures(workflow: WorkflowState, events: list[Event]) -> list[str]:
    return [found.promise for found in check(workflow, {}, events) if not found.ok]


def test_an_acknowledged_result_that_is_not_stored_is_noticed(
    ended: tuple[WorkflowState, list[Event]],
) -> None:
    workflow, events = ended
    lost = broken(workflow, "file-0002", output=None)
    assert failures(lost, events) == ["no acknowledged result was lost"]


def test_a_task_that_has_not_ended_is_noticed(ended: tuple[WorkflowState, list[Event]]) -> None:
    workflow, _ = ended
    running = broken(workflow, FILES, status=Status.RUNNING)
    assert failures(running, []) == ["every task has ended"]
    assert failures(evolve(workflow, status=Status.RUNNING), []) == ["every task has ended"]


def test_a_second_result_shows_in_the_version(ended: tuple[WorkflowState, list[Event]]) -> None:
    workflow, _ = ended
    assert failures(broken(workflow, "file-0002", version=4), []) == ["no finished task ran twice"]


def test_a_claim_after_the_result_is_noticed(ended: tuple[WorkflowState, list[Event]]) -> None:
    workflow, events = ended
    assert failures(workflow, [*events, events[0]]) == ["no finished task ran twice"]


def test_a_claim_of_a_task_that_an_earlier_run_finished_is_noticed(
    ended: tuple[WorkflowState, list[Event]],
) -> None:
    workflow, events = ended
    found = check(workflow, workflow.tasks, events)
    assert [entry.promise for entry in found if not entry.ok] == ["no finished task ran twice"]


def test_usage_that_was_counted_twice_is_noticed(ended: tuple[WorkflowState, list[Event]]) -> None:
    workflow, events = ended
    twice = evolve(workflow, usage=workflow.usage.merge(workflow.usage))
    assert failures(twice, events) == ["all usage was counted once"]
