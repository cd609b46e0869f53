"""The measuring itself, on a clock that only the operations move, and the rows it begins with."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import Mock

import pytest

from engine_store.transfer import checksum
from postgres_server import home_in

pytestmark = pytest.mark.xdist_group("benchmarks")


@pytest.fixture(scope="module", autouse=True)
def importable(root):
    """The benchmarks are no installed package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        yield


class Clock:
    """A clock, and a case of operations that take what a test says, in microseconds."""

    def __init__(self) -> None:
        self.now = 0
        self.order = ""
        self.rounds = 0

    def perf_counter_ns(self) -> int:
        return self.now

    def set_up(self, bench):
        return self.prepare

    def prepare(self, count):
        self.rounds += 1
        return self.blocks.Blocks(self.block("s", 8, count), self.block("b", 2, count))

    def block(self, side, microseconds, count):
        def block():
            self.order += side
            # Every round the machine is slower than in the one before.
            self.now += microseconds * 1000 * count * self.rounds

        return block


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """A clock that replaces the machine's where the store and the bare module are compared."""
    clock = Clock()
    clock.blocks = importlib.import_module("benchmarks.blocks")
    monkeypatch.setattr(importlib.import_module("benchmarks.compare"), "time", clock)
    return clock


@pytest.fixture
def effort():
    """Four rounds of 24 microseconds."""
    return importlib.import_module("benchmarks.study").Effort(4, 24e-6)


@pytest.fixture
def measured(clock, effort):
    """A case measured on that clock."""
    case = clock.blocks.Case("fake", "fake", clock.set_up)
    return importlib.import_module("benchmarks.compare").compare(case, Mock(), effort)


def test_the_sides_of_a_case_take_turns_at_being_first(measured, clock):
    assert clock.order == "sb" + "sbbssbbs"  # one to find the number of operations


def test_a_round_has_as_many_operations_as_fill_it(measured):
    assert measured.operations == 3


def test_a_ratio_is_taken_round_by_round_so_that_a_slow_machine_leaves_it_alone(measured):
    assert measured.ratio.median == measured.ratio.p10 == measured.ratio.p90 == 2 / 8
    assert measured.store.median == pytest.approx((3 + 4) / 2 * 8)
    assert measured.bare.median == pytest.approx((3 + 4) / 2 * 2)
    assert measured.store.p10 < measured.store.median < measured.store.p90


def test_calls_side_by_side_take_turns_and_each_fills_its_rounds(clock, effort):
    clock.rounds = 1
    calls = {"slow": clock.block("s", 8, 1), "quick": clock.block("q", 2, 1)}
    side_by_side = importlib.import_module("benchmarks.measure").side_by_side
    found = side_by_side(calls, effort, clock.perf_counter_ns)
    assert {name: spread.median for name, spread in found.items()} == {"slow": 8, "quick": 2}
    slow, quick = "s" * 3, "q" * 12
    rounds = slow + quick + quick + slow + slow + quick + quick + slow
    assert clock.order.endswith(rounds)


# --- databases -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def databases(request, importable, tmp_path_factory):
    """The databases of each driver."""
    driver = importlib.import_module(f"benchmarks.{request.param}")
    with driver.open_databases(tmp_path_factory.mktemp("databases")) as databases:
        yield databases


def test_sides_that_did_different_work_are_not_compared(databases):
    with_result = importlib.import_module("benchmarks.data").with_result
    with databases.bench() as bench:
        bench.check_same_work()
        bench.store.tasks.modify(bench.dataset.tree_root, lambda task: with_result(task, 1))
        with pytest.raises(RuntimeError, match="the two sides did different work"):
            bench.check_same_work()


def test_rows_behind_the_back_of_a_store_are_as_valid_as_its_own(databases):
    filled = importlib.import_module("benchmarks.filled").filled
    with filled(databases, workflows=5, tasks=2) as rows, databases.store() as empty:
        found = rows.store.tasks.list().items
        assert len(found) == 10
        assert {rows.any_task() for _ in range(1_000)} == {task.task_exec_id for task in found}
        oldest, newest = found[0], found[-1]
        assert (newest.created_at - oldest.created_at).seconds == 4
        assert (newest.input, newest.output, newest.usage) == (
            found[1].input,
            found[1].output,
            found[1].usage,
        )
        for _ in range(20):
            workflow = rows.store.workflows.get(rows.any_workflow(), with_tasks=True)
            assert len(workflow.tasks) == 2
        importlib.import_module("engine_store.transfer").copy(rows.store, empty)
        assert checksum(empty) == checksum(rows.store)


# --- queues --------------------------------------------------------------------------------------


@pytest.fixture
def crews(importable):
    """Crews of workers."""
    return importlib.import_module("benchmarks.crews")


@pytest.fixture
def claims(importable):
    """The workers of a store."""
    return importlib.import_module("benchmarks.claims")


def test_a_crew_is_not_reported_if_it_has_done_other_work_than_is_stored(databases, crews, claims):
    ours = claims.EngineStore()
    with databases.new() as url:
        ours.fill(databases, url, 20)
        done = crews.run(ours.work(url, 3), crews.Crew(crews.PROCESSES, 2), 60)  # all that waits
        assert done.tasks == 20
        ours.check(databases, url, 20, done)
        for wrong in (19, 21):
            with pytest.raises(crews.LostWorkError, match=f"{wrong} tasks were finished"):
                ours.check(databases, url, 20, crews.Done(wrong, 0, 1))
        databases.rows(url, f"UPDATE {databases.schema}tasks SET attempt = 2")
        with pytest.raises(crews.LostWorkError):
            ours.check(databases, url, 20, done)


def test_a_copy_of_a_database_is_as_large_and_stands_alone(databases, claims):
    with databases.new() as url:
        claims.add_waiting(databases, url, 2_000)
        with databases.copy(url) as other:
            databases.rows(other, f"DELETE FROM {databases.schema}tasks WHERE task_id = 'task-1'")
            counts = [
                databases.rows(one, f"SELECT count(*) FROM {databases.schema}tasks")
                for one in (url, other)
            ]
    assert counts == [[(2_000,)], [(1_998,)]]


def test_a_process_that_fails_is_told_with_its_traceback(crews):
    children = importlib.import_module("benchmarks.children")
    with pytest.raises(children.ChildError, match="TypeError"):
        crews.run(math.sqrt, crews.Crew(crews.PROCESSES, 2), 1)


def test_a_renewal_that_wrote_a_task_would_be_noticed(databases, monkeypatch):
    heartbeats = importlib.import_module("benchmarks.heartbeats")
    renew = heartbeats._renew

    def renew_and_write(store, claims, seconds):
        store.tasks.update(claims[0].task.evolve(output={"written": True}))
        return renew(store, claims, seconds)

    assert heartbeats.heartbeats(databases, 10, 0).rows == 0
    monkeypatch.setattr(heartbeats, "_renew", renew_and_write)
    found = heartbeats.heartbeats(databases, 10, 0)
    assert (found.leases, found.renewals, found.rows) == (10, 10, 1)
    assert found.pages >= 1


def test_the_contest_goes_on_without_what_is_not_installed(importable, monkeypatch):
    contest = importlib.import_module("benchmarks.contest")
    study = importlib.import_module("benchmarks.study")

    def work(lab, options, cells):
        for cell in cells:
            cell.rates.extend([2.0, 4.0])

    monkeypatch.setattr(contest, "installed", lambda rival: None)
    monkeypatch.setattr(contest, "_work", work)
    options = study.Options(study.Effort(2, 1), ("sqlite", "postgres"))
    found = contest.hold(Mock(), options)
    assert found["missing"] == ["DBOS", "procrastinate"]
    assert found["rivals"] == found["times"] == []
    assert len(found["cycles"]) == 2 * 9 * 2


def test_a_server_lives_beside_the_results_where_its_user_can_get_there(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name).resolve()
        assert home_in(folder) == folder / "postgres"
        assert folder.stat().st_mode & 0o777 == 0o711
        below = folder / "below"
        below.mkdir()
        folder.chmod(0o700)
        assert home_in(below) is None
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        assert home_in(below) == below / "postgres"
