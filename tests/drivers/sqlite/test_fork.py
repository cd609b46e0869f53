"""After a fork: parent and child each with connections of their own, and nothing lost."""

from __future__ import annotations

import sqlite3
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

# A program forks in an interpreter of its own: pytest has threads that must not be copied.
PRELUDE = """
import os, sys, threading
import engine_store
from attrs import evolve
from engine_store import WorkflowState
from engine_store.errors import *

url = f"sqlite:///{sys.argv[1]}"

def workflow(name):
    return WorkflowState(name, "report")

class Signal:
    "What one process waits for and another one gives."
    def __init__(self):
        self.read, self.write = os.pipe()
    def give(self):
        os.write(self.write, b"x")
    def wait(self):
        assert os.read(self.read, 1) == b"x"

def fork(child, *args):
    "The id of a forked process that runs `child`."
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child(*args)
            code = 0
        except BaseException as error:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return pid

def join(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

def refusal(call, *args):
    "The error that a call raises."
    try:
        call(*args)
    except EngineStoreError as error:
        return error
    raise AssertionError("not refused")
"""


@pytest.fixture
def forked(path: Path, run: Callable[..., str]) -> Callable[[str], str]:
    """Run a program that forks; what it and its children printed."""
    return lambda program: run(PRELUDE + textwrap.dedent(program), path)


def stored(path: Path) -> list[str]:
    """The workflows in a database that is whole."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = connection.execute("SELECT workflow_exec_id FROM workflows ORDER BY 1").fetchall()
    connection.close()
    return [name for (name,) in rows]


def test_parent_and_child_read_and_write_side_by_side(
    path: Path, forked: Callable[[str], str]
) -> None:
    forked("""
        store = engine_store.open(url)
        store.workflows.create(workflow("shared"))

        def child():
            for number in range(50):
                store.workflows.create(workflow(f"child-{number:02}"))
                store.workflows.modify("shared", lambda state: evolve(state, input={}))
            assert store.workflows.get("shared").version > 50
            assert store.health().ok

        pid = fork(child)
        for number in range(50):
            store.workflows.create(workflow(f"parent-{number:02}"))
            store.workflows.modify("shared", lambda state: evolve(state, input={}))
        join(pid)
        assert store.workflows.get("shared").version == 101
        assert store.health().ok
        """)
    assert len(stored(path)) == 101


def test_neither_keeps_a_connection_of_the_other(forked: Callable[[str], str]) -> None:
    said = forked("""
        store = engine_store.open(url)
        store.workflows.list()

        def open_files():
            files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                     if os.path.exists(f"/proc/self/fd/{fd}")]
            return sorted(os.path.basename(file) for file in files if "engine.db" in file)

        def child():
            assert open_files() == [], open_files()
            store.workflows.list()
            assert "engine.db" in open_files()

        before = open_files()
        join(fork(child))
        store.workflows.list()
        print(before, open_files())
        """)
    assert said.startswith("['engine.db', 'engine.db'")


def test_what_the_child_writes_after_its_parent_closed_is_kept(
    path: Path, forked: Callable[[str], str]
) -> None:
    forked("""
        store = engine_store.open(url)
        store.workflows.create(workflow("before"))
        written, closed = Signal(), Signal()

        def child():
            store.workflows.create(workflow("meanwhile"))
            written.give()
            closed.wait()
            store.workflows.create(workflow("after"))
            assert len(store.workflows.list().items) == 3

        pid = fork(child)
        written.wait()
        store.close()  # the last connection of the parent, but not of all
        closed.give()
        join(pid)
        """)
    assert stored(path) == ["after", "before", "meanwhile"]


def test_a_store_the_child_opens_by_itself_keeps_what_it_writes(
    path: Path, forked: Callable[[str], str]
) -> None:
    forked("""
        store = engine_store.open(url)
        store.workflows.create(workflow("before"))
        written, closed = Signal(), Signal()

        def child():
            mine = engine_store.open(url)
            mine.workflows.create(workflow("meanwhile"))
            written.give()
            closed.wait()
            mine.workflows.create(workflow("after"))

        pid = fork(child)
        written.wait()
        store.close()
        closed.give()
        join(pid)
        """)
    assert stored(path) == ["after", "before", "meanwhile"]


def test_closing_in_the_child_does_not_touch_the_parent(
    path: Path, forked: Callable[[str], str]
) -> None:
    forked("""
        store = engine_store.open(url)

        def child():
            store.close()
            assert isinstance(refusal(store.workflows.list), StoreClosedError)

        join(fork(child))
        store.workflows.create(workflow("w"))
        """)
    assert stored(path) == ["w"]


def test_a_childs_child_works_too(path: Path, forked: Callable[[str], str]) -> None:
    forked("""
        store = engine_store.open(url)

        def child():
            def grandchild():
                store.workflows.create(workflow("grandchild"))
            pid = fork(grandchild)
            store.workflows.create(workflow("child"))
            join(pid)

        join(fork(child))
        store.workflows.create(workflow("parent"))
        """)
    assert stored(path) == ["child", "grandchild", "parent"]


def test_a_fork_waits_for_what_other_threads_are_about(
    path: Path, forked: Callable[[str], str]
) -> None:
    forked("""
        store = engine_store.open(url + "?readers=2")
        store.workflows.create(workflow("shared"))
        stop = threading.Event()

        def work():
            while not stop.is_set():
                store.workflows.get("shared")
                store.workflows.modify("shared", lambda state: evolve(state, input={}))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number in range(10):
                join(fork(lambda: store.workflows.create(workflow(f"child-{number}"))))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert store.workflows.get("shared").version > 1
        """)
    assert len(stored(path)) == 11


# --- forked in the middle of a transaction -------------------------------------------------------

IN_THE_MIDDLE = """
store = engine_store.open(url)
with store.transaction() as tx:
    tx.workflows.create(workflow("parent"))
    join(fork(child, tx))
    tx.workflows.create(workflow("parent-too"))
store.workflows.create(workflow("parent-again"))
"""


def test_the_parents_transaction_is_not_the_childs(
    path: Path, forked: Callable[[str], str]
) -> None:
    forked(f"""
def child(tx):
    assert isinstance(refusal(tx.workflows.get, "parent"), TransactionClosedError)
    assert isinstance(refusal(tx.workflows.create, workflow("child")), TransactionClosedError)
    assert isinstance(refusal(tx.transaction().__enter__), TransactionClosedError)
{IN_THE_MIDDLE}
""")
    assert stored(path) == ["parent", "parent-again", "parent-too"]


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(
    ("how", "left_with"), [("pass", "TransactionClosedError"), ("raise KeyError", "KeyError")]
)
def test_a_child_that_leaves_the_parents_transaction_neither_commits_nor_rolls_back(
    path: Path, forked: Callable[[str], str], how: str, left_with: str, depth: int
) -> None:
    said = forked(f"""
        store = engine_store.open(url)
        pid = 1
        try:
            with store.transaction() as tx:
                tx.workflows.create(workflow("parent"))
                with tx.transaction() if {depth} == 2 else open(os.devnull):
                    tx.workflows.create(workflow("inner"))
                    pid = os.fork()
                    if pid == 0:
                        {how}
                    else:
                        join(pid)
        except BaseException as error:
            assert pid == 0
            print(type(error).__name__, flush=True)
            os._exit(0)
        store.workflows.create(workflow("parent-again"))
        """)
    assert said == left_with
    assert stored(path) == ["inner", "parent", "parent-again"]


def test_a_child_forked_in_the_middle_is_told_and_not_left_to_wait(
    path: Path, forked: Callable[[str], str]
) -> None:
    forked(f"""
def child(tx):
    # SQLite believes in the child, for good, that the write lock is taken.
    for call in (store.workflows.list, lambda: engine_store.open(url), store.health):
        error = refusal(call)
        assert isinstance(error, UnavailableError), error
        assert not error.retriable
        assert "forked in the middle of a transaction" in error.reason
    engine_store.open(url.replace("engine.db", "another.db")).close()
    store.close()
    assert isinstance(refusal(store.workflows.list), StoreClosedError)
    join(fork(lambda: engine_store.open("sqlite:///:memory:").close()))
{IN_THE_MIDDLE}
""")
    assert stored(path) == ["parent", "parent-again", "parent-too"]


def test_a_transaction_of_another_thread_is_waited_for_but_not_for_long(
    path: Path, forked: Callable[[str], str]
) -> None:
    forked("""
        import time
        store = engine_store.open(url)
        begun, go_on = threading.Event(), threading.Event()

        def transact():
            with store.transaction() as tx:
                tx.workflows.create(workflow("thread"))
                begun.set()
                go_on.wait()

        def child():
            error = refusal(store.workflows.list)
            assert isinstance(error, UnavailableError) and not error.retriable, error

        thread = threading.Thread(target=transact)
        thread.start()
        begun.wait()
        started = time.monotonic()
        pid = fork(child)
        assert time.monotonic() - started < 10
        go_on.set()
        thread.join()
        join(pid)
        join(fork(lambda: store.workflows.create(workflow("child"))))
        """)
    assert stored(path) == ["child", "thread"]


def test_a_read_of_another_thread_is_waited_for_but_not_for_long(
    path: Path, forked: Callable[[str], str]
) -> None:
    forked("""
        store = engine_store.open(url)
        store.workflows.create(workflow("before"))
        taken = store.engine.pool.read_pool.acquire()

        def child():
            error = refusal(store.workflows.list)
            assert isinstance(error, UnavailableError) and not error.retriable, error

        join(fork(child))
        store.engine.pool.read_pool.release(taken)
        assert len(store.workflows.list().items) == 1
        join(fork(lambda: store.workflows.create(workflow("child"))))
        """)
    assert stored(path) == ["before", "child"]


# --- what stays with its process -----------------------------------------------------------------


def test_memory_stays_with_the_process_that_opened_it(forked: Callable[[str], str]) -> None:
    forked("""
        store = engine_store.open("sqlite:///:memory:")
        store.workflows.create(workflow("parent"))

        def child():
            error = refusal(store.workflows.list)
            assert isinstance(error, UnavailableError) and not error.retriable, error
            assert "in-memory" in error.reason
            with engine_store.open("sqlite:///:memory:") as mine:
                assert mine.workflows.list().items == ()
            store.close()

        join(fork(child))
        assert store.workflows.get("parent").version == 1
        """)


def test_an_asynchronous_store_stays_with_the_process_of_its_event_loop(
    path: Path, forked: Callable[[str], str]
) -> None:
    forked("""
        import asyncio

        async def use(store, name):
            return await store.workflows.create(workflow(name))

        async def main():
            store = await engine_store.open_async(url)
            await use(store, "before")
            await store.workflows.list()
            return store

        with asyncio.Runner() as runner:
            store = runner.run(main())

            def child():
                error = refusal(asyncio.run, use(store, "child"))
                assert isinstance(error, UnavailableError) and not error.retriable, error
                error = refusal(asyncio.run, store.workflows.list())
                assert isinstance(error, UnavailableError) and not error.retriable, error

                async def mine():
                    async with await engine_store.open_async(url) as other:
                        await use(other, "of its own")
                asyncio.run(mine())

            join(fork(child))
            runner.run(use(store, "after"))
            runner.run(store.close())
        """)
    assert stored(path) == ["after", "before", "of its own"]
