"""The asynchronous side of a driver whose connections block: each operation in a thread.

Reads run in as many threads as can read at once. A write, and a transaction from its begin to its
end, has one of the locks to write, which are given in the order of asking and without holding a
thread. Cancelling a call waits until its thread is done with the connection, so nothing is left
behind.

Where there is one writer, the database is a file, and a thread costs more than most statements:
writes share commits, see `task_groups`, and single rows are read on the loop, see `loop_reads`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar, cast

from engine_store.concurrency.threads import run_in_thread
from engine_store.errors import UnavailableError
from engine_store.migrations import MigrationPlan, MigrationStatus
from engine_store.models import Health
from engine_store.rules.entities import check_arguments
from engine_store.sql.blocking import run
from engine_store.sql.connection import BOUND_TO_LOOP, BlockingPool, Pool
from engine_store.sql.loop_reads import LoopReads
from engine_store.sql.migrator import SqlMigrator
from engine_store.sql.operation import Invocation, Mode, Op, Pause, Request, drive_steps
from engine_store.sql.session import Session, TransactionSession
from engine_store.sql.single_writer import SingleWriterPool
from engine_store.sql.statements import Call, Result
from engine_store.sql.stores import AsyncSqlStore, SqlEngine
from engine_store.sql.task_groups import TaskGroups

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]


class WriteLocks:
    """The locks to write among the tasks of an event loop."""

    def __init__(self, size: int, timeout: float) -> None:
        """At most `size` locks at once, each waited for at most `timeout` seconds."""
        self._free = asyncio.Semaphore(size)
        self._size = size
        self._timeout = timeout
        self._owner: asyncio.Task[Any] | None = None
        self.held = 0

    def check_not_mine(self) -> None:
        """Raise `UnavailableError` if this task holds the only lock."""
        if self._owner is not None and self._owner is asyncio.current_task():
            raise UnavailableError(
                "this task has a transaction open, and the database has one writer; write through "
                "the transaction",
                retriable=False,
            )

    @asynccontextmanager
    async def hold(self, timeout: float | None = None) -> AsyncIterator[None]:
        """Wait for a lock and hold it inside the block. Raises `UnavailableError`.

        Waits at most `timeout` seconds, or as long as the store's settings say.
        """
        self.check_not_mine()
        task = asyncio.current_task()
        try:
            async with asyncio.timeout(self._timeout if timeout is None else timeout):
                await self._free.acquire()
        except TimeoutError:
            raise UnavailableError(
                f"another task held the write lock for {self._timeout:g} s; try again, or keep "
                "transactions short",
                retriable=True,
            ) from None
        self.held += 1
        if self._size == 1:
            self._owner = task
        try:
            yield
        finally:
            self._owner = None
            self.held -= 1
            self._free.release()


async def open_threaded(open_: Callable[[], tuple[SqlEngine, BlockingPool]]) -> AsyncSqlStore:
    """Return the asynchronous store on an engine and its pool, which `open_` opens in a thread.

    If the call is cancelled, what was opened is closed.
    """
    opened: list[tuple[SqlEngine, BlockingPool]] = []
    try:
        await run_in_thread(None, lambda: opened.append(open_()))
    except asyncio.CancelledError:
        for engine, _ in opened:
            run(engine.close())
        raise
    return AsyncSqlStore(ThreadedEngine(*opened[0]))


class ThreadedEngine:
    """`engine_store.sql.stores.Engine` on a blocking one."""

    def __init__(self, engine: SqlEngine, pool: BlockingPool) -> None:
        """The asynchronous side of `engine`, whose pool is `pool`, for the running event loop."""
        pool.process_bound = BOUND_TO_LOOP
        self.pool = pool
        self.notifier = engine.notifier
        self.operations = engine.operations
        self.session = _ThreadedSession(self)
        self.migrator = _ThreadedMigrator(self, engine.migrator)
        self.blocking = engine
        self.write_locks = WriteLocks(pool.writers, pool.timeout)
        self._read_threads = ThreadPoolExecutor(pool.readers, "engine-store-read")
        self._write_threads = ThreadPoolExecutor(pool.writers, "engine-store-write")
        self._closed = False
        self.on_loop: _LoopSession | None = None
        if isinstance(pool, SingleWriterPool):
            groups = TaskGroups(pool, self._write_threads, self)
            self.on_loop = _LoopSession(self, groups)

    async def read(self, work: Work[T]) -> T:
        """Run a coroutine that reads in a thread. Raises `StoreClosedError`."""
        self.pool.check_open()
        return await run_in_thread(self._read_threads, lambda: run(work()))

    async def write(self, work: Work[T]) -> T:
        """Run a coroutine that writes in a thread, for a caller that has a lock to write."""
        return await run_in_thread(self._write_threads, lambda: run(work()))

    def check_not_mine(self) -> None:
        """Raise `UnavailableError` if this task has a transaction open, and nobody else may."""
        self.write_locks.check_not_mine()

    @asynccontextmanager
    async def writing(self, timeout: float | None = None) -> AsyncIterator[None]:
        """Wait for a lock to write. Raises `StoreClosedError`, `UnavailableError`."""
        self.pool.check_open()
        async with self.write_locks.hold(timeout):
            try:
                self.pool.check_open()  # once more, after the wait
                yield
            finally:
                # If this one is the last, `close` left the threads to it.
                if self._closed and self.write_locks.held == 1:
                    self._write_threads.shutdown(wait=False)

    async def write_alone(self, work: Work[T]) -> T:
        """Wait for a turn to write, and run a coroutine that writes in a thread."""
        async with self.writing():
            return await self.write(work)

    def transaction(
        self, lock: AbstractAsyncContextManager[object] | None, owner: Callable[[], object]
    ) -> _ThreadedTransaction:
        """Return a transaction that has not begun, for a caller that has a lock to write."""
        session = self.blocking.transaction(None, owner)
        return _ThreadedTransaction(self, session, lock or asyncio.Lock())

    async def health(self) -> Health:
        return await self.read(self.blocking.health)

    async def close(self) -> None:
        self._closed = True
        run(self.blocking.close())
        self._read_threads.shutdown(wait=False)
        if not self.write_locks.held:  # else an open transaction ends in those threads
            self._write_threads.shutdown(wait=False)


def _checked(invocation: Invocation) -> Invocation:
    """Return an operation with checked copies of its rows, for it waits before it checks them."""
    args, kwargs = check_arguments(invocation.args, invocation.kwargs)
    return Invocation(invocation.mode, invocation.operation, args, kwargs)


class _ThreadedSession:
    """Runs operations, each in a thread."""

    def __init__(self, engine: ThreadedEngine) -> None:
        self._engine = engine

    def run(self, invocation: Invocation) -> Coroutine[Any, Any, Any]:
        if invocation.mode is Mode.STEPS:
            return drive_steps(invocation.start(), self.attempt, self.pause)
        return self.attempt(invocation)

    async def pause(self, pause: Pause) -> None:
        await asyncio.sleep(pause.seconds)

    async def attempt(self, invocation: Invocation) -> Any:
        engine, session = self._engine, self._engine.blocking.session
        if engine.on_loop is not None and invocation.is_short:
            return await engine.on_loop.attempt(invocation)
        work = partial(session.attempt, _checked(invocation))
        writes = invocation.mode in (Mode.WRITE, Mode.TRANSACT)
        return await (engine.write_alone(work) if writes else engine.read(work))


class _LoopSession(Session):
    """Runs short operations on the loop: writes in groups, and reads of one row."""

    def __init__(self, engine: ThreadedEngine, groups: TaskGroups) -> None:
        """The session of `engine`, which shares commits by `groups`."""
        # What shares a commit, and reads, needs nothing else of a pool.
        super().__init__(cast("Pool", groups), engine.blocking.dialect, engine.notifier)
        self._engine = engine
        self._reads = LoopReads()

    async def read(self, invocation: Invocation, op: Op[Any], request: Request) -> Any:
        """Read one row on the loop, and several in a thread."""
        if request.__class__ is Call and request.statement.result is Result.ONE:
            read = super().read
            with suppress(UnavailableError):  # all readers are busy: wait for one in a thread
                return await self._reads.run(lambda: run(read(invocation, op, request)))
        session = self._engine.blocking.session
        return await self._engine.read(partial(session.read, invocation, op, request))


class _ThreadedTransaction(_ThreadedSession):
    """A transaction whose calls run in threads, one at a time."""

    def __init__(
        self,
        engine: ThreadedEngine,
        session: TransactionSession,
        lock: AbstractAsyncContextManager[object],
    ) -> None:
        super().__init__(engine)
        self._session = session
        self._lock = lock

    async def pause(self, pause: Pause) -> None:
        if not pause.for_others:
            await super().pause(pause)

    async def attempt(self, invocation: Invocation) -> Any:
        checked = _checked(invocation)
        return await self._in_thread(lambda: self._session.attempt(checked))

    async def _in_thread(self, work: Work[T]) -> T:
        async with self._lock:
            return await self._engine.write(work)

    async def begin(self) -> None:
        await self._in_thread(self._session.begin)

    async def commit(self) -> None:
        await self._in_thread(self._session.commit)

    async def rollback(self) -> None:
        await self._in_thread(self._session.rollback)

    async def savepoint(self) -> int:
        async with self._lock:  # nothing is sent yet: no thread is needed
            return await self._session.savepoint()

    async def release_savepoint(self) -> None:
        async with self._lock:
            await self._session.release_savepoint()

    async def rollback_savepoint(self, depth: int) -> None:
        await self._in_thread(partial(self._session.rollback_savepoint, depth))


class _ThreadedMigrator:
    """`engine_store.protocols.AsyncMigrator`, in threads."""

    def __init__(self, engine: ThreadedEngine, migrator: SqlMigrator) -> None:
        self._read, self._write = engine.read, engine.write_alone
        self._migrator = migrator

    async def status(self) -> tuple[MigrationStatus, ...]:
        return await self._read(self._migrator.status)

    async def plan(self, target: int | None = None) -> MigrationPlan:
        return await self._read(lambda: self._migrator.plan(target))

    async def up(self, target: int | None = None) -> MigrationPlan:
        return await self._write(lambda: self._migrator.up(target))

    async def down(self, target: int) -> MigrationPlan:
        return await self._write(lambda: self._migrator.down(target))

    async def verify(self) -> None:
        await self._read(self._migrator.verify)
