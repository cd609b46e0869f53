"""What requests carry and what they get back; pydantic reads the answers off the store's models."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from engine_store import Component, ExecutionType, Status

Document = dict[str, Any]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")  # a misspelt field is told, not dropped


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class NewWorkflow(_Request):
    """An execution to be. What ids and documents may be, the store itself checks."""

    workflow_id: str
    workflow_exec_id: UUID | None = None
    input: Document | None = None


class NewStatus(_Request):
    """The status to set."""

    status: Status


class Problem(_Answer):
    """What is wrong, in a sentence."""

    detail: str


class HealthReport(_Answer):
    """What the store can do now."""

    reads: bool
    writes: bool


class Failure(_Answer):
    """Why an execution failed."""

    message: str
    code: str | None
    details: Document | None


class UsageEntry(_Answer):
    """Tokens of one model."""

    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Usage(_Answer):
    """Tokens by model."""

    entries: list[UsageEntry]


class Execution(_Answer):
    """An execution of a workflow, without its tasks."""

    workflow_exec_id: str
    workflow_id: str
    status: Status
    input: Document | None
    output: Document | None
    error: Failure | None
    usage: Usage
    version: int
    created_at: datetime
    updated_at: datetime


class TaskExecution(Execution):
    """An execution of a task."""

    task_exec_id: str
    task_id: str
    parent_state_id: str | None
    component: Component
    execution_type: ExecutionType
    agent_id: str | None
    action_id: str | None
    tool_id: str | None


class ExecutionWithTasks(Execution):
    """The same, with the latest execution of each task by its `task_id`."""

    tasks: dict[str, TaskExecution]


class ExecutionPage(_Answer):
    """One page of a list."""

    items: list[Execution]
    next_cursor: str | None
