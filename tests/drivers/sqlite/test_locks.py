"""Who waits for whom, how long, and with which error: threads, processes and one writer."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

import engine_store
from engine_store import DatabaseConfig
from engine_store.errors import (
    MigrationLockError,
    StoreClosedError,
    TransactionClosedError,
    UnavailableError,
    WorkflowNotFoundError,
)
from engine_store.models import Status
from engine_store.protocols import Store
from engine_store.sql.pool import ConnectionPool
from engine_store_contracts.suite.samples import user, workflow
from engine_store_sqlite.connections import SqliteConnection
from engine_store_sqlite.dialect import MIGRATIONS

PATIENCE = 30.0

Wait = Callable[[Callable[[], object]], None]
Writing = Callable[[Path], AbstractContextManager[Any]]


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """One other thread."""
    with ThreadPoolExecutor(1) as thread:
        yield thread


@pytest.fixture
def impatient(path: Path, open_store: Callable[..., Any]) -> Any:
    """A store that waits a fifth of a second for locks, and has one reader."""
    return open_store(path, busy_timeout=0.2, readers=1)


def unavailable(call: Callable[[], object]) -> tuple[UnavailableError, float]:
    """The error of a call that cannot be served, and how long it took."""
    started = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        call()
    return caught.value, time.monotonic() - started


# --- processes -----------------------------------------------------------------------------------


def test_a_write_waits_for_another_process_until_the_busy_time_out(
    path: Path, impatient: Store, writing: Writing
) -> None:
    stored = impatient.workflows.create(workflow())
    with writing(path) as other:
        error, waited = unavailable(lambda: impatient.workflows.create(workflow("late")))
        assert error.retriable
        assert error.reason.startswith("another process held the write lock for 0.2 s")
        assert 0.2 <= waited < PATIENCE
        assert impatient.workflows.get("w") == stored, "readers go on meanwhile"
        assert impatient.health().ok
        other.tell()
        assert other.says() == "let go"
    assert impatient.workflows.create(workflow("late")).version == 1


def test_a_write_that_waits_goes_on_when_the_other_process_lets_go(
    path: Path,
    store: Any,
    writing: Writing,
    thread: ThreadPoolExecutor,
    wait_until: Wait,
) -> None:
    with writing(path) as other:
        late = thread.submit(store.workflows.create, workflow("late"))
        wait_until(lambda: store.engine.pool.write_queue.holder is not None)
        assert not late.done()
        other.tell()
        assert late.result(PATIENCE).version == 1


def test_a_transaction_takes_the_write_lock_at_its_begin(
    path: Path, impatient: Store, writing: Writing
) -> None:
    with writing(path):

        def begin() -> None:
            with impatient.transaction():
                pytest.fail("it began")

        error, _ = unavailable(begin)
        assert error.retriable


def test_a_current_database_is_opened_while_another_process_writes(
    path: Path, impatient: Store, writing: Writing
) -> None:
    impatient.workflows.create(workflow())
    with writing(path):
        config = DatabaseConfig(url=f"sqlite:///{path}", migration_timeout=0)
        with engine_store.open(config) as second:
            assert second.workflows.get("w").version == 1


def test_a_migration_waits_for_the_lock_until_its_time_out_and_runs_nothing(
    path: Path, store: Store, writing: Writing, open_store: Callable[..., Store]
) -> None:
    store.migrator.down(1)
    with writing(path):
        started = time.monotonic()
        with pytest.raises(MigrationLockError) as caught:
            open_store(path, config={"migration_timeout": 0.2})
        assert caught.value.timeout == 0.2
        assert caught.value.retriable
        assert time.monotonic() - started >= 0.2
        assert store.health().schema_version == 1
    assert open_store(path).health().schema_version == len(MIGRATIONS)


# --- threads -------------------------------------------------------------------------------------


def test_a_write_waits_for_another_threads_transaction(
    store: Any, thread: ThreadPoolExecutor
) -> None:
    with store.transaction() as tx:
        tx.workflows.create(workflow())
        late = thread.submit(store.workflows.set_status, "w", Status.RUNNING)
        assert not late.done()
        tx.workflows.set_status("w", Status.PAUSED)
    assert late.result(PATIENCE).version == 3


def test_a_write_gives_up_on_another_threads_transaction_after_the_busy_time_out(
    impatient: Store, thread: ThreadPoolExecutor
) -> None:
    with impatient.transaction():
        late = thread.submit(unavailable, lambda: impatient.workflows.create(workflow()))
        error, waited = late.result(PATIENCE)
    assert error.retriable
    assert error.reason.startswith("another thread held the write lock for 0.2 s")
    assert waited >= 0.2
    assert impatient.workflows.create(workflow()).version == 1


def test_a_write_past_the_threads_own_transaction_fails_at_once(store: Store) -> None:
    def begin() -> None:
        with store.transaction():
            pytest.fail("it began")

    with store.transaction() as tx:
        stored = tx.workflows.create(workflow())
        for write in (
            lambda: store.workflows.create(workflow("other")),
            lambda: store.migrator.down(0),
            begin,
        ):
            error, waited = unavailable(write)
            assert not error.retriable
            assert "this thread has a transaction open" in error.reason
            assert waited < 5
        with pytest.raises(WorkflowNotFoundError):
            store.workflows.get("w")  # reading is fine: it sees what is committed
        tx.workflows.update(attrs.evolve(stored, input={"still": "open"}))
    assert store.workflows.get("w").version == 2


def test_modify_past_the_threads_own_transaction_fails_at_once_too(store: Store) -> None:
    store.workflows.create(workflow())
    with store.transaction():
        error, _ = unavailable(
            lambda: store.workflows.modify("w", lambda state: attrs.evolve(state, input={}))
        )
    assert not error.retriable
    assert store.workflows.get("w").version == 1


def test_a_transaction_belongs_to_the_thread_that_began_it(
    store: Store, thread: ThreadPoolExecutor
) -> None:
    def nest(tx: Any) -> None:
        with tx.transaction():
            pytest.fail("it began")

    with store.transaction() as tx:
        tx.workflows.create(workflow())
        for use in (tx.workflows.get, tx.workflows.delete):
            with pytest.raises(TransactionClosedError):
                thread.submit(use, "w").result(PATIENCE)
        with pytest.raises(TransactionClosedError):
            thread.submit(nest, tx).result(PATIENCE)
        assert tx.workflows.get("w").version == 1
    assert store.workflows.get("w").version == 1


def test_threads_that_all_write_get_their_turn(store: Store) -> None:
    def create(number: int) -> int:
        return store.workflows.create(workflow(f"w{number:03}")).version

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(create, range(200))) == [1] * 200


# --- readers -------------------------------------------------------------------------------------


def test_a_read_waits_for_a_reader_and_gives_up_after_the_busy_time_out(impatient: Any) -> None:
    readers = impatient.engine.pool.read_pool
    taken = readers.acquire()
    error, waited = unavailable(impatient.workflows.list)
    assert error.retriable
    assert error.reason == "every reader was busy for 0.2 s; try again, or raise readers"
    assert waited >= 0.2
    readers.release(taken)
    assert impatient.workflows.list().items == ()


def test_a_read_that_waits_gets_the_reader_that_is_given_back(
    path: Path,
    open_store: Callable[..., Any],
    thread: ThreadPoolExecutor,
    wait_until: Wait,
) -> None:
    store = open_store(path, readers=1)
    readers = store.engine.pool.read_pool
    taken = readers.acquire()
    waiting = thread.submit(store.workflows.list)
    wait_until(lambda: readers.waiting == 1)
    readers.release(taken)
    assert waiting.result(PATIENCE).items == ()


class Snatched(dict[int, object]):
    """The owners of places, of which another thread takes the first one that is free again."""

    thief: object = None

    def pop(self, place: int, default: object = None) -> object:
        owner = super().pop(place, default)
        if self.thief is None:
            self.thief = self[place] = object()
        return owner


def test_a_thread_whose_connection_another_one_snatches_waits_on(
    thread: ThreadPoolExecutor,
    wait_until: Wait,
) -> None:
    connection = SqliteConnection(sqlite3.connect(":memory:", check_same_thread=False))
    pool = ConnectionPool(lambda: connection, 1, PATIENCE, "busy")
    pool._owners = owners = Snatched()
    taken = pool.acquire()
    waiting = thread.submit(pool.acquire)
    wait_until(lambda: pool.waiting == 1)
    pool.release(taken)
    wait_until(lambda: pool.waiting == 1)
    assert list(owners.values()) == [owners.thief]
    assert not waiting.done()
    pool.release(taken)
    assert waiting.result(PATIENCE) is taken
    taken.close()


def test_many_threads_share_few_readers(path: Path, open_store: Callable[..., Any]) -> None:
    store = open_store(path, readers=2)
    store.workflows.create(workflow())
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda _: store.workflows.get("w").version, range(400))
        assert set(found) == {1}
    readers = store.engine.pool.read_pool
    assert (readers.idle, readers.in_use) == (2, 0)


# --- closing -------------------------------------------------------------------------------------


def test_closing_does_not_wait_for_another_threads_transaction_which_cannot_go_on(
    path: Path, store: Store, thread: ThreadPoolExecutor
) -> None:
    written, closed = threading.Event(), threading.Event()

    def transact() -> None:
        with store.transaction() as tx:
            tx.workflows.create(workflow())
            written.set()
            assert closed.wait(PATIENCE)
            with pytest.raises(StoreClosedError):
                tx.workflows.get("w")

    transaction = thread.submit(transact)
    assert written.wait(PATIENCE)
    store.close()
    closed.set()
    with pytest.raises(StoreClosedError):
        transaction.result(PATIENCE)
    assert [found.name for found in path.parent.iterdir()] == ["engine.db"], "all is closed"
    with engine_store.open(f"sqlite:///{path}") as again:
        assert again.workflows.list().items == ()


def test_who_waits_for_the_writer_learns_that_the_store_was_closed(
    store: Any,
    thread: ThreadPoolExecutor,
    wait_until: Wait,
) -> None:
    begun, closed = threading.Event(), threading.Event()

    def transact() -> None:
        with store.transaction():
            begun.set()
            assert closed.wait(PATIENCE)

    with ThreadPoolExecutor(1) as other:
        transaction = thread.submit(transact)
        assert begun.wait(PATIENCE)
        late = other.submit(store.workflows.create, workflow())
        wait_until(late.running)
        store.close()
        closed.set()
        with pytest.raises(StoreClosedError):
            late.result(PATIENCE)
    with pytest.raises(StoreClosedError):
        transaction.result(PATIENCE)


def test_who_waits_for_a_reader_learns_that_the_store_was_closed(
    path: Path,
    open_store: Callable[..., Any],
    thread: ThreadPoolExecutor,
    wait_until: Wait,
) -> None:
    store = open_store(path, readers=1)
    readers = store.engine.pool.read_pool
    taken = readers.acquire()
    late = thread.submit(store.workflows.list)
    wait_until(lambda: readers.waiting == 1)
    store.close()
    with pytest.raises(StoreClosedError):
        late.result(PATIENCE)
    readers.release(taken)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        taken.raw.execute("SELECT 1")
    for acquire in (readers.acquire, partial(store.engine.pool.acquire_writer, 0, 0)):
        with pytest.raises(StoreClosedError):
            acquire()


@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_signal_that_raises_as_a_commit_returns_leaves_the_writer_free(
    store: Store, monkeypatch: pytest.MonkeyPatch, in_transaction: bool
) -> None:
    command = SqliteConnection.command

    def interrupted(connection: SqliteConnection, text: str) -> None:
        command(connection, text)
        if text == "COMMIT":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SqliteConnection, "command", interrupted)
        if in_transaction:
            with store.transaction() as tx:
                tx.users.create(user("ann"))
        else:
            store.users.create(user("ann"))
    assert store.users.create(user("bob")).version == 1
    assert store.users.get("ann").version == 1
