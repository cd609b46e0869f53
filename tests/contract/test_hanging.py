"""A case that hangs says which calls hang and where; how long it waits follows the load."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing

import pytest

import engine_store
from engine_store import WorkflowState
from engine_store_contracts import patience
from engine_store_contracts.faces import Face
from engine_store_contracts.hanging import Hang, Threads, run_in_loop
from engine_store_contracts.harness import Database, UrlHarness
from engine_store_contracts.patience import PATIENCE, Patience
from engine_store_contracts.report import Outcome
from engine_store_contracts.suite.case import all_at_once
from engine_store_contracts.suite.processes import at_once, workers


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(patience, "MINIMUM", 0.1)
    monkeypatch.setattr(patience, "MAXIMUM", 0.1)


class TestPatience:
    def test_it_follows_the_slowest_of_the_last_openings(self, monkeypatch):
        waiting, times = Patience(), iter([10.0, 10.5, 20.0, 20.7, 30.0, 30.1])
        monkeypatch.setattr(patience, "monotonic", lambda: next(times))
        assert waiting.seconds == 30
        for expected in (50, 70, 70):
            with waiting.measure():
                pass
            assert waiting.seconds == pytest.approx(expected)

    def test_it_forgets_a_slow_opening_and_has_an_end(self, monkeypatch):
        waiting, times = Patience(), iter([0.0, 5.0, *[6.0] * 2 * patience.RECENT])
        monkeypatch.setattr(patience, "monotonic", lambda: next(times))
        with waiting.measure():
            pass
        assert waiting.seconds == 120
        for _ in range(patience.RECENT):
            with waiting.measure():
                pass
        assert waiting.seconds == 30

    def test_the_opening_of_a_store_is_measured(self, tmp_path):
        measured = PATIENCE._recent
        measured.clear()
        with closing(Database(UrlHarness(f"sqlite:///{tmp_path}/x.db"), Face.ASYNC)) as database:
            database.open().close()
        [seconds] = measured
        assert seconds > 0


class TestHanging:
    def test_a_call_in_a_thread(self, impatient):
        end = threading.Event()
        with pytest.raises(Hang) as caught:
            all_at_once([end.wait, lambda: 1])
        end.set()
        head, name, first, *_ = str(caught.value).splitlines()
        assert (head, name) == ("calls that hang:", "")
        assert first == "Event.wait"
        assert "engine_store_contracts.suite.case:" in str(caught.value)

    def test_a_call_whose_end_was_waited_for_already(self, impatient):
        end = threading.Event()
        with pytest.raises(Hang) as caught, Threads() as threads:
            threads.submit(end.wait).result(0.1)
        end.set()
        assert isinstance(caught.value.__context__, TimeoutError)

    def test_a_task_of_a_loop(self, impatient):
        class Repository:
            async def update(self):
                await asyncio.Event().wait()

        async def main():
            await Repository().update()

        with pytest.raises(Hang) as caught:
            run_in_loop(main)
        assert "in update: await asyncio.Event().wait()" in str(caught.value)

    def test_what_a_call_returns_or_raises_comes_out(self):
        async def fail():
            raise LookupError

        with Threads() as threads:
            done, failed = threads.submit(divmod, 7, 2), threads.submit(divmod, 7, 0)
        assert done.result() == (3, 1)
        assert isinstance(failed.exception(), ZeroDivisionError)
        with pytest.raises(LookupError):
            run_in_loop(fail)

    def test_a_job_of_another_process(self, monkeypatch, tmp_path):
        url = f"sqlite:///{tmp_path}/x.db?busy_timeout=60"
        with engine_store.open(url) as store:
            store.workflows.create(WorkflowState("w", "report", input={"count": 0}))
        with (
            closing(Database(UrlHarness(url), Face.SYNC)) as database,
            closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as lock,
            pytest.raises(Hang) as caught,
            workers(database, 1) as processes,
        ):
            at_once(processes, "open", [{}])
            lock.execute("BEGIN IMMEDIATE")
            monkeypatch.setattr(patience, "MAXIMUM", 0.1)
            at_once(processes, "increment", [{"key": "w", "times": 1}])
        assert " in increment\n" in str(caught.value)


HANGING = """
import asyncio
from engine_store.concurrency.threads import threaded

async def hang(*_):
    await asyncio.Event().wait()

class Hangs(UrlHarness):
    async def open_async(self, **options):
        store = threaded(self.open(**options))
        store.users.delete = hang
        return store

class TestIt(Contract):
    @pytest.fixture
    def harness(self):
        with Hangs("sqlite:///:memory:") as harness:
            yield harness
"""


def test_a_case_that_is_ended_for_its_time_says_which_calls_hang(prove, tmp_path):
    name = "test_deleting_a_user_deletes_its_keys_only"
    proof = prove(tmp_path, f"-k={name}", "--timeout=3", module=HANGING)
    failed = [case for case in proof.run.cases if case.outcome is Outcome.FAILED]
    assert [case.id for case in failed] == [f"{name}[async]"]
    assert "calls that hang:\n\nhang\n" in (failed[0].failure or "")
