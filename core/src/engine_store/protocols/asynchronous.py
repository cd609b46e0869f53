"""The asynchronous interfaces of a store: `engine_store.protocols.sync`, with `async`.

They promise the same, clause by clause (contract 9.3): what each method returns and raises is said
there. Cancelling a call leaves no connection or lock behind; whether a cancelled write happened is
not known. Functions passed in (`modify`, `complete`) are ordinary ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
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


class AsyncUserRepository(Protocol):
    """Users (section 4)."""

    async def get(self, user_id: str) -> User: ...

    async def get_by_email(self, email: str) -> User: ...

    async def list(
        self, filter: UserFilter = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[User]: ...

    async def create(self, user: User) -> User: ...

    async def restore(self, user: User) -> User: ...

    async def create_initial_admin_if_none(self, user: User) -> User: ...

    async def update(self, user: User) -> User: ...

    async def upsert(self, user: User) -> User: ...

    async def modify(self, user_id: str, fn: Callable[[User], User]) -> User: ...

    async def delete(self, user_id: str) -> None: ...


class AsyncApiKeyRepository(Protocol):
    """API keys (section 4)."""

    async def get(self, key_id: str) -> ApiKey: ...

    async def get_by_fingerprint(self, fingerprint: bytes) -> ApiKey: ...

    async def get_by_prefix(self, prefix: str) -> ApiKey: ...

    async def list(
        self, filter: ApiKeyFilter = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[ApiKey]: ...

    async def create(self, key: ApiKey) -> ApiKey: ...

    async def restore(self, key: ApiKey) -> ApiKey: ...

    async def touch(self, key_id: str, at: datetime | None = None) -> ApiKey: ...

    async def delete(self, key_id: str) -> None: ...


class AsyncWorkflowRepository(Protocol):
    """Workflow executions (section 5)."""

    async def get(self, workflow_exec_id: str, *, with_tasks: bool = False) -> WorkflowState: ...

    async def get_for_update(self, workflow_exec_id: str) -> WorkflowState: ...

    async def list(
        self, filter: WorkflowFilter = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[WorkflowState]: ...

    async def latest(
        self,
        workflow_id: str,
        *,
        task_id: str | None = None,
        agent_id: str | None = None,
        tool_id: str | None = None,
    ) -> WorkflowState: ...

    async def create(self, workflow: WorkflowState) -> WorkflowState: ...

    async def restore(self, workflow: WorkflowState) -> WorkflowState: ...

    async def update(self, workflow: WorkflowState) -> WorkflowState: ...

    async def upsert(self, workflow: WorkflowState) -> WorkflowState: ...

    async def modify(
        self, workflow_exec_id: str, fn: Callable[[WorkflowState], WorkflowState]
    ) -> WorkflowState: ...

    async def set_status(
        self,
        workflow_exec_id: str,
        status: Status,
        *,
        expected_version: int | None = None,
        expected_statuses: Collection[Status] | None = None,
    ) -> WorkflowState: ...

    async def merge_usage(self, workflow_exec_id: str, usage: UsageSummary) -> WorkflowState: ...

    async def complete(
        self, workflow_exec_id: str, transform: Transform | None = None
    ) -> WorkflowState: ...

    async def delete(self, workflow_exec_id: str) -> None: ...

    async def purge(
        self,
        older_than: datetime,
        *,
        statuses: Collection[Status] = ...,
        batch_size: int = 100,
        dry_run: bool = False,
    ) -> PurgeReport: ...


class AsyncTaskRepository(Protocol):
    """Task executions (section 6).

    `workflow_exec_id`, where a method takes it, is for a caller that knows it: a sharded cluster
    is then asked on one node. A task of another workflow is then not found.
    """

    async def get(self, task_exec_id: str, *, workflow_exec_id: str | None = None) -> TaskState: ...

    async def get_for_update(
        self, task_exec_id: str, *, workflow_exec_id: str | None = None
    ) -> TaskState: ...

    async def list(
        self, filter: TaskFilter = ..., *, limit: int = 100, cursor: str | None = None
    ) -> Page[TaskState]: ...

    async def create(self, task: TaskState) -> TaskState: ...

    async def restore(self, task: TaskState) -> TaskState: ...

    async def update(self, task: TaskState) -> TaskState: ...

    async def upsert(self, task: TaskState) -> TaskState: ...

    async def modify(
        self, task_exec_id: str, fn: Callable[[TaskState], TaskState]
    ) -> TaskState: ...

    async def merge_usage(self, task_exec_id: str, usage: UsageSummary) -> TaskState: ...

    async def usage(self, task_exec_id: str) -> UsageSummary: ...

    async def children(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> tuple[TaskState, ...]: ...

    async def child(
        self, parent_state_id: str, task_id: str, *, workflow_exec_id: str | None = None
    ) -> TaskState: ...

    async def children_outputs(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> Mapping[str, Document]: ...

    async def in_workflow(self, workflow_exec_id: str) -> Mapping[str, TaskState]: ...

    async def by_status(self, workflow_exec_id: str, status: Status) -> tuple[TaskState, ...]: ...

    async def by_agent(self, workflow_exec_id: str, agent_id: str) -> tuple[TaskState, ...]: ...

    async def by_tool(self, workflow_exec_id: str, tool_id: str) -> tuple[TaskState, ...]: ...

    async def tree(
        self, root: str, *, max_depth: int = 100, workflow_exec_id: str | None = None
    ) -> tuple[TaskState, ...]: ...

    async def progress(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> Progress: ...


class AsyncRepositories(Protocol):
    """What a store and a transaction both offer."""

    @property
    def users(self) -> AsyncUserRepository: ...

    @property
    def api_keys(self) -> AsyncApiKeyRepository: ...

    @property
    def workflows(self) -> AsyncWorkflowRepository: ...

    @property
    def tasks(self) -> AsyncTaskRepository: ...

    def transaction(self) -> AbstractAsyncContextManager[AsyncTransaction]: ...


class AsyncTransaction(AsyncRepositories, Protocol):
    """The same repositories, all in one transaction. Belongs to the thread that began it."""


class AsyncMigrator(Protocol):
    """The steps of the driver's schema (section 8)."""

    async def status(self) -> tuple[MigrationStatus, ...]: ...

    async def plan(self, target: int | None = None) -> MigrationPlan: ...

    async def up(self, target: int | None = None) -> MigrationPlan: ...

    async def down(self, target: int) -> MigrationPlan: ...

    async def verify(self) -> None: ...


class AsyncStore(AsyncRepositories, Protocol):
    """An open store. Safe to share between threads; a context manager that closes itself."""

    @property
    def migrator(self) -> AsyncMigrator: ...

    async def health(self) -> Health: ...

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
