"""Transactions of SQL databases, of both sides, and the blocks that they are used in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Protocol

from engine_store.errors import TransactionClosedError
from engine_store.sql.blocking import run
from engine_store.sql.holds import Block
from engine_store.sql.operation import Invocation
from engine_store.sql.repositories import AsyncSqlRepositories, OperationSet, Runs, SqlRepositories
from engine_store.sql.session import TransactionSession


class TransactionRuns(Runs, Protocol):
    """A transaction that can run operations: see `session.TransactionSession`."""

    async def begin(self) -> None: ...

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...

    async def savepoint(self) -> int: ...

    async def release_savepoint(self) -> None: ...

    async def rollback_savepoint(self, depth: int) -> None: ...


class _Level:
    """A transaction or a savepoint, until `end`: runs operations in `session`."""

    def __init__(self, session: TransactionRuns) -> None:
        self.session = session
        self.ended = False

    def check_open(self) -> None:
        """Raise `TransactionClosedError` after its end."""
        if self.ended:
            raise TransactionClosedError

    def run(self, invocation: Invocation) -> Coroutine[Any, Any, Any]:
        self.check_open()
        return self.session.run(invocation)


class SqlTransaction(SqlRepositories):
    """`engine_store.protocols.Transaction`."""

    def __init__(self, operations: OperationSet, session: TransactionRuns) -> None:
        """A transaction, or a savepoint of one, that has begun in `session`."""
        self._level = _Level(session)
        super().__init__(operations, self._level)

    def transaction(self) -> AbstractContextManager[SqlTransaction]:
        """Begin a savepoint: its failure undoes only itself."""
        return _Savepoint(self._operations, self._level)

    def end(self) -> None:
        """Make every further operation raise `TransactionClosedError`."""
        self._level.ended = True


class _Unit(Block):
    """A block that keeps what was written in it, or undoes it for an exception."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: SqlTransaction) -> None:
        super().__init__()
        self._transaction = transaction

    def leave(self, kind: type[BaseException] | None = None, *_: object) -> None:
        try:
            run(self._keep() if kind is None else self._undo())
        finally:
            self._transaction.end()

    def _keep(self) -> Coroutine[Any, Any, None]:
        raise NotImplementedError

    def _undo(self) -> Coroutine[Any, Any, None]:
        raise NotImplementedError


class TransactionBlock(_Unit):
    """The block of a transaction: all writes or none, also after an interrupt."""

    __slots__ = ("_session",)

    def __init__(self, operations: OperationSet, session: TransactionSession) -> None:
        """A transaction in `session`, which has not begun."""
        super().__init__(SqlTransaction(operations, session))
        self._session = session

    def __enter__(self) -> SqlTransaction:
        run(self._session.begin(self))
        return self._transaction

    def _keep(self) -> Coroutine[Any, Any, None]:
        return self._session.commit()

    def _undo(self) -> Coroutine[Any, Any, None]:
        return self._session.rollback()

    def abandon(self) -> None:
        self._transaction.end()
        self._session.forget()
        self._session.pool.give_up(self)


class _Savepoint(_Unit):
    """The block of a nested transaction."""

    __slots__ = ("_depth", "_level")

    def __init__(self, operations: OperationSet, level: _Level) -> None:
        super().__init__(SqlTransaction(operations, level.session))
        self._level = level
        self._depth = 0

    def __enter__(self) -> SqlTransaction:
        self._level.check_open()
        self._depth = run(self._level.session.savepoint())
        return self._transaction

    def _keep(self) -> Coroutine[Any, Any, None]:
        return self._level.session.release_savepoint()

    def _undo(self) -> Coroutine[Any, Any, None]:
        return self._level.session.rollback_savepoint(self._depth)

    def abandon(self) -> None:
        self._transaction.end()
        if self._depth:
            run(self._undo())


class AsyncSqlTransaction(AsyncSqlRepositories):
    """`engine_store.protocols.AsyncTransaction`."""

    def __init__(self, operations: OperationSet, session: TransactionRuns) -> None:
        """A transaction, or a savepoint of one, that has begun in `session`."""
        self._level = _Level(session)
        super().__init__(operations, self._level)
        # Savepoints are a stack: tasks that nest at the same time wait for each other.
        self._nesting = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSqlTransaction]:
        """Begin a savepoint: its failure undoes only itself."""
        async with self._nesting:
            self._level.check_open()
            session = self._level.session
            depth = await session.savepoint()
            inner = AsyncSqlTransaction(self._operations, session)
            try:
                yield inner
            except BaseException:
                await session.rollback_savepoint(depth)
                raise
            else:
                await session.release_savepoint()
            finally:
                inner.end()

    def end(self) -> None:
        """Make every further operation raise `TransactionClosedError`."""
        self._level.ended = True
