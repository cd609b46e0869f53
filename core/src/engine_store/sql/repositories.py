"""The repositories of SQL stores: each method runs the operation of the same name.

The docstring and the signature that `help` shows are those of the Protocol; a test holds the
operations to the same parameters and types.
"""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterator,
)
from functools import cached_property, partial
from typing import Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar

from attrs import frozen

from engine_store.clock import Clock
from engine_store.models import TERMINAL, Claim, Event, Status, TaskFilter, WorkflowState
from engine_store.protocols import (
    ApiKeyRepository,
    AsyncApiKeyRepository,
    AsyncEventRepository,
    AsyncTaskRepository,
    AsyncUserRepository,
    AsyncWorkflowRepository,
    EventRepository,
    TaskRepository,
    UserRepository,
    WorkflowRepository,
)
from engine_store.rules.claims import DEFAULT_QUEUES, check_seconds
from engine_store.rules.entities import TASK
from engine_store.sql.blocking import run
from engine_store.sql.dialect import Dialect
from engine_store.sql.operation import Invocation, mode_of
from engine_store.sql.operations import (
    ApiKeyOperations,
    Bindings,
    EventOperations,
    TaskOperations,
    UserOperations,
    WorkflowOperations,
)
from engine_store.sql.operations.base import Operations
from engine_store.sql.rows import Rows
from engine_store.sql.statements import Queries
from engine_store.values import MAX_DOCUMENT_BYTES
from engine_store.waiting.following import follow, follow_async
from engine_store.waiting.notifier import Notifier
from engine_store.waiting.waits import wait_for_claims, wait_for_events, wait_for_status

P = ParamSpec("P")
T = TypeVar("T")
Self_ = TypeVar("Self_")

_new = tuple.__new__  # a third of the time of a named tuple's own


class Runs(Protocol):
    """A runner of operations: a session, or a transaction."""

    def run(self, invocation: Invocation) -> Coroutine[Any, Any, Any]: ...


class _Repository:
    """The base of repositories. A subclass names the Protocol it implements as its last base."""

    def __init__(
        self, operations: Operations[Any], session: Runs, notifier: Notifier | None
    ) -> None:
        """A repository whose operations are run by `session`; `notifier` wakes who waits."""
        self._operations = operations
        self._session = session
        self._notifier = notifier

    def __init_subclass__(cls) -> None:
        """Give each method the docstring and the signature of the Protocol."""
        protocol = cls.__bases__[-1]
        for name, method in vars(cls).items():
            if not name.startswith("_") and inspect.isfunction(method):
                promised = getattr(protocol, name)
                method.__doc__ = promised.__doc__
                method.__qualname__ = f"{cls.__qualname__}.{name}"
                method.__signature__ = inspect.signature(promised)  # type: ignore[attr-defined]


Repository = TypeVar("Repository", bound=_Repository)
Operation: TypeAlias = Callable[Concatenate[Self_, P], Generator[Any, Any, T]]


def _awaited(
    operation: Operation[Self_, P, T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Return the method that runs an operation when it is awaited."""
    name, mode = operation.__name__, mode_of(operation)

    def method(self: _Repository, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        invocation = _new(Invocation, (mode, getattr(self._operations, name), args, kwargs))
        return self._session.run(invocation)

    method.__name__ = name
    return method


def _blocking(operation: Operation[Self_, P, T]) -> Callable[Concatenate[Any, P], T]:
    """Return the method that runs an operation and returns its result."""
    name, mode = operation.__name__, mode_of(operation)

    def method(self: _Repository, /, *args: P.args, **kwargs: P.kwargs) -> T:
        invocation = _new(Invocation, (mode, getattr(self._operations, name), args, kwargs))
        result: T = run(self._session.run(invocation))
        return result

    method.__name__ = name
    return method


class SqlUserRepository(_Repository, UserRepository):
    """Users."""

    get = _blocking(UserOperations.get)
    get_by_email = _blocking(UserOperations.get_by_email)
    list = _blocking(UserOperations.list)
    create = _blocking(UserOperations.create)
    restore = _blocking(UserOperations.restore)
    create_initial_admin_if_none = _blocking(UserOperations.create_initial_admin_if_none)
    update = _blocking(UserOperations.update)
    upsert = _blocking(UserOperations.upsert)
    modify = _blocking(UserOperations.modify)
    delete = _blocking(UserOperations.delete)


class SqlApiKeyRepository(_Repository, ApiKeyRepository):
    """API keys."""

    get = _blocking(ApiKeyOperations.get)
    get_by_fingerprint = _blocking(ApiKeyOperations.get_by_fingerprint)
    get_by_prefix = _blocking(ApiKeyOperations.get_by_prefix)
    list = _blocking(ApiKeyOperations.list)
    create = _blocking(ApiKeyOperations.create)
    restore = _blocking(ApiKeyOperations.restore)
    touch = _blocking(ApiKeyOperations.touch)
    delete = _blocking(ApiKeyOperations.delete)


class SqlWorkflowRepository(_Repository, WorkflowRepository):
    """Workflow executions."""

    get = _blocking(WorkflowOperations.get)
    get_for_update = _blocking(WorkflowOperations.get_for_update)
    list = _blocking(WorkflowOperations.list)
    latest = _blocking(WorkflowOperations.latest)
    create = _blocking(WorkflowOperations.create)
    restore = _blocking(WorkflowOperations.restore)
    update = _blocking(WorkflowOperations.update)
    upsert = _blocking(WorkflowOperations.upsert)
    modify = _blocking(WorkflowOperations.modify)
    set_status = _blocking(WorkflowOperations.set_status)
    merge_usage = _blocking(WorkflowOperations.merge_usage)
    complete = _blocking(WorkflowOperations.complete)
    cancel = _blocking(WorkflowOperations.cancel)
    delete = _blocking(WorkflowOperations.delete)
    purge = _blocking(WorkflowOperations.purge)
    _status_of = _blocking(WorkflowOperations.status_of)

    def wait(
        self,
        workflow_exec_id: str,
        *,
        statuses: Collection[Status] = TERMINAL,
        timeout: float | None = None,
    ) -> WorkflowState:
        return wait_for_status(
            self._notifier,
            workflow_exec_id,
            statuses,
            timeout,
            lambda: self._status_of(workflow_exec_id),
            lambda: self.get(workflow_exec_id),
        ).run()


class SqlTaskRepository(_Repository, TaskRepository):
    """Task executions."""

    get = _blocking(TaskOperations.get)
    get_for_update = _blocking(TaskOperations.get_for_update)
    list = _blocking(TaskOperations.list)
    create = _blocking(TaskOperations.create)
    restore = _blocking(TaskOperations.restore)
    update = _blocking(TaskOperations.update)
    upsert = _blocking(TaskOperations.upsert)
    modify = _blocking(TaskOperations.modify)
    merge_usage = _blocking(TaskOperations.merge_usage)
    usage = _blocking(TaskOperations.usage)
    children = _blocking(TaskOperations.children)
    child = _blocking(TaskOperations.child)
    children_outputs = _blocking(TaskOperations.children_outputs)
    in_workflow = _blocking(TaskOperations.in_workflow)
    by_status = _blocking(TaskOperations.by_status)
    by_agent = _blocking(TaskOperations.by_agent)
    by_tool = _blocking(TaskOperations.by_tool)
    tree = _blocking(TaskOperations.tree)
    progress = _blocking(TaskOperations.progress)
    renew = _blocking(TaskOperations.renew)
    finish = _blocking(TaskOperations.finish)
    release = _blocking(TaskOperations.release)
    cancel = _blocking(TaskOperations.cancel)
    expired = _blocking(TaskOperations.expired)
    next_due = _blocking(TaskOperations.next_due)
    queues = _blocking(TaskOperations.queues)
    _claim = _blocking(TaskOperations.claim)

    def claim(
        self,
        worker: str,
        *,
        queues: Collection[str] = DEFAULT_QUEUES,
        filter: TaskFilter = TASK.everything,
        wait: float = 0,
        **how: Any,
    ) -> tuple[Claim, ...]:
        claim = partial(self._claim, worker, queues=queues, filter=filter, **how)
        if not check_seconds(wait, "wait", zero=True):
            return claim()
        next_due = partial(self.next_due, queues=queues)
        return wait_for_claims(self._notifier, queues, filter, wait, claim, next_due).run()


class SqlEventRepository(_Repository, EventRepository):
    """Events of workflow executions."""

    append = _blocking(EventOperations.append)
    append_many = _blocking(EventOperations.append_many)
    restore = _blocking(EventOperations.restore)
    list = _blocking(EventOperations.list)
    _history = _blocking(EventOperations.history)

    def wait(
        self,
        workflow_exec_id: str,
        *,
        after: int = 0,
        kinds: Collection[str] | None = None,
        limit: int = 100,
        timeout: float | None = None,
    ) -> tuple[Event, ...]:
        history = partial(self._history, workflow_exec_id, after=after, kinds=kinds, limit=limit)
        return wait_for_events(self._notifier, workflow_exec_id, timeout, history).run()

    def follow(
        self, workflow_exec_id: str, *, after: int = 0, kinds: Collection[str] | None = None
    ) -> Iterator[Event]:
        return follow(self, workflow_exec_id, after, kinds)


class AsyncSqlUserRepository(_Repository, AsyncUserRepository):
    """Users."""

    get = _awaited(UserOperations.get)
    get_by_email = _awaited(UserOperations.get_by_email)
    list = _awaited(UserOperations.list)
    create = _awaited(UserOperations.create)
    restore = _awaited(UserOperations.restore)
    create_initial_admin_if_none = _awaited(UserOperations.create_initial_admin_if_none)
    update = _awaited(UserOperations.update)
    upsert = _awaited(UserOperations.upsert)
    modify = _awaited(UserOperations.modify)
    delete = _awaited(UserOperations.delete)


class AsyncSqlApiKeyRepository(_Repository, AsyncApiKeyRepository):
    """API keys."""

    get = _awaited(ApiKeyOperations.get)
    get_by_fingerprint = _awaited(ApiKeyOperations.get_by_fingerprint)
    get_by_prefix = _awaited(ApiKeyOperations.get_by_prefix)
    list = _awaited(ApiKeyOperations.list)
    create = _awaited(ApiKeyOperations.create)
    restore = _awaited(ApiKeyOperations.restore)
    touch = _awaited(ApiKeyOperations.touch)
    delete = _awaited(ApiKeyOperations.delete)


class AsyncSqlWorkflowRepository(_Repository, AsyncWorkflowRepository):
    """Workflow executions."""

    get = _awaited(WorkflowOperations.get)
    get_for_update = _awaited(WorkflowOperations.get_for_update)
    list = _awaited(WorkflowOperations.list)
    latest = _awaited(WorkflowOperations.latest)
    create = _awaited(WorkflowOperations.create)
    restore = _awaited(WorkflowOperations.restore)
    update = _awaited(WorkflowOperations.update)
    upsert = _awaited(WorkflowOperations.upsert)
    modify = _awaited(WorkflowOperations.modify)
    set_status = _awaited(WorkflowOperations.set_status)
    merge_usage = _awaited(WorkflowOperations.merge_usage)
    complete = _awaited(WorkflowOperations.complete)
    cancel = _awaited(WorkflowOperations.cancel)
    delete = _awaited(WorkflowOperations.delete)
    purge = _awaited(WorkflowOperations.purge)
    _status_of = _awaited(WorkflowOperations.status_of)

    async def wait(
        self,
        workflow_exec_id: str,
        *,
        statuses: Collection[Status] = TERMINAL,
        timeout: float | None = None,
    ) -> WorkflowState:
        return await wait_for_status(
            self._notifier,
            workflow_exec_id,
            statuses,
            timeout,
            lambda: self._status_of(workflow_exec_id),
            lambda: self.get(workflow_exec_id),
        ).run_async()


class AsyncSqlTaskRepository(_Repository, AsyncTaskRepository):
    """Task executions."""

    get = _awaited(TaskOperations.get)
    get_for_update = _awaited(TaskOperations.get_for_update)
    list = _awaited(TaskOperations.list)
    create = _awaited(TaskOperations.create)
    restore = _awaited(TaskOperations.restore)
    update = _awaited(TaskOperations.update)
    upsert = _awaited(TaskOperations.upsert)
    modify = _awaited(TaskOperations.modify)
    merge_usage = _awaited(TaskOperations.merge_usage)
    usage = _awaited(TaskOperations.usage)
    children = _awaited(TaskOperations.children)
    child = _awaited(TaskOperations.child)
    children_outputs = _awaited(TaskOperations.children_outputs)
    in_workflow = _awaited(TaskOperations.in_workflow)
    by_status = _awaited(TaskOperations.by_status)
    by_agent = _awaited(TaskOperations.by_agent)
    by_tool = _awaited(TaskOperations.by_tool)
    tree = _awaited(TaskOperations.tree)
    progress = _awaited(TaskOperations.progress)
    renew = _awaited(TaskOperations.renew)
    finish = _awaited(TaskOperations.finish)
    release = _awaited(TaskOperations.release)
    cancel = _awaited(TaskOperations.cancel)
    expired = _awaited(TaskOperations.expired)
    next_due = _awaited(TaskOperations.next_due)
    queues = _awaited(TaskOperations.queues)
    _claim = _awaited(TaskOperations.claim)

    async def claim(
        self,
        worker: str,
        *,
        queues: Collection[str] = DEFAULT_QUEUES,
        filter: TaskFilter = TASK.everything,
        wait: float = 0,
        **how: Any,
    ) -> tuple[Claim, ...]:
        claim = partial(self._claim, worker, queues=queues, filter=filter, **how)
        if not check_seconds(wait, "wait", zero=True):
            return await claim()
        next_due = partial(self.next_due, queues=queues)
        return await wait_for_claims(
            self._notifier, queues, filter, wait, claim, next_due
        ).run_async()


class AsyncSqlEventRepository(_Repository, AsyncEventRepository):
    """Events of workflow executions."""

    append = _awaited(EventOperations.append)
    append_many = _awaited(EventOperations.append_many)
    restore = _awaited(EventOperations.restore)
    list = _awaited(EventOperations.list)
    _history = _awaited(EventOperations.history)

    async def wait(
        self,
        workflow_exec_id: str,
        *,
        after: int = 0,
        kinds: Collection[str] | None = None,
        limit: int = 100,
        timeout: float | None = None,
    ) -> tuple[Event, ...]:
        history = partial(self._history, workflow_exec_id, after=after, kinds=kinds, limit=limit)
        return await wait_for_events(self._notifier, workflow_exec_id, timeout, history).run_async()

    def follow(
        self, workflow_exec_id: str, *, after: int = 0, kinds: Collection[str] | None = None
    ) -> AsyncIterator[Event]:
        return follow_async(self, workflow_exec_id, after, kinds)


@frozen
class OperationSet:
    """The operations of one store, shared by the store and its transactions."""

    users: UserOperations
    api_keys: ApiKeyOperations
    workflows: WorkflowOperations
    tasks: TaskOperations
    events: EventOperations

    @classmethod
    def of(
        cls,
        dialect: Dialect,
        queries: Queries,
        clock: Clock,
        max_document_bytes: int = MAX_DOCUMENT_BYTES,
    ) -> OperationSet:
        """Return the kit's operations; a driver may replace some by subclasses."""
        bindings = Bindings(
            queries,
            Rows(dialect.codec),
            clock,
            max_document_bytes=max_document_bytes,
            lock_after=dialect.lock_after,
        )
        return cls(
            UserOperations(bindings),
            ApiKeyOperations(bindings),
            WorkflowOperations(bindings),
            TaskOperations(bindings),
            EventOperations(bindings),
        )


class _Repositories:
    """The base of stores and transactions: their repositories, each made when first asked for."""

    def __init__(
        self, operations: OperationSet, session: Runs, notifier: Notifier | None = None
    ) -> None:
        """Repositories whose operations are run by `session`.

        `notifier` wakes who waits; without one, as in a transaction, nobody may wait.
        """
        self._operations = operations
        self._runs = session
        self._notifier = notifier


def _made(repository: type[Repository], name: str) -> cached_property[Repository]:
    """Return the property that makes a repository of the operations of this name."""
    return cached_property(
        lambda self: repository(getattr(self._operations, name), self._runs, self._notifier)
    )


class SqlRepositories(_Repositories):
    """Repositories whose methods return."""

    users = _made(SqlUserRepository, "users")
    """Users and their roles."""
    api_keys = _made(SqlApiKeyRepository, "api_keys")
    """API keys."""
    workflows = _made(SqlWorkflowRepository, "workflows")
    """Workflow executions."""
    tasks = _made(SqlTaskRepository, "tasks")
    """Task executions."""
    events = _made(SqlEventRepository, "events")
    """Events of workflow executions."""


class AsyncSqlRepositories(_Repositories):
    """Repositories whose methods are awaited."""

    users = _made(AsyncSqlUserRepository, "users")
    """Users and their roles."""
    api_keys = _made(AsyncSqlApiKeyRepository, "api_keys")
    """API keys."""
    workflows = _made(AsyncSqlWorkflowRepository, "workflows")
    """Workflow executions."""
    tasks = _made(AsyncSqlTaskRepository, "tasks")
    """Task executions."""
    events = _made(AsyncSqlEventRepository, "events")
    """Events of workflow executions."""
