"""The events that a worker prints for its parent: a line of JSON after each commit."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from attrs import asdict, frozen

from engine_store import TaskState


class Kind(StrEnum):
    """The kinds of events: something was committed, or could not be."""

    CLAIMED = "claimed"
    FINISHED = "finished"
    LOST = "lost"  # the result came too late: another claim has the task; nothing was committed
    FAILED = "failed"  # the worker cannot go on; `reason` and `exit_code` say why


@frozen
class Event:
    """One line. A `finished` event acknowledges the task's state exactly as it was stored."""

    kind: Kind
    task_exec_id: str = ""
    version: int = 0
    attempt: int = 0
    status: str = ""
    output: dict[str, Any] | None = None
    reason: str = ""
    exit_code: int = 0

    @classmethod
    def of(cls, kind: Kind, task: TaskState) -> Event:
        """Return the event of a task in the state that was stored."""
        return cls(
            kind, task.task_exec_id, task.version, task.attempt, task.status.value, task.output
        )

    def line(self) -> str:
        """Return the event as one line of text."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def parse(cls, line: str) -> Event:
        """Return the event of a whole line."""
        fields = json.loads(line)
        return cls(**{**fields, "kind": Kind(fields["kind"])})
