"""Mutants of section 9: sharing, closing, cancelling, health and capabilities."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from engine_store.errors import StoreClosedError, UnavailableError
from engine_store.models import User
from engine_store.sql.operation import Mode
from engine_store.sql.transactions import AsyncSqlTransaction
from engine_store_broken.mutant import mutant, replace
from engine_store_sqlite import driver


@mutant("9.1", base="sqlite")
def a_closed_store_connects_again() -> None:
    """A write on a closed store opens another connection, which nobody closes."""

    @replace("engine_store.sql.session:Session.attempt")
    async def attempt(original: Any, session: Any, invocation: Any) -> Any:
        pool = session.pool
        if pool.closed and invocation.mode is Mode.WRITE:
            pool.closed = pool.write_queue._closed = False
        return await original(session, invocation)


@mutant("9.1", base="memory")
def closing_twice_fails() -> None:
    """Closing checks that the store is open, as every call does."""

    @replace("engine_store_memory.store:MemoryStore.close")
    def close(original: Any, store: Any) -> None:
        if store._closed:
            raise StoreClosedError
        original(store)


@mutant("9.1", base="memory")
def a_transaction_in_any_thread() -> None:
    """Whoever gets hold of a transaction may write in it."""

    @replace("engine_store_memory.store:MemoryTransaction.check")
    def check(original: Any, tx: Any) -> None:
        tx._thread = threading.get_ident()
        original(tx)


@mutant("9.1", base="memory")
def a_fork_has_the_transaction_too() -> None:
    """Who asks whether it is a fork? A child goes on with what its parent had open."""

    @replace("engine_store_memory.database:Database.check")
    def check(original: Any, database: Any) -> None:
        return


@mutant("9.2", base="sqlite")
def waiting_for_oneself_is_retriable() -> None:
    """A write past the transaction of its own thread asks to be tried again, which never helps."""

    @replace("engine_store_sqlite.pool:SqlitePool._check_not_mine")
    def check_not_mine(original: Any, pool: Any) -> None:
        try:
            original(pool)
        except UnavailableError as exc:
            raise UnavailableError("the database is locked", retriable=True) from exc


@mutant("9.6", base="sqlite")
def an_interrupted_call_keeps_what_it_held() -> None:
    """A `finally` gives back what was acquired in the line above its `try`."""

    @replace("engine_store.sql.holds:Hold.abandon")
    def abandon(original: Any, hold: Any) -> None:
        return

    @replace("engine_store.sql.single_writer:SingleWriterPool.acquire_writer")
    def acquire_writer(original: Any, *args: Any, **kwargs: Any) -> Any:
        connection = original(*args, **kwargs)
        time.sleep(0.0001)
        return connection


@mutant("9.3", base="sqlite")
def a_cancelled_transaction_stays_open() -> None:
    """`except Exception`, which a cancellation is not: nobody rolls back or lets go."""

    @replace("engine_store.sql.stores:AsyncSqlStore.transaction")
    @asynccontextmanager
    async def transaction(original: Any, store: Any) -> AsyncIterator[Any]:
        async with store.engine.writing():
            session = store.engine.transaction(asyncio.Lock(), lambda: None)
            tx = AsyncSqlTransaction(store._operations, session)
            try:
                await session.begin()
                yield tx
                await session.commit()
            except Exception:
                await session.rollback()
                raise
            finally:
                tx.end()


@mutant("9.3", base="sqlite")
def a_cancelled_wait_takes_the_turn() -> None:
    """Who is cancelled while it waits for the lock gets it all the same, and keeps it."""

    @replace("engine_store.sql.threaded:WriteLocks.hold")
    @asynccontextmanager
    async def hold(original: Any, locks: Any, timeout: object = None) -> AsyncIterator[None]:
        waiting = asyncio.ensure_future(locks._free.acquire())
        await asyncio.wait([waiting], timeout=1)
        if not waiting.done():
            raise UnavailableError("the turn did not come", retriable=True)
        try:
            yield
        finally:
            locks._free.release()


@mutant("9.4", base="sqlite")
def health_knows_no_schema() -> None:
    """The version of the schema is a constant."""

    @replace("engine_store.sql.stores:SqlEngine.health")
    async def health(original: Any, engine: Any) -> Any:
        return attrs.evolve(await original(engine), schema_version=0)


@mutant("9.4", base="memory")
def health_leaves_a_probe() -> None:
    """Whether the store can write is tried with a user, who stays."""

    @replace("engine_store_memory.store:MemoryStore.health")
    def health(original: Any, store: Any) -> Any:
        found = original(store)
        store.users.upsert(User("health-check", "health-check@localhost"))
        return found


@mutant("9.5", base="sqlite")
def a_capability_without_a_reason() -> None:
    """What is not supported is declared, and nobody learns why."""
    driver._ALWAYS = tuple(attrs.evolve(known, reason=" ") for known in driver._ALWAYS)
