"""The bodies of requests and answers; pydantic reads the answers off the store's models."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi.sse import ServerSentEvent
from pydantic import BaseModel, ConfigDict

from engine_store import Component, Event, ExecutionType, Status

Document = dict[str, Any]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")  # a misspelt field is an error


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class NewWorkflow(_Request):
    """An execution to create. The store checks ids and documents."""

    workflow_id: str
    workflow_exec_id: UUID | None = None
    input: Document | None = None


class NewStatus(_Request):
    """The status to set."""

    status: Status


class Cancellation(_Request):
    """The reason becomes the error message of the execution."""

    reason: str | None = None


class NewEvent(_Request):
    """An event to append."""

    kind: str
    data: Document | None = None
    key: str | None = None


class Problem(_Answer):
    """A sentence that says what is wrong."""

    detail: str


class HealthReport(_Answer):
    """The abilities of the store at this moment."""

    reads: bool
    writes: bool


class Failure(_Answer):
    """The error of an execution."""

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


class ExecutionEvent(_Answer):
    """An event in the history of an execution."""

    number: int
    kind: str
    data: Document | None
    task_exec_id: str | None
    key: str | None
    created_at: datetime


def sent(event: Event) -> ServerSentEvent:
    """Return an event as it is sent. Its kind is any text, but what is sent of it is one line."""
    return ServerSentEvent(
        id=str(event.number),
        event=" ".join(event.kind.splitlines()),
        data=ExecutionEvent.model_validate(event),
    )
