"""Pools of connections, for a store of either side.

psycopg's pools do the work: this module looks at each connection before it is used, says in the
store's terms why none could be had, and starts anew in a forked child.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, TypeVar, cast
from weakref import WeakSet

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor, Connection, RawCursor
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from engine_store.errors import UnavailableError
from engine_store.sql import forks
from engine_store.sql.background import Background, BackgroundTask, BackgroundThread
from engine_store.sql.blocking import Blocking, Suspending, run
from engine_store.sql.connection import BOUND_TO_LOOP, BasePool
from engine_store.sql.holds import Block
from engine_store_postgres.connection import ADAPTERS, AsyncPostgresConnection, PostgresConnection
from engine_store_postgres.failures import FAILURES
from engine_store_postgres.options import PostgresOptions, Target

T = TypeVar("T")

_RECONNECT = 2.0
"""Seconds for which a pool tries to connect before it asks `reconnect_failed`, which begins anew.
psycopg's own minutes come with pauses that double: a server could be back for half a minute before
anybody noticed."""

_IN_UTC = b"SET TimeZone TO 'UTC'"
"""psycopg reads times in the time zone of the session, where the first and the last of them may lie
before year 1 or after 9999. PgBouncer keeps this one setting for each of its clients."""


class _Pool(BasePool[PostgresConnection]):
    """The base of the pools of both sides. `_wait` waits for what psycopg's calls give."""

    broken_by = (psycopg.Error, OSError)

    _raw: ClassVar[type[Any]]
    _wrapper: ClassVar[type[PostgresConnection]]
    _cursor: ClassVar[type[Any]]
    _psycopg: ClassVar[type[Any]]
    _run: Callable[[Coroutine[Any, Any, None]], Any]
    background: ClassVar[type[Background]]
    """Runs what listens and notifies."""

    def __init__(self, target: Target, options: PostgresOptions) -> None:
        """A pool without connections."""
        super().__init__(target.endpoint, options.pool_timeout)
        self._target = target
        self.options = options
        self.read_only = options.read_only
        self.check = options.check
        self._pool: Any = None
        self._in_use: dict[Any, Block | None] = {}
        self._failed = (0, -math.inf)
        self._lock = threading.Lock()
        self._arguments = {
            "autocommit": True,  # transactions are begun by name
            "prepare_threshold": None if options.pgbouncer else 5,
            "context": ADAPTERS,
            "cursor_factory": self._cursor,
        }

    async def _wait(self, result: Any) -> Any:
        return result

    def _configure(self, raw: Any) -> Any:
        """Set a new connection of the pool, and wrap it for as long as it lives."""
        raw.pool = self._pool
        raw.wrapped = self._wrapper(raw, self._give_back, wants_primary=self._target.wants_primary)
        return self._run(self._set_up(raw))

    async def _set_up(self, raw: Any) -> None:
        try:
            await self._wait(raw.execute(_IN_UTC))
        except BaseException:
            await self._wait(raw.close())
            raise

    async def open(self) -> None:
        """Connect for the first time. The pool would try by itself, and tell its log."""
        connection = await self.connect()
        await connection.release()
        with FAILURES.translated():
            await self._wait(self._opened().open())
            await self._wait(self._pool.wait(self.options.connect_timeout))

    def _opened(self) -> Any:
        """Return psycopg's pool, made if there is none."""
        if self._pool is None:
            options = self.options
            self._pool = self._psycopg(
                conninfo=self._target.conninfo,
                kwargs=self._arguments,
                connection_class=self._raw,
                configure=self._configure,
                reconnect_failed=self._psycopg.check,
                min_size=options.pool_min_size,
                max_size=options.pool_max_size,
                max_waiting=options.pool_max_waiting,
                max_idle=options.pool_max_idle,
                max_lifetime=options.pool_max_lifetime,
                reconnect_timeout=_RECONNECT,
                open=False,
                name="engine-store",
            )
        return self._pool

    async def connect(self) -> PostgresConnection:
        """Return a connection beside the pool, until its `release`. Raises `UnavailableError`."""
        with FAILURES.reaching(self._target.shown, self._target.password):
            raw = await self._wait(self._raw.connect(self._target.conninfo, **self._arguments))
            await self._set_up(raw)
        return self._wrapper(raw)

    async def next_connection(self, seconds: float, owner: Block | None) -> PostgresConnection:
        """Return a connection of psycopg's pool, noted as in use."""
        try:
            raw = await self._wait((self._pool or self._opened()).getconn(seconds))
            self._in_use[raw] = owner
        except PoolTimeout:
            raise self._none_was_free() from None
        except psycopg.Error as error:
            FAILURES.reraise(error)
        except BaseException:
            self._renew()
            raise
        return cast("PostgresConnection", raw.wrapped)

    async def _give_back(self, raw: Any) -> None:
        self._in_use.pop(raw, None)
        if self._pool is not None:
            await self._wait(self._pool.putconn(raw))

    def _renew(self) -> None:
        """Do nothing: only signals come in the middle of the accounts of psycopg's pool."""

    def _none_was_free(self) -> UnavailableError:
        seconds, size = self.timeout, self.options.pool_max_size
        if len(self._in_use) < size and self._is_failing(seconds):
            if self._target.wants_primary:
                return UnavailableError(
                    f"no server that can be written could be reached for {seconds:g} s; try again "
                    "when one is; the log of psycopg.pool has their answers"
                )
            return UnavailableError(
                f"PostgreSQL could not be reached for {seconds:g} s; try again when it is back; "
                "the log of psycopg.pool has its answers"
            )
        return UnavailableError(
            f"all {size} connections were busy for {seconds:g} s; try again, raise "
            "pool_max_size, or keep transactions short"
        )

    def _is_failing(self, seconds: float) -> bool:
        """Return whether connecting failed lately.

        If no connection is free, and yet not all are in use, it did; or they go from hand to hand
        in a crowd.
        """
        errors = self._pool.get_stats().get("connections_errors", 0) if self._pool else 0
        if errors != self._failed[0]:
            self._failed = (errors, time.monotonic())
        # Between two attempts pass up to so many seconds.
        return time.monotonic() - self._failed[1] <= max(seconds, 2 * _RECONNECT)

    def stats(self) -> Mapping[str, int | float | str]:
        """Return how many connections there are, idle ones and calls that wait."""
        found = {} if self._pool is None else self._pool.get_stats()
        names = ("pool_size", "pool_max", "pool_available", "requests_waiting")
        return {name: found.get(name, 0) for name in names}

    async def close(self) -> None:
        self.closed = True
        if self._pool is not None and not self.lost:
            await self._wait(self._pool.close())


class PostgresPool(_Pool, Blocking):
    """`engine_store.sql.connection.Pool` that blocks. A forked child gets its own connections."""

    _raw, _cursor = Connection, RawCursor
    _wrapper, _psycopg, _run = PostgresConnection, ConnectionPool, staticmethod(run)
    background = BackgroundThread

    def _opened(self) -> Any:
        with self._lock:
            self.check_open()
            if self._pool is None:
                super()._opened().open()
            return self._pool

    async def _give_back(self, raw: Any) -> None:
        try:
            if raw.pool is self._pool:
                raw.pool.putconn(raw)
            else:
                raw.close()
        except BaseException:
            self._drop(raw)
            raise
        self._in_use.pop(raw, None)

    def give_up(self, owner: Block) -> None:
        for raw in [raw for raw, who in list(self._in_use.items()) if who is owner]:
            self._drop(raw)

    def _drop(self, raw: Any) -> None:
        """Close a connection of which psycopg's pool may or may not know that it is back."""
        raw.close()
        if raw.pool is self._pool:
            self._renew()
        self._in_use.pop(raw, None)

    def _renew(self) -> None:
        # psycopg notes in several steps what it gives out and takes back. What is in use of the
        # old pool is closed as it is given back.
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def after_fork_in_child(self) -> None:
        """Leave the parent's connections alone, and begin anew.

        They are kept for good: a finalizer would wait for threads that are not here.
        """
        forks.keep_forever(self._pool, self._in_use)
        self._pool, self._in_use = None, {}
        self._lock = threading.Lock()


async def _cancellable(work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns, in a task of psycopg's pool that may be cancelled.

    The pool takes that for a failed connection and goes on, and `asyncio.run` waits for ever for
    the end of the task (psycopg_pool 3.3). So it is cancelled once more; if it ends, that does
    nothing.
    """
    try:
        return await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().call_soon(task.cancel)
        raise


class _CancellableConnection(AsyncConnection[Any]):
    """A connection during whose making the task may be cancelled."""

    @classmethod
    async def connect(cls, *args: Any, **kwargs: Any) -> Any:
        return await _cancellable(super().connect(*args, **kwargs))


class AsyncPostgresPool(_Pool, Suspending):
    """`engine_store.sql.connection.Pool`, for one event loop of one process."""

    process_bound = BOUND_TO_LOOP
    _raw, _cursor = _CancellableConnection, AsyncRawCursor
    _wrapper, _psycopg = AsyncPostgresConnection, AsyncConnectionPool
    _run = staticmethod(lambda work: work)
    background = BackgroundTask

    def __init__(self, target: Target, options: PostgresOptions) -> None:
        """A pool without connections, for the running event loop."""
        super().__init__(target, options)
        self._loop = asyncio.get_running_loop()
        self._made: WeakSet[Any] = WeakSet()

    def _configure(self, raw: Any) -> Any:
        self._made.add(raw)
        return _cancellable(super()._configure(raw))

    def hold(self) -> AbstractContextManager[None]:
        """Return a block that holds nothing: only a cancellation comes between a task's steps."""
        return nullcontext()

    async def close(self) -> None:
        """Close the connections; also on another event loop, if the pool's own is closed."""
        if asyncio.get_running_loop() is self._loop:
            await super().close()
        elif self._loop.is_closed():
            self.closed = True
            for raw in self._made:
                raw.pgconn.finish()
        else:
            raise UnavailableError(
                "the store belongs to another event loop, which is not closed; close it there",
                retriable=False,
            )

    async def _wait(self, result: Any) -> Any:
        return await result
