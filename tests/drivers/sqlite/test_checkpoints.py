"""Checkpoints: only while the write lock is held, and often enough that the log stays small."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine_store_contracts.suite.samples import workflow
from engine_store_sqlite.connections import connect
from engine_store_sqlite.options import SqliteOptions

PATIENCE = 30.0

MIB = 2**20

WRITE, CHECKPOINT = 120, 121
"""The bytes of the -shm file that a writer locks, and a checkpoint
(https://www.sqlite.org/walformat.html#wal_locks)."""


@pytest.fixture
def log(path: Path) -> Path:
    return path.with_name("engine.db-wal")


def repeatedly(condition: Callable[[], bool], action: Callable[[], object]) -> None:
    """Act until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        action()


def documents(store: Any, name: str, count: int) -> Iterator[str]:
    """Store workflows of some 100 kB each."""
    for number in range(count):
        created = store.workflows.create(workflow(f"{name}{number}", input={"text": "x" * 100_000}))
        yield created.workflow_exec_id


def test_no_connection_makes_checkpoints_by_itself(path: Path, store: Any, writer_of: Any) -> None:
    readers = store.engine.pool.read_pool
    reader = readers.acquire()
    other = connect(path, SqliteOptions(), read_only=True)
    for connection in (writer_of(store), reader.raw, other):
        assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
    readers.release(reader)
    other.close()


def test_the_log_stays_small_while_much_is_written(store: Any, log: Path) -> None:
    largest = max(log.stat().st_size for _ in documents(store, "w", 600))
    assert largest < 20 * MIB


ALONE = """
import sys
import threading
from pathlib import Path

import engine_store
from engine_store import WorkflowState

path = sys.argv[1]
largest = 0
with engine_store.open(f"sqlite:///{path}") as store:
    for number in range(300):
        store.workflows.create(WorkflowState(f"w{number}", "report", input={"text": "x" * 100_000}))
        largest = max(largest, Path(f"{path}-wal").stat().st_size)
print(largest, threading.active_count())
"""


def test_a_process_with_one_thread_writes_the_log_back_itself(path: Path, start: Any) -> None:
    with start(ALONE, path, measured=False) as process:
        out, _ = process.wait()
    largest, threads = map(int, out.split())
    assert largest < 20 * MIB
    assert threads == 1


def test_the_log_shrinks_after_a_reader_that_stayed(
    path: Path, store: Any, log: Path, bare: Any
) -> None:
    reader = bare(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM workflows").fetchone()
    grown = max(log.stat().st_size for _ in documents(store, "beside", 200))
    assert grown > 18 * MIB
    reader.execute("COMMIT")
    more = documents(store, "after", 500)
    repeatedly(lambda: log.stat().st_size <= 16 * MIB, lambda: next(more))


def test_a_log_that_others_left_is_written_back(
    path: Path, open_store: Any, bare: Any, log: Path
) -> None:
    open_store(path).close()
    other = bare(path)
    other.execute("PRAGMA wal_autocheckpoint = 0")
    other.execute("CREATE TABLE theirs AS SELECT randomblob(6000000) AS document")
    (pages,) = other.execute("PRAGMA page_count").fetchone()
    assert log.stat().st_size > 6_000_000
    assert path.stat().st_size < 1_000_000
    open_store(path).workflows.create(workflow())
    repeatedly(lambda: path.stat().st_size >= pages * 4096, lambda: time.sleep(0.005))


def test_a_store_is_closed_in_the_middle_of_checkpoints(
    path: Path, open_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine_store_sqlite.pool.CHECKPOINT_FRAMES", 1)
    for number in range(20):
        store = open_store(path)
        store.workflows.create(workflow(f"w{number}"))
        store.close()
        assert [found.name for found in path.parent.iterdir()] == ["engine.db"]


WRITER = """
import sys, threading
import engine_store
from engine_store import WorkflowState
from engine_store_sqlite import pool

pool.CHECKPOINT_FRAMES = 1
if sys.argv[3] == "careless":
    upkeep = pool.SqlitePool.upkeep

    def careless(self, connection):
        connection.raw.execute("ROLLBACK")
        upkeep(self, connection)

    pool.SqlitePool.upkeep = careless

store = engine_store.open(f"sqlite:///{sys.argv[1]}")

def write(number):
    count = 0
    while True:
        store.workflows.create(WorkflowState(f"{sys.argv[2]}-{number}-{count}", "report"))
        count += 1

for number in range(4):
    threading.Thread(target=write, args=(number,), daemon=True).start()
print("writing", flush=True)
sys.stdin.readline()
"""


def locks_of(file: Path) -> dict[int, str]:
    """The processes that have exclusive locks on bytes of a file, by the byte."""
    inode = str(file.stat().st_ino)
    found: dict[int, str] = {}
    for line in Path("/proc/locks").read_text().splitlines():
        _, kind, _, access, process, place, first, last = line.replace("->", "").split()
        if kind == "POSIX" and access == "WRITE" and place.rpartition(":")[2] == inode:
            found.update(dict.fromkeys(range(int(first), int(last) + 1), process))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists who has which lock")
@pytest.mark.parametrize("manner", ["as it is", "careless"])
def test_who_makes_a_checkpoint_holds_the_write_lock(
    path: Path, store: Any, start: Any, manner: str
) -> None:
    shared = path.with_name("engine.db-shm")
    seen: list[bool] = []
    with (
        start(WRITER, path, "a", manner, measured=False) as a,
        start(WRITER, path, "b", manner, measured=False) as b,
    ):
        for process in (a, b):
            assert process.says() == "writing"
        deadline = time.monotonic() + PATIENCE
        while len(seen) < 50 and (manner == "as it is" or all(seen)):
            assert time.monotonic() < deadline
            locks = locks_of(shared)
            if CHECKPOINT in locks:
                seen.append(locks.get(WRITE) == locks[CHECKPOINT])
    assert all(seen) == (manner == "as it is")
