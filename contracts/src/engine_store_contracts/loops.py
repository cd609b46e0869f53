"""The synchronous face of an asynchronous store, which lets the cases be written once."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any, Self, cast

import attrs
from anyio.from_thread import BlockingPortal, start_blocking_portal

from engine_store.models import Event
from engine_store.protocols import (
    AsyncRepositories,
    AsyncStore,
    AsyncTransaction,
    Store,
    Transaction,
)


class Loops:
    """Event loops in threads, one for each store, that let the cases be written once."""

    def __init__(self) -> None:
        self._running: dict[Store, ExitStack] = {}

    def open(self, open_async: Callable[[], Awaitable[AsyncStore]]) -> Store:
        """The store that `open_async` opens on a loop of its own, with the synchronous face."""
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            stack.callback(portal.call, portal.stop, True)  # also if one of its calls hangs
            store = cast("Store", _StoreFace(portal, portal.call(open_async)))
            self._running[store] = stack.pop_all()
        return store

    def forget(self, store: Store) -> None:
        """End the loop of a store that is closed and will not be called again."""
        self._running.pop(store, ExitStack()).close()

    def close(self) -> None:
        """End the loops. Their stores are closed by then."""
        while self._running:
            self._running.popitem()[1].close()


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


class _EventCalls(_Calls):
    """The methods of the events, of which one gives an iterator."""

    def follow(self, *args: Any, **kwargs: Any) -> Iterator[Event]:
        """Return the iterator; each of its steps runs in the portal's event loop."""
        following = cast("Any", self.target).follow(*args, **kwargs)
        return self._steps(_Calls(self.portal, following).__anext__)

    def _steps(self, step: Callable[[], Event]) -> Iterator[Event]:
        while True:
            try:
                event = step()
            except StopAsyncIteration:
                return
            yield event


class _Face:
    """The repositories of an asynchronous store or transaction, and transactions inside of it."""

    def __init__(self, portal: BlockingPortal, target: AsyncRepositories) -> None:
        self.portal = portal
        self.target = target
        self.users = _Calls(portal, target.users)
        self.api_keys = _Calls(portal, target.api_keys)
        self.workflows = _Calls(portal, target.workflows)
        self.tasks = _Calls(portal, target.tasks)
        self.events = _EventCalls(portal, target.events)

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

    def __exit__(self, *error: Any) -> bool | None:
        assert self._entered is not None
        return self._entered.__exit__(*error)


class _StoreFace(_Face):
    def __init__(self, portal: BlockingPortal, store: AsyncStore) -> None:
        super().__init__(portal, store)
        calls = _Calls(portal, store)
        self.migrator = _Calls(portal, store.migrator)
        self.health = calls.health
        self._run = calls.run
        self.close = calls.close
        self._enter = calls.__aenter__
        self._exit = calls.__aexit__

    def run(self, fn: Callable[[Transaction], Any], **how: Any) -> Any:
        """Run a function that blocks, in a thread beside the event loop."""

        async def beside(tx: AsyncTransaction) -> Any:
            face = cast("Transaction", _Face(self.portal, tx))
            return await asyncio.get_running_loop().run_in_executor(None, fn, face)

        return self._run(beside, **how)

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(self, *error: object) -> None:
        self._exit(*error)
