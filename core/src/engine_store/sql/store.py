"""Stores and transactions of SQL drivers: repositories made of operations and a session's `run`.

Nothing here is written twice for the two faces: a repository's methods come from its operations,
and what they return is what the session's `run` returns, a value or a coroutine. The types are
those of the Protocols; a test holds operations and Protocols to the same signatures.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

from engine_store.errors import TransactionClosedError
from engine_store.sql.operation import Invocation, mode_of
from engine_store.sql.operations import (
    ApiKeyOperations,
    Context,
    TaskOperations,
    UserOperations,
    WorkflowOperations,
)
from engine_store.sql.operations.base import Operations

U = TypeVar("U", covariant=True)
K = TypeVar("K", covariant=True)
W = TypeVar("W", covariant=True)
T = TypeVar("T", covariant=True)


Runner: TypeAlias = Callable[[Invocation], Any]
"""Runs an invocation: gives its result, or a coroutine of it."""


class Repository:
    """The base of the classes `repository_class` makes: methods that run operations."""

    __slots__ = ("_run",)

    def __init__(self, run: Runner) -> None:
        """A repository whose operations are run by `run`."""
        self._run = run


def repository_class(operations: Operations, name: str) -> type[Repository]:
    """A class with a method for each public operation of `operations`; `name` is for reports."""
    methods = {
        key: _method(getattr(operations, key), f"{name}.{key}")
        for key in dir(operations)
        if not key.startswith("_")
    }
    return type(type(operations).__name__, (Repository,), {"__slots__": (), **methods})


def _method(operation: Callable[..., Any], name: str) -> Callable[..., Any]:
    mode = mode_of(operation)

    # Of the function, which has a `self` as `method` has: the signature of a bound method would
    # lose its first argument once more.
    @functools.wraps(operation.__func__)  # type: ignore[attr-defined]
    def method(self: Repository, *args: Any, **kwargs: Any) -> Any:
        return self._run(Invocation(mode, name, operation, args, kwargs))

    return method


class RepositoryClasses:
    """The repository classes of one store, shared by the store and its transactions."""

    def __init__(
        self,
        context: Context,
        *,
        users: type[UserOperations] = UserOperations,
        api_keys: type[ApiKeyOperations] = ApiKeyOperations,
        workflows: type[WorkflowOperations] = WorkflowOperations,
        tasks: type[TaskOperations] = TaskOperations,
    ) -> None:
        """Classes for `context`; a driver overrides operations by passing subclasses."""
        self.users = repository_class(users(context), "users")
        self.api_keys = repository_class(api_keys(context), "api_keys")
        self.workflows = repository_class(workflows(context), "workflows")
        self.tasks = repository_class(tasks(context), "tasks")


class SqlRepositories(Generic[U, K, W, T]):
    """The repositories of a store or a transaction, each made when first asked for.

    The type parameters are the Protocols of users, API keys, workflows and tasks, synchronous or
    asynchronous as `run` is.
    """

    def __init__(self, classes: RepositoryClasses, run: Runner) -> None:
        """Repositories of `classes` whose operations are run by `run`."""
        self.classes = classes
        self._run = run

    @functools.cached_property
    def users(self) -> U:
        """Users and their roles."""
        return self.classes.users(self._run)  # type: ignore[return-value]

    @functools.cached_property
    def api_keys(self) -> K:
        """API keys."""
        return self.classes.api_keys(self._run)  # type: ignore[return-value]

    @functools.cached_property
    def workflows(self) -> W:
        """Workflow executions."""
        return self.classes.workflows(self._run)  # type: ignore[return-value]

    @functools.cached_property
    def tasks(self) -> T:
        """Task executions."""
        return self.classes.tasks(self._run)  # type: ignore[return-value]


class SqlTransaction(SqlRepositories[U, K, W, T]):
    """The repositories of a transaction or savepoint, until `end`."""

    def __init__(self, classes: RepositoryClasses, run: Runner) -> None:
        """An open transaction whose operations are run by `run`."""
        super().__init__(classes, self._run_while_open)
        self._run_inside = run
        self._ended = False

    def end(self) -> None:
        """From now on every operation raises `TransactionClosedError`."""
        self._ended = True

    def check_open(self) -> None:
        """Raise `TransactionClosedError` after `end`."""
        if self._ended:
            raise TransactionClosedError

    def _run_while_open(self, invocation: Invocation) -> Any:
        self.check_open()
        return self._run_inside(invocation)
