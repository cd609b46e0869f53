"""Stores whose operations are observed, whatever their driver.

`observed` and `observed_async` wrap a driver's store. Each call of a repository's method, of the
store or of one of its transactions, is an operation that plugins listen to. All else is passed on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from functools import partial, wraps
from typing import Any, Self, TypeAlias, cast

from attrs import frozen

from engine_store.concurrency.attempts import run, run_async
from engine_store.drivers.observing import CURRENT
from engine_store.errors import VersionConflictError
from engine_store.plugins import Plugins
from engine_store.protocols import AsyncStore, Observable, Store
from engine_store.waiting.following import follow, follow_async

REPOSITORIES = frozenset({"users", "api_keys", "workflows", "tasks", "events"})

TAKE_FUNCTIONS = ("modify", "complete")
"""The methods of repositories that call a function of the caller."""

Method: TypeAlias = Callable[..., Any]
Args: TypeAlias = tuple[Any, ...]
Kwargs: TypeAlias = dict[str, Any]


def observed(store: Store, driver: str, plugins: Plugins) -> Store:
    """Return `store`, which is of `driver`, with operations that `plugins` listen to."""
    return cast("Store", _Store(store, _Observer(driver, plugins, _called)))


def observed_async(store: AsyncStore, driver: str, plugins: Plugins) -> AsyncStore:
    """Return `store`, which is of `driver`, with operations that `plugins` listen to."""
    return cast("AsyncStore", _Store(store, _Observer(driver, plugins, _awaited)))


# --- one operation -----------------------------------------------------------------------------


class _Operation:
    """A running operation: an `observing.Observed`, and the context manager around it."""

    __slots__ = ("_driver", "_managers", "_name", "_outer", "_plugins", "_reported", "_started")

    def __init__(self, driver: str, plugins: Plugins, name: str) -> None:
        self._driver, self._plugins, self._name = driver, plugins, name
        self._reported: VersionConflictError | None = None

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        self._managers: ExitStack | None = None
        if self._plugins.wrap_operations:
            with ExitStack() as entered:
                for manager in self._plugins.operation(self._driver, self._name):
                    entered.enter_context(manager)
                self._managers = entered.pop_all()
        self._outer = CURRENT.get()
        CURRENT.set(self)
        return self

    def __exit__(self, *raised: Any) -> None:
        error: BaseException | None = raised[1]
        CURRENT.set(self._outer)  # no token: a coroutine may end in another context
        try:
            if isinstance(error, VersionConflictError) and error is not self._reported:
                self.conflicted(error)
        finally:
            self._reported = None  # its traceback refers to this operation
            if self._managers is not None:
                self._managers.__exit__(*raised)
            seconds = time.perf_counter() - self._started
            self._plugins.hook.engine_store_operation_finished(
                driver=self._driver, operation=self._name, seconds=seconds, error=error
            )

    def conflicted(self, conflict: VersionConflictError) -> None:
        self._reported = conflict
        self._plugins.hook.engine_store_conflict(
            driver=self._driver, operation=self._name, conflict=conflict
        )

    def retried(self) -> None:
        self._plugins.hook.engine_store_retried(driver=self._driver, operation=self._name)

    def outside(self, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
        """Return the arguments with functions whose calls are not part of the operation.

        Such a function may use stores, this one or another, observed or not. A conflict there is
        not one of the operation that called it.
        """
        return (
            tuple(self._outside(argument) for argument in args),
            {name: self._outside(argument) for name, argument in kwargs.items()},
        )

    def _outside(self, argument: Any) -> Any:
        if not callable(argument):
            return argument

        @wraps(argument)
        def call(*args: Any) -> Any:
            CURRENT.set(None)
            try:
                return argument(*args)
            except VersionConflictError as conflict:
                self._reported = conflict
                raise
            finally:
                CURRENT.set(self)

        return call


def _called(operation: _Operation, method: Method, args: Args, kwargs: Kwargs) -> Any:
    with operation:
        return method(*args, **kwargs)


async def _awaited(operation: _Operation, method: Method, args: Args, kwargs: Kwargs) -> Any:
    with operation:
        return await method(*args, **kwargs)


# --- repositories, transactions and stores -----------------------------------------------------


@frozen
class _Observer:
    """Makes the observed counterparts of what a store of `driver` has."""

    driver: str
    plugins: Plugins
    run: Callable[[_Operation, Method, Args, Kwargs], Any]
    """Runs a method in an operation: `_called` or `_awaited`."""

    def follow(
        self,
        events: Any,
        workflow_exec_id: str,
        *,
        after: int = 0,
        kinds: Collection[str] | None = None,
    ) -> Any:
        """Return the iterator of a workflow's events, of the side of the store."""
        following = follow if self.run is _called else follow_async
        return following(events, workflow_exec_id, after, kinds)

    def attribute(self, name: str, found: Any) -> Any:
        """Return the counterpart of an attribute of a store, or of a transaction."""
        if name in REPOSITORIES:
            repository = _Proxy(found, partial(self.method, name))
            if name == "events":  # each of its waits is an operation
                repository.__dict__["follow"] = partial(self.follow, repository)
            return repository
        if name != "transaction":
            return found
        return wraps(found)(lambda: _Transaction(found(), self))

    def method(self, repository: str, name: str, found: Any) -> Any:
        """Return the counterpart of an attribute of a repository: a method is an operation."""
        if name.startswith("_") or not callable(found):
            return found
        operation_name, takes_function = f"{repository}.{name}", name in TAKE_FUNCTIONS

        @wraps(found)
        def call(*args: Any, **kwargs: Any) -> Any:
            operation = _Operation(self.driver, self.plugins, operation_name)
            if takes_function:
                args, kwargs = operation.outside(args, kwargs)
            return self.run(operation, found, args, kwargs)

        return call


class _Proxy:
    """An object with the attributes of another one, each as `wrapped` gives it when asked for."""

    def __init__(self, inner: Any, wrapped: Callable[[str, Any], Any]) -> None:
        self._inner = inner
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        wrapped = self._wrapped(name, found)
        if wrapped is not found:
            self.__dict__[name] = wrapped
        return wrapped

    def __dir__(self) -> list[str]:
        return dir(self._inner)


@frozen
class _Transaction:
    """The context manager of a transaction, of the side that it is entered on."""

    inner: Any
    observer: _Observer

    def __enter__(self) -> _Proxy:
        return _Proxy(self.inner.__enter__(), self.observer.attribute)

    def __exit__(self, *raised: Any) -> Any:
        return self.inner.__exit__(*raised)

    async def __aenter__(self) -> _Proxy:
        return _Proxy(await self.inner.__aenter__(), self.observer.attribute)

    async def __aexit__(self, *raised: Any) -> Any:
        return await self.inner.__aexit__(*raised)


class _Store(_Proxy):
    """A store, which is `Observable` if the driver's is."""

    def __init__(self, inner: Any, observer: _Observer) -> None:
        super().__init__(inner, observer.attribute)
        self.run = partial(run if observer.run is _called else run_async, self)
        if isinstance(inner, Observable):  # `isinstance` looks for these without `__getattr__`
            self.endpoint, self.stats = inner.endpoint, inner.stats

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *raised: Any) -> Any:
        return self._inner.__exit__(*raised)

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> Any:
        return await self._inner.__aexit__(*raised)
