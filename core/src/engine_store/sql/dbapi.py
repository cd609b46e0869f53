"""Any connection of a DB-API 2.0 module as a `Connection`, and a pool of them.

The module's connections have to be in autocommit mode: transactions are begun by name.
See https://peps.python.org/pep-0249/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from re import Match
from typing import Any, Literal, TypeVar

from engine_store.protocols import Endpoint
from engine_store.sql.blocking import Blocking
from engine_store.sql.connection import BasePool
from engine_store.sql.holds import Block
from engine_store.sql.operation import Request
from engine_store.sql.pool import ConnectionPool
from engine_store.sql.statements import PARAMETER, Call, Result, split_script

_POSITIONAL = {"qmark": "?", "format": "%s"}
_NAMED = {"named": ":{name}", "pyformat": "%({name})s"}


@lru_cache(maxsize=1024)
def placeholders(text: str, style: str) -> tuple[str, tuple[str, ...] | None]:
    """Return SQL with the placeholders of a module's `paramstyle`, and the names in their order.

    The names are None if the style takes parameters by name. `numeric` is `$1` here, as
    PostgreSQL itself has it, with a number for each name.
    """
    if style == "named":
        return text, None
    names: list[str] = []

    def placeholder(match: Match[str]) -> str:
        name = match[1]
        if style in _NAMED:
            return _NAMED[style].format(name=name)
        if style == "numeric":
            if name not in names:
                names.append(name)
            return f"${names.index(name) + 1}"
        names.append(name)
        return _POSITIONAL[style]

    if style in ("format", "pyformat"):
        text = text.replace("%", "%%")
    bound = PARAMETER.sub(placeholder, text)
    return bound, None if style in _NAMED else tuple(names)


_ENDS = re.compile(r"(?i)\s*(?:commit|rollback(?!\s+(?:work\s+)?to\b))")
_BEGINS = re.compile(r"(?i)\s*(?:begin|start\s+transaction)\b")


class DbapiConnection:
    """A DB-API connection as `engine_store.sql.connection.Connection`."""

    is_quiet = True
    """True if the server has said nothing since; a driver whose module tells says so itself."""

    errors: tuple[type[Exception], ...] = (Exception,)
    """The exceptions of the module, on a broken connection too."""

    closed = False
    """True if the connection was closed in the middle of a call."""

    pool: Any = None
    """The pool to which `release` gives it back."""

    def __init__(self, raw: Any, style: str) -> None:
        """A connection of a module with the `paramstyle` `style`."""
        self.raw = raw
        self._style = style
        self._in_transaction = False

    @property
    def in_transaction(self) -> bool:
        """True if a transaction is open, as far as commands tell."""
        return self._in_transaction

    async def run(
        self, request: Request, before: Sequence[str] = (), after: Sequence[str] = ()
    ) -> Any:
        """Return the rows of a request, between the commands around it."""
        for command in before:
            self.command(command)
        rows = self.fetch(request)
        for command in after:
            self.command(command)
        return rows

    def fetch(self, request: Request) -> Any:
        """Return the rows of a call, or of each of several, one statement after the other."""
        if isinstance(request, Call):
            return self._fetch(request)
        return [self._fetch(call) for call in request]

    async def execute(self, script: str) -> None:
        """Run the statements of a script one by one."""
        for statement in split_script(script):
            self.command(statement)

    async def rollback(self) -> None:
        if self.in_transaction:
            with suppress(*self.errors):  # a broken connection: its pool sees it
                self.command("ROLLBACK")

    def ends_transaction(self, error: Exception) -> bool:
        """Return whether the server rolled the whole transaction back when it raised `error`."""
        return False

    async def release(self) -> None:
        if self.pool is not None:
            self.pool.release(self)

    async def discard(self) -> None:
        """Close the connection; its pool makes another one."""
        if self.pool is not None:
            self.pool.discard(self)

    def close(self) -> None:
        """Close the connection, also a broken one."""
        with suppress(*self.errors):
            self.raw.close()

    def command(self, text: str) -> None:
        """Run one statement without parameters and rows."""
        with self._exchange() as cursor:
            self._execute(cursor, text)
        if _BEGINS.match(text):
            self._in_transaction = True
        elif _ENDS.match(text):
            self._in_transaction = False

    def _fetch(self, call: Call) -> Any:
        statement, parameters = call
        with self._exchange() as cursor:
            for part in statement.parts(parameters):
                text, names = placeholders(part, self._style)
                values = parameters if names is None else [parameters[name] for name in names]
                self._execute(cursor, text, values)
                rows = cursor.fetchall() if cursor.description else []
                if not rows and cursor.rowcount == 0:
                    break  # a part that matches no row ends the statement
        if statement.result is Result.ONE:
            return rows[0] if rows else None
        return list(rows) if statement.result is Result.MANY else None

    @contextmanager
    def _exchange(self) -> Iterator[Any]:
        """Give a cursor. An exception from elsewhere, such as an interrupt, closes the connection.

        What the server says next would answer the call that it came into.
        """
        cursor = self.raw.cursor()
        try:
            try:
                yield cursor
            finally:
                cursor.close()
        except BaseException as error:
            if not isinstance(error, self.errors):
                self.closed, self._in_transaction = True, False
                self.close()
            raise

    def _execute(self, cursor: Any, *arguments: Any) -> None:
        try:
            cursor.execute(*arguments)
        except Exception as error:
            if self._in_transaction and self.ends_transaction(error):
                self._in_transaction = False
            raise


D = TypeVar("D", bound=DbapiConnection)


class DbapiPool(BasePool[D], Blocking):
    """`engine_store.sql.connection.BlockingPool` of connections that all read and write.

    A forked child gets connections of its own; that of an asynchronous store is refused. An idle
    connection is asked before it is used, unless a driver knows a cheaper way to look at it.
    """

    check: Literal["socket", "query", "off"] = "query"
    probe = "SELECT 1"

    def __init__(
        self,
        connect: Callable[[], D],
        endpoint: Endpoint,
        *,
        size: int = 8,
        timeout: float = 10.0,
        sized_by: str = "pool_size",
    ) -> None:
        """A pool of at most `size` connections, the setting `sized_by`, that `connect` makes.

        `connect` raises `UnavailableError` with the reason; the kit gives its connections back
        here.
        """
        super().__init__(endpoint, timeout)
        self.readers = self.writers = size
        self._connect = connect
        busy = (
            f"all {size} connections were busy for {{seconds}} s; try again, raise {sized_by}, or "
        )
        self._pool = ConnectionPool(
            self._connected, size, timeout, f"{busy}keep transactions short"
        )

    def _connected(self) -> D:
        connection = self._connect()
        connection.pool = self
        return connection

    def release(self, connection: D) -> None:
        """Take a connection back; one whose rollback failed is broken, and closed."""
        is_broken = connection.in_transaction or connection.closed
        (self._pool.discard if is_broken else self._pool.release)(connection)

    def discard(self, connection: D) -> None:
        """Close a connection, in whose place another one may be made."""
        self._pool.discard(connection)

    async def open(self) -> None:
        self._pool.release(self._pool.acquire())

    async def next_connection(self, seconds: float, owner: Block | None) -> D:
        """Return a connection, idle or new."""
        return self._pool.acquire(seconds, owner)

    def give_up(self, owner: Block) -> None:
        self._pool.give_up(owner)

    def stats(self) -> Mapping[str, int | float | str]:
        """Return how many connections there are, idle ones, and calls that wait."""
        return {
            "pool_size": self._pool.idle + self._pool.in_use,
            "pool_max": self.writers,
            "pool_available": self._pool.idle,
            "requests_waiting": self._pool.waiting,
        }

    async def close(self) -> None:
        self.closed = True
        self._pool.close()

    def after_fork_in_child(self) -> None:
        """Begin anew, unless the pool is bound to its process."""
        self._pool.forget()
        super().after_fork_in_child()
