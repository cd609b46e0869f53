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


@frozen(slots=False)  # see WorkflowState
class TaskState:
    """The state of one execution of a task.

    `task_exec_id` is unique in the whole store. `version`, `created_at` and `updated_at` are set
    by the store. A task without `parent_state_id` is a root task of its workflow.
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
