"""The files of a database, what its connections are set to, and `:memory:`."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import engine_store
from engine_store.errors import UnavailableError, WorkflowNotFoundError
from engine_store.protocols import Store
from engine_store.sql.blocking import run as run_here
from engine_store_contracts.suite.samples import workflow
from engine_store_sqlite.connections import set_wal
from engine_store_sqlite.options import Location, SqliteOptions
from engine_store_sqlite.pool import SqlitePool

Connect = Callable[[Path], sqlite3.Connection]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_only_the_owner_may_read_any_of_the_files_whatever_the_umask(
    path: Path, open_store: Callable[..., Store], mask: int
) -> None:
    with umask(mask):
        store = open_store(path)
        store.workflows.create(workflow())
        assert modes(path.parent) == {
            "engine.db": 0o600,
            "engine.db-wal": 0o600,
            "engine.db-shm": 0o600,
        }


def test_the_permissions_of_a_file_that_was_there_are_its_owners_choice(
    path: Path, open_store: Callable[..., Store]
) -> None:
    path.touch()
    path.chmod(0o640)
    store = open_store(path)
    store.workflows.create(workflow())
    assert set(modes(path.parent).values()) == {0o640}


def test_closing_leaves_one_file(path: Path, open_store: Callable[..., Store]) -> None:
    store = open_store(path)
    store.workflows.create(workflow())
    store.close()
    assert [found.name for found in path.parent.iterdir()] == ["engine.db"]


def test_a_link_is_followed_to_where_it_leads(path: Path, open_store: Callable[..., Store]) -> None:
    target = path.with_name("target.db")
    path.symlink_to(target)
    store = open_store(path)
    store.workflows.create(workflow())
    assert path.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert store.health().details["wal_bytes"] > 0  # type: ignore[operator]


def test_another_store_on_the_file_does_not_drop_the_locks_of_the_first(
    path: Path, open_store: Callable[..., Store], run: Callable[..., str]
) -> None:
    first = open_store(path)
    first.workflows.create(workflow("before"))
    open_store(path).close()
    # The last connection to close takes the -wal file away. Another process must see that it is
    # not the last, or what the first store writes from now on is lost.
    run(
        """
        import sqlite3, sys
        connection = sqlite3.connect(sys.argv[1])
        connection.execute("SELECT count(*) FROM workflows").fetchone()
        connection.close()
        """,
        path,
        measured=False,
    )
    first.workflows.create(workflow("after"))
    first.close()
    with engine_store.open(f"sqlite:///{path}") as store:
        assert store.workflows.get("after").version == 1


# --- pragmas -------------------------------------------------------------------------------------


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(
    ("synchronous", "number"), [("off", 0), ("normal", 1), ("full", 2), ("extra", 3)]
)
def test_every_connection_is_set_the_same_and_readers_cannot_write(
    path: Path,
    open_store: Callable[..., Any],
    writer_of: Callable[[Any], sqlite3.Connection],
    synchronous: str,
    number: int,
) -> None:
    store = open_store(path, synchronous=synchronous, readers=3)
    writer = writer_of(store)
    taken = [store.engine.pool.read_pool.acquire() for _ in range(3)]
    readers = [connection.raw for connection in taken]
    for connection in (writer, *readers):
        assert pragma(connection, "foreign_keys") == 1
        assert pragma(connection, "synchronous") == number
        assert pragma(connection, "trusted_schema") == 0
        assert pragma(connection, "journal_mode") == "wal"
        assert pragma(connection, "journal_size_limit") == 16 * 1024 * 1024
        assert connection.isolation_level is None
    assert pragma(writer, "query_only") == 0
    for connection in readers:
        assert pragma(connection, "query_only") == 1
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("DELETE FROM users")
    for reader in taken:
        store.engine.pool.read_pool.release(reader)


def test_waiting_is_the_drivers_on_the_writer_and_sqlites_on_readers(
    path: Path, open_store: Callable[..., Any], writer_of: Callable[[Any], sqlite3.Connection]
) -> None:
    store = open_store(path, busy_timeout=1.5)
    assert pragma(writer_of(store), "busy_timeout") == 0
    reader = store.engine.pool.read_pool.acquire()
    assert pragma(reader.raw, "busy_timeout") == 1500
    store.engine.pool.read_pool.release(reader)


def test_readers_are_opened_as_they_are_needed_and_used_again(
    path: Path, open_store: Callable[..., Any]
) -> None:
    readers = open_store(path, readers=2).engine.pool.read_pool
    first = readers.acquire()
    second = readers.acquire()
    assert first is not second
    readers.release(first)
    readers.release(second)
    assert readers.acquire() is first, "the one that is used most has the warmest cache"
    readers.release(first)


def test_a_reader_that_cannot_be_opened_does_not_use_up_the_pool(
    path: Path, open_store: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = open_store(path, readers=2, busy_timeout=0).engine.pool.read_pool
    only = readers.acquire()

    def fail() -> sqlite3.Connection:
        raise UnavailableError("no room", retriable=True)

    with monkeypatch.context() as patch:
        patch.setattr(readers, "_connect", fail)
        with pytest.raises(UnavailableError, match="no room"):
            readers.acquire()
    readers.release(readers.acquire())
    readers.release(only)


def test_where_a_file_cannot_be_opened_at_all_no_connection_is_left(path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        run_here(SqlitePool(Location(path), SqliteOptions()).open())
    assert not caught.value.retriable
    assert list(path.parent.iterdir()) == []


def test_a_file_system_without_write_ahead_logging_is_said() -> None:
    # The bare module's memory stands in: asked for a WAL, it too stays at another journal mode.
    connection = sqlite3.connect(":memory:")
    with pytest.raises(UnavailableError) as caught:
        set_wal(connection, timeout=1)
    assert "it stays at journal mode memory" in caught.value.reason
    assert not caught.value.retriable
    connection.close()


def test_changing_to_write_ahead_logging_waits_for_others_and_not_forever(
    path: Path, bare: Connect
) -> None:
    other, ours = bare(path), bare(path)
    other.execute("CREATE TABLE t (x)")
    other.execute("BEGIN EXCLUSIVE")
    ours.execute("PRAGMA busy_timeout = 0")
    with pytest.raises(UnavailableError) as caught:
        set_wal(ours, timeout=0.05)
    assert caught.value.retriable
    done = threading.Timer(0.05, other.execute, ["COMMIT"])
    with ThreadPoolExecutor(1) as thread:
        thread.submit(done.run)
        set_wal(ours, timeout=20)
    assert pragma(ours, "journal_mode") == "wal"


# --- memory --------------------------------------------------------------------------------------

MEMORY = "sqlite:///:memory:"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary directory of this process and of those it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield tmp_path
    monkeypatch.setattr("tempfile.tempdir", None)


def test_memory_leaves_no_file_even_while_it_is_open(temporary: Path) -> None:
    with engine_store.open(MEMORY) as store:
        store.workflows.create(workflow(input={"much": "x" * 1_000_000}))
        assert list(temporary.iterdir()) == []
        assert store.workflows.get("w").version == 1
    assert list(temporary.iterdir()) == []


def test_memory_leaves_no_file_behind_a_killed_process(
    temporary: Path, start: Callable[..., Any]
) -> None:
    program = """
        import sys
        import engine_store
        from engine_store import WorkflowState
        store = engine_store.open("sqlite:///:memory:")
        store.workflows.create(WorkflowState("w", "report", input={"much": "x" * 1_000_000}))
        print("written", flush=True)
        sys.stdin.read()
        """
    with start(program) as process:
        assert process.says() == "written"
        process.kill()
    assert list(temporary.iterdir()) == []


def test_memory_leaves_no_file_where_opening_fails(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise UnavailableError("no luck", retriable=False)

    monkeypatch.setattr("engine_store_sqlite.pool.set_wal", fail)
    with pytest.raises(UnavailableError, match="no luck"):
        engine_store.open(MEMORY)
    assert list(temporary.iterdir()) == []


def test_a_temporary_directory_that_cannot_be_used_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(UnavailableError) as caught:
        engine_store.open(MEMORY)
    assert not caught.value.retriable
    assert str(tmp_path / "missing") in caught.value.reason


def test_each_store_of_memory_is_a_database_of_its_own(open_store: Callable[..., Store]) -> None:
    one, two = open_store(MEMORY), open_store(MEMORY)
    one.workflows.create(workflow("of one"))
    with pytest.raises(WorkflowNotFoundError):
        two.workflows.get("of one")
    one.close()
    two.workflows.create(workflow("of two"))
    assert [state.workflow_exec_id for state in two.workflows.list().items] == ["of two"]


def test_memory_reads_beside_an_open_transaction_and_never_waits_for_the_disk(
    open_store: Callable[..., Any], writer_of: Callable[[Any], sqlite3.Connection]
) -> None:
    store = open_store(MEMORY, synchronous="full")
    assert pragma(writer_of(store), "synchronous") == 0
    with store.transaction() as tx:
        tx.workflows.create(workflow())
        with ThreadPoolExecutor(1) as thread:
            seen = thread.submit(store.workflows.list).result(timeout=30)
    assert seen.items == ()
    assert len(store.workflows.list().items) == 1
