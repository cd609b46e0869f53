"""Running operations on connections: each by itself, or in one transaction.

Written once, as coroutines, for every driver and both sides: see `connection`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any

from engine_store.concurrency.callbacks import check_may_call
from engine_store.drivers import observing
from engine_store.errors import (
    EngineStoreError,
    NotInTransactionError,
    ReadOnlyError,
    StoreClosedError,
    TransactionClosedError,
    UnavailableError,
)
from engine_store.sql.connection import Connection, Pool
from engine_store.sql.dialect import Dialect
from engine_store.sql.holds import Block
from engine_store.sql.operation import (
    Invocation,
    LostRace,
    Mode,
    Op,
    Pause,
    Request,
    check_reads,
    drive,
    drive_steps,
    finish,
)
from engine_store.sql.statements import Call
from engine_store.waiting.notifier import Notifier


def _has_parts(request: Request) -> bool:
    """Return whether a request is one call of several statements."""
    return request.__class__ is Call and request.statement.has_parts


class Session:
    """Runs operations, each by itself."""

    def __init__(self, pool: Pool, dialect: Dialect, notifier: Notifier) -> None:
        """A session on the connections of `pool`, whose writes wake who waits by `notifier`."""
        self.pool = pool
        self.dialect = dialect
        self.notifier = notifier

    def run(self, invocation: Invocation) -> Coroutine[Any, Any, Any]:
        """Run an operation, or a method made of steps, to its end."""
        if invocation.mode is Mode.STEPS:
            return drive_steps(invocation.start(), self.attempt, self.pause)
        return self.attempt(invocation)

    async def pause(self, pause: Pause) -> None:
        """Wait between two steps."""
        await self.pool.sleep(pause.seconds)

    async def attempt(self, invocation: Invocation) -> Any:
        """Run one operation. It checks its arguments before a connection is acquired."""
        check_may_call()
        self.pool.check_open()
        mode, operation, args, kwargs = invocation
        op = operation(*args, **kwargs)
        try:
            request: Any = next(op)
        except StopIteration as done:
            return done.value  # there is nothing to ask
        if mode is Mode.READ:
            return await self.read(invocation, op, request)
        if mode is Mode.LOCK:
            raise NotInTransactionError(invocation.name)
        if self.pool.read_only:
            raise ReadOnlyError(invocation.name)
        result = await self._retry(invocation, op, request, self._writing(invocation, request))
        if self.notifier.is_active:
            self.notifier.changed(self.notifier.topics_of(result))
        return result

    def _writing(self, invocation: Invocation, request: Request) -> Callable[..., Awaitable[Any]]:
        """Return how an operation is run that begins with this request, and writes."""
        if self.pool.groups_writes and invocation.is_short:
            return self._write_in_group
        if invocation.mode is Mode.TRANSACT or not self.dialect.commits_each_statement:
            return self._transact
        return self._transact if _has_parts(request) else self._write

    async def read(self, invocation: Invocation, op: Op[Any], request: Request) -> Any:
        """Run an operation that is one request, which it has made, and writes nothing."""
        if request.__class__ is not Call or request.statement.writes:
            check_reads(request, invocation)
        try:
            return finish(op, await self.pool.fetch(request))
        except self.dialect.failures.errors as error:
            if not self.dialect.may_retry(error, False):
                self.dialect.failures.reraise(error)
        return await self._retry(invocation, op, request, self._read)

    async def _read(
        self, op: Op[Any], request: Request, writes_once: Invocation | None = None
    ) -> Any:
        return finish(op, await self.pool.fetch(request))

    def _write_in_group(
        self, op: Op[Any], request: Request, writes_once: Invocation | None = None
    ) -> Awaitable[Any]:
        """Run an operation in a transaction that it may share with others."""
        return self.pool.write_in_group(
            lambda connection: drive(op, request, connection.run, None, writes_once),
            savepoint=writes_once is None or _has_parts(request),
        )

    async def _write(
        self, op: Op[Any], request: Request, writes_once: Invocation | None = None
    ) -> Any:
        """Run an operation whose first statement commits by itself; the others only read."""
        with self.pool.hold() as hold:
            connection = await self.pool.acquire(write=True, owner=hold)
            try:
                return await drive(op, request, connection.run, writes_once=writes_once)
            finally:
                await connection.release()

    async def _transact(
        self, op: Op[Any], request: Request, writes_once: Invocation | None = None
    ) -> Any:
        """Run an operation in a transaction.

        BEGIN goes with the first request, and COMMIT with the last one if it is known to be that.
        """
        pool = self.pool
        with pool.hold() as hold:
            connection = await pool.acquire(write=True, owner=hold)
            try:
                execute = _first_with(connection.run, self.dialect.begin)
                execute_last = partial(execute, after=_COMMIT)
                result = await drive(op, request, execute, execute_last, writes_once)
                if connection.in_transaction:
                    await pool.shield(connection.execute("COMMIT"))
            except BaseException:
                await pool.shield(connection.rollback())
                raise
            finally:
                await connection.release()
            return result

    async def _retry(
        self,
        invocation: Invocation,
        op: Op[Any],
        request: Request,
        run: Callable[..., Awaitable[Any]],
        *,
        in_transaction: bool = False,
    ) -> Any:
        """`run` an operation; if others were faster, again from its start: bounded, jittered."""
        dialect = self.dialect
        writes_once = invocation if invocation.mode is Mode.WRITE else None
        pauses: Iterator[Pause] | None = None
        while True:
            error: Exception
            try:
                return await run(op, request, writes_once)
            except LostRace as lost:
                error = UnavailableError(
                    f"{dialect.failures.product}: other writers were faster every time, or the id "
                    "is one of an execution whose deletion was interrupted; try again, or let "
                    "`purge` end that"
                )
                error.__cause__ = lost
            except dialect.failures.errors as failed:
                if not dialect.may_retry(failed, in_transaction):
                    dialect.failures.reraise(failed)
                error = dialect.failures.translate(failed)
                error.__cause__ = None if error is failed else failed
            pauses = dialect.retries.pauses() if pauses is None else pauses
            pause = next(pauses, None)
            if pause is None:
                raise error
            observing.retried()
            await self.pool.sleep(pause.seconds)
            op = invocation.start()
            request = next(op)  # type: ignore[assignment]


_COMMIT = ("COMMIT",)
_NO_LOCK = nullcontext()


def _first_with(run: Callable[..., Awaitable[Any]], before: Sequence[str]) -> Any:
    """Return `run`, with commands before its first request."""
    if not before:
        return run
    commands = [before]

    def execute(request: Request, after: Sequence[str] = ()) -> Awaitable[Any]:
        return run(request, commands.pop() if commands else (), after)

    return execute


class TransactionSession(Session):
    """Runs operations in one transaction on one connection.

    Commands that begin, mark and release are not sent by themselves: they go with the next
    operation, in its round trip. If a failed statement aborts the transaction, a savepoint before
    each operation makes that a failure undoes only itself, and the transaction goes on, as on
    every database (contract 3.3).
    """

    def __init__(
        self,
        pool: Pool,
        dialect: Dialect,
        notifier: Notifier,
        lock: AbstractAsyncContextManager[object] | None,
        owner: Callable[[], object],
    ) -> None:
        """A session that has not begun.

        Each use of the connection holds `lock`; None: there is one caller at a time anyway. The
        transaction belongs to what `owner` returns when it begins: a thread, or anybody.
        """
        super().__init__(pool, dialect, notifier)
        self._lock = lock
        self._held: AbstractAsyncContextManager[object] = lock or _NO_LOCK
        self._who = owner
        self._owner: object = None
        self._process = os.getpid()
        self._connection: Connection | None = None
        self._pending: list[str] = []
        self._depth = 0
        self._lost = False
        self._topics: set[str] = set()

    async def begin(self, block: Block | None = None) -> None:
        """Acquire a connection, owned by `block`. Raises `UnavailableError`, `StoreClosedError`."""
        check_may_call()
        self.pool.check_open()
        self._connection = await self.pool.acquire(write=True, owner=block)
        self._owner = self._who()
        self._pending = list(self.dialect.begin)

    async def commit(self) -> None:
        """Commit, and end.

        Raises `UnavailableError` if the transaction was lost, `StoreClosedError`, after a
        rollback, if the store was closed meanwhile.
        """
        if self._connection is None or self._process != os.getpid():
            raise TransactionClosedError
        try:
            self.pool.check_open()
        except StoreClosedError:
            await self.rollback()
            raise
        await self.pool.shield(self._end(self._connection, commit=True))

    async def rollback(self) -> None:
        """Roll back, and end; does nothing if it has ended, never began, or is a parent's."""
        if self._connection is not None and self._process == os.getpid():
            await self.pool.shield(self._end(self._connection, commit=False))

    async def _end(self, connection: Connection, *, commit: bool) -> None:
        async with self._held:
            self._connection = None  # from now on who waited for the lock is refused
            try:
                if commit and not self._nothing_was_sent:
                    self._check_not_lost(connection)
                    try:
                        await connection.execute("COMMIT")
                    except self.dialect.failures.errors as error:
                        self.dialect.failures.reraise(error)
            finally:
                try:
                    await connection.rollback()
                finally:
                    await connection.release()
        if commit:
            self.notifier.changed(self._topics)

    @property
    def _nothing_was_sent(self) -> bool:
        begin = self.dialect.begin
        return bool(begin) and self._pending[: len(begin)] == list(begin)

    def forget(self) -> None:
        """End without the connection: it was given up."""
        self._connection = None

    async def savepoint(self) -> int:
        """Begin a nested transaction; return how deep it is nested."""
        connection = self._usable_connection()
        self.pool.check_open()
        async with self._held:
            self._check_usable(connection)
            self._depth += 1
            self._pending.append(f"SAVEPOINT nested_{self._depth}")
            return self._depth

    async def release_savepoint(self) -> None:
        """Keep what the innermost nested transaction wrote. Raises as `commit` does."""
        connection = self._usable_connection()
        async with self._held:
            self._check_usable(connection)
            self._pending.append(f"RELEASE SAVEPOINT nested_{self._depth}")
            self._depth -= 1

    async def rollback_savepoint(self, depth: int) -> None:
        """Undo what a nested transaction wrote, and end it; does nothing if it has ended."""
        connection = self._connection
        if connection is None or self._process != os.getpid():
            return
        async with self._held:
            if self._depth < depth:
                return
            name = f"nested_{depth}"
            self._depth = depth - 1
            if f"SAVEPOINT {name}" in self._pending:  # nothing was done in it
                del self._pending[self._pending.index(f"SAVEPOINT {name}") :]
            elif not self._is_lost(connection):
                await self._recover(
                    connection, [f"ROLLBACK TO SAVEPOINT {name}", f"RELEASE SAVEPOINT {name}"]
                )

    def _usable_connection(self) -> Connection:
        if self._connection is None or self._process != os.getpid() or self._who() != self._owner:
            raise TransactionClosedError
        return self._connection

    def _check_usable(self, connection: Connection) -> None:
        """Raise `TransactionClosedError` after the end, `UnavailableError` if it was lost."""
        if self._connection is not connection:  # it ended while this call waited for the lock
            raise TransactionClosedError
        self._check_not_lost(connection)

    def _check_not_lost(self, connection: Connection) -> None:
        if self._is_lost(connection):
            raise UnavailableError(
                f"{self.dialect.failures.product}: the transaction was rolled back by an error, or "
                "lost with its connection; run it again"
            )

    def _is_lost(self, connection: Connection) -> bool:
        """Return whether what was done is gone: a statement now would begin something else."""
        return self._lost or not (self._nothing_was_sent or connection.in_transaction)

    async def pause(self, pause: Pause) -> None:
        if not pause.for_others:
            await super().pause(pause)

    async def attempt(self, invocation: Invocation) -> Any:
        """Run one operation on the transaction's connection."""
        check_may_call()
        connection = self._usable_connection()
        self.pool.check_open()
        op = invocation.start()
        try:
            request = next(op)
        except StopIteration as done:
            return done.value
        if invocation.mode in (Mode.READ, Mode.LOCK):
            check_reads(request, invocation)
        if self.pool.read_only and invocation.mode is not Mode.READ:
            raise ReadOnlyError(invocation.name)
        if self._lock is None:
            self._check_not_lost(connection)
            result = await self._retry(invocation, op, request, self._run, in_transaction=True)
        else:
            async with self._lock:
                self._check_usable(connection)
                result = await self._retry(invocation, op, request, self._run, in_transaction=True)
        if self.notifier.is_active and invocation.mode is not Mode.READ:
            self._topics.update(self.notifier.topics_of(result))
        return result

    def _run(
        self, op: Op[Any], request: Request, writes_once: Invocation | None = None
    ) -> Awaitable[Any]:
        """Run an operation after what is pending, and with a savepoint if failures need one."""
        connection = self._connection
        if connection is None:  # it ended while an earlier attempt paused
            raise TransactionClosedError
        if self.dialect.failure_aborts:
            return self._run_marked(connection, op, request, writes_once)
        pending, self._pending = self._pending, []
        return drive(op, request, _first_with(connection.run, pending), None, writes_once)

    async def _run_marked(
        self, connection: Connection, op: Op[Any], request: Request, writes_once: Invocation | None
    ) -> Any:
        before, self._pending = [*self._pending, "SAVEPOINT operation"], []
        try:
            return await drive(op, request, _first_with(connection.run, before), None, writes_once)
        except (EngineStoreError, LostRace):
            raise  # the operation's own answer: no statement failed
        except BaseException:
            await self._recover(connection, ["ROLLBACK TO SAVEPOINT operation"])
            raise
        finally:
            self._pending = ["RELEASE SAVEPOINT operation"]

    async def _recover(self, connection: Connection, commands: Sequence[str]) -> None:
        """Bring the transaction back to a savepoint; if that fails it is lost as a whole."""
        pending, self._pending = self._pending, []
        try:
            await self.pool.shield(connection.execute(";\n".join([*pending, *commands])))
        except self.dialect.failures.errors:
            self._lost = True
