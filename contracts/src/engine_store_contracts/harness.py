"""What a driver's author implements for the suite: opening a store over and over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

import attrs
from anyio.from_thread import BlockingPortal, start_blocking_portal

import engine_store
from engine_store.clock import Clock, utc_now
from engine_store.protocols import (
    AsyncRepositories,
    AsyncStore,
    AsyncTransaction,
    Store,
    Transaction,
)


class Harness(ABC):
    """One database, empty at first. Each case gets a harness of its own.

    `url` opens the same database from another process; None where no other process can.
    """

    url: str | None = None

    @abstractmethod
    def open(self, *, clock: Clock = utc_now) -> Store:
        """A store on the database. Called again, another one, also while the first is open.

        Where a database lasts no longer than its store, it need be called only once.
        """

    def close(self) -> None:  # noqa: B027 - many databases need no removal
        """Remove the database. The stores opened are closed by then."""

    def check(self) -> None:  # noqa: B027 - not every database can
        """Raise where the database's own check finds it damaged."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class UrlHarness(Harness):
    """The database of a URL, for a driver that is installed."""

    url: str

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self, *, clock: Clock = utc_now) -> Store:
        return engine_store.open(self.url, clock=clock)


class AsyncHarness(Harness):
    """A harness for the asynchronous face: the same cases run over it.

    Implement `open_async`. Each store gets an event loop of its own, in a thread of its own.
    """

    def __init__(self) -> None:
        self._loops = ExitStack()

    @abstractmethod
    async def open_async(self, *, clock: Clock = utc_now) -> AsyncStore:
        """As `open`, for the running event loop."""

    def open(self, *, clock: Clock = utc_now) -> Store:
        """The store of `open_async`, with the synchronous face."""
        portal = self._loops.enter_context(start_blocking_portal())
        store = portal.call(partial(self.open_async, clock=clock))
        return cast("Store", _StoreFace(portal, store))

    def close(self) -> None:
        """End the event loops, then remove the database."""
        self._loops.close()
        super().close()


class AsyncUrlHarness(AsyncHarness):
    """`UrlHarness` for the asynchronous face."""

    url: str

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    async def open_async(self, *, clock: Clock = utc_now) -> AsyncStore:
        return await engine_store.open_async(self.url, clock=clock)


@attrs.frozen
class _Calls:
    """The methods of `target`, each run in the portal's event loop and waited for."""

    portal: BlockingPortal
    target: object

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.target, name)

        async def outcome(*args: object, **kwargs: object) -> tuple[object, BaseException | None]:
            try:
                return await method(*args, **kwargs), None
            except CancelledError:
                raise
            except BaseException as exc:  # noqa: BLE001 - raised again below
                return None, exc

        def call(*args: object, **kwargs: object) -> object:
            # What a caller's function raises may be no Exception, which would end the loop.
            result, error = self.portal.call(partial(outcome, *args, **kwargs))
            if error is not None:
                raise error
            return result

        return call


class _Face:
    """The repositories of an asynchronous store or transaction, and transactions inside of it."""

    def __init__(self, portal: BlockingPortal, target: AsyncRepositories) -> None:
        self.portal = portal
        self.target = target
        self.users = _Calls(portal, target.users)
        self.api_keys = _Calls(portal, target.api_keys)
        self.workflows = _Calls(portal, target.workflows)
        self.tasks = _Calls(portal, target.tasks)

    def transaction(self) -> AbstractContextManager[Transaction]:
        return _TransactionFace(self.portal, self.target)


class _TransactionFace(AbstractContextManager[Transaction]):
    def __init__(self, portal: BlockingPortal, target: AsyncRepositories) -> None:
        self._portal = portal
        self._begin = target.transaction
        self._entered: AbstractContextManager[AsyncTransaction] | None = None

    def __enter__(self) -> Transaction:
        manager = self._portal.call(self._begin)
        self._entered = self._portal.wrap_async_context_manager(manager)
        return cast("Transaction", _Face(self._portal, self._entered.__enter__()))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._entered is not None
        return self._entered.__exit__(kind, error, traceback)


class _StoreFace(_Face):
    def __init__(self, portal: BlockingPortal, store: AsyncStore) -> None:
        super().__init__(portal, store)
        calls = _Calls(portal, store)
        self.migrator = _Calls(portal, store.migrator)
        self.health = calls.health
        self.close = calls.close
        self._enter = calls.__aenter__
        self._exit = calls.__aexit__

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit(kind, error, traceback)
