"""The repositories of SQL stores: each method runs the operation of the same name.

The docstring and the signature that `help` shows are those of the Protocol; a test holds the
operations to the same parameters and types.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import Any, Protocol, TypeVar

from attrs import frozen

from engine_store.clock import Clock
from engine_store.protocols import (
    ApiKeyRepository,
    AsyncApiKeyRepository,
    AsyncTaskRepository,
    AsyncUserRepository,
    AsyncWorkflowRepository,
    TaskRepository,
    UserRepository,
    WorkflowRepository,
)
from engine_store.sql.blocking import run
from engine_store.sql.dialect import Dialect
from engine_store.sql.operation import Invocation, Mode, mode_of
from engine_store.sql.operations import (
    ApiKeyOperations,
    Bindings,
    TaskOperations,
    UserOperations,
    WorkflowOperations,
)
from engine_store.sql.operations.base import Operations
from engine_store.sql.rows import Rows
from engine_store.sql.statements import Queries

T = TypeVar("T")

_new = tuple.__new__  # a third of the time of a named tuple's own


class Runs(Protocol):
    """What runs operations: a session, or a transaction."""

    def run(self, invocation: Invocation) -> Coroutine[Any, Any, Any]: ...


class _Repository:
    """The base of repositories, whose operations are run by a session."""

    def __init__(self, operations: Operations[Any], session: Runs) -> None:
        """A repository whose operations are run by `session`."""
        self._operations = operations
        self._session = session


def _awaited(name: str, mode: Mode) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return the method that runs the operation of this name when it is awaited."""

    def method(self: _Repository, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        invocation = _new(Invocation, (mode, getattr(self._operations, name), args, kwargs))
        return self._session.run(invocation)

    return method


def _blocking(name: str, mode: Mode) -> Callable[..., Any]:
    """Return the method that runs the operation of this name and returns its result."""

    def method(self: _Repository, /, *args: Any, **kwargs: Any) -> Any:
        invocation = _new(Invocation, (mode, getattr(self._operations, name), args, kwargs))
        return run(self._session.run(invocation))

    return method


@frozen
class OperationSet:
    """The operations of one store, shared by the store and its transactions."""

    users: UserOperations
    api_keys: ApiKeyOperations
    workflows: WorkflowOperations
    tasks: TaskOperations

    @classmethod
    def of(cls, dialect: Dialect, queries: Queries, clock: Clock) -> OperationSet:
        """Return the kit's operations; a driver may replace some by subclasses."""
        bindings = Bindings(queries, Rows(dialect.codec), clock, lock_after=dialect.lock_after)
        return cls(
            UserOperations(bindings),
            ApiKeyOperations(bindings),
            WorkflowOperations(bindings),
            TaskOperations(bindings),
        )


class _Repositories:
    """The base of stores and transactions: their repositories, each made when first asked for."""

    def __init__(self, operations: OperationSet, session: Runs) -> None:
        """Repositories whose operations are run by `session`."""
        self._operations = operations
        self._runs = session


def _repository(
    protocol: Callable[..., T],  # not `type[T]`, of which a Protocol is none to mypy
    operations: type[Operations[Any]],
    method: Callable[[str, Mode], Any],
) -> cached_property[T]:
    """Return the property that makes a repository, which implements `protocol` by `operations`.

    Its class has a `method` for each method of the Protocol, with the docstring and the signature
    that the Protocol gives it.
    """
    title = f"Sql{protocol.__name__}"
    members: dict[str, Any] = {"__doc__": protocol.__doc__, "__module__": __name__}
    for name, promised in vars(protocol).items():
        if not name.startswith("_"):
            made = method(name, mode_of(getattr(operations, name)))
            made.__name__, made.__qualname__ = name, f"{title}.{name}"
            made.__doc__ = promised.__doc__
            made.__signature__ = inspect.signature(promised)
            members[name] = made
    bases: tuple[Any, ...] = (_Repository, protocol)
    repository = type(title, bases, members)
    name = operations.entity.repository
    return cached_property(lambda self: repository(getattr(self._operations, name), self._runs))


class SqlRepositories(_Repositories):
    """Repositories whose methods return."""

    users = _repository(UserRepository, UserOperations, _blocking)
    """Users and their roles."""
    api_keys = _repository(ApiKeyRepository, ApiKeyOperations, _blocking)
    """API keys."""
    workflows = _repository(WorkflowRepository, WorkflowOperations, _blocking)
    """Workflow executions."""
    tasks = _repository(TaskRepository, TaskOperations, _blocking)
    """Task executions."""


class AsyncSqlRepositories(_Repositories):
    """Repositories whose methods are awaited."""

    users = _repository(AsyncUserRepository, UserOperations, _awaited)
    """Users and their roles."""
    api_keys = _repository(AsyncApiKeyRepository, ApiKeyOperations, _awaited)
    """API keys."""
    workflows = _repository(AsyncWorkflowRepository, WorkflowOperations, _awaited)
    """Workflow executions."""
    tasks = _repository(AsyncTaskRepository, TaskOperations, _awaited)
    """Task executions."""
