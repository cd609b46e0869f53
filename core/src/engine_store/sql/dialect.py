"""The differences between databases, as facts and a few functions."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from engine_store.sql.failures import Failures
from engine_store.sql.operation import Backoff
from engine_store.sql.rows import Codec


def _never(*_: object) -> bool:
    return False


@frozen
class Dialect:
    """The facts of one database that sessions, transactions and the migrator go by."""

    name: str
    """The name of the driver in configurations, health and reports."""

    failures: Failures
    """The meaning of its errors, and the name of the database in messages."""

    codec: Codec = Codec()

    may_retry: Callable[[Exception, bool], bool] = _never
    """True if an operation that raised one of its errors may succeed if it runs again from its
    start; the second argument: inside a transaction of the caller, which stays."""

    lacks_column: Callable[[Exception], bool] = _never
    """True if one of its errors says that a table has no such column: then the record of applied
    steps is a table of another program."""

    retries: Backoff = Backoff(attempts=15, first=0.001, longest=0.2)
    """The waits before operations that lost to concurrent ones run again. Of the parties to a
    deadlock one goes on each time, so more attempts would help nobody."""

    begin: tuple[str, ...] = ("BEGIN",)
    """The commands that begin a transaction. Empty: a connection that is acquired to write is in
    one already, because the database's lock has to be waited for."""

    commits_each_statement: bool = True
    """True if a statement outside of a transaction commits by itself, all or nothing, so that a
    write needs no BEGIN unless it has several parts."""

    failure_aborts: bool = False
    """True if a failed statement aborts its transaction, so that each operation inside one needs
    a savepoint before it."""

    transactional_ddl: bool = True
    """True if a migration step rolls back as a whole. If not, the record says before a step that
    it runs, and the migration lock is of the session and not of the transaction."""

    begin_migration: tuple[str, ...] = ("BEGIN",)
    """The commands that begin the transaction of a migration step."""

    lock_after: int = 5
    """After so many lost races `modify` holds the row first. If a commit takes milliseconds, fewer
    serve better: pauses alone are not enough."""
