"""Stores whose operations are observed, whatever their driver.

`observed` and `observed_async` wrap a driver's store. Each call of a repository's method, of the
store or of one of its transactions, is an operation that plugins listen to. All else is passed on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack
from functools import wraps
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

from attrs import frozen

from engine_store.errors import VersionConflictError
from engine_store.observing import CURRENT
from engine_store.plugins import Plugins
from engine_store.protocols import AsyncStore, Observable, Store

REPOSITORIES = frozenset({"users", "api_keys", "workflows", "tasks"})

TAKE_FUNCTIONS = ("modify", "complete")
"""The methods of repositories that call a function of the caller."""

Method: TypeAlias = Callable[..., Any]
Args: TypeAlias = tuple[Any, ...]
Kwargs: TypeAlias = dict[str, Any]


def observed(store: Store, driver: str, plugins: Plugins) -> Store:
    """Return `store`, which is of `driver`, with operations that `plugins` listen to."""
    return cast("Store", _Store(store, _Observer(driver, plugins)))


def observed_async(store: AsyncStore, driver: str, plugins: Plugins) -> AsyncStore:
    """Return `store`, which is of `driver`, with operations that `plugins` listen to."""
    return cast("AsyncStore", _AsyncStore(store, _AsyncObserver(driver, plugins)))


# --- one operation -----------------------------------------------------------------------------


class _Operation:
    """A running operation: `engine_store.observing.Observed`, and the context manager around it."""

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        CURRENT.set(self._outer)  # no token: a coroutine may end in another context
        try:
            if isinstance(error, VersionConflictError) and error is not self._reported:
                self.conflicted(error)
        finally:
            self._reported = None  # its traceback refers to this operation
            if self._managers is not None:
                self._managers.__exit__(kind, error, traceback)
            seconds = time.perf_counter() - self._started
            self._plugins.operation_finished(self._driver, self._name, seconds, error)

    def conflicted(self, conflict: VersionConflictError) -> None:
        self._reported = conflict
        self._plugins.conflict(self._driver, self._name, conflict)

    def retried(self) -> None:
        self._plugins.retried(self._driver, self._name)

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


@frozen
class _Observer:
    """Makes the observed counterparts of what a synchronous store of `driver` has."""

    driver: str
    plugins: Plugins

    def method(self, name: str, method: Method) -> Method:
        """Return `method` as an operation called `name`."""
        takes_function = name.endswith(TAKE_FUNCTIONS)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.operation(name) as operation:
                if takes_function:
                    args, kwargs = operation.outside(args, kwargs)
                return method(*args, **kwargs)

        return call

    def transaction(self, begin: Method) -> Method:
        """Return `begin`, which makes a transaction, with observed operations in it."""

        @wraps(begin)
        def transaction() -> _Transaction:
            return _Transaction(begin(), self)

        return transaction

    def operation(self, name: str) -> _Operation:
        """Return the context manager around one operation."""
        return _Operation(self.driver, self.plugins, name)


class _AsyncObserver(_Observer):
    """Makes the observed counterparts of what an asynchronous store has."""

    def method(self, name: str, method: Method) -> Method:
        takes_function = name.endswith(TAKE_FUNCTIONS)

        @wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            with self.operation(name) as operation:
                if takes_function:
                    args, kwargs = operation.outside(args, kwargs)
                return await method(*args, **kwargs)

        return call

    def transaction(self, begin: Method) -> Method:
        @wraps(begin)
        def transaction() -> _AsyncTransaction:
            return _AsyncTransaction(begin(), self)

        return transaction


# --- repositories, transactions and stores -----------------------------------------------------


class _Proxy:
    """An object with the attributes of another one, some of them wrapped when first asked for."""

    def __init__(self, inner: Any, observer: _Observer) -> None:
        self._inner = inner
        self._observer = observer

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        wrapped = self._wrapped(name, found)
        if wrapped is not found:
            self.__dict__[name] = wrapped
        return wrapped

    def __dir__(self) -> list[str]:
        return dir(self._inner)

    def _wrapped(self, name: str, found: Any) -> Any:
        """Return what stands for the attribute `found`; it may be itself."""
        return found


class _Repository(_Proxy):
    """A repository: each of its methods is an operation."""

    def __init__(self, inner: Any, observer: _Observer, name: str) -> None:
        super().__init__(inner, observer)
        self._name = name

    def _wrapped(self, name: str, found: Any) -> Any:
        if name.startswith("_") or not callable(found):
            return found
        return self._observer.method(f"{self._name}.{name}", found)


class _Repositories(_Proxy):
    """A store, or a transaction that has begun."""

    def _wrapped(self, name: str, found: Any) -> Any:
        if name in REPOSITORIES:
            return _Repository(found, self._observer, name)
        return self._observer.transaction(found) if name == "transaction" else found


@frozen
class _Transaction:
    """The context manager of a transaction."""

    inner: AbstractContextManager[Any]
    observer: _Observer

    def __enter__(self) -> _Repositories:
        return _Repositories(self.inner.__enter__(), self.observer)

    def __exit__(self, *raised: Any) -> bool | None:
        return self.inner.__exit__(*raised)


@frozen
class _AsyncTransaction:
    """The asynchronous context manager of a transaction."""

    inner: AbstractAsyncContextManager[Any]
    observer: _Observer

    async def __aenter__(self) -> _Repositories:
        return _Repositories(await self.inner.__aenter__(), self.observer)

    async def __aexit__(self, *raised: Any) -> bool | None:
        return await self.inner.__aexit__(*raised)


class _AnyStore(_Repositories):
    """A store, which is `Observable` if the driver's is."""

    def __init__(self, inner: Any, observer: _Observer) -> None:
        super().__init__(inner, observer)
        if isinstance(inner, Observable):  # `isinstance` looks for these without `__getattr__`
            self.endpoint, self.stats = inner.endpoint, inner.stats


class _Store(_AnyStore):
    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *raised: Any) -> Any:
        return self._inner.__exit__(*raised)


class _AsyncStore(_AnyStore):
    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> Any:
        return await self._inner.__aexit__(*raised)
