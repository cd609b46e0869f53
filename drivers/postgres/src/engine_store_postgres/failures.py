"""What PostgreSQL's errors mean to a caller, by SQLSTATE, never by text.

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from engine_store.sql.failures import Failures

_LOST, _TOO_LARGE, _STALE_PLAN = "lost", "too large", "stale plan"
_SERVER_GONE = {"25P03", "25P04", "57P01", "57P02", "57P03", "57P05"}
"""Each ends the connection: a time-out of the whole transaction or session, or the server's end."""

_TRANSACTION_GONE = {"40001", "40P01"}
"""The transaction as a whole has to be run again: its locks or its snapshot are in the way."""

_RETRIED = _TRANSACTION_GONE | {"23505", "23503"}
"""A write that lost to a concurrent one. Statements are guarded, so that a unique key or a foreign
key is violated only by what was committed after the guard had looked."""


_RETRIABLE = {
    "40001": "a concurrent transaction changed what this one had read; run it again",
    "40P01": "this transaction and another one waited for each other; run it again",
    "23505": "other writers were faster every time; try again",
    "23503": "other writers were faster every time; try again",
    "55P03": "another transaction held a lock for longer than lock_timeout; try again, or keep "
    "transactions short",
    "57014": "the statement was cancelled, or ran for longer than statement_timeout",
    "25006": "the server may not be written: it is a standby, or read-only; try again when it "
    "is not, or name the primary with target_session_attrs=read-write",
    _STALE_PLAN: "the columns of a table changed meanwhile; run the transaction again",
    "53200": "the server ran out of memory",
    "53300": "the server has no connection left; lower pool_max_size, or raise max_connections",
    "55006": "the object is in use",
    "58030": "the server could not read or write its files; look at its log",
    "53400": "a limit of the server's configuration was reached; look at its log",
    "53": "the server lacks memory, connections or another resource; look at its log",
    "57": "the server's operator, or a setting of it, ended the statement; look at its log",
    "58": "the server's system failed it; look at its log",
    _LOST: "the connection to the server was lost; whether a write that was under way happened "
    "is not known: read before you write again",
    TooManyRequests: "pool_max_waiting calls wait for a connection already; try again, or raise it",
    PoolTimeout: "no connection was free in time; try again",
}
_LASTING = {
    "53100": "the server's disk is full; make room",
    "42501": "the user lacks a privilege; grant it, or open the store as another user",
    "57P04": "the database was dropped",
    "58P01": "a file of the database is missing; restore a backup",
    "26000": "a prepared statement is missing: behind PgBouncer set pgbouncer=true",
    "42P05": "a statement is prepared already: behind PgBouncer set pgbouncer=true",
    "XX001": "the database is damaged; restore a backup",
    "XX002": "an index is damaged; run REINDEX",
    "XX": "the server met a mistake of its own, or damaged data; look at its log",
}
"""The meaning of each code, or if it is not there of its class, which is how it begins."""


def _code(error: Exception) -> object:
    """Return what tells an error from others: its SQLSTATE, its class, or one of the words here."""
    if isinstance(error, PoolTimeout | TooManyRequests):
        return type(error)
    code: str | None = getattr(error, "sqlstate", None)
    if code is None:
        return _LOST if isinstance(error, psycopg.OperationalError) else None
    if code in _SERVER_GONE or code.startswith("08"):
        return _LOST
    if code == "0A000" and error.diag.source_function == "RevalidateCachedQuery":  # type: ignore[attr-defined]
        return _STALE_PLAN
    if code.startswith("54"):
        return _TOO_LARGE
    known = _RETRIABLE.keys() | _LASTING.keys()
    return code[:2] if code not in known and code[:2] in known else code


def _lacks_password(error: Exception) -> bool:
    """Return whether a password was asked for and is not there: it will not come by itself.

    Of a connection that cannot be made libpq gives no SQLSTATE, so that a wrong password looks
    like a server without a free connection.
    """
    pgconn = getattr(error, "pgconn", None)
    return pgconn is not None and bool(pgconn.needs_password)


FAILURES = Failures(
    product="PostgreSQL",
    errors=psycopg.Error,  # the pool's are such, too
    code=_code,
    retriable=_RETRIABLE,
    lasting=_LASTING,
    too_large=(_TOO_LARGE,),
    closed=PoolClosed,
    connecting=psycopg.OperationalError,
    refused=_lacks_password,
)


def is_of_connection(error: psycopg.Error, *, wants_primary: bool) -> bool:
    """Return whether the same statement may succeed on another connection.

    This one has plans from before a migration, or statements that its server does not know (after
    a failed pipeline psycopg may note one as prepared that is not), or it leads to a server that
    was the primary, and one that `wants_primary` finds the new one.
    """
    code = _code(error)
    return code in {_STALE_PLAN, "26000"} or (wants_primary and code == "25006")


def may_retry(error: Exception, in_transaction: bool) -> bool:
    """Return whether the operation that raised `error` may succeed if it runs again."""
    code = getattr(error, "sqlstate", None)
    if getattr(error, "closed_connection", False):
        return not in_transaction
    return code in _RETRIED and not (in_transaction and code in _TRANSACTION_GONE)
