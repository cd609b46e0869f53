"""What `health` says of a SQLite store, and when."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from engine_store.errors import StoreClosedError
from engine_store.models import Health
from engine_store.protocols import Store
from engine_store_contracts.suite.samples import workflow
from engine_store_sqlite import library
from engine_store_sqlite.dialect import MIGRATIONS

PATIENCE = 30.0


def test_a_store_in_order_says_so_with_its_statistics(
    path: Path, store: Store, bare: Callable[[Path], sqlite3.Connection]
) -> None:
    health = store.health()
    details = dict(health.details)
    assert health == Health("sqlite", True, True, len(MIGRATIONS), None, health.details)
    assert health.ok
    assert details.pop("page_size") == 4096
    assert details.pop("journal_mode") == "wal"
    assert details.pop("sqlite_version") == sqlite3.sqlite_version
    for name in ("page_count", "freelist_count"):
        assert (details.pop(name),) == bare(path).execute(f"PRAGMA {name}").fetchone()
    assert details.pop("file_bytes") == path.stat().st_size
    assert details.pop("wal_bytes") == path.with_name("engine.db-wal").stat().st_size
    assert details.pop("warning", None) == library.RESET_BUG
    assert details == {}


def test_the_write_ahead_log_and_the_pages_grow_with_what_is_written(
    store: Any, writer_of: Callable[[Any], sqlite3.Connection]
) -> None:
    before = store.health().details
    store.workflows.create(workflow(input={"text": "x" * 100_000}))
    after = store.health().details
    assert after["wal_bytes"] >= before["wal_bytes"] + 100_000
    used_before = before["page_count"] - before["freelist_count"]
    assert after["page_count"] - after["freelist_count"] >= used_before + 24
    writer_of(store).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    checkpointed = store.health().details
    assert checkpointed["wal_bytes"] == 0
    assert checkpointed["file_bytes"] >= before["file_bytes"] + 100_000
    store.workflows.delete("w")
    assert store.health().details["freelist_count"] >= 24


def test_memory_has_statistics_too(open_store: Callable[..., Store]) -> None:
    health = open_store("sqlite:///:memory:").health()
    assert health.ok
    pages = health.details["page_count"]
    assert health.details["file_bytes"] == pages * health.details["page_size"]  # type: ignore[operator]
    assert health.details["wal_bytes"] == 0


def test_the_schemas_version_is_what_is_applied(store: Store) -> None:
    store.migrator.down(1)
    assert store.health().schema_version == 1
    store.migrator.down(0)
    assert store.health().schema_version == 0


def test_a_file_that_was_deleted_can_still_be_read_but_should_not_be_written(
    path: Path, store: Store
) -> None:
    path.unlink()
    health = store.health()
    assert (health.can_read, health.can_write) == (True, False)
    assert health.problem == f"{path} may not be written or is gone"
    assert health.details["file_bytes"] == 0


def test_a_file_that_may_not_be_written_any_more_is_said(
    path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda place, mode: Path(place) != path)  # root may do all
    health = store.health()
    assert (health.can_read, health.can_write) == (True, False)
    assert health.problem == f"{path} may not be written or is gone"


def test_a_database_that_refuses_writes_is_said(
    store: Store, writer_of: Callable[[Any], sqlite3.Connection]
) -> None:
    writer_of(store).execute("PRAGMA query_only = ON")  # as a read-only disk
    health = store.health()
    assert (health.can_read, health.can_write) == (True, False)
    assert health.problem is not None
    assert health.problem.startswith("SQLite: the database may not be written")


def test_a_writer_that_is_busy_can_still_write(
    path: Path, store: Store, writing: Callable[[Path], AbstractContextManager[Any]]
) -> None:
    with writing(path):
        assert store.health().ok
    begun, done = threading.Event(), threading.Event()

    def transact() -> None:
        with store.transaction():
            begun.set()
            assert done.wait(PATIENCE)

    with ThreadPoolExecutor(1) as thread:
        transaction = thread.submit(transact)
        assert begun.wait(PATIENCE)
        assert store.health().ok
        done.set()
        transaction.result(PATIENCE)


def test_inside_the_threads_own_transaction_the_store_is_healthy(store: Store) -> None:
    with store.transaction() as tx:
        tx.workflows.create(workflow())
        health = store.health()
        assert (health.ok, health.problem) == (True, None)
        tx.workflows.create(workflow("after"))
    assert len(store.workflows.list().items) == 2


def test_no_reader_to_ask_with_is_a_problem(path: Path, open_store: Callable[..., Any]) -> None:
    store = open_store(path, readers=1, busy_timeout=0)
    readers = store.engine.pool.read_pool
    taken = readers.acquire()
    health = store.health()
    assert (health.can_read, health.can_write, health.schema_version) == (False, False, 0)
    assert health.problem == "every reader was busy for 0 s; try again, or raise readers"
    assert health.details == {}
    readers.release(taken)
    assert store.health().ok


def test_health_leaves_nothing_taken(store: Any) -> None:
    for _ in range(10):
        assert store.health().ok
    pool = store.engine.pool
    assert (pool.write_queue.holder, pool.read_pool.in_use) == (None, 0)


def test_a_closed_store_has_no_health(store: Store) -> None:
    store.close()
    with pytest.raises(StoreClosedError):
        store.health()


def test_a_store_closed_while_its_health_is_asked_for_says_so(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied = store.engine.migrator.applied

    async def close_first() -> object:
        store.close()
        return await applied()

    monkeypatch.setattr(store.engine.migrator, "applied", close_first)
    with pytest.raises(StoreClosedError):
        store.health()
