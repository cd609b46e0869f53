"""Connections of PyMySQL, and the pool of a store."""

from __future__ import annotations

import time

import pymysql
from pymysql.constants import CLIENT

from engine_store.errors import UnavailableError
from engine_store.sql.dbapi import DbapiConnection, DbapiPool
from engine_store_mariadb.failures import DEADLOCK, DENIED, LOCK_TIMEOUT, TOO_LARGE, code_of
from engine_store_mariadb.options import MariadbOptions

IDLE = 0.1
"""Seconds after which a connection is asked whether it is still there before it is used."""

_SESSION = (
    "SET SESSION tx_isolation = 'READ-COMMITTED', sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES', "
    "max_recursive_iterations = 4294967295, innodb_lock_wait_timeout = {lock_timeout}"
)
"""Each statement sees what is committed, also after a lock that was waited for; no value is cut to
fit; names are quoted as in the standard; trees have more than 1,000 levels."""

_LIMITS = "SELECT @@max_allowed_packet, @@innodb_rollback_on_timeout"


class _Raw(pymysql.Connection):
    """A connection that knows how much the server takes: it ends one that sends more."""

    limit = 1 << 62

    def query(self, sql: str | bytes, unbuffered: bool = False) -> int:
        text = sql.encode(self.encoding, "surrogateescape") if isinstance(sql, str) else sql
        if len(text) >= self.limit:
            raise pymysql.DataError(TOO_LARGE, f"{len(text)} bytes, {self.limit} are allowed")
        return super().query(text, unbuffered)


class MariadbConnection(DbapiConnection):
    """A connection of PyMySQL in autocommit mode."""

    raw: _Raw
    errors = (pymysql.Error, OSError)

    def __init__(self, raw: _Raw) -> None:
        """A connection that was just made."""
        super().__init__(raw, "format")
        self.used = time.monotonic()
        try:
            with raw.cursor() as cursor:
                cursor.execute(_LIMITS)
                raw.limit, self._rolls_back_on_timeout = cursor.fetchone() or (raw.limit, 0)
        except BaseException:
            self.close()
            raise

    def ends_transaction(self, error: Exception) -> bool:
        """Return whether the server rolled the whole transaction back, or is gone."""
        code = code_of(error)
        timed_out = code == LOCK_TIMEOUT and self._rolls_back_on_timeout
        return bool(code == DEADLOCK or timed_out or not self.raw.open)

    async def release(self) -> None:
        """Give the connection back to its pool."""
        self.used = time.monotonic()
        await super().release()


class MariadbPool(DbapiPool[MariadbConnection]):
    """The connections of one store."""

    def __init__(self, options: MariadbOptions) -> None:
        """A pool that connects as `options` say."""
        super().__init__(
            lambda: connect(options),
            options.endpoint,
            size=options.pool_size,
            timeout=options.pool_timeout,
        )

    async def is_usable(self, connection: MariadbConnection) -> bool:
        """Return whether an idle connection is still there; the server is asked after some time."""
        if not connection.raw.open or time.monotonic() - connection.used < IDLE:
            return connection.raw.open
        try:
            connection.raw.ping(reconnect=False)
        except pymysql.Error:
            return False
        return True


def connect(options: MariadbOptions) -> MariadbConnection:
    """Return a new connection. Raises `UnavailableError` with the reason."""
    try:
        return MariadbConnection(
            _Raw(
                host=options.host,
                port=options.port,
                unix_socket=options.socket,
                user=options.user,
                password=options.password,
                ssl_ca=options.ssl_ca,
                ssl_verify_identity=options.ssl_ca is not None,
                connect_timeout=options.connect_timeout,
                read_timeout=options.read_timeout,
                charset="utf8mb4",
                collation="utf8mb4_nopad_bin",
                autocommit=True,
                client_flag=CLIENT.FOUND_ROWS,  # an update counts the rows that it matches
                init_command=_SESSION.format(lock_timeout=options.lock_timeout),
            )
        )
    except pymysql.Error as error:
        reason = " ".join(str(part) for part in error.args[1:]) or str(error)
        raise UnavailableError(
            f"MariaDB at {options}: {reason}", retriable=code_of(error) not in DENIED
        ) from None
