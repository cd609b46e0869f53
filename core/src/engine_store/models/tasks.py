"""Task executions and the progress of their children (contract 6)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict, Unpack

import attrs
from attrs import frozen

from engine_store.clock import UNSAVED
from engine_store.models.error_info import ErrorInfo
from engine_store.models.states import Component, ExecutionType, Status, Strategy
from engine_store.models.usage import UsageSummary
from engine_store.values import Document

DEFAULT_QUEUE = "default"
"""The queue of tasks and claims that name none."""


class StateChanges(TypedDict, total=False):
    """The fields that `evolve` can change in executions of workflows and of tasks."""

    workflow_exec_id: str
    workflow_id: str
    status: Status
    input: Document | None
    output: Document | None
    error: ErrorInfo | None
    usage: UsageSummary
    version: int
    created_at: datetime
    updated_at: datetime


class TaskChanges(StateChanges, total=False):
    """The fields that `TaskState.evolve` can change."""

    task_exec_id: str
    task_id: str
    component: Component
    execution_type: ExecutionType
    parent_state_id: str | None
    agent_id: str | None
    action_id: str | None
    tool_id: str | None
    queue: str
    priority: int
    due_at: datetime | None
    attempt: int


@frozen(slots=False)  # see WorkflowState
class TaskState:
    """The state of one execution of a task.

    `task_exec_id` is unique in the whole store. `version`, `attempt`, `created_at` and `updated_at`
    are set by the store. A task without `parent_state_id` is a root task of its workflow.

    A worker claims a PENDING task from its `queue` (contract 10): the highest `priority` first,
    from -100 to 100, and not before `due_at`; None: at once. `attempt` counts the claims.
    """

    workflow_exec_id: str
    task_exec_id: str
    task_id: str
    workflow_id: str
    component: Component = Component.TASK
    execution_type: ExecutionType = ExecutionType.BASIC
    status: Status = Status.PENDING
    parent_state_id: str | None = None
    agent_id: str | None = None
    action_id: str | None = None
    tool_id: str | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    due_at: datetime | None = None
    attempt: int = 0
    input: Document | None = None
    output: Document | None = None
    error: ErrorInfo | None = None
    usage: UsageSummary = UsageSummary()
    version: int = 0
    created_at: datetime = UNSAVED
    updated_at: datetime = UNSAVED

    def evolve(self, **changes: Unpack[TaskChanges]) -> TaskState:
        """Return a copy with these fields changed."""
        return attrs.evolve(self, **changes)


@frozen
class Progress:
    """How far the children of a task are.

    `counts` has every status. The rates are fractions of `total`, 0.0 where there are no children.
    """

    counts: Mapping[Status, int]
    total: int
    terminal: int
    running: int
    completion_rate: float
    failure_rate: float
    overall: Mapping[Strategy, Status]


@frozen
class Claim:
    """A task that a worker has, until `expires_at` or longer (contract 10).

    `task` is its state right after the claim. `token` tells this claim from every other one.
    """

    task: TaskState
    worker: str
    expires_at: datetime
    token: str


@frozen
class QueueStats:
    """The counts of a queue: of tasks that wait, and of tasks that workers have (contract 10.8).

    `ready` are PENDING and due, `delayed` are PENDING and not yet due. `leased` have a worker;
    the lease of those that are `expired` has ended, so that another one may claim them.
    `ready_since` is when the first of the ready ones was due; None: there is none.
    """

    ready: int = 0
    delayed: int = 0
    leased: int = 0
    expired: int = 0
    ready_since: datetime | None = None
