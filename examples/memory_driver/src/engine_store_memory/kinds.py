"""The four kinds of rows, each described by what it differs in from the others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

from attrs import frozen

from engine_store import checks
from engine_store.errors import (
    ApiKeyNotFoundError,
    NotFoundError,
    TaskNotFoundError,
    UserNotFoundError,
    WorkflowNotFoundError,
)
from engine_store.models import (
    ApiKey,
    ApiKeyFilter,
    TaskFilter,
    TaskState,
    User,
    UserFilter,
    WorkflowFilter,
    WorkflowState,
)

Row = TypeVar("Row", User, ApiKey, WorkflowState, TaskState)
Filter = TypeVar("Filter", UserFilter, ApiKeyFilter, WorkflowFilter, TaskFilter)


@frozen(eq=False)
class Kind(Generic[Row, Filter]):
    """A kind of rows. Equal by identity: it is what a snapshot finds its table by.

    `indexed` fields are looked up without looking at every row; `immutable` ones never change
    after creation, and `created_at` is always one of them (contract 2.8).
    """

    name: str
    key_field: str
    not_found: type[NotFoundError]
    check: Callable[[Row], None]
    check_filter: Callable[[Filter], None]
    everything: Filter
    indexed: tuple[str, ...]
    immutable: tuple[str, ...] = ()
    newest_first: bool = False

    @property
    def path(self) -> str:
        """What paths to values call the argument that is a row of it."""
        return self.name.removesuffix("s")

    @property
    def entity(self) -> str:
        """What errors call it."""
        return self.not_found.entity

    def key(self, row: Row) -> str:
        """Its id."""
        key: str = getattr(row, self.key_field)
        return key

    def position(self, row: Row) -> tuple[datetime, str]:
        """What lists are ordered by (contract 1.6)."""
        return row.created_at, self.key(row)


USERS = Kind(
    name="users",
    key_field="user_id",
    not_found=UserNotFoundError,
    check=checks.check_user,
    check_filter=checks.check_user_filter,
    everything=UserFilter(),
    indexed=("email",),
)
API_KEYS = Kind(
    name="api_keys",
    key_field="key_id",
    not_found=ApiKeyNotFoundError,
    check=checks.check_api_key,
    check_filter=checks.check_api_key_filter,
    everything=ApiKeyFilter(),
    indexed=("fingerprint", "prefix", "user_id"),
)
WORKFLOWS = Kind(
    name="workflows",
    key_field="workflow_exec_id",
    not_found=WorkflowNotFoundError,
    check=checks.check_workflow,
    check_filter=checks.check_workflow_filter,
    everything=WorkflowFilter(),
    indexed=("workflow_id",),
    immutable=("workflow_id",),
    newest_first=True,
)
TASKS = Kind(
    name="tasks",
    key_field="task_exec_id",
    not_found=TaskNotFoundError,
    check=checks.check_task,
    check_filter=checks.check_task_filter,
    everything=TaskFilter(),
    indexed=("parent_state_id", "workflow_exec_id"),
    immutable=("workflow_exec_id", "parent_state_id"),
)
KINDS: tuple[Kind[Any, Any], ...] = (USERS, API_KEYS, WORKFLOWS, TASKS)
