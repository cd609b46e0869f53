"""Mutants of section 3: transactions, savepoints, and what others see of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine_store.errors import EngineStoreError, UnavailableError
from engine_store.rules.entities import TASK
from engine_store.sql.operation import Mode
from engine_store_broken.mutant import mutant, replace

SESSION = "engine_store.sql.session"
POOL = "engine_store_sqlite.pool:SqlitePool"
CONNECTION = "engine_store_sqlite.connections:SqliteConnection"

COMMIT_AFTER = 0.005
"""Seconds for which a commit is only promised."""


@mutant("3.1", base="memory")
def rollback_keeps_the_tasks() -> None:
    """Tasks are kept elsewhere, and what is there takes no part in the transaction."""

    @replace("engine_store_memory.database:Snapshot.copy")
    def copy(original: Any, snapshot: Any) -> Any:
        copied = original(snapshot)
        copied._tables[TASK] = snapshot[TASK]
        return copied


@mutant("3.1", base="sqlite")
def rollback_commits() -> None:
    """The commit stands in `finally`, so that a failed transaction is kept too."""

    @replace(f"{SESSION}:TransactionSession.rollback")
    async def rollback(original: Any, session: Any, depth: int) -> None:
        if session._connection is not None:
            await session._end(session._connection, commit=True)


@mutant("3.1", base="sqlite")
def the_victim_of_a_deadlock_commits() -> None:
    """A lock that does not come in time undoes its statement alone; then the rest is committed."""
    begun: list[None] = []

    @replace(f"{SESSION}:TransactionSession.attempt")
    async def attempt(original: Any, session: Any, invocation: Any) -> Any:
        session.calls = vars(session).get("calls", 0) + 1
        if len(begun) > 1 and session.calls > 2:
            raise UnavailableError("another transaction holds the lock", retriable=True)
        return await original(session, invocation)

    @replace("engine_store.sql.stores:SqlStore.transaction")
    @contextmanager
    def transaction(original: Any, store: Any) -> Iterator[Any]:
        lost = None
        begun.append(None)
        try:
            with original(store) as tx:
                try:
                    yield tx
                except UnavailableError as error:
                    lost = error
        finally:
            begun.pop()
        if lost is not None:
            raise lost


@mutant("3.2", base="sqlite")
def a_failed_savepoint_undoes_everything() -> None:
    """There are no savepoints: a nested failure rolls the whole transaction back."""

    @replace(f"{SESSION}:TransactionSession.rollback_savepoint")
    async def rollback(original: Any, session: Any, depth: int) -> None:
        session._depth = depth - 1
        session._pending = []
        session._connection.raw.execute("ROLLBACK")
        session._connection.raw.execute("BEGIN IMMEDIATE")


@mutant("3.2", base="sqlite")
def a_failed_savepoint_undoes_nothing() -> None:
    """A nested transaction is the outer one under another name."""

    @replace(f"{SESSION}:TransactionSession.rollback_savepoint")
    async def rollback(original: Any, session: Any, depth: int) -> None:
        await session.release_savepoint()


@mutant("3.2", base="sqlite")
def the_rollback_hides_its_reason() -> None:
    """What the caller raised is replaced by an error of the store."""

    @replace("engine_store.sql.stores:SqlStore.transaction")
    @contextmanager
    def transaction(original: Any, store: Any) -> Iterator[Any]:
        try:
            with original(store) as tx:
                yield tx
        except Exception as exc:
            raise UnavailableError("the transaction was rolled back") from exc


@mutant("3.3", base="sqlite")
def an_error_ends_the_transaction() -> None:
    """As in PostgreSQL: after an error the transaction takes nothing but a rollback."""

    @replace(f"{SESSION}:TransactionSession.attempt")
    async def attempt(original: Any, session: Any, invocation: Any) -> Any:
        if vars(session).get("aborted"):
            raise UnavailableError("current transaction is aborted", retriable=True)
        try:
            return await original(session, invocation)
        except EngineStoreError:
            session.aborted = True
            raise


@mutant("3.4", base="memory")
def dirty_reads() -> None:
    """Readers see what an open transaction has written so far."""

    @replace("engine_store_memory.database:Database.writing")
    @contextmanager
    def writing(original: Any, database: Any, timeout: float, **how: Any) -> Iterator[Any]:
        with original(database, timeout, **how) as draft:
            database.draft = draft
            try:
                yield draft
            finally:
                database.draft = None

    @replace("engine_store_memory.database:Database.read")
    def read(original: Any, database: Any) -> Any:
        draft = vars(database).get("draft")
        return original(database) if draft is None else draft.data


@mutant("3.4", base="sqlite")
def reads_are_cached() -> None:
    """A store keeps what it read until it writes itself; it misses what other stores write."""

    @replace(f"{POOL}.fetch")
    async def fetch(original: Any, pool: Any, request: Any) -> Any:
        cache = vars(pool).setdefault("cache", {})
        key = repr(request)
        if key not in cache:
            cache[key] = await original(pool, request)
        return cache[key]

    @replace(f"{POOL}.release")
    def release(original: Any, pool: Any, connection: Any) -> None:
        original(pool, connection)
        vars(pool).setdefault("cache", {}).clear()


@mutant("3.4", base="memory")
def readers_wait_for_the_writer() -> None:
    """One lock for reading and writing, as in SQLite without its write-ahead log."""

    @replace("engine_store_memory.database:Database.read")
    def read(original: Any, database: Any) -> Any:
        if database._writer == threading.get_ident():
            return original(database)
        if not database._lock.acquire(timeout=0.2):
            raise UnavailableError("a writer holds the lock", retriable=True)
        try:
            return original(database)
        finally:
            database._lock.release()


@mutant("3.5", base="sqlite")
def transactions_begin_deferred() -> None:
    """A bare BEGIN takes no lock, so that `get_for_update` holds nothing against other stores."""

    @replace(f"{POOL}.begin")
    def begin(original: Any, pool: Any, connection: Any, *args: Any) -> None:
        connection.command("BEGIN")


@mutant("3.5", base="sqlite")
def get_for_update_anywhere() -> None:
    """Outside a transaction the row is read and held by nothing."""

    @replace(f"{SESSION}:Session.attempt")
    async def attempt(original: Any, session: Any, invocation: Any) -> Any:
        mode = Mode.READ if invocation.mode is Mode.LOCK else invocation.mode
        return await original(session, invocation._replace(mode=mode))


@mutant("3.5", base="memory")
def transactions_never_end() -> None:
    """A transaction that is over takes calls, and forgets what they write."""

    @replace("engine_store_memory.store:MemoryTransaction.check")
    def check(original: Any, tx: Any) -> None:
        ended, tx.ended = tx.ended, False
        try:
            original(tx)
        finally:
            tx.ended = ended


@mutant("3.6", base="sqlite")
def acknowledged_before_it_is_committed() -> None:
    """Write-behind: a call returns at once, and its commit follows a little later.

    Within the process nobody notices: every call waits for the commit before it.
    """

    def committed(pool: Any) -> threading.Event:
        if "committed" not in vars(pool):
            pool.committed = threading.Event()
            pool.committed.set()
        return pool.committed

    @replace(f"{CONNECTION}.command")
    def command(original: Any, connection: Any, text: str) -> None:
        if text == "COMMIT":
            connection.promised = True
        else:
            original(connection, text)

    @replace(f"{CONNECTION}.execute")
    async def execute(original: Any, connection: Any, script: str) -> None:
        if script == "COMMIT":
            connection.promised = True
        else:
            await original(connection, script)

    @replace(f"{CONNECTION}.rollback")
    async def rollback(original: Any, connection: Any) -> None:
        if not vars(connection).get("promised"):
            await original(connection)

    @replace(f"{POOL}.release")
    def release(original: Any, pool: Any, connection: Any) -> None:
        def later() -> None:
            try:
                connection.raw.execute("COMMIT")
                original(pool, connection)
            finally:
                committed(pool).set()

        if vars(connection).pop("promised", False):
            committed(pool).clear()
            holder = pool.write_queue.holder
            holder.owner = holder.thread = None  # neither the call nor its thread ends it
            threading.Timer(COMMIT_AFTER, later).start()
        else:
            original(pool, connection)

    @replace(f"{POOL}.check_open")
    def check_open(original: Any, pool: Any) -> None:
        committed(pool).wait()
        original(pool)

    @replace(f"{POOL}.close")
    async def close(original: Any, pool: Any) -> None:
        committed(pool).wait()
        await original(pool)
