"""The meaning of MariaDB's errors to a caller, by code, never by text.

Codes: https://mariadb.com/kb/en/mariadb-error-code-reference/
"""

from __future__ import annotations

import pymysql
from pymysql.constants import CR, ER

from engine_store.sql.failures import Failures

DUPLICATE, NO_REFERENCE = ER.DUP_ENTRY, ER.NO_REFERENCED_ROW_2
DEADLOCK, LOCK_TIMEOUT, TOO_LARGE = ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, ER.NET_PACKET_TOO_LARGE
NO_CONNECTION, KILLED, STATEMENT_TIMEOUT, READ_ONLY = 0, 1927, 1969, 1792

LOST = (NO_CONNECTION, KILLED, ER.SERVER_SHUTDOWN, CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST)
DENIED = (ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, 1698)

_LOST = (
    "the connection to the server was lost; whether a write that was under way happened is not "
    "known: read before you write again"
)
_FASTER = "other writers were faster every time; try again"


def code_of(error: Exception) -> int | None:
    """Return the code of one of PyMySQL's errors; None if it has none."""
    code = error.args[0] if isinstance(error, pymysql.Error) and error.args else None
    return code if isinstance(code, int) else None


FAILURES = Failures(
    product="MariaDB",
    errors=pymysql.Error,
    code=code_of,
    retriable={
        **dict.fromkeys(LOST, _LOST),
        DUPLICATE: _FASTER,
        NO_REFERENCE: _FASTER,
        DEADLOCK: "this transaction and another one waited for each other; run it again",
        LOCK_TIMEOUT: "another transaction held a lock for longer than lock_timeout; try again, or "
        "keep transactions short",
        STATEMENT_TIMEOUT: "the statement ran for longer than the server's max_statement_time",
        ER.QUERY_INTERRUPTED: "the statement was interrupted; try again",
        ER.CON_COUNT_ERROR: "the server has no connection left; lower pool_size, or raise its "
        "max_connections",
        ER.OPTION_PREVENTS_STATEMENT: "the server may not be written; try again when it may",
        READ_ONLY: "transactions are read-only here; try again when they are not",
    },
    lasting={
        TOO_LARGE: "a statement with its values is larger than the server's max_allowed_packet; "
        "raise it there",
        **dict.fromkeys(DENIED, "the user lacks a privilege; grant it, or open as another user"),
        ER.TABLEACCESS_DENIED_ERROR: "the user lacks a privilege on a table; grant it",
        ER.BAD_DB_ERROR: "the database is gone",
        ER.DISK_FULL: "the server's disk is full; make room",
        ER.RECORD_FILE_FULL: "a table of the server is full; make room",
    },
    too_large=(ER.DATA_TOO_LONG, ER.TOO_BIG_ROWSIZE),
)


def may_retry(error: Exception, in_transaction: bool) -> bool:
    """Return whether the operation may succeed if it runs again.

    A deadlock ends the whole transaction. Statements look first, so that a key is doubled or a
    reference missing only by what was committed after they had looked.
    """
    code = code_of(error)
    return code in (DUPLICATE, NO_REFERENCE) or (code == DEADLOCK and not in_transaction)
