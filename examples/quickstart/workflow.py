"""The workflow on the store: its plan, and what the end of a task brings about.

    workflow  text-analysis
    ├─ collection  files       SUCCESS if any child succeeds (best effort)
    │  ├─ basic  file-0001     one child for each file
    │  └─ ...
    └─ aggregate  summary      created when the last file has ended

Two rules make it right, however many workers there are and whenever one of them dies:

1. A worker has the task that it claimed, until its lease has expired and another claim takes the
   task over. From then on the store refuses its result with `ClaimLostError`.
2. What belongs together is one transaction: the plan, and the end of a task with all that follows.
   The last file ends the collection and creates the summary. The summary ends the workflow.

So a task is written once by the plan, once by each claim, and once by its result: in the end its
`version` is 1 + `attempt` + 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engine_store import (
    TERMINAL,
    Claim,
    Component,
    ExecutionType,
    Status,
    Store,
    Strategy,
    TaskState,
    Transaction,
    UsageSummary,
    WorkflowFilter,
    WorkflowState,
    new_id,
)
from quickstart.sources import Source
from quickstart.steps import Result

WORKFLOW = "text-analysis"
FILES, SUMMARY = "files", "summary"
UNFINISHED = frozenset(Status) - TERMINAL

FINISHED = "finished"
"""The kind of event that says who finished a task, and in what time."""


def plan(store: Store, source: Source) -> WorkflowState:
    """Store a new workflow with a task for every file: all of it, or nothing."""
    workflow = WorkflowState(
        new_id(), WORKFLOW, Status.RUNNING, input={"source": source.name, "root": source.root}
    )
    exec_id = workflow.workflow_exec_id
    collection = _task(
        exec_id, FILES, execution_type=ExecutionType.COLLECTION, status=Status.RUNNING
    )
    with store.transaction() as tx:
        stored = tx.workflows.create(workflow)
        tx.tasks.create(collection)
        for number, path in enumerate(source.files, start=1):
            child = _task(
                exec_id,
                f"file-{number:04}",
                component=Component.AGENT,
                agent_id="analyst",
                action_id="analyse",
                parent_state_id=collection.task_exec_id,
                input={"path": path},
            )
            tx.tasks.create(child)
    return stored


def find_unfinished(store: Store, source: Source) -> WorkflowState | None:
    """Return the newest workflow of this source that has not ended, to be resumed."""
    cursor = None
    while True:
        page = store.workflows.list(WorkflowFilter(WORKFLOW, UNFINISHED), cursor=cursor)
        for workflow in page.items:
            if (workflow.input or {}).get("source") == source.name:
                return workflow
        if (cursor := page.next_cursor) is None:
            return None


def finish(store: Store, claim: Claim, result: Result) -> TaskState:
    """End a claimed task, and what ends with it, in one transaction. Raises `ClaimLostError`."""
    exec_id = claim.task.workflow_exec_id

    def end(tx: Transaction) -> TaskState:
        tx.workflows.get_for_update(exec_id)  # one end at a time: the last one sees all others
        task = tx.tasks.finish(
            claim,
            status=Status.FAILED if result.error else Status.SUCCESS,
            output=result.output,
            error=result.error,
            usage=result.usage,
        )
        time = task.updated_at - claim.task.updated_at
        done_by = {"worker": claim.worker, "seconds": time.total_seconds()}
        tx.events.append(exec_id, FINISHED, done_by, task_exec_id=task.task_exec_id)
        if task.parent_state_id is not None:
            _end_files(tx, tx.tasks.get(task.parent_state_id))
        else:
            tx.workflows.complete(exec_id, lambda state: state.tasks[SUMMARY].output)
        return task

    return store.run(end)


def _end_files(tx: Transaction, collection: TaskState) -> None:
    """End the collection and create the summary, if every file has ended."""
    progress = tx.tasks.progress(collection.task_exec_id)
    status = progress.overall[Strategy.BEST_EFFORT]
    if status not in TERMINAL:
        return
    usage = sum_usage(tx.tasks.children(collection.task_exec_id))
    output = {"files": progress.total, "analysed": progress.counts[Status.SUCCESS]}
    tx.tasks.update(collection.evolve(status=status, output=output, usage=usage))
    summary = _task(
        collection.workflow_exec_id,
        SUMMARY,
        execution_type=ExecutionType.AGGREGATE,
        input={"of": collection.task_exec_id},
    )
    tx.tasks.create(summary)


def _task(workflow_exec_id: str, task_id: str, **fields: Any) -> TaskState:
    """Return a new task. Each workflow has a queue by itself, so that workers can choose it."""
    return TaskState(
        workflow_exec_id, new_id(), task_id, WORKFLOW, queue=workflow_exec_id, **fields
    )


def sum_usage(tasks: Iterable[TaskState]) -> UsageSummary:
    """Return the usage of all of them together."""
    return UsageSummary.of(entry for task in tasks for entry in task.usage.entries)


def file_tasks(tasks: Mapping[str, TaskState]) -> list[TaskState]:
    """Return the children among the tasks of a workflow, one for each file."""
    return [task for task in tasks.values() if task.parent_state_id is not None]


def path_of(workflow: WorkflowState, task: TaskState) -> Path:
    """Return the file of a child."""
    return Path((workflow.input or {})["root"], (task.input or {})["path"])
