"""Shared commits: writers that wait at the same moment, and what each of them is told."""

from __future__ import annotations

import asyncio
import inspect
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

import engine_store
from engine_store.errors import (
    DamagedRowError,
    StoreClosedError,
    UnavailableError,
    WorkflowNotFoundError,
)
from engine_store.models import Status
from engine_store.sql import write_group, write_queue
from engine_store_contracts.suite.samples import workflow
from engine_store_sqlite.connections import SqliteConnection
from engine_store_sqlite.pool import SqlitePool

PATIENCE = 30.0

TIME = "2026-01-31T12:00:00.000000+00:00"


class Waiting:
    """Calls that wait in their threads, in this order, until the writer is free."""

    def __init__(self, store: Any, threads: ThreadPoolExecutor) -> None:
        self._queue = store.engine.pool.write_queue
        self._threads = threads
        self.calls: list[Future[Any]] = []

    def call(self, function: Callable[..., Any], *args: object) -> Future[Any]:
        """Begin a call, and return when it waits."""
        before = self._queue.waiting
        call = self._threads.submit(function, *args)
        deadline = time.monotonic() + PATIENCE
        while self._queue.waiting == before:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        self.calls.append(call)
        return call


@pytest.fixture
def waiting(store: Any) -> Iterator[Callable[[], AbstractContextManager[Waiting]]]:
    """A block in which the writer is taken; then everything that waits goes on and ends."""
    with ThreadPoolExecutor(300) as threads:

        @contextmanager
        def waiting() -> Iterator[Waiting]:
            found = Waiting(store, threads)
            pool = store.engine.pool
            writer = pool.acquire_writer(PATIENCE, PATIENCE)
            try:
                yield found
            finally:
                pool.release(writer)
                wait(found.calls, PATIENCE)

        yield waiting


@pytest.fixture
def at_commit(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], list[str]]:
    """Call a function before each COMMIT of a group; return the commands as they come."""

    def at_commit(function: Callable[[], None]) -> list[str]:
        command, commands = SqliteConnection.command, []

        def watched(connection: SqliteConnection, text: str) -> None:
            commands.append(text)
            if text == "COMMIT":
                function()
            command(connection, text)

        monkeypatch.setattr(SqliteConnection, "command", watched)
        return commands

    return at_commit


def broken_disk() -> sqlite3.Error:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    return error


def stored(store: Any) -> list[str]:
    return [state.workflow_exec_id for state in store.workflows.list(limit=1000).items]


def inserted(store: Any) -> list[str]:
    """The ids of the stored workflows in the order in which they were written."""
    readers = store.engine.pool.read_pool
    reader = readers.acquire()
    rows = reader.raw.execute("SELECT workflow_exec_id FROM workflows ORDER BY rowid").fetchall()
    readers.release(reader)
    return [name for (name,) in rows]


# --- threads -------------------------------------------------------------------------------------


def test_writers_that_wait_share_one_commit(store: Any, waiting: Any, at_commit: Any) -> None:
    commands = at_commit(lambda: None)
    with waiting() as calls:
        made = [calls.call(store.workflows.create, workflow(f"w{n}")) for n in range(9)]
    assert [call.result(PATIENCE).version for call in made] == [1] * 9
    assert commands.count("COMMIT") == 1
    assert inserted(store) == [f"w{n}" for n in range(9)]


def test_a_group_has_at_most_so_many_members(
    store: Any, waiting: Any, at_commit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_group, "MOST_MEMBERS", 4)
    monkeypatch.setattr(write_group, "LONGEST", PATIENCE)
    commands = at_commit(lambda: None)
    with waiting() as calls:
        for n in range(10):
            calls.call(store.workflows.create, workflow(f"w{n}"))
    assert commands.count("COMMIT") == 3
    assert len(stored(store)) == 10


def test_a_group_takes_members_for_a_bounded_time(
    store: Any, waiting: Any, at_commit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_group, "LONGEST", 0)
    commands = at_commit(lambda: None)
    with waiting() as calls:
        for n in range(3):
            calls.call(store.workflows.create, workflow(f"w{n}"))
    assert commands.count("COMMIT") == 3


def test_no_outcome_is_told_before_the_commit_not_even_a_refusal(
    store: Any, waiting: Any, at_commit: Any
) -> None:
    told: list[bool] = []
    with waiting() as calls:
        calls.call(store.workflows.create, workflow("w"))
        calls.call(store.workflows.set_status, "w", Status.RUNNING)
        calls.call(store.workflows.set_status, "missing", Status.RUNNING)
        at_commit(lambda: told.append(any(call.done() for call in calls.calls)))
    created, changed, refused = calls.calls
    assert told[-1:] == [False]
    assert (created.result().version, changed.result().version) == (1, 2)
    assert isinstance(refused.exception(), WorkflowNotFoundError)


def test_a_refusal_of_the_first_member_is_told_at_once_and_the_others_go_on(
    store: Any, waiting: Any
) -> None:
    with waiting() as calls:
        refused = calls.call(store.workflows.set_status, "missing", Status.RUNNING)
        made = calls.call(store.workflows.create, workflow("w"))
    assert isinstance(refused.exception(), WorkflowNotFoundError)
    assert made.result().version == 1


def test_a_member_that_fails_undoes_only_itself(store: Any, waiting: Any) -> None:
    pool = store.engine.pool

    def write(name: str, error: Exception | None = None) -> None:
        async def work(connection: SqliteConnection) -> None:
            connection.raw.execute(
                "INSERT INTO users VALUES (?, ?, ?, 'user', 1, ?, ?)", [name] * 3 + [TIME] * 2
            )
            if error is not None:
                raise error

        asyncio.run(pool.write_in_group(work, savepoint=True))

    with waiting() as calls:
        for name, error in (("a", None), ("b", KeyError("mine")), ("c", None)):
            calls.call(write, name, error)
    assert [repr(call.exception()) for call in calls.calls] == ["None", "KeyError('mine')", "None"]
    assert [user.user_id for user in store.users.list().items] == ["a", "c"]


def test_a_write_that_fails_after_its_statement_is_undone_and_its_neighbours_run_again(
    store: Any, waiting: Any, bare: Any, path: Path
) -> None:
    for name in ("a", "b", "c"):
        store.workflows.create(workflow(name))
    bare(path).execute("UPDATE workflows SET usage = 'no JSON' WHERE workflow_exec_id = 'b'")
    with waiting() as calls:
        for name in ("a", "b", "c"):
            calls.call(store.workflows.set_status, name, Status.RUNNING)
    changed, failed, also_changed = calls.calls
    assert isinstance(failed.exception(), DamagedRowError)
    assert (changed.result().version, also_changed.result().version) == (2, 2)
    rows = bare(path).execute("SELECT status, version FROM workflows ORDER BY workflow_exec_id")
    assert rows.fetchall() == [("RUNNING", 2), ("PENDING", 1), ("RUNNING", 2)]


def test_a_failed_commit_is_told_to_every_member_and_nothing_is_kept(
    store: Any, waiting: Any, at_commit: Any
) -> None:
    def fail() -> None:
        raise broken_disk()

    with waiting() as calls:
        for n in range(3):
            calls.call(store.workflows.create, workflow(f"w{n}"))
        calls.call(store.workflows.set_status, "missing", Status.RUNNING)
        at_commit(fail)
    errors = [call.exception() for call in calls.calls]
    assert [type(error) for error in errors] == [UnavailableError] * 4
    assert len({id(error) for error in errors}) == 4, "each call has an error of its own"
    assert stored(store) == []


def test_a_full_disk_fails_whole_groups_and_writing_goes_on_when_there_is_room(
    store: Any, waiting: Any, writer_of: Any
) -> None:
    writer = writer_of(store)
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages + 20}")
    acknowledged = set()
    failed = 0
    for group in range(6):
        with waiting() as calls:
            for n in range(8):
                state = workflow(f"g{group}-{n}", input={"text": "x" * 3000})
                calls.call(store.workflows.create, state)
        for call in calls.calls:
            if call.exception() is None:
                acknowledged.add(call.result().workflow_exec_id)
            else:
                failed += 1
                assert type(call.exception()) is UnavailableError
                assert "the disk is full" in str(call.exception())
    assert failed
    assert set(stored(store)) == acknowledged
    writer.execute("PRAGMA max_page_count = 1000000")
    assert store.workflows.create(workflow("room again")).version == 1
    assert writer.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize(
    ("method", "moments", "late"),
    [
        ("_fetch", {2}, False),  # in the statement of a follower
        ("command", {"COMMIT"}, False),
        ("command", {"COMMIT"}, True),
        ("command", {"COMMIT", "ROLLBACK"}, False),
    ],
)
def test_an_interrupt_of_the_leader_leaves_the_others_with_their_results(
    store: Any,
    waiting: Any,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    moments: set[object],
    late: bool,
) -> None:
    original, seen = getattr(SqliteConnection, method), []

    def interrupt(connection: SqliteConnection, what: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            return original(connection, what)
        moment = len(seen) + 1 if method == "_fetch" else what
        interrupted = moment in moments and moment not in seen
        seen.append(moment)
        if late or not interrupted:
            found = original(connection, what)
        if interrupted:
            raise KeyboardInterrupt
        return found

    with waiting() as calls:
        for n in range(5):
            calls.call(store.workflows.create, workflow(f"w{n}"))
        monkeypatch.setattr(SqliteConnection, method, interrupt)
    leader, *others = calls.calls
    assert isinstance(leader.exception(), KeyboardInterrupt)
    assert [call.result().version for call in others] == [1] * 4
    assert ("w0" in stored(store)) == late
    assert store.workflows.create(workflow("after")).version == 1


@pytest.mark.parametrize("side", ["threads", "tasks"])
def test_upkeep_of_the_file_is_no_reason_to_give_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    monkeypatch.setattr(SqlitePool, "upkeep_is_due", lambda *_: True)
    monkeypatch.setattr(SqlitePool, "upkeep", lambda *_: time.sleep(0.02))
    states = [workflow(f"w{n}") for n in range(20)]

    async def by_tasks(store: Any) -> list[Any]:
        return [await store.workflows.create(state) for state in states]

    if side == "tasks":
        made = on_a_loop(by_tasks, path, busy_timeout=0)
    else:
        with engine_store.open(f"sqlite:///{path}?busy_timeout=0") as store:
            made = [store.workflows.create(state) for state in states]
    assert [state.version for state in made] == [1] * 20


@pytest.mark.parametrize("transaction", [False, True])
def test_who_waited_for_groups_has_all_its_time_left_for_another_process(
    path: Path, monkeypatch: pytest.MonkeyPatch, open_store: Any, transaction: bool
) -> None:
    store = open_store(path, busy_timeout=0.2)
    pool, left = store.engine.pool, []
    begin = SqlitePool.begin

    def watched(pool: SqlitePool, connection: Any, deadline: float, timeout: float) -> None:
        left.append(deadline - time.monotonic())
        begin(pool, connection, deadline, timeout)

    def write() -> None:
        if transaction:
            with store.transaction() as tx:
                tx.workflows.create(workflow())
        else:
            store.workflows.create(workflow())

    monkeypatch.setattr(SqlitePool, "begin", watched)
    with ThreadPoolExecutor(1) as threads:
        writer = pool.acquire_writer(PATIENCE, PATIENCE)
        pool.write_queue.patience.pause()  # as a group does
        call = Waiting(store, threads).call(write)
        time.sleep(0.3)
        pool.write_queue.patience.resume()
        pool.release(writer)
        call.result(PATIENCE)
    assert left[1] > 0.1


def test_a_transaction_waits_for_one_group_and_not_for_those_that_come_after_it(
    store: Any, waiting: Any
) -> None:
    ended: list[str] = []

    def create(name: str) -> None:
        store.workflows.create(workflow(name))
        ended.append(name)

    def transact(name: str) -> None:
        with store.transaction() as tx:
            tx.workflows.create(workflow(name))
            ended.append(name)

    with waiting() as calls:
        calls.call(create, "before")
        calls.call(transact, "transaction")
        calls.call(create, "after")
    created = inserted(store)
    assert created == ["before", "transaction", "after"]
    assert sorted(ended) == sorted(created)


def test_those_that_wait_in_the_queue_learn_that_the_store_was_closed(
    store: Any, waiting: Any
) -> None:
    with waiting() as calls:
        for n in range(3):
            calls.call(store.workflows.create, workflow(f"w{n}"))
        store.close()
    for call in calls.calls:
        with pytest.raises(StoreClosedError):
            call.result(PATIENCE)


def test_a_function_of_the_caller_runs_in_the_callers_thread(store: Any, waiting: Any) -> None:
    ran: list[int] = []

    def complete() -> int:
        store.workflows.complete("w", lambda state: ran.append(threading.get_ident()))
        return threading.get_ident()

    store.workflows.create(workflow("w"))
    with waiting() as calls:
        calls.call(store.workflows.create, workflow("before"))
        completed = calls.call(complete)
    assert ran == [completed.result()]


WRITERS = """
import asyncio, sys, threading
import engine_store
from engine_store import WorkflowState

url, side, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
lock = threading.Lock()

def acknowledged(name):
    with lock:
        sys.stdout.write(name + chr(10))
        sys.stdout.flush()

def threads():
    store = engine_store.open(url)

    def write(number):
        count = 0
        while True:
            name = f"{first}-{number}-{count}"
            store.workflows.create(WorkflowState(name, "report", input={"name": name}))
            acknowledged(name)
            count += 1

    for number in range(64):
        threading.Thread(target=write, args=(number,)).start()

async def tasks():
    async with await engine_store.open_async(url) as store:
        async def write(number):
            count = 0
            while True:
                name = f"{first}-{number}-{count}"
                await store.workflows.create(WorkflowState(name, "report", input={"name": name}))
                acknowledged(name)
                count += 1

        await asyncio.gather(*map(write, range(64)))

threads() if side == "threads" else asyncio.run(tasks())
"""


@pytest.mark.parametrize("side", ["threads", "tasks"])
def test_what_64_writers_were_told_survives_their_kill(
    path: Path, start: Any, bare: Any, side: str
) -> None:
    told: set[str] = set()
    for first in range(3):
        with start(WRITERS, f"sqlite:///{path}", side, first, measured=False) as process:
            told.add(process.says())
            for _ in range(50 * first):
                told.add(process.says())
            process.kill()
            # The last line may be cut off.
            told.update(line for line in process.rest().split("\n")[:-1] if line)
    rows = dict(bare(path).execute("SELECT workflow_exec_id, input FROM workflows"))
    assert told <= set(rows)
    assert all(json.loads(document) == {"name": name} for name, document in rows.items())
    assert bare(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


# --- tasks ---------------------------------------------------------------------------------------


def on_a_loop(test: Callable[[Any], Any], path: Path, **options: object) -> Any:
    """Run `test` with an asynchronous store."""

    async def run() -> Any:
        config = engine_store.DatabaseConfig(url=f"sqlite:///{path}", options=options)
        async with await engine_store.open_async(config) as store:
            return await asyncio.wait_for(test(store), PATIENCE)

    return asyncio.run(run())


def test_tasks_that_wait_share_one_commit_and_hear_of_it_together(
    path: Path, at_commit: Any
) -> None:
    async def test(store: Any) -> None:
        commands = at_commit(lambda: None)
        made = await asyncio.gather(
            *(store.workflows.create(workflow(f"w{n}")) for n in range(9)),
            store.workflows.set_status("missing", Status.RUNNING),
            return_exceptions=True,
        )
        assert isinstance(made.pop(), WorkflowNotFoundError)
        assert [state.version for state in made] == [1] * 9
        assert commands.count("COMMIT") == 1

    on_a_loop(test, path)


def test_a_failed_commit_is_told_to_every_task(path: Path, at_commit: Any) -> None:
    async def test(store: Any) -> None:
        failing = [True]

        def fail() -> None:
            if failing:
                raise broken_disk()

        at_commit(fail)
        calls = (store.workflows.create(workflow(f"w{n}")) for n in range(4))
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(error) for error in errors] == [UnavailableError] * 4
        failing.clear()
        assert (await store.workflows.create(workflow("w0"))).version == 1

    on_a_loop(test, path)


def test_a_cancelled_task_that_has_begun_ends_with_its_group(path: Path, at_commit: Any) -> None:
    async def test(store: Any) -> None:
        committing, go_on = threading.Event(), threading.Event()

        def pause() -> None:
            committing.set()
            assert go_on.wait(PATIENCE)

        at_commit(pause)
        begun = asyncio.create_task(store.workflows.create(workflow("begun")))
        await asyncio.to_thread(committing.wait, PATIENCE)
        waits = asyncio.create_task(store.workflows.create(workflow("waits")))
        await asyncio.sleep(0)
        for call in (begun, waits):
            call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        assert not begun.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await begun
        assert [state.workflow_exec_id for state in (await store.workflows.list()).items] == [
            "begun"
        ]

    on_a_loop(test, path)


def test_members_go_on_if_the_task_that_leads_them_is_cancelled(path: Path) -> None:
    async def test(store: Any) -> None:
        before = asyncio.all_tasks()
        async with store.transaction():
            calls = [
                asyncio.create_task(store.workflows.create(workflow(f"w{n}"))) for n in range(3)
            ]
            await asyncio.sleep(0.01)
            for task in asyncio.all_tasks() - before - set(calls):
                task.cancel()  # as `asyncio.run` does at its end
        assert [(await call).version for call in calls] == [1] * 3

    on_a_loop(test, path)


def test_the_time_that_groups_take_is_no_reason_to_give_up(path: Path, at_commit: Any) -> None:
    async def test(store: Any) -> None:
        at_commit(lambda: time.sleep(0.02))
        made = await asyncio.gather(
            *(store.workflows.create(workflow(f"w{n:04}")) for n in range(2000))
        )
        assert {state.version for state in made} == {1}

    on_a_loop(test, path, busy_timeout=0.05)


def test_tasks_wait_for_another_process_until_the_busy_time_out(path: Path, writing: Any) -> None:
    engine_store.open(f"sqlite:///{path}").close()

    async def test(store: Any) -> None:
        with writing(path) as other:
            calls = (store.workflows.create(workflow(f"w{n}")) for n in range(20))
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert {str(error) for error in errors} == {str(errors[0])}
            assert errors[0].retriable
            assert "another process held the write lock for 0.2 s" in str(errors[0])
            late = asyncio.create_task(store.workflows.create(workflow("late")))
            cancelled = asyncio.create_task(store.workflows.create(workflow("cancelled")))
            await asyncio.sleep(0.02)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled  # at once: it has not begun
            other.tell()
            assert other.says() == "let go"
            assert (await late).version == 1
        assert [state.workflow_exec_id for state in (await store.workflows.list()).items] == [
            "late"
        ]

    on_a_loop(test, path, busy_timeout=0.2)


# --- mistakes that these tests notice ------------------------------------------------------------


def told_before_the_commit(patch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Followers go on while the leader still commits."""
    commit = write_group.WriteGroup.commit

    def early(group: write_group.WriteGroup) -> None:
        group.end()
        for member in group.members[1:]:
            member.tell()
        time.sleep(0.2)
        commit(group)

    patch.setattr(write_group.WriteGroup, "commit", early)
    return lambda: None


def a_failure_undoes_its_neighbours(patch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A failed member rolls the whole transaction back."""
    command = SqliteConnection.command

    def careless(connection: SqliteConnection, text: str) -> None:
        if text == "ROLLBACK TO member":
            command(connection, "ROLLBACK")
            command(connection, "BEGIN IMMEDIATE")
            text = "SAVEPOINT member"
        command(connection, text)

    patch.setattr(SqliteConnection, "command", careless)
    return lambda: None


def a_failed_commit_is_told_to_the_leader_alone(patch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The others take what their operations returned for true."""

    def fail(group: write_group.WriteGroup, error: Exception) -> None:
        group.end()
        group.members[0].fail(error)

    patch.setattr(write_group.WriteGroup, "_fail", fail)
    return lambda: None


def a_follower_is_forgotten(patch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Only the first follower goes on, and none looks again."""
    forgotten: list[write_group.Member] = []
    tell_it = write_group.Member.tell

    def tell(member: write_group.Member) -> None:
        if member.wake is not None and member.ended:
            forgotten.append(member)
        if len(forgotten) < 2:
            tell_it(member)

    def remember() -> None:
        for member in forgotten:
            tell_it(member)

    patch.setattr(write_group.Member, "tell", tell)
    patch.setattr(write_queue, "LOOK_AGAIN", PATIENCE)
    patch.setitem(globals(), "PATIENCE", 0.5)
    return remember


MISTAKES = [
    (told_before_the_commit, test_no_outcome_is_told_before_the_commit_not_even_a_refusal),
    (a_failure_undoes_its_neighbours, test_a_member_that_fails_undoes_only_itself),
    (
        a_failed_commit_is_told_to_the_leader_alone,
        test_a_failed_commit_is_told_to_every_member_and_nothing_is_kept,
    ),
    (a_follower_is_forgotten, test_writers_that_wait_share_one_commit),
]


@pytest.mark.parametrize(("mistake", "test"), MISTAKES, ids=lambda found: found.__name__)
def test_a_mistake_in_a_group_is_noticed(
    mistake: Any, test: Any, request: pytest.FixtureRequest, store: Any
) -> None:
    names = inspect.signature(test).parameters
    fixtures = {name: request.getfixturevalue(name) for name in names}
    with pytest.MonkeyPatch.context() as patch:
        undo = mistake(patch)
        try:
            with pytest.raises((AssertionError, TimeoutError)):
                test(**fixtures)
        finally:
            undo()
