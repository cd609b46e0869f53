"""The synchronous interfaces of a store: what every driver implements.

`engine_store.protocols.asynchronous` says the same with `async`; a test keeps the two alike.
Every method raises, beside what its docstring names, `InvalidValueError` for an argument outside
the value domain (before anything is touched), `StoreClosedError` after `close`,
`TransactionClosedError` after its transaction's end, and `UnavailableError` where the database
cannot serve the call. Section numbers are those of the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from engine_store.migrations import MigrationPlan, MigrationStatus
from engine_store.models import (
    ApiKey,
    ApiKeyFilter,
    Health,
    Page,
    Progress,
    PurgeReport,
    Status,
    TaskFilter,
    TaskState,
    UsageSummary,
    User,
    UserFilter,
    WorkflowFilter,
    WorkflowState,
)
from engine_store.rules import Transform
from engine_store.values import Document


class UserRepository(Protocol):
    """Users (section 4)."""

    def get(self, user_id: str) -> User:
        """The user. Raises `UserNotFoundError`."""
        ...

    def get_by_email(self, email: str) -> User:
        """The user with this email in any case. Raises `UserNotFoundError` (field `email`)."""
        ...

    def list(
        self, filter: UserFilter = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[User]:
        """Users in `created_at`, then id order."""
        ...

    def create(self, user: User) -> User:
        """Store a new user. Raises `AlreadyExistsError`, then `EmailExistsError`."""
        ...

    def restore(self, user: User) -> User:
        """Store a new user as it was exported, with its version and times (2.9).

        Raises `InvalidValueError` where it states none, else as `create` does.
        """
        ...

    def create_initial_admin_if_none(self, user: User) -> User:
        """Store the first admin, atomically across processes (4.2).

        `user.role` must be admin (`InvalidValueError`). Raises `AlreadyBootstrappedError` where
        there is an admin, else as `create` does.
        """
        ...

    def update(self, user: User) -> User:
        """Compare-and-set (2.3).

        Raises `UserNotFoundError`, `ImmutableFieldError` (`created_at`), `VersionConflictError`,
        `EmailExistsError`, in this order.
        """
        ...

    def upsert(self, user: User) -> User:
        """Create or replace, whatever the version (2.4).

        Raises `ImmutableFieldError`, `EmailExistsError`.
        """
        ...

    def modify(self, user_id: str, fn: Callable[[User], User]) -> User:
        """Read, apply `fn`, compare-and-set, again after a conflict (2.6).

        Returning the state itself writes nothing. Raises what `get` and `update` raise.
        """
        ...

    def delete(self, user_id: str) -> None:
        """Delete the user and its API keys (4.3). Raises `UserNotFoundError`."""
        ...


class ApiKeyRepository(Protocol):
    """API keys (section 4)."""

    def get(self, key_id: str) -> ApiKey:
        """The key. Raises `ApiKeyNotFoundError`."""
        ...

    def get_by_fingerprint(self, fingerprint: bytes) -> ApiKey:
        """The key with this SHA-256 (4.4). Raises `ApiKeyNotFoundError` (field
        `fingerprint`); the error does not quote it.
        """
        ...

    def get_by_prefix(self, prefix: str) -> ApiKey:
        """The key with this prefix. Raises `ApiKeyNotFoundError` (field `prefix`)."""
        ...

    def list(
        self, filter: ApiKeyFilter = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[ApiKey]:
        """Keys in `created_at`, then id order."""
        ...

    def create(self, key: ApiKey) -> ApiKey:
        """Store a new key; `last_used` is stored as given.

        Raises `AlreadyExistsError` (field `key_id`, `fingerprint` or `prefix`, in this order),
        then `InvalidReferenceError` for a missing user.
        """
        ...

    def restore(self, key: ApiKey) -> ApiKey:
        """Store a new key as it was exported, with its `created_at` (2.9).

        Raises `InvalidValueError` where it states none, else as `create` does.
        """
        ...

    def touch(self, key_id: str, at: datetime | None = None) -> ApiKey:
        """Set `last_used` to `at`, or to now, never backwards. Raises `ApiKeyNotFoundError`."""
        ...

    def delete(self, key_id: str) -> None:
        """Delete the key. Raises `ApiKeyNotFoundError`."""
        ...


class WorkflowRepository(Protocol):
    """Workflow executions (section 5)."""

    def get(self, workflow_exec_id: str, *, with_tasks: bool = False) -> WorkflowState:
        """The state, with `tasks` filled from the same snapshot where asked for (5.1).

        Raises `WorkflowNotFoundError`.
        """
        ...

    def get_for_update(self, workflow_exec_id: str) -> WorkflowState:
        """The state, held until the transaction ends (3.5).

        Raises `NotInTransactionError` outside a transaction, `WorkflowNotFoundError`.
        """
        ...

    def list(
        self, filter: WorkflowFilter = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[WorkflowState]:
        """States, newest first: by `created_at`, then id, descending (5.2)."""
        ...

    def latest(
        self,
        workflow_id: str,
        *,
        task_id: str | None = None,
        agent_id: str | None = None,
        tool_id: str | None = None,
    ) -> WorkflowState:
        """The newest execution of the workflow, by `created_at`, then id (5.3).

        With ids: the newest that has a task execution with all of them.
        Raises `WorkflowNotFoundError` (field `workflow_id`).
        """
        ...

    def create(self, workflow: WorkflowState) -> WorkflowState:
        """Store a new state. Raises `AlreadyExistsError`."""
        ...

    def restore(self, workflow: WorkflowState) -> WorkflowState:
        """Store a new state as it was exported, with its version and times (2.9).

        Raises `InvalidValueError` where it states none, else as `create` does.
        """
        ...

    def update(self, workflow: WorkflowState) -> WorkflowState:
        """Compare-and-set (2.3).

        Raises `WorkflowNotFoundError`, `ImmutableFieldError` (`workflow_id`, `created_at`),
        `VersionConflictError`, in this order.
        """
        ...

    def upsert(self, workflow: WorkflowState) -> WorkflowState:
        """Create or replace, whatever the version (2.4). Raises `ImmutableFieldError`."""
        ...

    def modify(
        self, workflow_exec_id: str, fn: Callable[[WorkflowState], WorkflowState]
    ) -> WorkflowState:
        """Read, apply `fn`, compare-and-set, again after a conflict (2.6).

        Returning the state itself writes nothing. Raises what `get` and `update` raise.
        """
        ...

    def set_status(
        self,
        workflow_exec_id: str,
        status: Status,
        *,
        expected_version: int | None = None,
        expected_statuses: Collection[Status] | None = None,
    ) -> WorkflowState:
        """Set the status if the guards hold, checked atomically (5.4).

        Raises `WorkflowNotFoundError`, `VersionConflictError`, `StatusConflictError`, in this
        order.
        """
        ...

    def merge_usage(self, workflow_exec_id: str, usage: UsageSummary) -> WorkflowState:
        """Add `usage` to what is stored; nothing is lost among concurrent callers (2.7).

        Raises `WorkflowNotFoundError`; `InvalidValueError` where a sum leaves 64 bits.
        """
        ...

    def complete(self, workflow_exec_id: str, transform: Transform | None = None) -> WorkflowState:
        """End the workflow by the statuses of its root tasks, atomically (5.5).

        Returned with `tasks` filled; unchanged where it is terminal already. `transform` makes
        the output; where it raises, or returns neither a document nor None, the workflow is FAILED
        with error code `OUTPUT_TRANSFORMATION_FAILED` and the default output. It must
        not write to the store.
        Raises `WorkflowNotFoundError`, `WorkflowNotReadyError`; `InvalidValueError` where the
        default output would nest too deep.
        """
        ...

    def delete(self, workflow_exec_id: str) -> None:
        """Delete the execution and its tasks (5.6). Raises `WorkflowNotFoundError`."""
        ...

    def purge(
        self,
        older_than: datetime,
        *,
        statuses: Collection[Status] = ...,
        batch_size: int = 100,
        dry_run: bool = False,
    ) -> PurgeReport:
        """Delete executions last written before `older_than`, with their tasks (5.6).

        Only terminal ones unless `statuses` says otherwise; in batches of at most `batch_size`,
        each a transaction of its own outside of one.
        """
        ...


class TaskRepository(Protocol):
    """Task executions (section 6).

    `workflow_exec_id`, where a method takes it, is for a caller that knows it: a sharded cluster
    is then asked on one node. A task of another workflow is then not found.
    """

    def get(self, task_exec_id: str, *, workflow_exec_id: str | None = None) -> TaskState:
        """The state. Raises `TaskNotFoundError`."""
        ...

    def get_for_update(
        self, task_exec_id: str, *, workflow_exec_id: str | None = None
    ) -> TaskState:
        """The state, held until the transaction ends (3.5).

        Raises `NotInTransactionError` outside a transaction, `TaskNotFoundError`.
        """
        ...

    def list(
        self, filter: TaskFilter = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[TaskState]:
        """States in `created_at`, then id order (6.3)."""
        ...

    def create(self, task: TaskState) -> TaskState:
        """Store a new state.

        Raises `AlreadyExistsError`, then `InvalidReferenceError` for a missing workflow
        (`workflow_exec_id`) or a parent that is not in it (`parent_state_id`), in this order.
        """
        ...

    def restore(self, task: TaskState) -> TaskState:
        """Store a new state as it was exported, with its version and times (2.9).

        Raises `InvalidValueError` where it states none, else as `create` does.
        """
        ...

    def update(self, task: TaskState) -> TaskState:
        """Compare-and-set (2.3).

        Raises `TaskNotFoundError`, `ImmutableFieldError` (`workflow_exec_id`,
        `parent_state_id`, `created_at`), `VersionConflictError`, in this order.
        """
        ...

    def upsert(self, task: TaskState) -> TaskState:
        """Create or replace, whatever the version (2.4).

        Raises `ImmutableFieldError` where it is there, `InvalidReferenceError` where it is not.
        """
        ...

    def modify(self, task_exec_id: str, fn: Callable[[TaskState], TaskState]) -> TaskState:
        """Read, apply `fn`, compare-and-set, again after a conflict (2.6).

        Returning the state itself writes nothing. Raises what `get` and `update` raise.
        """
        ...

    def merge_usage(self, task_exec_id: str, usage: UsageSummary) -> TaskState:
        """Add `usage` to what is stored; nothing is lost among concurrent callers (2.7).

        Raises `TaskNotFoundError`; `InvalidValueError` where a sum leaves 64 bits.
        """
        ...

    def usage(self, task_exec_id: str) -> UsageSummary:
        """The usage summary alone (6.7). Raises `TaskNotFoundError`."""
        ...

    def children(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> tuple[TaskState, ...]:
        """The children in `created_at`, then id order; none for a missing parent (6.4)."""
        ...

    def child(
        self, parent_state_id: str, task_id: str, *, workflow_exec_id: str | None = None
    ) -> TaskState:
        """The latest child of this `task_id` (6.4).

        Raises `TaskNotFoundError` (field `task_id`).
        """
        ...

    def children_outputs(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> Mapping[str, Document]:
        """The outputs of the children that have one by `task_id`; of several the latest (6.4)."""
        ...

    def in_workflow(self, workflow_exec_id: str) -> Mapping[str, TaskState]:
        """The latest execution of each `task_id` (6.4), in `created_at`, then id order."""
        ...

    def by_status(self, workflow_exec_id: str, status: Status) -> tuple[TaskState, ...]:
        """The executions in this status, in `created_at`, then id order (6.4)."""
        ...

    def by_agent(self, workflow_exec_id: str, agent_id: str) -> tuple[TaskState, ...]:
        """The executions of this agent, in `created_at`, then id order (6.4)."""
        ...

    def by_tool(self, workflow_exec_id: str, tool_id: str) -> tuple[TaskState, ...]:
        """The executions of this tool, in `created_at`, then id order (6.4)."""
        ...

    def tree(
        self, root: str, *, max_depth: int = 100, workflow_exec_id: str | None = None
    ) -> tuple[TaskState, ...]:
        """The task and its descendants: by depth, `created_at`, id (6.5).

        `max_depth` is the number of levels below the root, from 0.
        Raises `TaskNotFoundError`.
        """
        ...

    def progress(self, parent_state_id: str, *, workflow_exec_id: str | None = None) -> Progress:
        """How far the direct children are (6.6); none for a missing parent."""
        ...


class Repositories(Protocol):
    """What a store and a transaction both offer."""

    @property
    def users(self) -> UserRepository: ...

    @property
    def api_keys(self) -> ApiKeyRepository: ...

    @property
    def workflows(self) -> WorkflowRepository: ...

    @property
    def tasks(self) -> TaskRepository: ...

    def transaction(self) -> AbstractContextManager[Transaction]:
        """All writes or none (3.1); inside a transaction, a savepoint (3.2)."""
        ...


class Transaction(Repositories, Protocol):
    """The same repositories, all in one transaction. Belongs to the thread that began it."""


class Migrator(Protocol):
    """The steps of the driver's schema (section 8)."""

    def status(self) -> tuple[MigrationStatus, ...]:
        """Every step in order, and when it was applied."""
        ...

    def plan(self, target: int | None = None) -> MigrationPlan:
        """What `up` to `target` (the newest) or `down` to it would run; nothing is run."""
        ...

    def up(self, target: int | None = None) -> MigrationPlan:
        """Apply the missing steps up to `target`, or to the newest; returns what ran.

        Raises `SchemaAheadError`, `MigrationDriftError`, `MigrationLockError`.
        """
        ...

    def down(self, target: int) -> MigrationPlan:
        """Revert steps until the schema is `target`; 0 reverts all. Raises as `up` does."""
        ...

    def verify(self) -> None:
        """Compare the steps and the schema with the code's.

        Raises `SchemaAheadError`, `SchemaBehindError`, `MigrationDriftError`.
        """
        ...


class Store(Repositories, Protocol):
    """An open store. Safe to share between threads; a context manager that closes itself."""

    @property
    def migrator(self) -> Migrator: ...

    def health(self) -> Health:
        """Whether the store can read and write, and the driver's figures (9.4)."""
        ...

    def close(self) -> None:
        """Release every connection. Calling it twice is fine (9.1)."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
