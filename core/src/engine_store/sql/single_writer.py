"""A pool for databases that have one writer at a time, such as those in a file."""

from __future__ import annotations

import time
from contextlib import suppress
from threading import get_ident
from typing import Any, TypeVar

from engine_store.errors import StoreClosedError, UnavailableError
from engine_store.protocols import Endpoint
from engine_store.sql import forks
from engine_store.sql.blocking import Blocking, persist, run
from engine_store.sql.connection import BasePool
from engine_store.sql.dbapi import DbapiConnection
from engine_store.sql.failures import Failures
from engine_store.sql.holds import Block
from engine_store.sql.operation import Request
from engine_store.sql.pool import ConnectionPool
from engine_store.sql.upkeep import Upkeep
from engine_store.sql.write_group import Member, Work, WriteGroup
from engine_store.sql.write_queue import WriteQueue

D = TypeVar("D", bound=DbapiConnection)

FORK_PATIENCE = 1.0
"""Seconds that a fork waits for other threads to release their connections."""


class SingleWriterPool(BasePool[D], Blocking):
    """`engine_store.sql.connection.BlockingPool`: one connection that writes, several that read.

    A connection that is acquired to write holds the database's write lock. Operations that write
    share commits: see `write_group`. Locks on a file are a process's own, so before a fork every
    connection is closed; parent and child open new ones.
    """

    writers = 1

    groups_writes = True

    commit_waits = True
    """True if a commit waits for the disk."""

    failures: Failures
    """The meaning of the errors of the connections' library."""

    begin_command = "BEGIN"
    """Begins a transaction that holds the write lock, or fails at once."""

    reopens = True
    """True if connections that were closed can be opened again."""

    def __init__(self, endpoint: Endpoint, readers: int, timeout: float) -> None:
        """A pool without connections; a call waits at most `timeout` seconds for one."""
        super().__init__(endpoint, timeout)
        self.readers = readers
        self.write_queue = WriteQueue(timeout, self._settle)
        self.writer: D | None = None
        self.read_pool = ConnectionPool(
            self.open_reader,
            readers,
            timeout,
            "every reader was busy for {seconds} s; try again, or raise readers",
        )
        self._upkeep = Upkeep(self._keep_up)
        self._forking: Member | None = None
        self._paused = False

    def open_writer(self) -> D:
        """Return a new connection that writes; its `pool` is this one."""
        raise NotImplementedError

    def open_reader(self) -> D:
        """Return a new connection that reads; its `pool` is `read_pool`."""
        raise NotImplementedError

    def is_busy(self, error: Exception) -> bool:
        """Return whether an error of beginning means that another process holds the lock."""
        raise NotImplementedError

    def begin(self, connection: D, deadline: float, timeout: float) -> None:
        """Begin a transaction that holds the write lock. Raises `UnavailableError` at `deadline`.

        `timeout` is what the error says was waited for.
        """
        try:
            connection.command(self.begin_command)
            return
        except self.failures.errors as error:
            if not self.is_busy(error):
                self.failures.reraise(error)
        try:
            persist(lambda: connection.command(self.begin_command), self.is_busy, deadline)
        except self.failures.errors as error:
            if not self.is_busy(error):
                self.failures.reraise(error)
            raise UnavailableError(
                f"another process held the write lock for {timeout:g} s; try again, or raise "
                "busy_timeout",
                retriable=True,
            ) from error

    def upkeep_is_due(self, connection: D) -> bool:
        """Return whether the file needs `upkeep`, after what was written."""
        return False

    def upkeep(self, connection: D) -> None:
        """Look after the file while `connection` keeps every other writer away."""

    @property
    def is_mine(self) -> bool:
        """True if this thread holds the connection that writes."""
        holder = self.write_queue.holder
        return holder is not None and holder.thread == get_ident() and not holder.is_lost

    async def acquire(
        self, *, write: bool = False, timeout: float | None = None, owner: Block | None = None
    ) -> D:
        """Return a connection; one that writes is in a transaction that holds the write lock.

        Raises `UnavailableError` at once if this thread holds the write lock itself.
        """
        if not write:
            return self.read_pool.acquire(timeout, owner)
        self._check_not_mine()
        timeout = self.timeout if timeout is None else timeout
        return self.acquire_writer(timeout, timeout, owner=owner)

    def acquire_writer(
        self, seconds: float, timeout: float, *, at_once: bool = False, owner: Block | None = None
    ) -> D:
        """Return the connection that writes; wait at most `seconds` for it.

        An error says that `timeout` seconds passed. `at_once` it waits for nobody in this process.
        """
        member = Member(None, owner=owner)
        deadline = self.write_queue.patience.now() + seconds
        try:
            self.write_queue.enter(member, deadline, timeout, at_once=at_once)
            return self._begin(deadline, timeout)
        except BaseException:
            self.write_queue.leave(member)
            raise

    async def write_in_group(self, work: Work, *, savepoint: bool) -> Any:
        """Run an operation and return its outcome, when it is committed.

        This thread runs those of others that wait, too; or another thread runs this one. Raises
        what `acquire` raises, and what the commit raised.
        """
        self._check_not_mine()
        with self.hold() as hold:
            member = Member(work, savepoint=savepoint, owner=hold)
            deadline = self.write_queue.patience.now() + self.timeout
            try:
                if self.write_queue.enter(member, deadline, self.timeout):
                    self._lead(member, deadline)
            except BaseException:
                self.write_queue.leave(member)
                raise
            return member.result()

    def _check_not_mine(self) -> None:
        if self.is_mine:
            raise UnavailableError(
                "this thread has a transaction open, and the database has one writer; write "
                "through the transaction",
                retriable=False,
            )

    def _lead(self, member: Member, deadline: float) -> None:
        """Run the operation of a member that has the writer, and of those that wait by then."""
        queue = self.write_queue
        connection = self._begin(deadline, self.timeout)
        queue.patience.pause()
        group: WriteGroup | None = None
        try:
            member.run(connection)
            if not queue.waiting:  # a lone writer pays for no group
                connection.command("COMMIT")
                return
            group = WriteGroup(connection, self.failures.errors, member)
            if group.run(queue.following):
                group.commit()
            else:
                group.end()
        finally:
            try:
                self.release(connection)
            finally:
                if group is not None:
                    group.tell()

    def _begin(self, deadline: float, timeout: float) -> D:
        """Return the connection, in a transaction, for a member that has the writer.

        Tries until `deadline`, as the queue's patience counts; an error says that `timeout`
        seconds passed.
        """
        until = time.monotonic() + deadline - self.write_queue.patience.now()
        connection = self.writer
        if connection is None:
            self.writer = connection = self.open_writer()
        self.begin(connection, until, timeout)
        return connection

    def _keep_up(self, seconds: float) -> None:
        with self.hold() as hold:
            connection = self.acquire_writer(seconds, seconds, owner=hold)
            self.write_queue.patience.pause()
            with self.failures.translated():
                self.upkeep(connection)

    def release(self, connection: D) -> None:
        """Take the connection that writes back, without a transaction, and hand it on."""
        holder = self.write_queue.holder
        is_due = False
        try:
            if connection.in_transaction:
                run(connection.rollback())
            is_due = not self.closed and self.upkeep_is_due(connection)
        finally:
            if holder is not None:
                self.write_queue.leave(holder)
        if is_due:
            self._upkeep.ask()

    def _settle(self) -> None:
        """End the transaction that the last holder of the writer left open, if it was interrupted.

        A connection on which that fails is closed; and so is every one after `close`.
        """
        connection = self.writer
        if connection is None:
            return
        if connection.in_transaction:
            run(connection.rollback())
        if self.closed or connection.in_transaction:
            self.writer = None
            connection.close()

    def give_up(self, owner: Block) -> None:
        holder = self.write_queue.holder
        if holder is not None and holder.owner is owner:
            self.write_queue.leave(holder)
        self.read_pool.give_up(owner)

    async def fetch(self, request: Request, timeout: float | None = None) -> Any:
        """Return the rows of a request that only reads. It costs half of what `acquire` costs."""
        connection = self.read_pool.acquire(timeout, get_ident())
        try:
            rows = connection.fetch(request)
        except self.failures.errors:
            self.read_pool.release(connection)
            raise
        except BaseException:  # an interrupted statement would keep its snapshot
            self.read_pool.discard(connection)
            raise
        self.read_pool.release(connection)
        return rows

    async def close(self) -> None:
        self.closed = True
        if self.lost:
            return
        self.write_queue.close()
        self._upkeep.close()
        self.read_pool.close()

    # --- forks -----------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Close every connection, if none is in use."""
        if self.reopens and not self.lost and not self.is_mine:
            self._paused = self._pause_writing() and self.read_pool.pause(FORK_PATIENCE)

    def _pause_writing(self) -> bool:
        """Have the writer, and close its connection; return whether there is none now."""
        self._forking = Member(None)
        deadline = self.write_queue.patience.now() + FORK_PATIENCE
        with suppress(StoreClosedError, UnavailableError):
            self.write_queue.enter(self._forking, deadline, FORK_PATIENCE)
            if self.writer is not None:
                self.writer.close()
                self.writer = None
        return self.writer is None

    def after_fork_in_parent(self) -> None:
        """Let connections be opened again."""
        forking, self._forking = self._forking, None
        paused, self._paused = self._paused, False
        if paused:
            self.read_pool.resume()
        if forking is not None:
            self.write_queue.leave(forking)

    def after_fork_in_child(self) -> None:
        """Let connections be opened; or let go of the parent's, without even closing them."""
        self._forking = None
        paused, self._paused = self._paused, False
        if self.lost:
            return
        super().after_fork_in_child()
        forks.keep_forever(self.writer)
        self.writer = None
        self._upkeep.forget()
        self.write_queue.forget()
        self.read_pool.forget()
        if not paused:  # a connection was in use
            self.lose()

    def lose(self) -> None:
        """Say in `lost` why a child cannot use connections that were in use at the fork."""
        self.lost = self.lost or (
            "this process was forked in the middle of a transaction; fork outside of "
            "transactions, or start the process anew"
        )
