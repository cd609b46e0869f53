"""The thread-backed asynchronous face of any synchronous store.

For drivers whose database has no asynchronous client. Each call runs in a thread. A transaction
belongs to one thread, so each gets a thread of its own for its whole life.

Cancelling a call waits until the running call has ended in its thread, and only then does the
cancellation come out: no connection and no lock is left behind (contract 9.3).
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
)
from functools import partial, wraps
from typing import Any, ParamSpec, Self, TypeVar, cast

from engine_store.concurrency.attempts import ATTEMPTS, run_async
from engine_store.concurrency.cancellation import shield_future
from engine_store.errors import TransactionClosedError
from engine_store.models import TERMINAL, Claim, Event, Status, TaskFilter, WorkflowState
from engine_store.protocols import AsyncStore, AsyncTransaction, Observable, Store, Transaction
from engine_store.rules.claims import DEFAULT_QUEUES, check_seconds
from engine_store.rules.entities import TASK, check_arguments
from engine_store.waiting.following import follow_async
from engine_store.waiting.notifier import Notifier
from engine_store.waiting.waits import wait_for_claims, wait_for_events, wait_for_status

_T = TypeVar("_T")
_P = ParamSpec("_P")

MAX_THREADS = 16
"""Calls outside of transactions that one store runs at a time; further ones wait."""


def threaded(store: Store) -> AsyncStore:
    """`store` with the asynchronous face. Closing the one closes the other."""
    # What the Protocol says of each method, the synchronous store fulfils; nothing repeats it.
    return cast("AsyncStore", _ThreadedStore(store))


class _Calls:
    """The methods of `target`, each run in a thread of `threads` and awaited."""

    def __init__(self, target: object, threads: Executor) -> None:
        self._target = target
        self._threads = threads

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._target, name)

        @wraps(method)
        async def call(*args: object, **kwargs: object) -> object:
            # As it is now: the caller may change a document while the call waits for a thread.
            args, kwargs = check_arguments(args, kwargs)
            return await run_in_thread(self._threads, partial(method, *args, **kwargs))

        return call


class _WaitingCalls(_Calls):
    """The methods of a repository, some of which wait: in no thread, but between looks."""

    def __init__(
        self, target: Store | Transaction, name: str, threads: Executor, notifier: Notifier | None
    ) -> None:
        super().__init__(getattr(target, name), threads)
        self._notifier = notifier


class _Workflows(_WaitingCalls):
    async def wait(
        self,
        workflow_exec_id: str,
        *,
        statuses: Collection[Status] = TERMINAL,
        timeout: float | None = None,
    ) -> WorkflowState:
        get = partial(self.get, workflow_exec_id)

        async def status() -> Status:
            found: WorkflowState = await get()
            return found.status

        return await wait_for_status(
            self._notifier, workflow_exec_id, statuses, timeout, status, get
        ).run_async()


class _Tasks(_WaitingCalls):
    async def claim(
        self,
        worker: str,
        *,
        lease: float,
        queues: Collection[str] = DEFAULT_QUEUES,
        filter: TaskFilter = TASK.everything,
        limit: int = 1,
        wait: float = 0,
    ) -> tuple[Claim, ...]:
        call = self.__getattr__("claim")
        claim = partial(call, worker, lease=lease, queues=queues, filter=filter, limit=limit)
        if not check_seconds(wait, "wait", zero=True):
            claims: tuple[Claim, ...] = await claim()
            return claims
        next_due = partial(self.next_due, queues=queues)
        return await wait_for_claims(
            self._notifier, queues, filter, wait, claim, next_due
        ).run_async()


class _Events(_WaitingCalls):
    def __init__(
        self, target: Store | Transaction, threads: Executor, notifier: Notifier | None
    ) -> None:
        super().__init__(target, "events", threads, notifier)
        self._workflows = _Calls(target.workflows, threads)

    async def wait(
        self,
        workflow_exec_id: str,
        *,
        after: int = 0,
        kinds: Collection[str] | None = None,
        limit: int = 100,
        timeout: float | None = None,
    ) -> tuple[Event, ...]:
        listing = partial(self.list, workflow_exec_id, after=after, kinds=kinds, limit=limit)

        async def history() -> tuple[Status, tuple[Event, ...]]:
            workflow = await self._workflows.get(workflow_exec_id)
            return workflow.status, await listing()

        return await wait_for_events(self._notifier, workflow_exec_id, timeout, history).run_async()

    def follow(
        self, workflow_exec_id: str, *, after: int = 0, kinds: Collection[str] | None = None
    ) -> AsyncIterator[Event]:
        return follow_async(self, workflow_exec_id, after, kinds)


class _ThreadedTransaction:
    """The repositories of a transaction, and savepoints, all in its own thread."""

    def __init__(
        self,
        target: Store | Transaction,
        threads: Executor,
        notifier: Notifier | None = None,
    ) -> None:
        self._target = target
        self._threads = threads
        self.users = _Calls(target.users, threads)
        self.api_keys = _Calls(target.api_keys, threads)
        self.workflows = _Workflows(target, "workflows", threads, notifier)
        self.tasks = _Tasks(target, "tasks", threads, notifier)
        self.events = _Events(target, threads, notifier)

    def transaction(self) -> AbstractAsyncContextManager[AsyncTransaction]:
        return _entered(self._target.transaction, self._threads)


class _ThreadedStore(_ThreadedTransaction):
    """The repositories of a store, in any thread, and transactions."""

    def __init__(self, store: Store) -> None:
        notifier = getattr(store, "notifier", None)
        super().__init__(
            store, ThreadPoolExecutor(MAX_THREADS, "engine-store"), notifier or Notifier()
        )
        self._store = store
        self.migrator = _Calls(store.migrator, self._threads)
        self.health = _Calls(store, self._threads).health
        if isinstance(store, Observable):  # neither waits for the database
            self.endpoint, self.stats = store.endpoint, store.stats

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncTransaction]:
        """A transaction in a thread of its own."""
        thread = _TransactionThread(1, thread_name_prefix="engine-store-transaction")
        try:
            async with _entered(self._store.transaction, thread) as tx:
                yield tx
        finally:
            thread.end()

    async def run(
        self, fn: Callable[[AsyncTransaction], Awaitable[_T]], *, attempts: int = ATTEMPTS
    ) -> _T:
        return await run_async(self, fn, attempts)

    async def close(self) -> None:
        # In a thread of its own: the others may all be waiting for what `close` interrupts.
        thread = ThreadPoolExecutor(1, thread_name_prefix="engine-store-close")
        try:
            await run_in_thread(thread, self._store.close)
        finally:
            thread.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()


class _TransactionThread(ThreadPoolExecutor):
    """The thread of a transaction; it ends with it."""

    _ended = False

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        if self._ended:
            raise TransactionClosedError
        return super().submit(fn, *args, **kwargs)

    def end(self) -> None:
        self._ended = True
        self.shutdown(wait=False)  # it is idle: every call in it was awaited


@asynccontextmanager
async def _entered(
    begin: Callable[[], AbstractContextManager[Transaction]], thread: Executor
) -> AsyncIterator[AsyncTransaction]:
    """A transaction begun and ended in `thread`, however its body ends."""
    stack = ExitStack()
    try:
        transaction = await run_in_thread(thread, lambda: stack.enter_context(begin()))
        yield cast("AsyncTransaction", _ThreadedTransaction(transaction, thread))
    except BaseException as exc:
        raised = type(exc), exc, exc.__traceback__
        if not await run_in_thread(thread, partial(stack.__exit__, *raised)):
            raise
    else:
        await run_in_thread(thread, stack.close)


async def run_in_thread(threads: Executor | None, call: Callable[[], _T]) -> _T:
    """What `call` returns or raises. A cancellation comes out too, but not before `call` ended."""
    context = contextvars.copy_context()  # the caller's logger and configuration live there
    loop = asyncio.get_running_loop()
    return await shield_future(loop.run_in_executor(threads, context.run, _awaitable, call))


def _awaitable(call: Callable[[], _T]) -> _T:
    """`call`, without `StopIteration`: a future that got one would never be done."""
    try:
        return call()
    except StopIteration as exc:
        raise RuntimeError("StopIteration") from exc
