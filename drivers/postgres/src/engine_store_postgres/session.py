"""Running operations on connections: outside a transaction, and inside one.

Written once, for both faces: see `wires`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from engine_store.errors import (
    EngineStoreError,
    NotInTransactionError,
    StoreClosedError,
    TransactionClosedError,
    UnavailableError,
)
from engine_store.observing import retried
from engine_store.sql.operation import (
    Backoff,
    Contended,
    Invocation,
    Mode,
    Op,
    Pause,
    Request,
    drive_async,
    drive_procedure_async,
    finish,
    first_request,
)
from engine_store.sql.statements import Call
from engine_store_postgres.failures import may_rerun, translate, translated
from engine_store_postgres.pools import Pool
from engine_store_postgres.wires import Wire, roll_back

RERUNS = Backoff(attempts=15, first=0.001, longest=0.2)
"""For operations that lost to concurrent ones. Of a deadlock's parties one goes on each time, and
each costs the server's deadlock_timeout of a second, so more attempts would help nobody."""


class Session:
    """Runs operations, each by itself."""

    def __init__(self, pool: Pool) -> None:
        """A session on `pool`."""
        self.pool = pool

    async def run(self, invocation: Invocation) -> Any:
        """Run an operation or a procedure to its end."""
        if invocation.mode is not Mode.PROCEDURE:
            return await self._run_one(invocation)
        name = invocation.name
        return await drive_procedure_async(
            invocation.start(), lambda step: self._run_one(step.named(name)), self.pool.sleep
        )

    async def _run_one(self, invocation: Invocation) -> Any:
        """Run one operation. It checks its arguments before a connection is taken."""
        self.pool.check_open()
        op = invocation.start()
        request = first_request(op)
        if invocation.mode is Mode.LOCK:
            raise NotInTransactionError(invocation.name)
        if invocation.mode is Mode.READ:
            return await self._read(op, request)
        run = self._write if invocation.mode is Mode.WRITE else self._transact
        return await self.rerun(invocation, op, request, run, in_transaction=False)

    async def _read(self, op: Op[Any], request: Request) -> Any:
        wire = await self.pool.take()
        try:
            rows = await fetch(wire, request)
        except psycopg.Error as error:
            raise translate(error) from error
        finally:
            await wire.release()
        return finish(op, rows)

    async def _write(self, op: Op[Any], request: Request) -> Any:
        """In autocommit mode: the first statement is the transaction, the others only read."""
        wire = await self.pool.take()
        try:
            return await drive_async(op, request, lambda request: fetch(wire, request))
        finally:
            await wire.release()

    async def _transact(self, op: Op[Any], request: Request) -> Any:
        """BEGIN goes with the first request, and COMMIT with the last one where it is known."""
        wire = await self.pool.take()
        before = ["BEGIN"]

        async def execute(request: Request) -> Any:
            commands, before[:] = before[:], []
            return await fetch(wire, request, commands)

        async def execute_last(request: Request) -> Any:
            return await fetch(wire, request, after=["COMMIT"])

        try:
            try:
                result = await drive_async(op, request, execute, execute_last)
                if wire.status is not TransactionStatus.IDLE:
                    await self.pool.whole(wire.command("COMMIT"))
            except BaseException:
                await self.pool.whole(roll_back(wire))
                raise
            return result
        finally:
            await wire.release()

    async def rerun(
        self,
        invocation: Invocation,
        op: Op[Any],
        request: Request,
        run: Callable[[Op[Any], Request], Any],
        *,
        in_transaction: bool,
    ) -> Any:
        """`run` an operation; where others were faster, again from its start: bounded, jittered."""
        error: Exception
        pauses: Iterator[Pause] | None = None
        while True:
            try:
                return await run(op, request)
            except Contended as contended:
                error = contended
            except psycopg.Error as failed:
                if not may_rerun(failed, in_transaction=in_transaction):
                    raise translate(failed) from failed
                error = failed
            pauses = RERUNS.pauses() if pauses is None else pauses
            pause = next(pauses, None)
            if pause is None:
                break
            retried()
            await self.pool.sleep(pause.seconds)
            op = invocation.start()
            request = first_request(op)
        if isinstance(error, psycopg.Error):
            raise translate(error) from error
        raise UnavailableError("PostgreSQL: other writers were faster every time; try again")


async def fetch(
    wire: Wire, request: Request, before: Sequence[str] = (), after: Sequence[str] = ()
) -> Any:
    """The rows of a call, or of each of several, between the commands around them."""
    if isinstance(request, Call):
        if not before and not after:
            return await wire.fetch(request)
        [rows] = await wire.pipeline(before, [request], after)
        return rows
    return await wire.pipeline(before, request, after)


class TransactionSession(Session):
    """Runs operations in one transaction on one connection.

    Commands that begin, mark and release are not sent by themselves: they go with the next
    operation, in its round trip. A savepoint before each operation makes that what fails in it
    undoes only itself, and the transaction goes on, as on every database (contract 3.3).
    """

    def __init__(
        self,
        pool: Pool,
        turn: AbstractAsyncContextManager[object],
        owner: Callable[[], object],
    ) -> None:
        """A session that has not begun.

        `turn` is held by each use of the connection. The transaction belongs to what `owner` says
        when it begins: a thread, or anybody.
        """
        super().__init__(pool)
        self._turn = turn
        self._who = owner
        self._owner: object = None
        self._pid = os.getpid()
        self._wire: Wire | None = None
        self._pending: list[str] = []
        self._depth = 0
        self._lost: UnavailableError | None = None

    async def begin(self) -> None:
        """Take a connection. Raises `UnavailableError`, `StoreClosedError`."""
        self.pool.check_open()
        self._wire = await self.pool.take()
        self._owner = self._who()
        self._pending = ["BEGIN"]

    async def commit(self) -> None:
        """Commit, and end.

        Raises `UnavailableError` where the transaction was lost, `StoreClosedError`, after a
        rollback, where the store was closed meanwhile.
        """
        wire = self._usable_wire()
        try:
            self.pool.check_open()
        except StoreClosedError:
            await self.rollback()
            raise
        await self.pool.whole(self._end(wire, commit=True))

    async def rollback(self) -> None:
        """Roll back, and end; nothing where it has ended or never begun, or is a parent's."""
        if self._wire is not None and self._pid == os.getpid():
            await self.pool.whole(self._end(self._wire, commit=False))

    async def _end(self, wire: Wire, *, commit: bool) -> None:
        async with self._turn:
            self._wire = None  # from now on who waited for the turn is refused
            try:
                if commit and self._lost is not None:
                    raise self._lost
                if commit and "BEGIN" not in self._pending:  # else nothing was done
                    with translated():
                        await wire.command("COMMIT")
            finally:
                await roll_back(wire)
                await wire.release()

    async def savepoint(self) -> None:
        """Begin a nested transaction."""
        self._usable_wire()
        self.pool.check_open()
        async with self._turn:
            self._depth += 1
            self._pending.append(f"SAVEPOINT nested_{self._depth}")

    async def release_savepoint(self) -> None:
        """Keep what the innermost nested transaction wrote."""
        wire = self._usable_wire()
        async with self._turn:
            self._check_not_lost(wire)
            self._pending.append(f"RELEASE nested_{self._depth}")
            self._depth -= 1

    async def rollback_savepoint(self) -> None:
        """Undo what the innermost nested transaction wrote, and end it."""
        wire = self._wire
        if wire is None or self._pid != os.getpid():
            return
        async with self._turn:
            name = f"nested_{self._depth}"
            self._depth -= 1
            if f"SAVEPOINT {name}" in self._pending:  # nothing was done in it
                del self._pending[self._pending.index(f"SAVEPOINT {name}") :]
            elif self._lost is None:
                await self._recover(wire, [f"ROLLBACK TO {name}", f"RELEASE {name}"])

    def _usable_wire(self) -> Wire:
        if self._wire is None or self._pid != os.getpid() or self._who() != self._owner:
            raise TransactionClosedError
        return self._wire

    def _check_not_lost(self, wire: Wire) -> None:
        """Raise `TransactionClosedError` after the end, `UnavailableError` where it was lost."""
        if self._wire is not wire:  # it ended while this call waited for its turn
            raise TransactionClosedError
        if self._lost is not None:
            raise self._lost

    async def _run_one(self, invocation: Invocation) -> Any:
        """Run one operation on the transaction's connection."""
        wire = self._usable_wire()
        self.pool.check_open()
        op = invocation.start()
        request = first_request(op)

        async def run(op: Op[Any], request: Request) -> Any:
            return await self._run_marked(wire, op, request)

        async with self._turn:
            self._check_not_lost(wire)
            return await self.rerun(invocation, op, request, run, in_transaction=True)

    async def _run_marked(self, wire: Wire, op: Op[Any], request: Request) -> Any:
        """Run an operation with a savepoint before it; undo it where a statement fails."""
        marked = False

        async def execute(request: Request) -> Any:
            nonlocal marked
            if marked:
                return await fetch(wire, request)
            before = [*self._pending, "SAVEPOINT operation"]
            self._pending = []
            rows = await fetch(wire, request, before)
            marked = True
            return rows

        try:
            return await drive_async(op, request, execute)
        except (EngineStoreError, Contended):
            raise  # the operation's own answer: no statement failed
        except BaseException:
            await self._recover(wire, ["ROLLBACK TO operation"])
            raise
        finally:
            self._pending = ["RELEASE operation"]

    async def _recover(self, wire: Wire, commands: Sequence[str]) -> None:
        """Bring the transaction back to a savepoint; where that fails it is lost as a whole."""
        pending, self._pending = self._pending, []
        try:
            await self.pool.whole(wire.command("; ".join([*pending, *commands])))
        except psycopg.Error:
            self._lost = UnavailableError(
                "PostgreSQL: the transaction was lost with its connection or cancelled before it "
                "had begun; run it again"
            )
