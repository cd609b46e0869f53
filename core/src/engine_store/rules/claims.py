"""The rules of claims, as pure functions that every driver shares (contract 10)."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from engine_store.errors import ClaimLostError, InvalidValueError, StatusConflictError
from engine_store.models import (
    DEFAULT_QUEUE,
    TERMINAL,
    Claim,
    ErrorInfo,
    Status,
    TaskState,
    UsageSummary,
    WorkflowState,
)
from engine_store.rules.checks import check_model, check_usage
from engine_store.values import Document, check_document, check_id, check_ids, check_int, check_text

DEFAULT_QUEUES = (DEFAULT_QUEUE,)

ENDED = tuple(sorted(TERMINAL))
"""The statuses of what has ended."""

UNFINISHED = frozenset(status.value for status in Status if status not in TERMINAL)
"""The statuses of a workflow that takes new tasks, for errors."""

MAX_SECONDS = 10 * 365 * 24 * 3600
"""The longest lease and delay: ten years."""

RESTORED = "restored"
"""The worker of a task that was restored while it was claimed: its lease is over."""

CANCELED = "CANCELED"
"""The code of the error of what was canceled."""


def due_of(task: TaskState) -> datetime:
    """Return when a task may be claimed: at `due_at`, or from its creation on."""
    return task.created_at if task.due_at is None else task.due_at


def claim_order(task: TaskState) -> tuple[int, datetime, datetime, str]:
    """Return what claims are ordered by (contract 10.1)."""
    return -task.priority, due_of(task), task.created_at, task.task_exec_id


def check_seconds(value: Any, path: str, *, zero: bool = False) -> timedelta:
    """Return a number of seconds above 0, or from 0 on, as a duration."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise InvalidValueError(path, "expected a number of seconds")
    if not 0 <= value <= MAX_SECONDS or (value == 0 and not zero):
        first = "0" if zero else "more than 0"
        raise InvalidValueError(path, f"expected {first} to {MAX_SECONDS} seconds, found {value}")
    return timedelta(seconds=value)


def check_queues(queues: object) -> tuple[str, ...]:
    """Return the names of queues; unlike in a filter, None is not all."""
    names = check_ids(queues, "queues")
    if names is None:
        raise InvalidValueError("queues", "expected a collection of ids, found None")
    return names


def check_claim(claim: object) -> Claim:
    """Return a claim; of its task only what tells it from others is looked at."""
    if type(claim) is not Claim:
        raise InvalidValueError("claim", f"expected Claim, found {type(claim).__name__}")
    task = claim.task
    if type(task) is not TaskState:
        raise InvalidValueError("claim.task", f"expected TaskState, found {type(task).__name__}")
    check_id(task.workflow_exec_id, "claim.task.workflow_exec_id")
    check_id(task.task_exec_id, "claim.task.task_exec_id")
    check_int(task.attempt, "claim.task.attempt", minimum=1)
    check_id(claim.worker, "claim.worker")
    check_id(claim.token, "claim.token")
    return claim


def check_error(error: Any) -> ErrorInfo | None:
    """Return an error, or None."""
    return None if error is None else check_model(error, ErrorInfo, "error")


def check_ending(
    status: Any, output: Any, error: Any, usage: Any
) -> tuple[Status, Document | None, ErrorInfo | None, UsageSummary]:
    """Return what a claimed task is to end with."""
    if type(status) is not Status or status not in TERMINAL:
        expected = ", ".join(ENDED)
        raise InvalidValueError("status", f"expected one that ends a task: {expected}")
    document = check_document(output, "output")
    summary = UsageSummary() if usage is None else check_usage(usage)
    return status, document, check_error(error), summary


def canceled(reason: object) -> ErrorInfo:
    """Return the error of what is canceled."""
    message = "canceled" if reason is None else check_text(reason, "reason")
    return ErrorInfo(message, CANCELED)


def lost(claim: Claim, holder: str | None, status: Status | None) -> ClaimLostError:
    """Return the error for a claim that another one, or the end of its task, has ended."""
    return ClaimLostError(
        claim.task.task_exec_id, claim.worker, holder, None if status is None else status.value
    )


def ended(workflow: WorkflowState) -> StatusConflictError:
    """Return the error for a new task of a workflow that has ended (contract 10.7)."""
    return StatusConflictError(workflow.workflow_exec_id, UNFINISHED, workflow.status.value)
