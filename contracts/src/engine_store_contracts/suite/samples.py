"""States to write in the cases, and the three kinds of versioned state behind one face."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import pytest
from attrs import frozen

from engine_store.errors import (
    NotFoundError,
    TaskNotFoundError,
    UserNotFoundError,
    WorkflowNotFoundError,
)
from engine_store.models import (
    ApiKey,
    ErrorInfo,
    Role,
    Status,
    TaskState,
    UsageEntry,
    UsageSummary,
    User,
    WorkflowState,
)
from engine_store.protocols import Repositories

State: TypeAlias = User | WorkflowState | TaskState

ADMIN = User("root", "root@example.org", Role.ADMIN)

USAGE = UsageSummary.of([UsageEntry("openai", "gpt", 10, 5, agent_ids=("writer",))])

ERROR = ErrorInfo("it broke", "E42", {"where": ["here", None]})

TERMINAL_STATUSES = [Status.SUCCESS, Status.FAILED, Status.TIMED_OUT, Status.CANCELED]
UNFINISHED_STATUSES = [Status.PENDING, Status.RUNNING, Status.WAITING, Status.PAUSED]

ALPHABET = ["!", "A", "Z", "_", "a", "z", "~", "\x80", "é", "\uff5a", "\U00010000"]
"""Ids by code point. Locales put "a" before "B"; UTF-16 puts the last before the one before it."""


def user(user_id: str = "ann", email: str | None = None, **fields: Any) -> User:
    """A user, with an email made of its id unless given."""
    return User(user_id, email or f"{user_id}@example.org", **fields)


def api_key(key_id: str = "key", user_id: str = "ann", **fields: Any) -> ApiKey:
    """An API key, with a prefix and a fingerprint made of its id unless given."""
    given = {"prefix": f"p-{key_id}", "fingerprint": fingerprint(key_id), "hash": b"\x00\xff"}
    return ApiKey(key_id, user_id, **{**given, **fields})


def fingerprint(text: str) -> bytes:
    """The SHA-256 of `text`."""
    return hashlib.sha256(text.encode()).digest()


def workflow(workflow_exec_id: str = "w", **fields: Any) -> WorkflowState:
    """An execution of the workflow `report` unless told otherwise."""
    return WorkflowState(workflow_exec_id, **{"workflow_id": "report", **fields})


def task(task_exec_id: str = "t", workflow_exec_id: str = "w", **fields: Any) -> TaskState:
    """An execution of a task that is named as the execution is, unless told otherwise."""
    given = {"task_id": task_exec_id, "workflow_id": "report"}
    return TaskState(workflow_exec_id, task_exec_id, **{**given, **fields})


def child(task_exec_id: str, parent: str, **fields: Any) -> TaskState:
    """A task below `parent`."""
    return task(task_exec_id, parent_state_id=parent, **fields)


def full_workflow(workflow_exec_id: str = "w") -> WorkflowState:
    """An execution with every field set."""
    return workflow(
        workflow_exec_id,
        status=Status.FAILED,
        input={"question": "why?"},
        output={"answer": 42},
        error=ERROR,
        usage=USAGE,
    )


def full_task(task_exec_id: str = "t", workflow_exec_id: str = "w") -> TaskState:
    """An execution with every field set but the parent and the tool."""
    return task(
        task_exec_id,
        workflow_exec_id,
        status=Status.FAILED,
        agent_id="writer",
        action_id="write",
        input={"topic": "storks"},
        output={"text": "..."},
        error=ERROR,
        usage=USAGE,
    )


@frozen
class Kind:
    """A kind of versioned state: users, workflows or tasks, for what holds of all three."""

    name: str
    key_field: str
    not_found: type[NotFoundError]
    make: Callable[[str], Any]
    change: Callable[[Any, int], Any]
    """The state changed into one of many, told apart by the number."""

    @property
    def entity(self) -> str:
        """What errors call it."""
        return self.not_found.entity

    def repository(self, store: Repositories) -> Any:
        """Its repository; for tasks with the workflow they need."""
        if self.name == "tasks":
            store.workflows.upsert(workflow("w"))
        return getattr(store, self.name)

    def key(self, state: State) -> str:
        """Its id."""
        key: str = getattr(state, self.key_field)
        return key


def _change_user(state: User, number: int) -> User:
    return attrs.evolve(state, email=f"{state.user_id}+{number}@example.org")


def _change_input(state: WorkflowState | TaskState, number: int) -> WorkflowState | TaskState:
    return attrs.evolve(state, input={"number": number})


USERS = Kind("users", "user_id", UserNotFoundError, user, _change_user)
WORKFLOWS = Kind(
    "workflows", "workflow_exec_id", WorkflowNotFoundError, full_workflow, _change_input
)
TASKS = Kind("tasks", "task_exec_id", TaskNotFoundError, full_task, _change_input)
KINDS = [USERS, WORKFLOWS, TASKS]

EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
