"""The seam between the kit and a driver: a connection, and the pool it comes from.

Both are awaited. On a blocking connection nothing in them suspends, so that `blocking.run` drives
a whole operation in one step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, Generic, Literal, Protocol, TypeVar

from engine_store.errors import StoreClosedError, UnavailableError
from engine_store.protocols import Endpoint
from engine_store.sql import forks
from engine_store.sql.holds import Block, Hold
from engine_store.sql.operation import Request

T = TypeVar("T")


class Connection(Protocol):
    """A connection, in one caller's hands. Its methods raise the errors of its library."""

    @property
    def in_transaction(self) -> bool:
        """True if a transaction is open, be it broken."""

    async def run(
        self, request: Request, before: Sequence[str] = (), after: Sequence[str] = ()
    ) -> Any:
        """Return the rows of a call, or of each of several, between the commands around them.

        In one round trip where the database can. What fails ends it: nothing after that is run.
        """

    async def execute(self, script: str) -> None:
        """Run a script of statements without parameters, each but the last ended by `;\\n`."""

    async def rollback(self) -> None:
        """End the transaction, if one is open. Raises nothing: a broken connection is released."""

    async def release(self) -> None:
        """Give the connection back to its pool, in whatever state."""


class Pool(Protocol):
    """The connections of one store."""

    endpoint: Endpoint
    """The database it connects to."""

    async def open(self) -> None:
        """Connect for the first time. Raises `UnavailableError` with the reason."""

    read_only: bool
    """True if the store was opened to be read only: nothing that writes is brought to the pool."""

    groups_writes: bool
    """True if operations that write are brought to the pool, by `write_in_group`."""

    async def write_in_group(
        self, work: Callable[[Any], Coroutine[Any, Any, Any]], *, savepoint: bool
    ) -> Any:
        """Run `work` with the connection that writes, and return its outcome after the commit.

        Without `savepoint`, it writes by a single statement, and nothing if it is refused.
        """

    def hold(self) -> AbstractContextManager[Any]:
        """Return a block for a call that acquires; it is the owner of what it acquires.

        What the call did not release, because it was interrupted, is taken back at the end.
        """

    def give_up(self, owner: Block) -> None:
        """Take back what a block acquired and did not release; may be called at any time, again."""

    async def acquire(
        self, *, write: bool = False, timeout: float | None = None, owner: Block | None = None
    ) -> Connection:
        """Return a connection for the caller alone, until its `release`.

        Waits at most `timeout` seconds, or as long as the store's settings say. Raises
        `StoreClosedError`, `UnavailableError`.
        """

    async def fetch(self, request: Request) -> Any:
        """Return the rows of a request that only reads, on a connection of its own."""

    def check_open(self) -> None:
        """Raise `StoreClosedError` after `close`, `UnavailableError` if a fork lost the pool."""

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""

    async def shield(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns; a cancellation waits for its end."""

    def stats(self) -> Mapping[str, int | float | str]:
        """Return what changes as the store is used: connections, sizes of files."""

    async def close(self) -> None:
        """Close every connection; those in use are closed as they are released."""


class BlockingPool(Pool, Protocol):
    """A pool whose methods block their thread instead of suspending."""

    writers: int
    """The number of transactions that can write at once."""

    readers: int
    """The number of calls that can read at once."""

    timeout: float
    """Seconds for which a call waits for its turn to write."""

    process_bound: str
    """The reason why a forked child cannot use the store; empty: it can."""


class Releasable(Connection, Protocol):
    """A connection of a `BasePool`."""

    @property
    def is_quiet(self) -> bool:
        """True if it is open and the server has said nothing since; the server is not asked."""

    async def discard(self) -> None:
        """Release it closed: its pool makes another one."""


C = TypeVar("C", bound=Releasable)


BOUND_TO_LOOP = "an asynchronous store stays with the process of its event loop"
"""The `process_bound` of an asynchronous store."""


class BasePool(forks.Forkable, Generic[C]):
    """The base of pools. Connections are looked at before use; each may read and write."""

    closed = False

    read_only = False

    groups_writes = False

    check: Literal["socket", "query", "off"] = "off"
    """The look at an idle connection: `socket` sees for a microsecond that the server closed
    it, `query` also asks the server, for a round trip, `off` trusts it."""

    broken_by: tuple[type[Exception], ...] = (Exception,)
    """The exceptions that a look at a broken connection raises."""

    probe = ""
    """The script that asks the server. An empty one is enough, if the library sends it."""

    process_bound = ""
    """The reason why a forked child cannot use the pool; empty: it can."""

    lost = ""
    """The reason why this process, a forked child, cannot use the pool."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        """A pool of a database; a call waits at most `timeout` seconds for a connection."""
        self.endpoint = endpoint
        self.timeout = timeout
        forks.watch(self)

    async def next_connection(self, seconds: float, owner: Block | None) -> C:
        """Return a connection, idle or new. Raises `UnavailableError` after `seconds`.

        That `owner` has it is noted in the step that takes it.
        """
        raise NotImplementedError

    async def is_usable(self, connection: C) -> bool:
        """Return whether an idle connection can still be used, as far as `check` looks.

        A server tells an idle connection its end, or closes it. All else it may say by itself is
        so rare that a new connection is cheaper than to find out.
        """
        if self.check == "off":
            return True
        with suppress(*self.broken_by):
            if connection.is_quiet and self.check == "query":
                await connection.execute(self.probe)
            return connection.is_quiet
        return False

    async def acquire(
        self, *, write: bool = False, timeout: float | None = None, owner: Block | None = None
    ) -> C:
        """Return a connection that is usable, for the caller alone, until its `release`.

        Raises `StoreClosedError`, `UnavailableError`. No lock comes with it to be waited for, so
        that it is waited for as long as the settings say.
        """
        self.check_open()
        deadline = time.monotonic() + self.timeout
        while True:
            # At least a little, so that an idle connection is given.
            seconds = max(deadline - time.monotonic(), 0.001)
            connection = await self.next_connection(seconds, owner)
            try:
                if await self.is_usable(connection):
                    return connection
            except BaseException:
                await connection.release()
                raise
            await connection.discard()
            if time.monotonic() > deadline:
                raise UnavailableError("the server closes every connection; see its log")

    async def fetch(self, request: Request) -> Any:
        with self.hold() as hold:
            connection = await self.acquire(owner=hold)
            try:
                return await connection.run(request)
            finally:
                await connection.release()

    async def write_in_group(
        self, work: Callable[[Any], Coroutine[Any, Any, Any]], *, savepoint: bool
    ) -> Any:
        raise NotImplementedError("each writer has a connection here")

    def hold(self) -> AbstractContextManager[Any]:
        """Return a block for a call that acquires; it is the owner of what it acquires."""
        return Hold(self.give_up)

    def give_up(self, owner: Block) -> None:
        """Take nothing back: see `Pool.give_up`."""

    def check_open(self) -> None:
        if self.closed:
            raise StoreClosedError
        if self.lost:
            raise UnavailableError(self.lost, retriable=False)

    def after_fork_in_child(self) -> None:
        """Refuse to go on, if the pool is bound to its process."""
        if self.process_bound:
            self.lost = f"{self.process_bound}; open another one in the forked child"
