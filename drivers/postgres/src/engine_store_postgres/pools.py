"""Pools of connections, for a store with either face.

psycopg's pools do the work: this module looks at each connection before it is used, says in the
store's terms why none could be had, and starts anew in a forked child.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor, Connection, RawCursor
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from engine_store.cancellation import whole
from engine_store.errors import StoreClosedError, UnavailableError
from engine_store.protocols import Endpoint
from engine_store_postgres.failures import reaching, translate, translated
from engine_store_postgres.options import PostgresOptions, Target
from engine_store_postgres.wires import (
    ADAPTERS,
    AsyncWire,
    LoopConnection,
    SyncConnection,
    SyncWire,
    Wire,
)

T = TypeVar("T")

_RECONNECT = 2.0
"""Seconds for which a pool tries to connect before it asks `reconnect_failed`, which begins anew.
psycopg's own minutes come with pauses that double: a server could be back for half a minute before
anybody noticed."""


class Pool(Protocol):
    """Gives connections, as `Wire`s, each to one caller at a time."""

    @property
    def keeps_sessions(self) -> bool:
        """Whether a connection stays with one session of the server; PgBouncer's do not."""
        ...

    endpoint: Endpoint
    """Which database it connects to."""

    async def open(self) -> None:
        """Connect for the first time. Raises `UnavailableError` with the reason."""
        ...

    async def take(self) -> Wire:
        """A connection for the caller alone, until its `release`.

        Raises `StoreClosedError`, `UnavailableError`.
        """
        ...

    async def connect(self) -> Wire:
        """A connection beside the pool, until its `release`. Raises `UnavailableError`."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns: also a cancellation waits for its end."""
        ...

    def check_open(self) -> None:
        """Raise `StoreClosedError` after `close`; `UnavailableError` where a fork lost it."""
        ...

    def stats(self) -> dict[str, int]:
        """How many connections there are, idle ones and calls that wait."""
        ...

    async def close(self) -> None:
        """Close every connection; those in use are closed as they are given back."""
        ...


def connect_arguments(options: PostgresOptions) -> dict[str, Any]:
    """What every connection is made with."""
    return {
        "autocommit": True,  # transactions are begun by name
        "prepare_threshold": None if options.pgbouncer else 5,
        "context": ADAPTERS,
    }


def pool_arguments(target: Target, options: PostgresOptions) -> dict[str, Any]:
    """What both kinds of pool are made with."""
    return {
        "conninfo": target.conninfo,
        "min_size": options.pool_min_size,
        "max_size": options.pool_max_size,
        "max_waiting": options.pool_max_waiting,
        "max_idle": options.pool_max_idle,
        "max_lifetime": options.pool_max_lifetime,
        "reconnect_timeout": _RECONNECT,
        "open": False,
        "name": "engine-store",
    }


_IN_UTC = b"SET TimeZone TO 'UTC'"
"""psycopg reads times in the time zone of the session, where the first and the last of them may lie
before year 1 or after 9999. PgBouncer keeps this one setting for each of its clients."""


def _configure(connection: Connection[Any]) -> None:
    connection.execute(_IN_UTC)


async def _configure_async(connection: AsyncConnection[Any]) -> None:
    await connection.execute(_IN_UTC)


def is_alive(connection: SyncConnection | LoopConnection) -> bool:
    """Whether the socket is quiet; asks nobody.

    A server tells an idle connection its end, or closes it. All else it may say by itself is so
    rare that a new connection is cheaper than to find out.
    """
    return not connection.closed and not connection.own_poll.poll(0)


def _nobody_free(options: PostgresOptions, lent: int) -> UnavailableError:
    """Why no connection could be had in time, with `lent` of them in use."""
    seconds, most = options.pool_timeout, options.pool_max_size
    if lent < most:
        return UnavailableError(
            f"PostgreSQL could not be reached for {seconds:g} s; try again when it is back; the "
            "log of psycopg.pool has its answers"
        )
    return UnavailableError(
        f"all {most} connections were busy for {seconds:g} s; try again, raise pool_max_size, or "
        "keep transactions short"
    )


class _Taking(ABC):
    """How a connection is taken from psycopg's pool, of either kind."""

    _options: PostgresOptions
    _lent: set[Any]

    @abstractmethod
    async def _next(self, seconds: float) -> SyncWire | AsyncWire:
        """A connection of psycopg's pool, noted in `_lent`; raises psycopg_pool's errors."""

    async def take(self) -> Wire:
        deadline = time.monotonic() + self._options.pool_timeout
        while True:
            try:
                # At least a little, so that an idle connection is given.
                wire = await self._next(max(deadline - time.monotonic(), 0.001))
            except PoolTimeout:
                raise _nobody_free(self._options, len(self._lent)) from None
            except psycopg.Error as error:
                raise translate(error) from error
            try:
                if await self._is_usable(wire):
                    return wire
            except BaseException:
                await wire.release()
                raise
            await wire.discard()

    async def _is_usable(self, wire: SyncWire | AsyncWire) -> bool:
        if self._options.check == "off":
            return True
        if not is_alive(wire.connection):
            return False
        if self._options.check == "query":
            try:
                await wire.command("")
            except psycopg.Error:
                return False
        return True


class SyncPool(_Taking):
    """A `Pool` for the synchronous face. A forked child gets connections of its own."""

    def __init__(self, target: Target, options: PostgresOptions) -> None:
        """A pool without connections."""
        self._target = target
        self.endpoint = target.endpoint
        self._options = options
        self._closed = False
        self._lent: set[SyncConnection] = set()
        self._pool: ConnectionPool[SyncConnection] | None = None
        self._lock = threading.Lock()
        self.keeps_sessions = not options.pgbouncer
        _pools.add(self)

    async def open(self) -> None:
        wire = await self.connect()  # the pool would try in its own threads, and tell its log
        await wire.release()
        with translated():
            self._opened().wait(self._options.connect_timeout)

    def check_open(self) -> None:
        if self._closed:
            raise StoreClosedError

    async def _next(self, seconds: float) -> SyncWire:
        connection = (self._pool or self._opened()).getconn(seconds)
        self._lent.add(connection)
        return SyncWire(connection, self._give_back)

    def _give_back(self, connection: SyncConnection) -> None:
        self._lent.discard(connection)
        if self._pool is not None:
            self._pool.putconn(connection)

    async def connect(self) -> SyncWire:
        with reaching(self._target.shown, self._target.password):
            connection = SyncConnection.connect(
                self._target.conninfo, **connect_arguments(self._options), cursor_factory=RawCursor
            )
            _configure(connection)
        return SyncWire(connection, SyncConnection.close)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - no event loop runs this

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    def stats(self) -> dict[str, int]:
        return _stats(self._pool)

    async def close(self) -> None:
        self._closed = True
        with self._lock:
            if self._pool is not None:
                self._pool.close()

    def _opened(self) -> ConnectionPool[SyncConnection]:
        with self._lock:
            self.check_open()
            if self._pool is None:
                pool = ConnectionPool(
                    **pool_arguments(self._target, self._options),
                    kwargs={**connect_arguments(self._options), "cursor_factory": RawCursor},
                    connection_class=SyncConnection,
                    configure=_configure,
                    reconnect_failed=ConnectionPool.check,
                )
                pool.open()
                self._pool = pool
            return self._pool

    def forget(self) -> None:
        """In a forked child: leave the parent's connections alone, and begin anew."""
        # Kept for good: a finalizer would wait for threads that are not here.
        _of_the_parent.append((self._pool, self._lent))
        self._pool, self._lent = None, set()
        self._lock = threading.Lock()


class AsyncPool(_Taking):
    """A `Pool` for the asynchronous face, for one event loop of one process."""

    def __init__(self, target: Target, options: PostgresOptions) -> None:
        """A pool for the running event loop."""
        self._target = target
        self.endpoint = target.endpoint
        self._options = options
        self._closed = False
        self._lent: set[LoopConnection] = set()
        self._pool: AsyncConnectionPool[LoopConnection] = AsyncConnectionPool(
            **pool_arguments(target, options),
            kwargs={**connect_arguments(options), "cursor_factory": AsyncRawCursor},
            connection_class=LoopConnection,
            configure=_configure_async,
            reconnect_failed=AsyncConnectionPool.check,
        )
        self._pid = os.getpid()
        self.keeps_sessions = not options.pgbouncer

    async def open(self) -> None:
        wire = await self.connect()
        await wire.release()
        with translated():
            await self._pool.open(wait=True, timeout=self._options.connect_timeout)

    def check_open(self) -> None:
        if self._closed:
            raise StoreClosedError
        if os.getpid() != self._pid:
            raise UnavailableError(
                "an asynchronous store stays with the process of its event loop; open another one "
                "in the forked child",
                retriable=False,
            )

    async def _next(self, seconds: float) -> AsyncWire:
        self.check_open()
        connection = await self._pool.getconn(seconds)
        self._lent.add(connection)
        return AsyncWire(connection, self._give_back)

    async def _give_back(self, connection: LoopConnection) -> None:
        self._lent.discard(connection)
        await self._pool.putconn(connection)

    async def connect(self) -> AsyncWire:
        with reaching(self._target.shown, self._target.password):
            connection = await LoopConnection.connect(
                self._target.conninfo,
                **connect_arguments(self._options),
                cursor_factory=AsyncRawCursor,
            )
            await _configure_async(connection)
        return AsyncWire(connection, LoopConnection.close)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        return await whole(work)

    def stats(self) -> dict[str, int]:
        return _stats(self._pool)

    async def close(self) -> None:
        self._closed = True
        await self._pool.close()


def _stats(
    pool: ConnectionPool[SyncConnection] | AsyncConnectionPool[LoopConnection] | None,
) -> dict[str, int]:
    found = {} if pool is None else pool.get_stats()
    names = ("pool_size", "pool_max", "pool_available", "requests_waiting")
    return {name: found.get(name, 0) for name in names}


_pools: weakref.WeakSet[SyncPool] = weakref.WeakSet()
_of_the_parent: list[object] = []


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
