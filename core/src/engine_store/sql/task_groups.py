"""Write groups of the tasks of an event loop: statements on the loop, the commit in a thread.

A statement takes some 30 microseconds, less than handing it to a thread and back, and two threads
that run statements and tasks fight for the interpreter's lock. Only what waits is done in a
thread: the disk, and the lock of another process. All outcomes of a group are told at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from engine_store.concurrency.threads import run_in_thread
from engine_store.errors import UnavailableError
from engine_store.sql.operation import Request
from engine_store.sql.single_writer import SingleWriterPool
from engine_store.sql.write_group import Member, Work, WriteGroup
from engine_store.sql.write_queue import Patience


class Turns(Protocol):
    """The turns to write among the tasks of the loop."""

    def check_not_mine(self) -> None: ...

    def writing(self, timeout: float) -> AbstractAsyncContextManager[None]: ...


class TaskMember(Member):
    """A member whose task waits for a future."""

    __slots__ = ("deadline", "done")

    def __init__(self, work: Work, savepoint: bool, deadline: float) -> None:
        """A member that begins by `deadline`, or is refused."""
        super().__init__(work, savepoint=savepoint)
        self.deadline = deadline
        self.done = asyncio.get_running_loop().create_future()

    def tell(self) -> None:
        """Let the task go on."""
        if not self.done.done():
            self.done.set_result(None)

    async def wait(self) -> Any:
        """Return the outcome. If the task is cancelled, a member that has begun ends first."""
        cancelled: asyncio.CancelledError | None = None
        while not self.ended:
            try:
                await self.done
            except asyncio.CancelledError as exc:
                cancelled = exc
                if not self.begun:
                    self.ended = True  # it is skipped when its turn comes
                elif not self.ended:
                    self.done = asyncio.get_running_loop().create_future()
        if cancelled is not None:
            self.error = None
            raise cancelled
        return self.result()


class TaskGroups:
    """Leads the groups of an event loop's tasks, by a task that ends when no member waits."""

    read_only = False

    groups_writes = True

    def __init__(self, pool: SingleWriterPool[Any], threads: Executor, turns: Turns) -> None:
        """Groups on the writer of `pool`; what waits is done in `threads`."""
        self._pool = pool
        self._threads = threads
        self._turns = turns
        self._patience = Patience(pool.timeout)
        self._waiting: deque[TaskMember] = deque()
        self._leader: asyncio.Task[None] | None = None

    def check_open(self) -> None:
        """Raise `StoreClosedError`, `UnavailableError`."""
        self._pool.check_open()

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run."""
        await asyncio.sleep(seconds)

    async def fetch(self, request: Request) -> Any:
        """Return the rows of a request that only reads. Raises `UnavailableError` at once."""
        return await self._pool.fetch(request, 0)

    async def write_in_group(self, work: Work, *, savepoint: bool) -> Any:
        """Run an operation and return its outcome, when it is committed."""
        self._turns.check_not_mine()
        member = TaskMember(work, savepoint, self._patience.now() + self._patience.timeout)
        self._waiting.append(member)
        if self._leader is None:
            self._start()
        return await member.wait()

    def _start(self) -> None:
        self._patience.pause()
        self._leader = asyncio.get_running_loop().create_task(self._lead())

    async def _lead(self) -> None:
        try:
            while (first := self._first()) is not None:
                try:
                    await self._lead_group(first)
                except Exception as error:  # noqa: BLE001 - it is for those that wait
                    self._refuse(error)
                    self._patience.pause()
        finally:
            self._leader = None
            if self._first() is not None:  # this task was cancelled, and others wait
                self._start()

    def _first(self) -> TaskMember | None:
        """Return the member that waits longest, which stays in the queue."""
        while self._waiting and self._waiting[0].ended:
            self._waiting.popleft()
        return self._waiting[0] if self._waiting else None

    def _following(self) -> Member | None:
        member = self._first()
        if member is not None:
            self._waiting.popleft()
            member.begun = True
        return member

    def _refuse(self, error: Exception) -> None:
        """Tell `error` to those whose time is over; to everybody, if trying again is no use."""
        everybody = not (isinstance(error, UnavailableError) and error.retriable)
        now = self._patience.now() + 0.001
        while (member := self._first()) is not None and (everybody or member.deadline <= now):
            self._waiting.popleft()
            member.fail(error)
            member.tell()

    async def _lead_group(self, first: TaskMember) -> None:
        self._patience.resume()
        async with self._turns.writing(first.deadline - self._patience.now()):
            connection = await self._acquire(first)
            self._patience.pause()
            group = WriteGroup(connection, self._pool.failures.errors)
            try:
                if (leader := self._following()) is None:  # all were cancelled
                    return
                if not (group.run_first(leader) and group.run(self._following)):
                    group.end()
                elif self._pool.commit_waits:
                    await run_in_thread(self._threads, group.commit)
                else:
                    group.commit()
            finally:
                self._pool.release(connection)
                group.tell()

    async def _acquire(self, first: TaskMember) -> Any:
        """Return the connection that writes: at once, or after a wait in a thread."""
        pool, timeout = self._pool, self._patience.timeout
        try:
            return pool.acquire_writer(0, timeout, at_once=True)
        except UnavailableError as error:
            if not error.retriable:
                raise
        return await run_in_thread(
            self._threads,
            lambda: pool.acquire_writer(first.deadline - self._patience.now(), timeout),
        )
