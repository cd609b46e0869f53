"""Write groups: operations that wait to write at the same moment share one commit.

A commit waits for the disk, however many rows it has. So whoever is first in the queue leads: it
begins a transaction, runs its own operation and those of the writers that wait after it, commits
once for all of them, and hands the queue on. A lone writer leads a group of one and pays for
nothing else. LevelDB and RocksDB write so.

An operation of several statements has a savepoint, to be undone alone. One that writes by a single
statement needs none: the database undoes a statement that fails. It makes a third of the calls, and
after each call a thread has to get the interpreter's lock again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from threading import Lock, get_ident
from typing import Any, TypeAlias

from engine_store.errors import DamagedRowError, EngineStoreError
from engine_store.sql.blocking import run
from engine_store.sql.dbapi import DbapiConnection
from engine_store.sql.holds import Block
from engine_store.sql.operation import LostRace

MOST_MEMBERS = 256
"""Operations that share a commit, at most: the first one waits for the last."""

LONGEST = 0.01
"""Seconds for which a group takes members, at most: then other processes have their turn."""

Work: TypeAlias = Callable[[DbapiConnection], Coroutine[Any, Any, Any]]
"""Runs an operation on the connection that writes, by a coroutine that never suspends."""


class Member:
    """An operation that waits to be run in a group, and its outcome."""

    __slots__ = (
        "begun",
        "ended",
        "error",
        "leader",
        "owner",
        "savepoint",
        "thread",
        "value",
        "wake",
        "work",
    )

    def __init__(
        self, work: Work | None, *, savepoint: bool = True, owner: Block | None = None
    ) -> None:
        """A member that runs `work`. Without it, one that wants the connection for itself.

        It ends with the block `owner`, if there is one.
        """
        self.work = work
        self.savepoint = savepoint
        self.owner = owner
        self.thread = get_ident()
        self.wake: Lock | None = None
        self.leader: Member | None = None
        self.begun = False
        self.ended = False
        self.value: Any = None
        self.error: BaseException | None = None

    @property
    def is_lost(self) -> bool:
        """True if the member's block is over: an exception came between two of its steps."""
        return self.owner is not None and self.owner.is_over

    def run(self, connection: DbapiConnection) -> None:
        """Run the work. Raises what it raises."""
        self.value = run(self.work(connection))  # type: ignore[misc]

    def fail(self, error: BaseException) -> None:
        """Let `error` be the outcome."""
        self.ended, self.value, self.error = True, None, error

    def tell(self) -> None:
        """Let who waits for the outcome, or for the writer, go on."""
        if self.wake is not None and self.wake.locked():
            self.wake.release()

    def result(self) -> Any:
        """Return the outcome, or raise it."""
        if self.error is None:
            return self.value
        try:
            raise self.error
        finally:
            self.error = None  # or the traceback and this frame would hold each other


class WriteGroup:
    """Members that run one after the other in one transaction, which has begun.

    What a member finds out is true only if the transaction commits, so that no outcome is told
    before: neither a row nor a refusal.
    """

    def __init__(
        self,
        connection: DbapiConnection,
        errors: type[Exception] | tuple[type[Exception], ...],
        first: Member | None = None,
    ) -> None:
        """A group on `connection`, whose library raises `errors`; `first` has run already."""
        self._connection = connection
        self._errors = errors
        self._until = time.monotonic() + LONGEST
        self.members = [] if first is None else [first]

    def run_first(self, member: Member) -> bool:
        """Run the first member; return whether there is something to commit.

        If it fails it stays alone: nothing was written before it, so that its outcome is true as
        it is.
        """
        try:
            self._run(member)
        except BaseException:
            self.run_again()
            raise
        return member.error is None

    def run(self, following: Callable[[], Member | None]) -> bool:
        """Run what `following` returns, until it is None or the group is full.

        Return whether there is something to commit.
        """
        try:
            while len(self.members) < MOST_MEMBERS and time.monotonic() < self._until:
                member = following()
                if member is None:
                    break
                if not self._run_beside_others(member):
                    return False
        except Exception as error:  # noqa: BLE001 - it is for every member
            self._fail(error)
            return False
        except BaseException:
            self.run_again()
            raise
        return True

    def _run(self, member: Member) -> None:
        self.members.append(member)
        try:
            member.run(self._connection)
        except Exception as error:  # noqa: BLE001 - it is for the caller
            member.error = error

    def _run_beside_others(self, member: Member) -> bool:
        """Run a member, and if it fails undo it alone; return whether the group can go on.

        Raises what ended the transaction, and thereby the others' work.
        """
        connection = self._connection
        if member.savepoint:
            connection.command("SAVEPOINT member")
        self._run(member)
        if member.error is not None:
            if not connection.in_transaction:  # as SQLite does if the disk is full
                raise member.error
            if member.savepoint:
                connection.command("ROLLBACK TO member")
            elif not self._wrote_nothing(member.error):
                member.ended = True  # it may have written
                self.run_again()
                return False
        if member.savepoint:
            connection.command("RELEASE member")
        return True

    def _wrote_nothing(self, error: BaseException) -> bool:
        """Return whether a member of one statement that writes was refused by this error.

        The row that it gave may be damaged, or our own code mistaken.
        """
        refusals = (EngineStoreError, LostRace, self._errors)
        return isinstance(error, refusals) and not isinstance(error, DamagedRowError)

    def commit(self) -> None:
        """Commit. If that fails, every member fails with the same error, and nothing is kept."""
        try:
            self._connection.command("COMMIT")
        except self._errors as error:
            self._fail(error)
        except BaseException:
            if self._connection.in_transaction:
                self.run_again()
            else:  # the exception came as the commit returned
                self.end()
            raise
        else:
            self.end()

    def end(self) -> None:
        """Let the outcomes count."""
        for member in self.members:
            member.ended = True

    def tell(self) -> None:
        """Let those that wait for the outcomes go on."""
        for member in self.members:
            member.tell()

    def _fail(self, error: Exception) -> None:
        for member in self.members:
            member.fail(error)

    def run_again(self) -> None:
        """End without a commit: let every member that has not ended run again, in another group."""
        for member in self.members:
            if not member.ended:
                member.fail(LostRace("the group that ran the operation ended without a commit"))
