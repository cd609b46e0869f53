"""The synchronous interfaces of a store, which every driver implements.

`engine_store.protocols.asynchronous` is generated from this module by `make fmt`.
Besides what its docstring names, every method raises `InvalidValueError` for an argument outside
the value domain (before anything is touched), `StoreClosedError` after `close`,
`TransactionClosedError` after the end of its transaction, and `UnavailableError` if the database
cannot serve the call. Section numbers are those of the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self, TypeVar

from engine_store.migrations import MigrationPlan, MigrationStatus
from engine_store.models import (
    ApiKey,
    ApiKeyFilter,
    Claim,
    ErrorInfo,
    Event,
    Health,
    NewEvent,
    Page,
    Progress,
    PurgeReport,
    QueueStats,
    Status,
    TaskFilter,
    TaskState,
    UsageSummary,
    User,
    UserFilter,
    WorkflowFilter,
    WorkflowState,
)
from engine_store.rules.outcomes import Transform
from engine_store.values import Document

T = TypeVar("T")


class UserRepository(Protocol):
    """Users (section 4)."""

    def get(self, user_id: str) -> User:
        """Return the user. Raises `UserNotFoundError`."""

    def get_by_email(self, email: str) -> User:
        """Return the user with this email, in any case.

        Raises `UserNotFoundError` (field `email`).
        """

    def list(
        self, filter: UserFilter = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[User]:
        """Return a page of users, ordered by `created_at`, then id."""

    def create(self, user: User) -> User:
        """Store a new user. Raises `AlreadyExistsError`, then `EmailExistsError`."""

    def restore(self, user: User) -> User:
        """Store a new user as it was exported, with its version and times (2.9).

        Raises `InvalidValueError` if it has none, and otherwise as `create` does.
        """

    def create_initial_admin_if_none(self, user: User) -> User:
        """Store the first admin, atomically across processes (4.2).

        `user.role` must be admin (`InvalidValueError`). Raises `AlreadyBootstrappedError` if there
        is an admin already, and otherwise as `create` does.
        """

    def update(self, user: User) -> User:
        """Replace the stored user if its version is that of the argument: compare-and-set (2.3).

        Raises `UserNotFoundError`, `ImmutableFieldError` (`created_at`), `VersionConflictError`,
        `EmailExistsError`, in this order.
        """

    def upsert(self, user: User) -> User:
        """Create or replace the user, whatever its version (2.4).

        Raises `ImmutableFieldError`, `EmailExistsError`.
        """

    def modify(self, user_id: str, fn: Callable[[User], User]) -> User:
        """Read, apply `fn` and compare-and-set; start over after a conflict (2.6).

        Nothing is written if `fn` returns the state it was given. Raises what `get` and `update`
        raise.
        """

    def delete(self, user_id: str) -> None:
        """Delete the user and its API keys (4.3). Raises `UserNotFoundError`."""


class ApiKeyRepository(Protocol):
    """API keys (section 4)."""

    def get(self, key_id: str) -> ApiKey:
        """Return the key. Raises `ApiKeyNotFoundError`."""

    def get_by_fingerprint(self, fingerprint: bytes) -> ApiKey:
        """Return the key with this SHA-256 (4.4).

        Raises `ApiKeyNotFoundError` (field `fingerprint`), which does not quote the fingerprint.
        """

    def get_by_prefix(self, prefix: str) -> ApiKey:
        """Return the key with this prefix. Raises `ApiKeyNotFoundError` (field `prefix`)."""

    def list(
        self, filter: ApiKeyFilter = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[ApiKey]:
        """Return a page of keys, ordered by `created_at`, then id."""

    def create(self, key: ApiKey) -> ApiKey:
        """Store a new key; `last_used` is stored as given.

        Raises `AlreadyExistsError` (field `key_id`, `fingerprint` or `prefix`, in this order),
        then `InvalidReferenceError` for a missing user.
        """

    def restore(self, key: ApiKey) -> ApiKey:
        """Store a new key as it was exported, with its `created_at` (2.9).

        Raises `InvalidValueError` if it has none, and otherwise as `create` does.
        """

    def touch(self, key_id: str, at: datetime | None = None) -> ApiKey:
        """Set `last_used` to `at`, or to now, never backwards. Raises `ApiKeyNotFoundError`."""

    def delete(self, key_id: str) -> None:
        """Delete the key. Raises `ApiKeyNotFoundError`."""


class WorkflowRepository(Protocol):
    """Workflow executions (section 5)."""

    def get(self, workflow_exec_id: str, *, with_tasks: bool = False) -> WorkflowState:
        """Return the state; `with_tasks` fills its `tasks` from the same snapshot (5.1).

        Raises `WorkflowNotFoundError`.
        """

    def get_for_update(self, workflow_exec_id: str) -> WorkflowState:
        """Return the state and lock it until the transaction ends (3.5).

        Raises `NotInTransactionError` outside a transaction, `WorkflowNotFoundError`.
        """

    def list(
        self, filter: WorkflowFilter = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[WorkflowState]:
        """Return a page of states, newest first: by `created_at`, then id, descending (5.2)."""

    def latest(
        self,
        workflow_id: str,
        *,
        task_id: str | None = None,
        agent_id: str | None = None,
        tool_id: str | None = None,
    ) -> WorkflowState:
        """Return the newest execution of the workflow, by `created_at`, then id (5.3).

        If ids are given: the newest that has a task execution with all of them.
        Raises `WorkflowNotFoundError` (field `workflow_id`).
        """

    def create(self, workflow: WorkflowState) -> WorkflowState:
        """Store a new state. Raises `AlreadyExistsError`."""

    def restore(self, workflow: WorkflowState) -> WorkflowState:
        """Store a new state as it was exported, with its version and times (2.9).

        Raises `InvalidValueError` if it has none, and otherwise as `create` does.
        """

    def update(self, workflow: WorkflowState) -> WorkflowState:
        """Replace the stored state if its version is that of the argument: compare-and-set (2.3).

        Raises `WorkflowNotFoundError`, `ImmutableFieldError` (`workflow_id`, `created_at`),
        `VersionConflictError`, in this order.
        """

    def upsert(self, workflow: WorkflowState) -> WorkflowState:
        """Create or replace the state, whatever its version (2.4). Raises `ImmutableFieldError`."""

    def modify(
        self, workflow_exec_id: str, fn: Callable[[WorkflowState], WorkflowState]
    ) -> WorkflowState:
        """Read, apply `fn` and compare-and-set; start over after a conflict (2.6).

        Nothing is written if `fn` returns the state it was given. Raises what `get` and `update`
        raise.
        """

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

    def merge_usage(self, workflow_exec_id: str, usage: UsageSummary) -> WorkflowState:
        """Add `usage` to the stored summary; concurrent calls lose nothing (2.7).

        Raises `WorkflowNotFoundError`; `InvalidValueError` if a sum exceeds 64 bits.
        """

    def complete(self, workflow_exec_id: str, transform: Transform | None = None) -> WorkflowState:
        """End the workflow with a status that follows from its root tasks, atomically (5.5).

        Returns the state with `tasks` filled; a terminal one is returned unchanged. `transform`
        makes the output and must not write to the store. If it raises, or returns neither a
        document nor None, the workflow is FAILED with error code `OUTPUT_TRANSFORMATION_FAILED`
        and the default output. Raises `WorkflowNotFoundError`, `WorkflowNotReadyError`, and
        `InvalidValueError` if the default output would nest too deep.
        """

    def cancel(self, workflow_exec_id: str, *, reason: str | None = None) -> WorkflowState:
        """End the workflow and its tasks with CANCELED, atomically (10.7).

        What has ended stays as it is. The others get an error with the code `CANCELED`, whose
        message is `reason`, and their claims end. Returns the state as it is then. Raises
        `WorkflowNotFoundError`.
        """

    def wait(
        self,
        workflow_exec_id: str,
        *,
        statuses: Collection[Status] = ...,
        timeout: float | None = None,
    ) -> WorkflowState:
        """Return the state once its status is one of `statuses`, by default a terminal one (12.1).

        Raises `WaitTimeoutError` after `timeout` seconds, `WorkflowNotFoundError`, also if it is
        deleted meanwhile, and `InTransactionError`.
        """

    def delete(self, workflow_exec_id: str) -> None:
        """Delete the execution and its tasks (5.6). Raises `WorkflowNotFoundError`.

        All of it is gone for who reads, at once. A large one is removed in several transactions,
        so that other writers get their turn; inside a transaction, in that one.
        """

    def purge(
        self,
        older_than: datetime,
        *,
        statuses: Collection[Status] = ...,
        batch_size: int = 100,
        dry_run: bool = False,
    ) -> PurgeReport:
        """Delete executions last written before `older_than`, with their tasks (5.6).

        Deletes only terminal ones unless `statuses` says otherwise, `batch_size` at a time, and
        removes what an interrupted `delete` or `purge` left. Outside a transaction, progress is
        kept, and other writers get their turn. `dry_run` only counts.
        """


class TaskRepository(Protocol):
    """Task executions (section 6).

    Pass `workflow_exec_id` to a method that takes it if you know it: a sharded cluster then
    queries one node. A task of another workflow is then not found.
    """

    def get(self, task_exec_id: str, *, workflow_exec_id: str | None = None) -> TaskState:
        """Return the state. Raises `TaskNotFoundError`."""

    def get_for_update(
        self, task_exec_id: str, *, workflow_exec_id: str | None = None
    ) -> TaskState:
        """Return the state and lock it until the transaction ends (3.5).

        Raises `NotInTransactionError` outside a transaction, `TaskNotFoundError`.
        """

    def list(
        self, filter: TaskFilter = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[TaskState]:
        """Return a page of states, ordered by `created_at`, then id (6.3)."""

    def create(self, task: TaskState, *, allow_ended: bool = False) -> TaskState:
        """Store a new state; its `attempt` is 0.

        Raises `AlreadyExistsError`, then `InvalidReferenceError` for a missing workflow
        (`workflow_exec_id`) or a parent that is not in it (`parent_state_id`), then, unless
        `allow_ended`, `StatusConflictError` if the workflow has ended (10.7), in this order.
        """

    def restore(self, task: TaskState) -> TaskState:
        """Store a new state as it was exported, with its version and times (2.9).

        Raises `InvalidValueError` if it has none, and otherwise as `create` does.
        """

    def update(self, task: TaskState) -> TaskState:
        """Replace the stored state if its version is that of the argument: compare-and-set (2.3).

        Raises `TaskNotFoundError`, `ImmutableFieldError` (`workflow_exec_id`,
        `parent_state_id`, `created_at`), `VersionConflictError`, in this order.
        """

    def upsert(self, task: TaskState, *, allow_ended: bool = False) -> TaskState:
        """Create or replace the state, whatever its version (2.4).

        Raises `ImmutableFieldError` if the task exists. If it does not: `InvalidReferenceError`
        and `StatusConflictError`, as `create` does.
        """

    def modify(self, task_exec_id: str, fn: Callable[[TaskState], TaskState]) -> TaskState:
        """Read, apply `fn` and compare-and-set; start over after a conflict (2.6).

        Nothing is written if `fn` returns the state it was given. Raises what `get` and `update`
        raise.
        """

    def merge_usage(self, task_exec_id: str, usage: UsageSummary) -> TaskState:
        """Add `usage` to the stored summary; concurrent calls lose nothing (2.7).

        Raises `TaskNotFoundError`; `InvalidValueError` if a sum exceeds 64 bits.
        """

    def usage(self, task_exec_id: str) -> UsageSummary:
        """Return the usage summary alone (6.7). Raises `TaskNotFoundError`."""

    def children(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> tuple[TaskState, ...]:
        """Return the children, ordered by `created_at`, then id (6.4).

        A missing parent has none.
        """

    def child(
        self, parent_state_id: str, task_id: str, *, workflow_exec_id: str | None = None
    ) -> TaskState:
        """Return the latest child with this `task_id` (6.4).

        Raises `TaskNotFoundError` (field `task_id`).
        """

    def children_outputs(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> Mapping[str, Document]:
        """Return the outputs of the children that have one, by `task_id` (6.4).

        Of several executions of a task the latest counts.
        """

    def in_workflow(self, workflow_exec_id: str) -> Mapping[str, TaskState]:
        """Return the latest execution of each `task_id`, ordered by `created_at`, then id (6.4)."""

    def by_status(self, workflow_exec_id: str, status: Status) -> tuple[TaskState, ...]:
        """Return the executions in this status, ordered by `created_at`, then id (6.4)."""

    def by_agent(self, workflow_exec_id: str, agent_id: str) -> tuple[TaskState, ...]:
        """Return the executions of this agent, ordered by `created_at`, then id (6.4)."""

    def by_tool(self, workflow_exec_id: str, tool_id: str) -> tuple[TaskState, ...]:
        """Return the executions of this tool, ordered by `created_at`, then id (6.4)."""

    def tree(
        self, root: str, *, max_depth: int = 100, workflow_exec_id: str | None = None
    ) -> tuple[TaskState, ...]:
        """Return the task and its descendants, ordered by depth, `created_at`, id (6.5).

        `max_depth` is the number of levels below the root, from 0.
        Raises `TaskNotFoundError`.
        """

    def progress(self, parent_state_id: str, *, workflow_exec_id: str | None = None) -> Progress:
        """Return the progress of the direct children (6.6).

        A missing parent has none.
        """

    def claim(
        self,
        worker: str,
        *,
        lease: float,
        queues: Collection[str] = ...,
        filter: TaskFilter = ...,
        limit: int = 1,
        wait: float = 0,
    ) -> tuple[Claim, ...]:
        """Take up to `limit` tasks of the queues that match `filter`, atomically (10.1).

        Tasks that are PENDING and due, and those whose lease has expired: the highest priority
        first, then by due time (`created_at`, if there is none), creation and id. Each becomes
        RUNNING, with a higher version and attempt, and is the worker's for `lease` seconds. A
        filter looks through all due tasks. Returns an empty tuple if there is none for `wait`
        seconds (12.4). Tasks that another call is taking at the same moment are passed over.
        Raises `InTransactionError` if it would wait in a transaction.
        """

    def renew(self, claim: Claim, *, lease: float) -> Claim:
        """Let the lease end `lease` seconds from now; return the claim with its new end (10.3).

        The task is not written. Raises `ClaimLostError`.
        """

    def finish(
        self,
        claim: Claim,
        *,
        status: Status = Status.SUCCESS,
        output: Document | None = None,
        error: ErrorInfo | None = None,
        usage: UsageSummary | None = None,
    ) -> TaskState:
        """End a claimed task, whatever its version, and the claim (10.4).

        `status` is a terminal one. `output` and `error` are stored as given; `usage` is added to
        the task's and to the workflow's, in the same transaction. Raises `ClaimLostError`;
        `InvalidValueError` if a sum exceeds 64 bits.
        """

    def release(
        self, claim: Claim, *, due_in: float = 0, error: ErrorInfo | None = None
    ) -> TaskState:
        """Give a claimed task back: it is PENDING again, and due in `due_in` seconds (10.5).

        `error` is stored as given, such as the reason for another attempt. Raises
        `ClaimLostError`.
        """

    def cancel(
        self, task_exec_id: str, *, subtree: bool = True, reason: str | None = None
    ) -> TaskState:
        """End the task, and those below it, with CANCELED, atomically (10.7).

        As `workflows.cancel` does, for a part of the workflow. Raises `TaskNotFoundError`.
        """

    def expired(self, *, queues: Collection[str] = ..., limit: int = 100) -> tuple[Claim, ...]:
        """Return claims whose lease has expired and that nobody took over, oldest end first."""

    def next_due(self, *, queues: Collection[str] = ...) -> datetime | None:
        """Return when the next task of the queues can be claimed, which may be in the past (10.8).

        None: not before a task is created, released or otherwise made PENDING.
        """

    def queues(self) -> Mapping[str, QueueStats]:
        """Return the counts of each queue that has PENDING or claimed tasks, by name (10.8)."""


class EventRepository(Protocol):
    """Events of workflow executions: append-only, and gone with their workflow (section 11)."""

    def append(
        self,
        workflow_exec_id: str,
        kind: str,
        data: Document | None = None,
        *,
        task_exec_id: str | None = None,
        key: str | None = None,
    ) -> Event:
        """Append an event; return it with its number (11.1).

        If the workflow has an event with this `key`, return that one and append nothing (11.2).
        Raises `WorkflowNotFoundError`, `InvalidReferenceError` for a task that is not in the
        workflow.
        """

    def append_many(self, workflow_exec_id: str, events: Sequence[NewEvent]) -> tuple[Event, ...]:
        """Append up to 1,000 events, all or none; return them in their order (11.1).

        Each is appended, or answered, as by `append`. Raises what `append` raises.
        """

    def restore(self, event: Event) -> Event:
        """Store an event as it was exported, with its number and time (11.4).

        Raises `InvalidValueError` if it has none, `InvalidReferenceError` for a missing workflow,
        `AlreadyExistsError` (field `number` or `key`), `InvalidReferenceError` for a missing task,
        in this order.
        """

    def list(
        self,
        workflow_exec_id: str,
        *,
        after: int = 0,
        kinds: Collection[str] | None = None,
        limit: int = 100,
    ) -> tuple[Event, ...]:
        """Return the first `limit` events after the number `after`, by number (11.3).

        A missing workflow has none. `kinds` matches any of its members.
        """

    def wait(
        self,
        workflow_exec_id: str,
        *,
        after: int = 0,
        kinds: Collection[str] | None = None,
        limit: int = 100,
        timeout: float | None = None,
    ) -> tuple[Event, ...]:
        """Return what `list` does, as soon as there is an event (12.2).

        Returns an empty tuple if the workflow has ended, or `timeout` seconds have passed, without
        one. Raises `WorkflowNotFoundError`, also if the workflow is deleted meanwhile, and
        `InTransactionError`.
        """

    def follow(
        self, workflow_exec_id: str, *, after: int = 0, kinds: Collection[str] | None = None
    ) -> Iterator[Event]:
        """Yield the events after the number `after` as they come, until the workflow ends (12.3).

        What was there by then comes first. The iterator raises what `wait` raises.
        """


class Repositories(Protocol):
    """The repositories that a store and a transaction both have."""

    @property
    def users(self) -> UserRepository: ...

    @property
    def api_keys(self) -> ApiKeyRepository: ...

    @property
    def workflows(self) -> WorkflowRepository: ...

    @property
    def tasks(self) -> TaskRepository: ...

    @property
    def events(self) -> EventRepository: ...

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction: all of its writes happen, or none (3.1).

        Inside a transaction, begin a savepoint (3.2).
        """


class Transaction(Repositories, Protocol):
    """The same repositories in one transaction. Belongs to the thread that began it."""


class Migrator(Protocol):
    """The steps of the driver's schema (section 8)."""

    def status(self) -> tuple[MigrationStatus, ...]:
        """Return every step in order, and when it was applied."""

    def plan(self, target: int | None = None) -> MigrationPlan:
        """Return what `up` or `down` to `target` would run, without running it.

        `target` is the newest step by default.
        """

    def up(self, target: int | None = None) -> MigrationPlan:
        """Apply the missing steps up to `target`, by default the newest; return what ran.

        Raises `SchemaAheadError`, `MigrationDriftError`, `MigrationLockError`.
        """

    def down(self, target: int) -> MigrationPlan:
        """Revert the steps after `target`; 0 reverts all. Raises what `up` raises."""

    def verify(self) -> None:
        """Check that the applied steps and the schema are those of the code.

        Raises `SchemaAheadError`, `SchemaBehindError`, `MigrationDriftError`.
        """


class Store(Repositories, Protocol):
    """An open store, safe to share between threads.

    As a context manager, it closes itself.
    """

    @property
    def migrator(self) -> Migrator: ...

    def run(self, fn: Callable[[Transaction], T], *, attempts: int = 10) -> T:
        """Call `fn` with a transaction, and return what it returned, committed (3.7).

        If it fails with a retriable error, or a `VersionConflictError`, it is called again with a
        new one: at most `attempts` times, with jittered pauses between. So `fn` should read what it
        changes, and do nothing but by its transaction. Raises what the last attempt raised, and
        what else `fn` raises, at once. An error of the commit is raised: it may have happened.
        """

    def health(self) -> Health:
        """Report whether the store can read and write, with the driver's figures (9.4)."""

    def close(self) -> None:
        """Release every connection. A second call does nothing (9.1)."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
