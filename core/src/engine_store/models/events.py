"""Events: what happened in a workflow execution, in order (contract 11)."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from engine_store.clock import UNSAVED
from engine_store.values import Document

STATUS_CHANGED = "status"
"""The kind of the events that a store with the setting `history` appends (contract 11.5)."""


@frozen
class NewEvent:
    """An event to append. Another one with the same `key` is not appended again."""

    kind: str
    data: Document | None = None
    task_exec_id: str | None = None
    key: str | None = None


@frozen
class Event:
    """An event in the history of a workflow execution.

    `number` counts the events of the execution from 1, without a gap.
    """

    workflow_exec_id: str
    number: int
    kind: str
    data: Document | None = None
    task_exec_id: str | None = None
    key: str | None = None
    created_at: datetime = UNSAVED
