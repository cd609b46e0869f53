"""Running operations on connections: outside a transaction, and inside one."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from engine_store.errors import (
    NotInTransactionError,
    StoreClosedError,
    TransactionClosedError,
    UnavailableError,
)
from engine_store.sql.operation import (
    Invocation,
    Mode,
    Request,
    drive,
    drive_procedure,
    finish,
    first_request,
)
from engine_store.sql.statements import Call, Result
from engine_store_sqlite.connections import Connections
from engine_store_sqlite.failures import translate, translated
from engine_store_sqlite.pools import Writer


def execute(connection: sqlite3.Connection, request: Request) -> Any:
    """The rows of a call, or of each of several."""
    if not isinstance(request, Call):
        return [execute(connection, call) for call in request]
    statement, parameters = request
    try:
        cursor = connection.execute(statement.text(parameters), parameters)
        if statement.result is Result.ONE:
            return cursor.fetchone()
        return cursor.fetchall()
    except sqlite3.Error as error:
        raise translate(error) from error


class Session:
    """Runs operations, each in a transaction of its own."""

    def __init__(self, connections: Connections) -> None:
        """A session on `connections`."""
        self.connections = connections

    def run(self, invocation: Invocation) -> Any:
        """Run an operation or a procedure to its end."""
        if invocation.mode is not Mode.PROCEDURE:
            return self.run_one(invocation)
        name = invocation.name
        return drive_procedure(
            invocation.start(), lambda step: self.run_one(step.named(name)), time.sleep
        )

    def run_one(self, invocation: Invocation) -> Any:
        """Run one operation. It checks its arguments before a connection is taken."""
        self.connections.check_open()
        op = invocation.start()
        request = first_request(op)
        if invocation.mode is Mode.READ:
            return self._read(op, request)
        if invocation.mode is Mode.LOCK:
            raise NotInTransactionError(invocation.name)
        return self._write(op, request)

    def _read(self, op: Any, request: Request) -> Any:
        readers = self.connections.readers
        connection = readers.take()
        try:
            rows = execute(connection, request)
        finally:
            readers.give(connection)
        return finish(op, rows)

    def _write(self, op: Any, request: Request) -> Any:
        writer = self.connections.writer
        writer.check_not_mine()
        try:
            writer.begin()
            result = drive(op, request, lambda request: execute(writer.connection, request))
            writer.commit()
        except BaseException:
            if writer.mine:  # a signal may raise anywhere, also between two lines
                writer.rollback()
            raise
        return result


class TransactionSession(Session):
    """Runs operations in one transaction that belongs to the thread that began it."""

    def __init__(self, connections: Connections) -> None:
        """A session that has not begun."""
        super().__init__(connections)
        self._writer: Writer | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of the open transaction. Raises `TransactionClosedError`."""
        writer = self._writer
        if writer is None or writer.abandoned or not writer.mine:
            raise TransactionClosedError
        self.connections.check_open()
        if not writer.connection.in_transaction:  # a savepoint now would begin another one
            raise TransactionClosedError
        return writer.connection

    def begin(self) -> None:
        """Take the write lock. Raises `UnavailableError`, `StoreClosedError`."""
        self.connections.check_open()
        writer = self.connections.writer
        writer.check_not_mine()
        try:
            writer.begin()
            self._writer = writer
        except BaseException:
            if writer.mine:
                writer.rollback()
            raise

    def commit(self) -> None:
        """Commit, and end.

        Raises `UnavailableError` where the database rolled back by itself, `StoreClosedError`,
        after a rollback, where the store was closed meanwhile.
        """
        writer, self._writer = self._writer, None
        if writer is None or writer.abandoned:
            raise TransactionClosedError
        try:
            self.connections.check_open()
        except StoreClosedError:
            writer.rollback()
            raise
        if not writer.connection.in_transaction:
            writer.rollback()
            raise _rolled_back()
        writer.commit()

    def rollback(self) -> None:
        """Roll back, and end; nothing where it has ended or never begun."""
        writer, self._writer = self._writer, None
        if writer is not None and not writer.abandoned:
            writer.rollback()

    def savepoint(self) -> None:
        """Begin a nested transaction."""
        with translated():
            self.connection.execute("SAVEPOINT nested")

    def release_savepoint(self) -> None:
        """Keep what the innermost nested transaction wrote. Raises as `commit` does."""
        if self._writer is not None and not self._writer.connection.in_transaction:
            raise _rolled_back()
        with translated():
            self.connection.execute("RELEASE nested")

    def rollback_savepoint(self) -> None:
        """Undo what the innermost nested transaction wrote, and end it.

        Nothing where the whole transaction is undone already, or is the parent's of a fork.
        """
        writer = self._writer
        if writer is None or writer.abandoned or not writer.connection.in_transaction:
            return
        with translated():
            writer.connection.execute("ROLLBACK TO nested")
            writer.connection.execute("RELEASE nested")

    def run_one(self, invocation: Invocation) -> Any:
        """Run one operation on the transaction's connection."""
        connection = self.connection
        op = invocation.start()
        request = first_request(op)
        return drive(op, request, lambda request: execute(connection, request))


def _rolled_back() -> UnavailableError:
    return UnavailableError(
        "SQLite rolled the transaction back after an error; run it again", retriable=True
    )
