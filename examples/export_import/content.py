"""What the first store holds: the same rows every time, so that its export is the same file."""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from engine_store import (
    ApiKey,
    Clock,
    Component,
    ErrorInfo,
    ExecutionType,
    Role,
    Status,
    Store,
    TaskState,
    UsageEntry,
    UsageSummary,
    User,
    WorkflowState,
)

BEGAN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

USERS = {"ann": Role.ADMIN, "bob": Role.USER, "eve": Role.USER}
WORKFLOWS = {
    "nightly-report": Status.SUCCESS,
    "translation": Status.FAILED,
    "research": Status.RUNNING,
}
AGENTS = ("planner", "writer", "reviewer")
TOOLS = ("search", "fetch")

AWKWARD = {
    "a float that looks like an integer": 1e17,
    "a negative zero": -0.0,
    "the largest integer": 2**63 - 1,
    "two code points for one letter": "cafe\u0301",
    "empty, not absent": {},
}
"""What other formats and databases are known to change."""


def clock() -> Clock:
    """A clock that goes on by a second whenever the store looks at it."""
    seconds = itertools.count()
    return lambda: BEGAN + timedelta(seconds=next(seconds))


def fill(store: Store) -> None:
    """Users with keys, and workflows with trees of tasks in every kind of state."""
    for name, role in USERS.items():
        store.users.create(User(name, f"{name.title()}@example.org", role))
        store.api_keys.create(_key(name))
    store.api_keys.touch("key-of-ann")
    for workflow_id, status in WORKFLOWS.items():
        _create(store, workflow_id, status)


def _key(user_id: str) -> ApiKey:
    """A key that lets nobody in: keys of `engine_store.keys` are never the same twice."""
    fingerprint = hashlib.sha256(user_id.encode()).digest()
    return ApiKey(f"key-of-{user_id}", user_id, f"es_{user_id}", fingerprint, b"no hash")


def _create(store: Store, workflow_id: str, status: Status) -> None:
    exec_id = f"{workflow_id}-1"

    def create(task_id: str, parent: str | None, **fields: Any) -> TaskState:
        task = TaskState(
            exec_id, f"{exec_id}/{task_id}", task_id, workflow_id, parent_state_id=parent, **fields
        )
        return store.tasks.create(task)

    failed = ErrorInfo("the model gave no answer", "NO_ANSWER", {"attempts": 3})
    error = failed if status is Status.FAILED else None
    workflow = store.workflows.create(WorkflowState(exec_id, workflow_id, input=AWKWARD))
    store.events.append(exec_id, "started", {"by": "ann"}, key="start")
    root = create("agents", None, execution_type=ExecutionType.COLLECTION, status=status)
    for agent in AGENTS:
        task = create(
            agent,
            root.task_exec_id,
            component=Component.AGENT,
            agent_id=agent,
            action_id="work",
            status=status,
            error=error,
            usage=_usage(agent),
        )
        for tool in TOOLS:
            create(
                f"{agent}-{tool}",
                task.task_exec_id,
                component=Component.TOOL,
                tool_id=tool,
                status=Status.SUCCESS,
                output=AWKWARD,
            )
        store.workflows.merge_usage(exec_id, task.usage)
    workflow = store.workflows.get(workflow.workflow_exec_id)
    store.workflows.update(workflow.evolve(status=status, error=error))


def _usage(agent: str) -> UsageSummary:
    entry = UsageEntry("anyone", "a-model", 900, 100, cached_prompt_tokens=30, agent_ids=(agent,))
    return UsageSummary.of([entry])
