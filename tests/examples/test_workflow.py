"""The quickstart's workflow on a store: its plan, its end, its workers, and the checks after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from engine_store import (
    Claim,
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
from engine_store.errors import ClaimLostError, InvalidValueError
from quickstart.checks import check
from quickstart.events import Event, Kind
from quickstart.sources import Source, folder_or_file
from quickstart.steps import Result
from quickstart.worker import Worker
from quickstart.workflow import FILES, SUMMARY, find_unfinished, finish, plan

USAGE = UsageSummary.of([UsageEntry("local", "rule", 3, 2)])
DONE = Result({"top_terms": []}, usage=USAGE)
FAILED = Result(error=ErrorInfo("no", "NO"))


@pytest.fixture
def source() -> Source:
    return Source("a source", "/nowhere", ("a.txt", "b.txt"))


@pytest.fixture
def read(store: Store, source: Source) -> Callable[[], WorkflowState]:
    """Read the planned workflow with its tasks."""
    exec_id = plan(store, source).workflow_exec_id
    return lambda: store.workflows.get(exec_id, with_tasks=True)


@pytest.fixture
def claim(store: Store, read: Callable[[], WorkflowState]) -> Callable[[], Claim]:
    """Claim the next task of the planned workflow."""
    exec_id = read().workflow_exec_id

    def claim() -> Claim:
        [claimed] = store.tasks.claim("one", lease=30, queues=[exec_id])
        return claimed

    return claim


def run(store: Store, exec_id: str, name: str = "one", stop_after: int = 1000) -> list[Event]:
    """Run a worker in this thread, to the end or until it is asked to stop; return its events."""
    events: list[Event] = []
    answers = iter([False] * stop_after)

    def announce(kind: Kind, task: TaskState) -> None:
        events.append(Event.of(kind, task))

    Worker(store, exec_id, name, announce, lambda: next(answers, True)).run()
    return events


def workers(store: Store, exec_id: str) -> list[tuple[str, str]]:
    """Return each task that was finished, and its worker, in their order."""
    names = {task.task_exec_id: task.task_id for task in store.tasks.in_workflow(exec_id).values()}
    return [
        (names[event.task_exec_id or ""], (event.data or {})["worker"])
        for event in store.events.list(exec_id, kinds=["finished"])
    ]


# --- the plan ----------------------------------------------------------------------------------


def test_a_plan_has_a_child_for_each_file(read: Callable[[], WorkflowState]) -> None:
    tasks = read().tasks
    assert {task_id: (task.status, task.input) for task_id, task in tasks.items()} == {
        "files": (Status.RUNNING, None),
        "file-0001": (Status.PENDING, {"path": "a.txt"}),
        "file-0002": (Status.PENDING, {"path": "b.txt"}),
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
            other = {"source": f"other {number}", "root": "/"}
            tx.workflows.create(
                evolve(oldest, workflow_exec_id=f"other-{number}", input=other, version=0)
            )
    assert find_unfinished(store, source) == oldest


# --- the end of a task -------------------------------------------------------------------------


def test_a_result_its_share_of_the_usage_and_its_worker_are_stored_together(
    store: Store, read: Callable[[], WorkflowState], claim: Callable[[], Claim]
) -> None:
    claimed = claim()
    done = finish(store, claimed, DONE)
    assert store.tasks.get(claimed.task.task_exec_id) == done
    assert (done.status, done.version, done.output) == (Status.SUCCESS, 3, DONE.output)
    assert read().usage == done.usage == USAGE
    [event] = store.events.list(done.workflow_exec_id)
    time = (done.updated_at - claimed.task.updated_at).total_seconds()
    assert (event.kind, event.task_exec_id) == ("finished", done.task_exec_id)
    assert event.data == {"worker": "one", "seconds": time}


def test_a_failed_result_keeps_its_error(store: Store, claim: Callable[[], Claim]) -> None:
    failed = finish(store, claim(), FAILED)
    assert (failed.status, failed.error, failed.output) == (Status.FAILED, FAILED.error, None)


def test_a_result_that_comes_after_the_claim_was_lost_changes_nothing(
    store: Store, read: Callable[[], WorkflowState], claim: Callable[[], Claim]
) -> None:
    lost = claim()
    store.tasks.release(lost)
    claim()  # the other file, which has been due for longer
    taken_over = claim()
    before = read()
    with pytest.raises(ClaimLostError):
        finish(store, lost, FAILED)
    assert read() == before
    assert store.events.list(before.workflow_exec_id) == ()
    done = finish(store, taken_over, DONE)
    assert (done.attempt, done.status) == (2, Status.SUCCESS)
    with pytest.raises(ClaimLostError):
        finish(store, lost, FAILED)
    assert read().usage == USAGE


def test_the_last_file_ends_the_collection_and_creates_the_summary(
    store: Store, read: Callable[[], WorkflowState], claim: Callable[[], Claim]
) -> None:
    first, last = claim(), claim()
    finish(store, last, DONE)
    assert read().tasks[FILES].status is Status.RUNNING
    assert SUMMARY not in read().tasks
    finish(store, first, FAILED)
    collection, summary = read().tasks[FILES], read().tasks[SUMMARY]
    assert (collection.status, collection.version) == (Status.SUCCESS, 2)
    assert (collection.output, collection.usage) == ({"files": 2, "analysed": 1}, USAGE)
    assert (summary.status, summary.input) == (Status.PENDING, {"of": collection.task_exec_id})
    assert claim().task.task_id == SUMMARY


def test_the_summary_ends_the_workflow(
    store: Store, read: Callable[[], WorkflowState], claim: Callable[[], Claim]
) -> None:
    for _ in range(2):
        finish(store, claim(), DONE)
    assert read().status is Status.RUNNING
    finish(store, claim(), Result({"files": 2}))
    assert (read().status, read().output) == (Status.SUCCESS, {"files": 2})


def test_an_end_that_cannot_be_stored_whole_is_not_stored_at_all(
    store: Store,
    read: Callable[[], WorkflowState],
    claim: Callable[[], Claim],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, last = claim(), claim()
    finish(store, first, DONE)
    before = read()
    with monkeypatch.context() as patched, pytest.raises(InvalidValueError):
        patched.setattr("quickstart.workflow.SUMMARY", "")  # no task has this id
        finish(store, last, DONE)
    assert read() == before
    assert finish(store, last, DONE).status is Status.SUCCESS


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


def test_the_workflow_fails_if_every_file_does(
    store: Store, read: Callable[[], WorkflowState]
) -> None:
    run(store, read().workflow_exec_id)
    workflow = read()
    assert workflow.status is Status.FAILED
    assert workflow.tasks[FILES].status is Status.FAILED
    summary = workflow.tasks[SUMMARY]
    assert summary.error == ErrorInfo("no file could be analysed", "NOTHING_TO_SUMMARISE")


def test_a_worker_goes_on_from_where_another_one_stopped(store: Store, texts: Path) -> None:
    exec_id = plan(store, folder_or_file(str(texts))).workflow_exec_id
    run(store, exec_id, "one", stop_after=2)
    done = store.tasks.list(TaskFilter(exec_id, [Status.SUCCESS])).items
    assert [task.task_id for task in done] == ["file-0001", "file-0002"]
    run(store, exec_id, "other")
    tasks = store.tasks.in_workflow(exec_id)
    assert [tasks[task.task_id] for task in done] == list(done)
    assert workers(store, exec_id) == [
        ("file-0001", "one"),
        ("file-0002", "one"),
        ("file-0003", "other"),
        ("summary", "other"),
    ]


def test_a_worker_takes_only_tasks_of_its_workflow(store: Store, source: Source) -> None:
    own, other = (plan(store, source).workflow_exec_id for _ in range(2))
    run(store, own)
    assert store.workflows.get(own).status is Status.FAILED
    statuses = {task.status for task in store.tasks.list(TaskFilter(other)).items}
    assert statuses == {Status.RUNNING, Status.PENDING}  # as planned


def test_a_worker_whose_workflow_is_canceled_drops_its_result_and_ends(
    store: Store, read: Callable[[], WorkflowState]
) -> None:
    exec_id = read().workflow_exec_id
    kinds: list[Kind] = []

    def cancel(kind: Kind, _: TaskState) -> None:
        kinds.append(kind)
        store.workflows.cancel(exec_id)

    Worker(store, exec_id, "one", cancel, lambda: False).run()
    assert kinds == [Kind.CLAIMED, Kind.LOST]
    assert {task.status for task in read().tasks.values()} == {Status.CANCELED}


def test_a_worker_finds_nothing_to_do_in_a_workflow_that_has_ended(
    store: Store, read: Callable[[], WorkflowState]
) -> None:
    run(store, read().workflow_exec_id)
    ended = read()
    assert run(store, ended.workflow_exec_id, "other") == []
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
