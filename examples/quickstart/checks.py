"""After the end: does the store hold what was acknowledged, each result once?

The store is compared with two witnesses outside it: the events that workers sent after their
commits, and what the parent read from the store before this run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from attrs import frozen

from engine_store import TERMINAL, TaskState, UsageSummary, WorkflowState
from quickstart.events import Event, Kind
from quickstart.workflow import FILES, sum_usage


@frozen
class Check:
    """A promise, whether it held, and for people what was counted or what is wrong."""

    promise: str
    ok: bool
    found: str


def check(
    workflow: WorkflowState, before: Mapping[str, TaskState], events: Collection[Event]
) -> list[Check]:
    """Check a workflow, read with its tasks, that workers have run to its end."""
    tasks = {task.task_exec_id: task for task in workflow.tasks.values()}
    states: list[TaskState | WorkflowState] = [workflow, *tasks.values()]
    finished = [event for event in events if event.kind is Kind.FINISHED]
    runs = [task for task in tasks.values() if task.task_id != FILES]
    return [
        _check(
            "every task has ended",
            f"{len(tasks)} tasks and the workflow",
            [state for state in states if state.status not in TERMINAL],
        ),
        _check(
            "no acknowledged result was lost",
            f"{len(finished)} acknowledged, all stored as they were",
            [
                tasks[event.task_exec_id]
                for event in finished
                if Event.of(Kind.FINISHED, tasks[event.task_exec_id]) != event
            ],
        ),
        _check(
            "no finished task ran twice",
            f"{len(runs)} tasks: version = 1 + attempts + 1",
            [
                *(task for task in runs if task.version != 1 + task.attempt + 1),
                *(tasks[exec_id] for exec_id in _claimed_after_its_end(before, events)),
            ],
        ),
        _check(
            "all usage was counted once",
            f"{total_tokens(workflow.usage):,} tokens, the sum over the tasks",
            [] if sum_usage(runs) == workflow.usage else runs,
        ),
    ]


def total_tokens(usage: UsageSummary) -> int:
    """Return the tokens of all entries."""
    return sum(entry.total_tokens or 0 for entry in usage.entries)


def _claimed_after_its_end(
    before: Mapping[str, TaskState], events: Iterable[Event]
) -> Iterable[str]:
    ended = {task.task_exec_id for task in before.values() if task.status in TERMINAL}
    for event in events:
        if event.kind is Kind.CLAIMED and event.task_exec_id in ended:
            yield event.task_exec_id
        if event.kind is Kind.FINISHED:
            ended.add(event.task_exec_id)


def _check(promise: str, found: str, wrong: Collection[TaskState | WorkflowState]) -> Check:
    if not wrong:
        return Check(promise, True, found)
    names = ", ".join(f"{_id(state)} ({state.status}, version {state.version})" for state in wrong)
    return Check(promise, False, f"wrong: {names}")


def _id(state: TaskState | WorkflowState) -> str:
    return state.task_id if isinstance(state, TaskState) else state.workflow_id
