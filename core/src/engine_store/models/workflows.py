"""Workflow executions (contract 5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Unpack

import attrs
from attrs import field, frozen

from engine_store.clock import UNSAVED
from engine_store.models.error_info import ErrorInfo
from engine_store.models.states import Status
from engine_store.models.tasks import StateChanges, TaskState
from engine_store.models.usage import UsageSummary
from engine_store.values import Document


class WorkflowChanges(StateChanges, total=False):
    """The fields that `WorkflowState.evolve` can change."""

    tasks: Mapping[str, TaskState]


# slots=False: a frozen class with a __dict__ is made in half the time of one with slots
# (0.44 against 0.82 microseconds for 19 fields), and every row read makes one.
@frozen(slots=False)
class WorkflowState:
    """The state of one execution of a workflow.

    `version`, `created_at` and `updated_at` are set by the store. `tasks` maps each `task_id` to
    its latest execution; it is filled by reads that ask for it and ignored by writes.
    """

    workflow_exec_id: str
    workflow_id: str
    status: Status = Status.PENDING
    input: Document | None = None
    output: Document | None = None
    error: ErrorInfo | None = None
    usage: UsageSummary = UsageSummary()
    version: int = 0
    created_at: datetime = UNSAVED
    updated_at: datetime = UNSAVED
    tasks: Mapping[str, TaskState] = field(factory=dict)

    def evolve(self, **changes: Unpack[WorkflowChanges]) -> WorkflowState:
        """Return a copy with these fields changed."""
        return attrs.evolve(self, **changes)
