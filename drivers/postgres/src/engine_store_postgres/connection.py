"""psycopg's connections, blocking and asynchronous, as the kit's `Connection`."""

from __future__ import annotations

import select
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.types.datetime import TimestamptzBinaryLoader
from psycopg.types.string import ByteaBinaryLoader

from engine_store.concurrency.cancellation import shield, shield_stoppable
from engine_store.sql.dbapi import placeholders
from engine_store.sql.operation import Request
from engine_store.sql.statements import Call, Result
from engine_store_postgres.failures import is_of_connection

ADAPTERS = AdaptersMap(psycopg.adapters)
# As bytes, for the kit's own codec: psycopg's would turn the numbers into Python's first.
ADAPTERS.register_loader("json", ByteaBinaryLoader)

CANCEL_TIMEOUT = 5.0
"""Seconds that the request to cancel a statement may take; the statement's end is waited for."""


@lru_cache(maxsize=1024)
def numbered(text: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a statement with `$1` for its first `:name`, and the names in order."""
    query, names = placeholders(text, "numeric")
    return query.encode(), names or ()


def _bound(call: Call) -> tuple[bytes, list[Any]]:
    statement, parameters = call
    query, names = numbered(statement.text(parameters))
    return query, [parameters[name] for name in names]


class PostgresConnection:
    """`engine_store.sql.connection.Connection`; what fails raises psycopg's errors."""

    def __init__(
        self,
        raw: Any,
        give_back: Callable[[Any], Coroutine[Any, Any, None]] | None = None,
        *,
        wants_primary: bool = False,
    ) -> None:
        """The connection `raw`, in autocommit mode. `release` gives it back, or closes it."""
        self.raw = raw
        self._wants_primary = wants_primary
        # One cursor for all: a new one for each statement cost a create 3 % of its throughput.
        self._cursor = raw.cursor(binary=True)
        self._give_back = give_back
        # Ready when the server has said something. Unlike `select`, for any number of files.
        self._poll = select.poll()
        self._poll.register(raw.pgconn.socket, select.POLLIN)

    @property
    def in_transaction(self) -> bool:
        """True if a transaction is open, or broken, or lost with its connection."""
        return bool(self.raw.pgconn.transaction_status != TransactionStatus.IDLE)

    @property
    def is_quiet(self) -> bool:
        return not self.raw.closed and not self._poll.poll(0)

    async def run(
        self, request: Request, before: Sequence[str] = (), after: Sequence[str] = ()
    ) -> Any:
        """Return the rows of a call, or of each of several, in one round trip.

        A connection of no use to the same call is closed: another one may serve it.
        """
        try:
            if not isinstance(request, Call):
                return await self._pipeline(before, request, after)
            if not before and not after:
                cursor = await self._wait(self._cursor.execute(*_bound(request)))
                return await self._rows(request, cursor)
            (rows,) = await self._pipeline(before, (request,), after)
            return rows
        except psycopg.Error as error:
            if is_of_connection(error, wants_primary=self._wants_primary):
                await self.close()
                error.closed_connection = True  # type: ignore[attr-defined]
            raise

    async def execute(self, script: str) -> None:
        """Run a script in one round trip."""
        await self._wait(self.raw.execute(script.encode(), prepare=False))

    async def notifications(self, seconds: float) -> list[str]:
        """Return the payloads that come next, within so many seconds."""
        return [found.payload for found in self.raw.notifies(timeout=seconds, stop_after=1)]

    async def rollback(self) -> None:
        """End the transaction, if one is open; a connection that cannot is broken."""
        if self.in_transaction:
            with suppress(psycopg.Error):
                await self.execute("ROLLBACK")

    async def release(self) -> None:
        """Give the connection back to its pool, or close it."""
        await (self._give_back(self.raw) if self._give_back else self.close())

    async def discard(self) -> None:
        await self.close()
        await self.release()

    async def close(self) -> None:
        """Close it."""
        await self._wait(self.raw.close())

    async def _wait(self, result: Any) -> Any:
        """Return what a call of psycopg gave."""
        return result

    async def _pipeline(
        self, before: Sequence[str], calls: Sequence[Call], after: Sequence[str]
    ) -> list[Any]:
        cursors = await self._in_pipeline(before, calls, after)
        return [await self._rows(call, cursor) for call, cursor in zip(calls, cursors, strict=True)]

    async def _in_pipeline(self, *work: Sequence[Any]) -> list[Any]:
        try:
            with self.raw.pipeline():
                return await self._send(*work)
        except BaseException as error:
            # An exception from a signal handler makes psycopg's pipeline, as it ends, raise one of
            # its own ("cannot exit pipeline mode while busy"), or leaves the connection in pipeline
            # mode, where the answer to the next statement would be waited for in vain.
            if self.raw.pgconn.pipeline_status != PipelineStatus.OFF:
                await self.close()
            hidden = error.__context__ if isinstance(error, psycopg.OperationalError) else None
            if hidden is None or isinstance(hidden, psycopg.Error):
                raise
            await self.close()
            raise hidden from hidden.__cause__

    async def _send(
        self, before: Sequence[str], calls: Sequence[Call], after: Sequence[str]
    ) -> list[Any]:
        execute, wait = self.raw.execute, self._wait
        for command in before:
            await wait(execute(command.encode(), prepare=False))
        cursors = [await wait(execute(*_bound(call), binary=True)) for call in calls]
        for command in after:
            await wait(execute(command.encode(), prepare=False))
        return cursors

    async def _rows(self, call: Call, cursor: Any) -> Any:
        result = call.statement.result
        if result is Result.NONE:
            return None
        try:
            return await self._wait(
                cursor.fetchone() if result is Result.ONE else cursor.fetchall()
            )
        except psycopg.DataError as error:
            if error.sqlstate is not None:  # the server's own
                raise
            rows = _with_unreadable_times(cursor.pgresult)
            return rows[0] if result is Result.ONE else rows


class _TimeOrBytes(TimestamptzBinaryLoader):
    """Loads what Python has no time for as bytes, for the kit to name it."""

    def load(self, data: Any) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data)


_WITH_UNREADABLE_TIMES = AdaptersMap(ADAPTERS)
_WITH_UNREADABLE_TIMES.register_loader("timestamptz", _TimeOrBytes)


def _with_unreadable_times(result: Any) -> list[Any]:
    """Return the rows of a result that has times such as infinity."""
    transformer = Transformer(_WITH_UNREADABLE_TIMES)
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)


class AsyncPostgresConnection(PostgresConnection):
    """A connection for an event loop.

    A cancellation asks the server to stop and comes out when it has, so that the connection is
    as usable as after any error.
    """

    async def release(self) -> None:
        # Shielded: a connection on its way into the pool would be lost to it by a cancellation.
        await shield(super().release())

    async def notifications(self, seconds: float) -> list[str]:
        coming = self.raw.notifies(timeout=seconds, stop_after=1)
        return [found.payload async for found in coming]

    async def _wait(self, result: Any) -> Any:
        return await result

    async def _in_pipeline(self, *work: Sequence[Any]) -> list[Any]:
        async def run() -> list[Any]:
            async with self.raw.pipeline():
                return await self._send(*work)

        # For one statement psycopg itself does on cancellation what is done here.
        return await shield_stoppable(run(), lambda: self.raw.cancel_safe(timeout=CANCEL_TIMEOUT))
