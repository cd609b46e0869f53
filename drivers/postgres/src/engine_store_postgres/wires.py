"""Connections: psycopg's two kinds behind one face that is awaited.

The sessions, the migrator and the health check of this driver are written once, as coroutines. On
an `AsyncWire` they wait for the event loop. On a `SyncWire` nothing in them ever waits without
blocking its thread, so that `run` drives one to its end in a single step.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from re import Match
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor
from psycopg.adapt import AdaptersMap
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.types.string import ByteaBinaryLoader

from engine_store.cancellation import outlasting, whole
from engine_store.sql.statements import PARAMETER, Call, Result

T = TypeVar("T")

ADAPTERS = AdaptersMap(psycopg.adapters)
# As bytes, for the kit's own codec: psycopg's would turn the numbers into Python's first.
ADAPTERS.register_loader("json", ByteaBinaryLoader)

CANCEL_TIMEOUT = 5.0
"""Seconds that the request to cancel a statement may take; the statement's end is waited for."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never waits for an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a synchronous session waited for an event loop")


class Wire(Protocol):
    """A connection in one caller's hands. What fails raises psycopg's errors."""

    @property
    def status(self) -> TransactionStatus:
        """Whether a transaction is open, or broken, or the connection lost."""
        ...

    async def fetch(self, call: Call) -> Any:
        """The rows of one statement."""
        ...

    async def pipeline(
        self, before: Sequence[str], calls: Sequence[Call], after: Sequence[str] = ()
    ) -> list[Any]:
        """The rows of each of `calls`, between the commands around them, in one round trip.

        What fails ends it: nothing behind that is run.
        """
        ...

    async def command(self, text: str) -> None:
        """Run a text without parameters, which may be several statements."""
        ...

    async def release(self) -> None:
        """Give the connection back to where it came from, in whatever state."""
        ...


async def roll_back(wire: Wire) -> None:
    """End a transaction if one is open; a connection that cannot is broken: its pool sees it."""
    if wire.status is not TransactionStatus.IDLE:
        with suppress(psycopg.Error):
            await wire.command("ROLLBACK")


@lru_cache(maxsize=1024)
def numbered(text: str) -> tuple[bytes, tuple[str, ...]]:
    """A statement with `$1` for its first `:name`, as PostgreSQL has it, and the names in order."""
    places: dict[str, int] = {}

    def place(match: Match[str]) -> str:
        return f"${places.setdefault(match[1], len(places) + 1)}"

    return PARAMETER.sub(place, text).encode(), tuple(places)


def _bound(call: Call) -> tuple[bytes, list[Any]]:
    statement, parameters = call
    query, names = numbered(statement.text(parameters))
    return query, [parameters[name] for name in names]


class _Quiet:
    """What tells whether a connection's socket is quiet, made once for each."""

    pgconn: PGconn

    @cached_property
    def own_poll(self) -> select.poll:
        """Ready when the server has said something. Unlike `select`, for any number of files."""
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return poll


class SyncConnection(Connection[Any], _Quiet):
    """A connection with a cursor that serves one statement after the other.

    A new one for each, as `Connection.execute` makes it, cost a create 3 % of its throughput.
    """

    @cached_property
    def own_cursor(self) -> Cursor[Any]:
        """The cursor. What it read is fetched before it is used again."""
        return self.cursor(binary=True)


class LoopConnection(AsyncConnection[Any], _Quiet):
    """`SyncConnection` for an event loop."""

    @cached_property
    def own_cursor(self) -> AsyncCursor[Any]:
        """The cursor. What it read is fetched before it is used again."""
        return self.cursor(binary=True)


class SyncWire:
    """A `SyncConnection` as a `Wire` whose methods do not wait for an event loop."""

    __slots__ = ("_cursor", "_give_back", "connection")

    def __init__(
        self, connection: SyncConnection, give_back: Callable[[SyncConnection], None]
    ) -> None:
        """`connection`, in autocommit mode; `release` gives it back."""
        self.connection = connection
        self._cursor = connection.own_cursor
        self._give_back = give_back

    @property
    def status(self) -> TransactionStatus:
        return TransactionStatus(self.connection.pgconn.transaction_status)

    async def fetch(self, call: Call) -> Any:
        return _rows(call, self._cursor.execute(*_bound(call)))

    async def pipeline(
        self, before: Sequence[str], calls: Sequence[Call], after: Sequence[str] = ()
    ) -> list[Any]:
        connection = self.connection
        with connection.pipeline():
            for command in before:
                connection.execute(command.encode(), prepare=False)
            cursors = [connection.execute(*_bound(call), binary=True) for call in calls]
            for command in after:
                connection.execute(command.encode(), prepare=False)
        return [_rows(call, cursor) for call, cursor in zip(calls, cursors, strict=True)]

    async def command(self, text: str) -> None:
        self.connection.execute(text.encode(), prepare=False)

    async def release(self) -> None:
        self._give_back(self.connection)

    async def discard(self) -> None:
        """Release it closed: its pool makes another one."""
        self.connection.close()
        await self.release()


class AsyncWire:
    """A `LoopConnection` as a `Wire`.

    A cancellation asks the server to stop and comes out when it has, so that the connection is
    as usable as after any error.
    """

    __slots__ = ("_cursor", "_give_back", "connection")

    def __init__(
        self,
        connection: LoopConnection,
        give_back: Callable[[LoopConnection], Coroutine[Any, Any, None]],
    ) -> None:
        """`connection`, in autocommit mode; `release` gives it back."""
        self.connection = connection
        self._cursor = connection.own_cursor
        self._give_back = give_back

    @property
    def status(self) -> TransactionStatus:
        return TransactionStatus(self.connection.pgconn.transaction_status)

    async def fetch(self, call: Call) -> Any:
        # psycopg itself does on cancellation what `pipeline` has to do here.
        return await _rows_async(call, await self._cursor.execute(*_bound(call)))

    async def pipeline(
        self, before: Sequence[str], calls: Sequence[Call], after: Sequence[str] = ()
    ) -> list[Any]:
        requests: set[asyncio.Task[None]] = set()

        def ask_to_stop() -> None:
            if not requests:
                request = self.connection.cancel_safe(timeout=CANCEL_TIMEOUT)
                requests.add(asyncio.create_task(request))

        running = asyncio.create_task(self._pipeline(before, calls, after))
        try:
            return await outlasting(running, ask_to_stop)
        finally:
            for request in requests:  # or it could hit the next statement
                await outlasting(asyncio.gather(request, return_exceptions=True))

    async def _pipeline(
        self, before: Sequence[str], calls: Sequence[Call], after: Sequence[str]
    ) -> list[Any]:
        connection = self.connection
        async with connection.pipeline():
            for command in before:
                await connection.execute(command.encode(), prepare=False)
            cursors = [await connection.execute(*_bound(call), binary=True) for call in calls]
            for command in after:
                await connection.execute(command.encode(), prepare=False)
        return [
            await _rows_async(call, cursor) for call, cursor in zip(calls, cursors, strict=True)
        ]

    async def command(self, text: str) -> None:
        await self.connection.execute(text.encode(), prepare=False)

    async def release(self) -> None:
        # Whole: a connection on its way into the pool would be lost to it by a cancellation.
        await whole(self._give_back(self.connection))

    async def discard(self) -> None:
        """Release it closed: its pool makes another one."""
        await self.connection.close()
        await self.release()


def _rows(call: Call, cursor: Cursor[Any]) -> Any:
    match call.statement.result:
        case Result.ONE:
            return cursor.fetchone()
        case Result.MANY:
            return cursor.fetchall()
    return None


async def _rows_async(call: Call, cursor: AsyncCursor[Any]) -> Any:
    match call.statement.result:
        case Result.ONE:
            return await cursor.fetchone()
        case Result.MANY:
            return await cursor.fetchall()
    return None
