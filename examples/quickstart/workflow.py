"""The workflow on the store: its plan, the claim of a task, its result, and the workflow's end.

    workflow  text-analysis
    ├─ collection  files       SUCCESS if any child succeeds (best effort)
    │  ├─ basic  file-0001     one child for each file
    │  └─ ...
    └─ aggregate  summary      when the collection has ended

Two rules make it right, however many workers there are and whenever one of them dies:

1. A task changes only by compare-and-set from the version that was read. A claim is an `update`
   to RUNNING; of two workers that read the same version one wins, the other gets
   `VersionConflictError`. The result is an `update` of the claimed version, so a worker that lost
   its claim cannot overwrite what came after it.
2. What belongs together is one transaction: the plan, and a result with its share of the usage.

So `version` is the history of a task in a number: 1 when planned, +1 for each claim, +1 for the
result.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import frozen

from engine_store import (
    TERMINAL,
    Component,
    ExecutionType,
    Status,
    Store,
    Strategy,
    TaskState,
    UsageSummary,
    WorkflowFilter,
    WorkflowState,
    new_id,
    utc_now,
)
from engine_store.errors import VersionConflictError, WorkflowNotReadyError
from quickstart.sources import Source
from quickstart.steps import Result

WORKFLOW = "text-analysis"
FILES, SUMMARY = "files", "summary"
UNFINISHED = frozenset(Status) - TERMINAL
LEASE = timedelta(seconds=30)


# --- the plan ----------------------------------------------------------------------------------


def plan(store: Store, source: Source) -> WorkflowState:
    """Store a new workflow with a task for every file; all of it or nothing."""
    workflow = WorkflowState(
        new_id(),
        WORKFLOW,
        Status.RUNNING,
        input={"source": source.name, "root": source.root, "ended_workers": []},
    )

    def task(task_id: str, kind: ExecutionType, **fields: Any) -> TaskState:
        return TaskState(
            workflow.workflow_exec_id, new_id(), task_id, WORKFLOW, execution_type=kind, **fields
        )

    collection = task(FILES, ExecutionType.COLLECTION, status=Status.RUNNING)
    with store.transaction() as tx:
        stored = tx.workflows.create(workflow)
        tx.tasks.create(collection)
        for number, path in enumerate(source.files, start=1):
            child = task(
                f"file-{number:04}",
                ExecutionType.BASIC,
                component=Component.AGENT,
                agent_id="analyst",
                action_id="analyse",
                parent_state_id=collection.task_exec_id,
                input={"path": path, "claims": []},
            )
            tx.tasks.create(child)
        tx.tasks.create(task(SUMMARY, ExecutionType.AGGREGATE, input={"claims": []}))
    return stored


def find_unfinished(store: Store, source: Source) -> WorkflowState | None:
    """The newest workflow of this source that has not ended, to be resumed."""
    cursor = None
    while True:
        page = store.workflows.list(WorkflowFilter(WORKFLOW, UNFINISHED), cursor=cursor)
        for workflow in page.items:
            if (workflow.input or {}).get("source") == source.name:
                return workflow
        if (cursor := page.next_cursor) is None:
            return None


# --- claims ------------------------------------------------------------------------------------


@frozen
class Claimant:
    """A worker as its claims name it: for `lease` a task it claimed is left to it."""

    name: str
    lease: timedelta = LEASE


def claim(store: Store, task: TaskState, claimant: Claimant) -> TaskState | None:
    """Take the task as it was read; None where another worker was first."""
    now = utc_now()
    entry = {
        "worker": claimant.name,
        "at": now.isoformat(),
        "until": (now + claimant.lease).isoformat(),
    }
    taken = {**(task.input or {}), "claims": [*claims(task), entry]}
    try:
        return store.tasks.update(task.evolve(status=Status.RUNNING, input=taken))
    except VersionConflictError:
        return None


def claims(task: TaskState) -> list[dict[str, str]]:
    """Who took the task, the latest last: `worker`, `at`, and `until` when it is left to it."""
    found: list[dict[str, str]] = (task.input or {}).get("claims", [])
    return found


def claimable(workflow: WorkflowState) -> list[TaskState]:
    """The tasks of the workflow, read with its tasks, that wait for a worker or lost theirs."""
    collection = workflow.tasks[FILES]
    return [
        task
        for task in workflow.tasks.values()
        if task is not collection
        and (task.task_id != SUMMARY or collection.status in TERMINAL)
        and task.status in (Status.PENDING, Status.RUNNING)
        and not held_claim(task, workflow)
    ]


def held_claim(task: TaskState, workflow: WorkflowState) -> dict[str, str] | None:
    """The claim that keeps others from a RUNNING task; None where nothing does.

    Nobody can see from a task whether its worker is at it or dead. So a claim is a lease: it says
    when it ends, and then anybody may take the task over. Whoever saw a worker end need not wait:
    it says so in the workflow (`record_end`), where every worker reads it. Should either be wrong
    about a worker, a task runs again, but its result is still stored once (rule 1).
    """
    if task.status is not Status.RUNNING or not claims(task):
        return None
    held = claims(task)[-1]
    free = held["worker"] in _ended_workers(workflow)
    return None if free or datetime.fromisoformat(held["until"]) <= utc_now() else held


def record_end(store: Store, workflow_exec_id: str, worker: str) -> None:
    """Say that a worker has ended, in whatever way: the tasks it left RUNNING are free."""

    def add(workflow: WorkflowState) -> WorkflowState:
        if workflow.status in TERMINAL:
            return workflow
        ended = [*_ended_workers(workflow), worker]
        return workflow.evolve(input={**(workflow.input or {}), "ended_workers": ended})

    store.workflows.modify(workflow_exec_id, add)


def _ended_workers(workflow: WorkflowState) -> list[str]:
    ended: list[str] = (workflow.input or {})["ended_workers"]
    return ended


# --- results -----------------------------------------------------------------------------------


def finish(store: Store, task: TaskState, result: Result) -> TaskState | None:
    """Store the result of a claimed task; None where the claim was lost: the result is dropped.

    The usage is added to the workflow in the same transaction, so it is counted exactly once.
    """
    done = task.evolve(
        status=Status.FAILED if result.error else Status.SUCCESS,
        output=result.output,
        error=result.error,
        usage=result.usage,
    )
    try:
        with store.transaction() as tx:
            stored = tx.tasks.update(done)
            tx.workflows.merge_usage(task.workflow_exec_id, result.usage)
            return stored
    except VersionConflictError:
        return None


def settle(store: Store, workflow: WorkflowState) -> bool:
    """End what has nothing left to wait for: the collection, then the workflow.

    Any worker may come here, also several at once: `modify` leaves an ended collection as it is,
    and so does `complete` with the workflow. Returns whether there was something to end.
    """
    collection = workflow.tasks[FILES]
    if collection.status not in TERMINAL:
        return _end_collection(store, collection)
    try:
        store.workflows.complete(
            workflow.workflow_exec_id, lambda state: state.tasks[SUMMARY].output
        )
    except WorkflowNotReadyError:
        return False
    return True


def _end_collection(store: Store, collection: TaskState) -> bool:
    progress = store.tasks.progress(collection.task_exec_id)
    status = progress.overall[Strategy.BEST_EFFORT]
    if status not in TERMINAL:
        return False
    usage = UsageSummary()
    for child in store.tasks.children(collection.task_exec_id):
        usage = usage.merge(child.usage)
    output = {"files": progress.total, "analysed": progress.counts[Status.SUCCESS]}

    def end(stored: TaskState) -> TaskState:
        if stored.status in TERMINAL:
            return stored
        return stored.evolve(status=status, output=output, usage=usage)

    store.tasks.modify(collection.task_exec_id, end)
    return True


def file_tasks(tasks: Mapping[str, TaskState]) -> list[TaskState]:
    """The children among the tasks of a workflow, one for each file."""
    return [task for task in tasks.values() if task.parent_state_id is not None]


def path_of(workflow: WorkflowState, task: TaskState) -> Path:
    """The file of a child."""
    return Path((workflow.input or {})["root"], (task.input or {})["path"])
