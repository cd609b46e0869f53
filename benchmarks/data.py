"""What is stored: documents of a plausible size, and the dataset every case starts from."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import orjson
from attrs import frozen

from engine_store import (
    Component,
    Status,
    TaskState,
    UsageEntry,
    UsageSummary,
    WorkflowState,
    new_id,
)
from engine_store.protocols import Repositories, Store
from engine_store.values import Document

USAGE_EVERY = 3
"""One finished task in so many has used tokens."""

PAGE = 100
WIDE = 1000
SMALL_WORKFLOWS, TASKS_OF_SMALL = 50, 10
BRANCHES = 10
TREE_SIZE = 1 + BRANCHES + BRANCHES**2 + BRANCHES**3


def input_document(number: int) -> Document:
    """What a task is asked to do."""
    return {
        "goal": "Summarise the incident reports of the payment service for the operations team",
        "source": {"uri": f"reports/incident-{number:06d}.md", "pages": 12, "language": "en"},
        "parameters": {"temperature": 0.2, "max_tokens": 1024, "stop": ["###"], "stream": False},
        "sections": ["timeline", "root cause", "impact", "follow-up actions", "open questions"],
        "budget": {"seconds": 90, "retries": 3},
        "previous": None,
    }


def output_document(number: int) -> Document:
    """What a task has found."""
    return {
        "summary": (
            "A certificate that nobody renewed stopped two of five gateways for 41 minutes. "
            "Retries kept most payments; 312 failed for good and were refunded the same day. "
            "The renewal is automatic now, and an alarm rings thirty days before expiry."
        ),
        "scores": {"relevance": 0.93, "coverage": 0.871, "confidence": 0.6125},
        "terms": ["certificate", "gateway", "retry", "refund"],
        "words": 1800 + number % 400,
        "revision": number,
        "complete": True,
    }


def usage_summary(number: int) -> UsageSummary:
    """The tokens of a finished task: an entry for some, nothing for the others."""
    if number % USAGE_EVERY:
        return UsageSummary()
    entry = UsageEntry(
        provider="anthropic",
        model="claude",
        prompt_tokens=1200 + number % 300,
        completion_tokens=340,
        cached_prompt_tokens=256,
        agent_ids=("summariser",),
        captured_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        source="provider",
    )
    return UsageSummary.of([entry])


def payload() -> dict[str, int]:
    """The sizes of what is stored, in bytes of JSON."""
    return {
        "input_bytes": len(orjson.dumps(input_document(0))),
        "output_bytes": len(orjson.dumps(output_document(0))),
        "one_usage_entry_in": USAGE_EVERY,
    }


def new_task(workflow_exec_id: str, number: int, parent: str | None = None) -> TaskState:
    """A task of an agent that begins: it has an input."""
    return TaskState(
        workflow_exec_id=workflow_exec_id,
        task_exec_id=new_id(),
        task_id=f"summarise-{number}",
        workflow_id="incident-review",
        component=Component.AGENT,
        status=Status.RUNNING,
        parent_state_id=parent,
        agent_id="summariser",
        action_id="summarise",
        input=input_document(number),
    )


def with_result(task: TaskState, number: int) -> TaskState:
    """The task with what it found and used; it ends and goes on by turns, version by version."""
    return task.evolve(
        status=Status.RUNNING if task.version % 2 else Status.SUCCESS,
        output=output_document(number),
        usage=usage_summary(number),
    )


@frozen
class Dataset:
    """What is where in the database every case starts from."""

    wide: str
    """A workflow with one root and a thousand tasks below it."""
    wide_root: str
    wide_tasks: tuple[str, ...]
    small: tuple[str, ...]
    """Workflows of ten tasks."""
    tree_root: str
    """A task with ten children, each with ten, each with ten."""


def add_workflow(tx: Repositories, tasks: int) -> tuple[str, tuple[str, ...]]:
    """A workflow with so many root tasks, all of them finished; its id, and theirs."""
    state = WorkflowState(new_id(), "incident-review", input=input_document(0))
    key = tx.workflows.create(state).workflow_exec_id
    return key, _add_tasks(tx, key, [None] * tasks)


def add_running(tx: Repositories) -> TaskState:
    """The only task of a new workflow, as it begins."""
    key = tx.workflows.create(WorkflowState(new_id(), "incident-review")).workflow_exec_id
    return tx.tasks.create(new_task(key, 0))


def _add_tasks(
    tx: Repositories, workflow_exec_id: str, parents: Iterable[str | None]
) -> tuple[str, ...]:
    states = (
        with_result(new_task(workflow_exec_id, number, parent), number)
        for number, parent in enumerate(parents)
    )
    return tuple(tx.tasks.create(state).task_exec_id for state in states)


def populate(store: Store) -> Dataset:
    """Fill an empty store with some 2,600 finished tasks in 52 workflows."""
    with store.transaction() as tx:
        wide, (wide_root,) = add_workflow(tx, 1)
        wide_tasks = _add_tasks(tx, wide, [wide_root] * WIDE)
        small = tuple(add_workflow(tx, TASKS_OF_SMALL)[0] for _ in range(SMALL_WORKFLOWS))
        deep, (tree_root,) = add_workflow(tx, 1)
        level: tuple[str, ...] = (tree_root,)
        for _ in range(3):
            level = _add_tasks(tx, deep, [parent for parent in level for _ in range(BRANCHES)])
    return Dataset(wide, wide_root, wide_tasks, small, tree_root)
