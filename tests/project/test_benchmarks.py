"""The benchmarks run and report what they say they do. How fast anything is, no test asks."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import Mock

import pytest

from postgres_server import home_in

pytestmark = pytest.mark.xdist_group("benchmarks")  # one worker, so that all cases run once

TINY = ("--rounds", "2", "--seconds", "0.001")

AIMS = {
    "sqlite": {
        "create": 0.7,
        "update": 0.7,
        "get": 0.5,
        "workflow": 0.5,
        "tree": 0.5,
        "page": 0.5,
        "transaction": None,
        "create-normal": None,
        "update-normal": None,
    },
    "postgres": {
        "create": 0.85,
        "update": 0.85,
        "get": 0.75,
        "workflow": 0.75,
        "tree": 0.75,
        "page": 0.75,
        "transaction": None,
    },
}
"""The cases that are compared with the bare module, and the share of its throughput aimed at."""

ALONE = ["modify-threads", "create-threads", "create-gather"]

BARE = {"sqlite": "sqlite3", "postgres": "psycopg"}

SPREAD = {"median", "p10", "p90"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Where the one run of all cases writes."""
    return tmp_path_factory.mktemp("benchmarks")


@pytest.fixture(scope="session")
def printed(run, folder) -> str:
    """What the run of all cases prints."""
    return run(sys.executable, "-m", "benchmarks", *TINY, "--json", folder / "new" / "found.json")


@pytest.fixture(scope="session")
def report(printed, folder) -> dict:
    """What it writes."""
    return json.loads((folder / "new" / "found.json").read_text("utf-8"))


@pytest.fixture
def cases(report) -> dict[tuple[str, str], dict]:
    """The cases of the report by driver and name."""
    return {(case["driver"], case["name"]): case for case in report["cases"]}


@pytest.fixture
def tables(printed) -> dict[str, list[str]]:
    """The lines printed about each driver."""
    lines = printed.splitlines()
    (start,) = (
        number for number, line in enumerate(lines) if "PostgreSQL" in line and "for one" in line
    )
    return {"sqlite": lines[:start], "postgres": lines[start:]}


def test_every_case_is_a_line_of_a_table_80_columns_wide(printed, tables, cases):
    for (driver, _), case in cases.items():
        lines = tables[driver]
        assert sum(line.startswith(f"  {case['title']} ") for line in lines) == 1
    assert max(map(len, printed.splitlines())) <= 80


def test_the_table_shows_the_medians_of_the_report(tables, cases):
    for driver, aims in AIMS.items():
        for name in aims:
            case = cases[driver, name]
            (line,) = (row for row in tables[driver] if f"  {case['title']} " in row)
            assert f" {case['ratio']['median']:.2f} " in line


def test_a_table_names_the_bare_module_and_the_version_of_the_database(tables, report):
    versions = {name: report["databases"][name] for name in BARE}
    for driver, title in (
        ("sqlite", f"SQLite {versions['sqlite']['sqlite']}"),
        ("postgres", f"PostgreSQL {versions['postgres']['postgresql']}"),
    ):
        assert tables[driver][0].strip() == f"{title}: microseconds for one operation"
        assert BARE[driver] in tables[driver][2].split()


def test_the_report_says_what_was_measured_and_on_what(report):
    assert set(report) == {"date", "machine", "parameters", "payload", "databases", "cases"}
    assert set(report["machine"]) == {"system", "architecture", "cpus", "python"}
    assert {name: found["bare"] for name, found in report["databases"].items()} == BARE
    assert report["parameters"] == {
        "rounds": 2,
        "seconds": 0.001,
        "portion": 50,
        "threads": 8,
        "in_flight": 100,
        "batch": 10,
        "page": 100,
    }


def test_documents_are_of_a_plausible_size(report):
    assert 300 <= report["payload"]["input_bytes"] <= 500
    assert 300 <= report["payload"]["output_bytes"] <= 500


def test_commits_on_postgresql_are_durable(report):
    found = report["databases"]["postgres"]
    assert found["fsync"] == found["full_page_writes"] == found["synchronous_commit"] == "on"


def test_the_cases_and_their_aims_are_these(cases):
    assert {key: case["aim"] for key, case in cases.items()} == {
        (driver, name): aim
        for driver, aims in AIMS.items()
        for name, aim in (aims | dict.fromkeys(ALONE)).items()
    }


def test_a_case_has_times_a_ratio_and_their_spread(cases):
    for (_, name), case in cases.items():
        assert set(case) == {
            "driver",
            "name",
            "title",
            "durable",
            "operations_per_round",
            "store_us",
            "bare_us",
            "ratio",
            "aim",
            "operations_per_second",
        }
        assert case["durable"] != name.endswith("normal")
        assert case["operations_per_round"] >= 1
        compared = [case["bare_us"], case["ratio"]]
        assert (compared == [None, None]) == (name in ALONE)
        for spread in (case["store_us"], case["operations_per_second"], *filter(None, compared)):
            assert set(spread) == SPREAD
            assert 0 < spread["p10"] <= spread["median"] <= spread["p90"]


def test_nothing_is_left_but_the_report_and_it_names_no_place(printed, folder, root):
    assert [path.name for path in (folder / "new").iterdir()] == ["found.json"]
    text = (folder / "new" / "found.json").read_text("utf-8")
    assert str(folder) not in text
    assert str(root) not in text


def test_one_case_may_be_measured_alone_and_by_one_driver(run, tmp_path):
    found = tmp_path / "found.json"
    options = ("--driver", "sqlite", "--case", "get", "--json", found)
    run(sys.executable, "-m", "benchmarks", *TINY, *options)
    report = json.loads(found.read_text("utf-8"))
    assert [(case["driver"], case["name"]) for case in report["cases"]] == [("sqlite", "get")]
    assert set(report["databases"]) == {"sqlite"}


def test_workflows_side_by_side_are_measured_where_that_case_is_named(run, tmp_path):
    found = tmp_path / "found.json"
    options = ("--case", "concurrent", "--seconds", "0.01", "--json", found)
    printed = run(sys.executable, "-m", "benchmarks", *options)
    report = json.loads(found.read_text("utf-8"))
    levels = report["levels"]
    assert [level["workflows"] for level in levels] == [4, 8, 16, 32, 64, 128]
    assert all(0 < level["p50"] <= level["p99"] for level in levels)
    holding = [level["workflows"] for level in levels if level["p99"] < report["bound_ms"] == 100]
    assert report["most_workflows"] == max(holding, default=0)
    assert f"most workflows with a p99 below 100 ms: {report['most_workflows']}" in printed
    assert list(tmp_path.iterdir()) == [found]


def test_a_profile_names_the_functions_and_writes_nothing(run, tmp_path):
    options = ("--profile", "get", "--seconds", "0.01", "--json", tmp_path / "found.json")
    printed = run(sys.executable, "-m", "benchmarks", "--driver", "sqlite", *options)
    assert {"Connection.execute", "rows.task", "TaskState.__init__"} <= set(printed.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--case", "unknown"), "invalid choice: 'unknown'"),
        (("--case", "concurrent", "--case", "get"), "concurrent is measured alone, and on sqlite"),
        (
            ("--case", "concurrent", "--driver", "postgres"),
            "concurrent is measured alone, and on sqlite",
        ),
        (("--profile", "create-threads"), "invalid choice: 'create-threads'"),
        (("--driver", "mysql"), "invalid choice: 'mysql'"),
        (
            ("--driver", "postgres", "--case", "create-normal"),
            "postgres does not measure create-normal",
        ),
        (("--rounds", "1"), "expected at least 2"),
        (("--rounds", "few"), "invalid count value: 'few'"),
        (("--seconds", "0"), "expected seconds above 0"),
        (("--json", "."), "is a directory"),
        (("--json", "Makefile/found.json"), "cannot write into Makefile"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_one_line_before_anything_is_measured(options, said, root):
    command = (sys.executable, "-m", "benchmarks", *options)
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert result.returncode == 2
    assert said in result.stderr.splitlines()[-1]
    assert result.stdout == ""


# --- the measuring itself, on a clock that only the operations move ----------------------------


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
        return self.cases.Blocks(self.block("s", 8, count), self.block("b", 2, count))

    def block(self, side, microseconds, count):
        def block():
            self.order += side
            # Every round the machine is slower than in the one before.
            self.now += microseconds * 1000 * count * self.rounds

        return block


@pytest.fixture
def measure(root, monkeypatch):
    """The module that measures."""
    monkeypatch.syspath_prepend(root)
    return importlib.import_module("benchmarks.measure")


@pytest.fixture
def clock(measure, monkeypatch) -> Clock:
    """A clock that replaces the machine's."""
    clock = Clock()
    clock.cases = importlib.import_module("benchmarks.cases")
    monkeypatch.setattr(measure, "time", clock)
    return clock


@pytest.fixture
def measured(measure, clock):
    """A case on that clock, measured in four rounds of 24 microseconds."""
    case = clock.cases.Case("fake", "fake", clock.set_up)
    return measure.measure(case, Mock(), rounds=4, seconds=24e-6)


def test_the_sides_of_a_case_take_turns_at_being_first(measured, clock):
    assert clock.order == "sb" + "sbbssbbs"  # one to find the number of operations


def test_a_round_has_as_many_operations_as_fill_it(measured):
    assert measured.operations == 3


def test_a_ratio_is_taken_round_by_round_so_that_a_slow_machine_leaves_it_alone(measured):
    assert measured.ratio.median == measured.ratio.p10 == measured.ratio.p90 == 2 / 8
    assert measured.store.median == pytest.approx((3 + 4) / 2 * 8)
    assert measured.bare.median == pytest.approx((3 + 4) / 2 * 2)
    assert measured.store.p10 < measured.store.median < measured.store.p90


@pytest.fixture(params=BARE)
def databases(request, measure, tmp_path):
    """The databases of each driver."""
    driver = importlib.import_module(f"benchmarks.{request.param}")
    with driver.open_databases(tmp_path) as databases:
        yield databases


def test_sides_that_did_different_work_are_not_compared(databases):
    with_result = importlib.import_module("benchmarks.data").with_result
    with databases.bench() as bench:
        bench.check_same_work()
        bench.store.tasks.modify(bench.dataset.tree_root, lambda task: with_result(task, 1))
        with pytest.raises(RuntimeError, match="the two sides did different work"):
            bench.check_same_work()


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
