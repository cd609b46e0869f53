"""Rows to write in the cases, and the kinds of rows for what holds of several."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import attrs
import pytest
from attrs import frozen

from engine_store.errors import (
    AlreadyExistsError,
    ImmutableFieldError,
    NotFoundError,
    VersionConflictError,
)
from engine_store.models import (
    ApiKey,
    Component,
    ErrorInfo,
    ExecutionType,
    Role,
    Status,
    TaskState,
    UsageEntry,
    UsageSummary,
    User,
    WorkflowState,
)
from engine_store.protocols import Repositories
from engine_store.rules.entities import API_KEY, TASK, USER, WORKFLOW, Entity
from engine_store_contracts.clock import START

ADMIN = User("root", "root@example.org", Role.ADMIN)

USAGE = UsageSummary.of([UsageEntry("openai", "gpt", 10, 5, agent_ids=("writer",))])

ERROR = ErrorInfo("it broke", "E42", {"where": ["here", None]})

TERMINAL_STATUSES = [Status.SUCCESS, Status.FAILED, Status.TIMED_OUT, Status.CANCELED]
UNFINISHED_STATUSES = [Status.PENDING, Status.RUNNING, Status.WAITING, Status.PAUSED]

CREATED = datetime(1999, 12, 31, 23, 59, 59, 1, tzinfo=UTC)
UPDATED = datetime(2061, 7, 28, tzinfo=UTC)
"""Before and after what the clock says, which a restored row has nothing to do with."""

SAVED_FIELDS: dict[str, Any] = {"version": 41, "created_at": CREATED, "updated_at": UPDATED}
"""The fields that a store sets."""

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
    """An execution of the workflow `report` by default."""
    return WorkflowState(workflow_exec_id, **{"workflow_id": "report", **fields})


def task(task_exec_id: str = "t", workflow_exec_id: str = "w", **fields: Any) -> TaskState:
    """An execution of a task, by default one with the same name."""
    given = {"task_id": task_exec_id, "workflow_id": "report"}
    return TaskState(workflow_exec_id, task_exec_id, **{**given, **fields})


def child(task_exec_id: str, parent: str, **fields: Any) -> TaskState:
    """A task below `parent`."""
    return task(task_exec_id, parent_state_id=parent, **fields)


def full_workflow(workflow_exec_id: str = "w") -> WorkflowState:
    """An execution with every field set."""
    return workflow(
        workflow_exec_id,
        status=Status.RUNNING,
        input={"question": "why?"},
        output={"answer": 42},
        error=ERROR,
        usage=USAGE,
    )


def full_task(task_exec_id: str = "t", workflow_exec_id: str = "w") -> TaskState:
    """An execution with every field set by its user but the parent and the tool."""
    return task(
        task_exec_id,
        workflow_exec_id,
        status=Status.FAILED,
        agent_id="writer",
        action_id="write",
        queue="writing",
        priority=7,
        due_at=CREATED,
        input={"topic": "storks"},
        output={"text": "..."},
        error=ERROR,
        usage=USAGE,
    )


def increment(state: Any) -> Any:
    """Return the state with 1 added to its input."""
    return attrs.evolve(state, input={"n": state.input["n"] + 1})


@frozen
class Kind:
    """A kind of row, with what the cases write of it: for what holds of several kinds."""

    entity: Entity[Any, Any]
    make: Callable[[str], Any]
    change: Callable[[Any, int], Any]
    """The row changed into one of many, by the number."""

    @property
    def name(self) -> str:
        """Return the name of its repository."""
        return self.entity.repository

    def evolve(self, row: Any, **fields: Any) -> Any:
        """Return the row with these fields, except those that rows of the kind do not have."""
        known = {name: value for name, value in fields.items() if name in self.entity.fields}
        return attrs.evolve(row, **known)

    def exported(self, key: str = "x") -> Any:
        """Return a row as another store has returned it."""
        return self.evolve(self.make(key), **SAVED_FIELDS, last_used=UPDATED)

    def repository(self, store: Repositories) -> Any:
        """Return its repository, with the user or workflow that API keys and tasks need."""
        if self.entity is API_KEY:
            store.users.upsert(user("ann"))
        if self.entity is TASK:
            store.workflows.upsert(workflow("w"))
        return self.entity.of(store)

    def missing(self, key: str = "x") -> NotFoundError:
        """Return the error about a row that is not there."""
        return self.entity.not_found(key)

    def taken(self) -> AlreadyExistsError:
        """Return the error about the key x that is taken."""
        return AlreadyExistsError(self.entity.label, self.entity.key_field, "x")

    def conflict(self, expected: int, actual: int) -> VersionConflictError:
        """Return the error about a version of x that differs."""
        return VersionConflictError(self.entity.label, "x", expected=expected, actual=actual)

    def immutable(self, field: str) -> ImmutableFieldError:
        """Return the error about a field of x that never changes."""
        return ImmutableFieldError(self.entity.label, "x", field)


def _user_of_any_id(user_id: str) -> User:
    return user(user_id, f"{user_id.encode().hex()}@example.org")


def _change_email(state: User, number: int) -> User:
    return state.evolve(email=f"{number}+{state.email}")


def _change_last_use(key: ApiKey, number: int) -> ApiKey:
    return attrs.evolve(key, last_used=START + timedelta(days=number))


def _change_input(state: Any, number: int) -> Any:
    return attrs.evolve(state, input={"number": number})


USERS = Kind(USER, _user_of_any_id, _change_email)
API_KEYS = Kind(API_KEY, api_key, _change_last_use)
WORKFLOWS = Kind(WORKFLOW, full_workflow, _change_input)
TASKS = Kind(TASK, full_task, _change_input)

KINDS = (USERS, API_KEYS, WORKFLOWS, TASKS)
VERSIONED = (USERS, WORKFLOWS, TASKS)
METERED = (WORKFLOWS, TASKS)


def each(kinds: Sequence[Kind]) -> pytest.MarkDecorator:
    """Run the case for each of the kinds."""
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.name)


def writes_of(kind: Kind) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Yield every way to write the stored row x of the kind by its repository."""
    if kind in VERSIONED:
        yield "update", lambda rows: rows.update(kind.change(rows.get("x"), 1))
        yield "upsert", lambda rows: rows.upsert(kind.make("x"))
        yield "modify", lambda rows: rows.modify("x", lambda row: kind.change(row, 2))
    if kind in METERED:
        yield "merge_usage", lambda rows: rows.merge_usage("x", USAGE)
    if kind is WORKFLOWS:
        yield "set_status", lambda rows: rows.set_status("x", Status.PAUSED)
        yield "complete", lambda rows: rows.complete("x")
    if kind is API_KEYS:
        yield "touch", lambda rows: rows.touch("x")


CHOICES: list[tuple[Kind, str, type[StrEnum]]] = [
    (USERS, "role", Role),
    (WORKFLOWS, "status", Status),
    (TASKS, "status", Status),
    (TASKS, "component", Component),
    (TASKS, "execution_type", ExecutionType),
]


def rows_of_choices(kind: Kind, field: str, choices: type[StrEnum]) -> Iterator[Any]:
    """Yield a row for each choice of a field, each with another id."""
    for choice in choices:
        row = kind.evolve(kind.make(f"{field} {choice}"), agent_id=None, action_id=None)
        yield attrs.evolve(row, **{field: choice})
