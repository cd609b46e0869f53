"""What SQLite's errors become, by their result code; made for real where that is possible."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engine_store.errors import DatabaseError, InvalidValueError, UnavailableError
from engine_store.protocols import Store
from engine_store_contracts.suite.samples import workflow
from engine_store_sqlite.failures import is_busy, primary_code, translate, translated

Connect = Callable[[Path], sqlite3.Connection]


def made(code: int | None, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    """An error as SQLite would raise it."""
    error = kind("as it was")
    if code is not None:
        error.sqlite_errorcode = code
    return error


RETRIABLE = [
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_BUSY_SNAPSHOT,
    sqlite3.SQLITE_BUSY_RECOVERY,
    sqlite3.SQLITE_BUSY_TIMEOUT,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_LOCKED_SHAREDCACHE,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_INTERRUPT,
]
LASTING = [
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_READONLY_DBMOVED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CANTOPEN_ISDIR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_CORRUPT_INDEX,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_NOMEM,
]
OURS = [
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_CONSTRAINT_CHECK,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_MISUSE,
    sqlite3.SQLITE_RANGE,
    None,
]


@pytest.mark.parametrize("code", RETRIABLE)
def test_what_passes_by_itself_may_be_tried_again(code: int) -> None:
    found = translate(made(code))
    assert type(found) is UnavailableError
    assert found.retriable
    assert found.reason.endswith("; try again")


@pytest.mark.parametrize("code", LASTING)
def test_what_somebody_must_mend_is_not_worth_trying_again(code: int) -> None:
    found = translate(made(code, sqlite3.DatabaseError))
    assert type(found) is UnavailableError
    assert not found.retriable


@pytest.mark.parametrize("code", OURS)
def test_what_nobody_can_expect_is_named_by_its_class_and_code(code: int | None) -> None:
    found = translate(made(code))
    assert type(found) is DatabaseError
    assert found.reason.endswith("(OperationalError)" if code is None else f" {code & 0xFF})")


def test_a_lack_of_temporary_files_is_not_told_as_one_of_the_database() -> None:
    found = translate(made(sqlite3.SQLITE_IOERR_GETTEMPPATH))
    assert type(found) is UnavailableError
    assert found.reason.startswith("SQLite: no folder for temporary files may be written")


def test_a_value_too_large_for_the_database_is_the_callers() -> None:
    found = translate(made(sqlite3.SQLITE_TOOBIG, sqlite3.DataError))
    assert type(found) is InvalidValueError


def test_the_text_of_an_error_counts_for_nothing() -> None:
    error = sqlite3.OperationalError("database is locked")
    assert type(translate(error)) is DatabaseError
    assert not is_busy(error)


@pytest.mark.parametrize(
    ("code", "primary"),
    [
        (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_BUSY),
        (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR),
        (None, None),
    ],
)
def test_an_extended_code_belongs_to_its_primary_one(code: int | None, primary: int | None) -> None:
    assert primary_code(made(code)) == primary


@pytest.mark.parametrize("code", [*RETRIABLE, *LASTING, *OURS])
def test_only_a_lock_of_somebody_else_is_waited_for(code: int | None) -> None:
    busy = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
    assert is_busy(made(code)) == (primary_code(made(code)) in busy)


def test_the_cause_is_kept() -> None:
    error = made(sqlite3.SQLITE_FULL)
    with pytest.raises(UnavailableError) as caught, translated():
        raise error
    assert caught.value.__cause__ is error


# --- made for real -------------------------------------------------------------------------------


def test_a_payload_beyond_sqlites_limit_is_refused_and_the_store_goes_on(
    store: Store, writer_of: Callable[[Any], sqlite3.Connection]
) -> None:
    writer_of(store).setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)
    with pytest.raises(InvalidValueError) as caught:
        store.workflows.create(workflow(input={"text": "x" * 200_000}))
    assert caught.value.reason == "larger than SQLite can hold in one row"
    assert store.workflows.create(workflow()).version == 1


def test_an_interrupted_statement_may_be_tried_again(store: Any) -> None:
    with store.transaction() as tx:
        for number in range(2000):
            tx.workflows.create(workflow(f"w{number:04}"))
    readers = store.engine.pool.read_pool
    taken = readers.acquire()
    reader = taken.raw
    reading, done = threading.Event(), threading.Event()

    def slowly() -> int:
        reading.set()
        return 0

    def interrupt() -> None:
        assert reading.wait(30)
        while not done.is_set():
            reader.interrupt()

    reader.set_progress_handler(slowly, 1)
    readers.release(taken)
    with ThreadPoolExecutor(1) as thread:
        interrupting = thread.submit(interrupt)
        try:
            with pytest.raises(UnavailableError) as caught:
                while True:
                    store.workflows.list(limit=1000)
        finally:
            done.set()
        interrupting.result(30)
    assert caught.value.reason == "SQLite: the statement was interrupted; try again"
    assert caught.value.retriable
    reader.set_progress_handler(None, 0)
    assert len(store.workflows.list(limit=10).items) == 10


def test_a_damaged_page_is_said_where_it_is_read(
    path: Path, open_store: Callable[..., Store]
) -> None:
    store = open_store(path)
    with store.transaction() as tx:
        for number in range(200):
            tx.workflows.create(workflow(f"w{number:03}", input={"text": "x" * 1000}))
    store.close()
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 :] = b"\xa5" * (len(whole) - len(whole) // 2)
    path.write_bytes(bytes(whole))
    store = open_store(path)
    with pytest.raises(UnavailableError) as caught:
        for number in range(200):
            store.workflows.get(f"w{number:03}", with_tasks=bool(number % 2))
    assert caught.value.reason == "SQLite: the database is damaged; restore a backup"
    assert not caught.value.retriable


def test_a_file_that_the_system_cannot_read_any_more_is_said_and_nothing_stays_open(
    path: Path, run: Callable[..., str]
) -> None:
    said = run(
        """
        import os, shutil, sys
        import engine_store
        from engine_store import WorkflowState
        from engine_store.errors import UnavailableError

        store = engine_store.open(f"sqlite:///{sys.argv[1]}?readers=1")
        with store.transaction() as tx:  # more than is cached
            for number in range(300):
                tx.workflows.create(WorkflowState(f"w{number}", "r", input={"x": "x" * 20_000}))
        store.workflows.get("w299", with_tasks=True)
        for number in os.listdir("/proc/self/fd"):  # from now on, every read fails
            place = f"/proc/self/fd/{number}"
            if os.path.exists(place) and os.readlink(place) in (sys.argv[1], sys.argv[1] + "-wal"):
                copy = shutil.copy(place, f"{sys.argv[1]}.copy")
                os.dup2(os.open(copy, os.O_WRONLY), int(number))

        for with_tasks in (False, True):
            for _ in range(2):
                try:
                    store.workflows.get("w17", with_tasks=with_tasks)
                except UnavailableError as error:
                    print(error.reason, error.retriable)
        try:
            store.workflows.create(WorkflowState("late", "report"))
        except UnavailableError as error:
            print(error.reason, error.retriable)
        health = store.health()
        print(health.can_read, health.can_write, health.problem)
        pool = store.engine.pool
        print(pool.read_pool.in_use, pool.write_queue.holder)
        sys.stdout.flush()
        os._exit(0)
        """,
        path,
    ).splitlines()
    broken = "SQLite: the disk could not be read or written; look at the system's log"
    *errors, health, rest = said
    assert set(errors) == {f"{broken} False"}
    assert health == f"False False {broken}"
    assert rest == "0 None"
