"""The benchmarks run and report what they say they do. How fast anything is, no test asks."""

from __future__ import annotations

import importlib
import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.xdist_group("benchmarks")  # one worker, so that all studies run once

STUDIES = [
    "ratio",
    "concurrent",
    "work",
    "rows",
    "large",
    "telemetry",
    "keys",
    "transfer",
    "imports",
]

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

SPREAD = ["p10", "median", "p90"]
PERCENTILES = ["p50", "p90", "p99"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Where the one run of all studies writes."""
    return tmp_path_factory.mktemp("benchmarks") / "new"


@pytest.fixture(scope="session")
def printed(run, folder) -> str:
    """What the run of all studies prints."""
    return run(sys.executable, "-m", "benchmarks", "--quick", *TINY, "--into", folder)


@pytest.fixture(scope="session")
def reports(printed, folder) -> dict[str, dict]:
    """The report of each study."""
    return {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in STUDIES}


@pytest.fixture(params=STUDIES)
def study(request) -> str:
    """Each study in turn."""
    return request.param


@pytest.fixture
def report(reports, study) -> dict:
    """The report of the study."""
    return reports[study]


@pytest.fixture
def page(report, folder, study) -> str:
    """The page of the study."""
    return (folder / f"{study}.md").read_text("utf-8")


@pytest.fixture
def cases(reports) -> dict[tuple[str, str], dict]:
    """The cases of the ratios by driver and name."""
    return {(case["driver"], case["name"]): case for case in reports["ratio"]["cases"]}


def rows(page: str) -> list[list[str]]:
    """The cells of all tables of a page, row by row."""
    return [
        line.strip("| ").split(" | ") for line in page.splitlines() if re.match(r"\| (?!---)", line)
    ]


def texts(picture: Path) -> list[str]:
    """The words and numbers in a picture."""
    found = ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()) for text in found]


def ordered(found: dict, names: list[str]) -> bool:
    """Whether these are the names, and the values go up from above 0."""
    values = [found[name] for name in names]
    return set(found) == set(names) and values[0] > 0 and values == sorted(values)


# --- every study ---------------------------------------------------------------------------------


def test_nothing_is_left_but_the_results_and_they_name_no_place(reports, folder, root):
    ends = (".json", ".md", "-light.svg", "-dark.svg")
    expected = {f"{name}{end}" for name in STUDIES for end in ends}
    assert {path.name for path in folder.iterdir()} == expected
    for path in folder.iterdir():
        text = path.read_text("utf-8")
        for place in (folder, root, Path.home()):
            assert str(place) not in text


def test_a_report_says_what_was_measured_how_and_on_what(report, study):
    assert report["study"] == study
    assert report["command"] == f"python -m benchmarks {study} {' '.join(TINY)} --quick"
    assert set(report["machine"]) == {"system", "architecture", "cpus", "python"}
    found = {name: engine["bare"] for name, engine in report["databases"].items()}
    one = {"sqlite": BARE["sqlite"]}
    assert found == (one if study in ("telemetry", "keys", "imports") else BARE)
    assert report["parameters"]["rounds"] == 2
    assert report["parameters"]["seconds"] == 0.001


def test_commits_on_postgresql_are_durable(report):
    found = report["databases"].get("postgres")
    if found is not None:
        assert found["fsync"] == found["full_page_writes"] == found["synchronous_commit"] == "on"


def test_a_page_ends_with_the_command_the_machine_the_versions_and_the_date(report, page):
    line = page.splitlines()[-1]
    assert line.startswith(f"Measured by `{report['command']}` on ")
    assert line.endswith(f"; {report['machine']['architecture']} {report['machine']['system']}.")
    titles = [engine["title"] for engine in report["databases"].values()]
    for fact in (report["machine"]["python"], *titles, report["date"][:10]):
        assert f", {fact}" in line


def test_the_terminal_shows_the_figures_of_the_pages_80_columns_wide(printed, page):
    assert max(map(len, printed.splitlines())) <= 80
    shown = [line.split() for line in printed.splitlines()]
    for cells in rows(page):
        words = " ".join(cells).split()
        assert any(set(words) <= set(line) for line in shown), cells


def test_a_page_is_short_enough_for_a_phone(page):
    assert all(len(cells) <= 5 for cells in rows(page))


def test_a_page_shows_a_picture_for_light_and_one_for_dark(page, study, folder):
    pictures = re.findall(r"^```{image} measured/(\S+)\n:class: (\S+)$", page, re.MULTILINE)
    assert pictures == [(f"{study}-{theme}.svg", f"only-{theme}") for theme in ("light", "dark")]
    light, dark = (texts(folder / name) for name, _ in pictures)
    assert light == dark != []


def test_pages_and_pictures_come_from_the_report_alone_and_are_always_the_same(
    reports, folder, tmp_path, run
):
    for path in folder.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    run(sys.executable, "-m", "benchmarks.report", tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


# --- ratio ---------------------------------------------------------------------------------------


def test_every_case_is_a_line_that_shows_its_medians(cases, reports, folder):
    page = (folder / "ratio.md").read_text("utf-8")
    for driver, aims in AIMS.items():
        title = f"**{reports['ratio']['databases'][driver]['title']}: microseconds for one"
        lines = rows(page.partition(title)[2].partition("**\n\n**")[0].partition("\n**")[0])
        assert lines[0] == ["case", "store", BARE[driver], "ratio"]
        for line, name in zip(lines[1:], aims, strict=True):
            case = cases[driver, name]
            assert line[0] == case["title"]
            assert line[3] == f"{case['ratio']['median']:.2f}"


def test_the_picture_of_ratios_has_a_lane_for_each_case_and_names_the_databases(cases, folder):
    compared = {case["title"] for case in cases.values() if case["ratio"]}
    found = texts(folder / "ratio-light.svg")
    assert compared | {"SQLite", "PostgreSQL", "1: as fast as the bare module"} <= set(found)


def test_the_cases_and_their_aims_are_these(cases):
    assert {key: case["aim"] for key, case in cases.items()} == {
        (driver, name): aim
        for driver, aims in AIMS.items()
        for name, aim in (aims | dict.fromkeys(ALONE)).items()
    }


def test_a_case_has_times_a_ratio_and_their_spread(cases):
    for (_, name), case in cases.items():
        assert case["durable"] != name.endswith("normal")
        assert case["operations_per_round"] >= 1
        compared = [case["bare_us"], case["ratio"]]
        assert (compared == [None, None]) == (name in ALONE)
        for spread in (case["store_us"], case["operations_per_second"], *filter(None, compared)):
            assert ordered(spread, SPREAD)


def test_documents_are_of_a_plausible_size(reports):
    payload = reports["ratio"]["payload"]
    assert 300 <= payload["input_bytes"] <= 500
    assert 300 <= payload["output_bytes"] <= 500


# --- the others ----------------------------------------------------------------------------------


def test_workflows_that_think_are_measured_on_both_databases(reports, folder):
    report = reports["concurrent"]
    parameters = report["parameters"]
    assert {"bound_ms": 100, "pause_s": 0.1, "pool_max_size": 8}.items() <= parameters.items()
    page = (folder / "concurrent.md").read_text("utf-8")
    for driver, name in (("sqlite", "SQLite"), ("postgres", "PostgreSQL")):
        levels = [one for one in report["workflows"] if one["driver"] == driver]
        assert [(one["kind"], one["workflows"]) for one in levels] == [
            *(("async", workflows) for workflows in (10, 30, 100, 300)),
            *(("threads", workflows) for workflows in (10, 30)),
        ]
        assert all(one["updates"] >= 2 * one["workflows"] for one in levels)
        assert all(ordered(one["ms"], PERCENTILES) for one in levels)
        assert all(one["ms"]["p99"] <= one["worst_ms"] and not one["errors"] for one in levels)
        most = {
            kind: max(
                (
                    one["workflows"]
                    for one in levels
                    if one["kind"] == kind and one["ms"]["p99"] < 100
                ),
                default=0,
            )
            for kind in ("async", "threads")
        }
        assert report["most_workflows"][driver] == most
        assert (
            f"\n{name}: most workflows with a p99 below 100 ms: {most['async']} asynchronous, "
            f"{most['threads']} in threads\n"
        ) in page


def test_writers_without_pauses_are_compared_with_the_bare_module(reports):
    writers = reports["concurrent"]["writers"]
    assert [(one["driver"], one["writers"]) for one in writers] == [
        (driver, writers) for driver in BARE for writers in (0, 1, 4, 16, 64)
    ]
    assert all(one["of_bare"] == 1 for one in writers if not one["writers"])
    assert all(one["of_bare"] > 0 and ordered(one["ms"], PERCENTILES) for one in writers)


def test_crews_of_all_kinds_claim_one_task_or_ten_on_both_databases(reports):
    cycles = reports["work"]["cycles"]
    assert [(one["driver"], one["crew"], one["batch"]) for one in cycles] == [
        (driver, f"2 {kind}", batch)
        for driver in BARE
        for kind in ("threads", "processes", "coroutines")
        for batch in (1, 10)
    ]
    assert all(ordered(one["per_second"], SPREAD) for one in cycles)


def test_queues_that_are_installed_are_compared_and_the_others_named(reports, folder):
    report = reports["work"]
    titles = {"dbos": "DBOS", "procrastinate": "procrastinate"}
    missing = [titles[name] for name in titles if find_spec(name) is None]
    assert report["missing"] == missing
    assert set(report["libraries"]) == {name for name in titles if find_spec(name)}
    page = (folder / "work.md").read_text("utf-8")
    assert (
        re.findall(r"^Not compared, because it is not installed: (.*)\.$", page, re.MULTILINE)
        == missing
    )
    aims = {("sqlite", "DBOS"): 5, ("postgres", "procrastinate"): 1, ("postgres", "DBOS"): 3}
    expected = {key: aim for key, aim in aims.items() if key[1] not in missing}
    found = {(one["driver"], one["queue_title"]): one["aim"] for one in report["times"]}
    assert found == expected
    for one in report["rivals"]:
        assert ordered(one["per_second"], SPREAD)
        assert all(times > 0 for times in (one["times"]["1"], one["times"]["10"]))


def test_what_a_claim_waits_for_finds_and_leaves_alone_is_measured_on_both_databases(reports):
    report = reports["work"]
    for one, driver, aim in zip(report["latency"], BARE, (30, 5), strict=True):
        assert (one["driver"], one["tasks"], one["aim_ms"]) == (driver, 10, aim)
        assert ordered(one["ms"], ["p50", "p95"])
    for one, driver in zip(report["among"], BARE, strict=True):
        assert (one["driver"], one["aim"]) == (driver, 1.5)
        few, many = one["sizes"]
        assert (few["tasks"], many["tasks"]) == (1_000, 20_000)
        assert ordered(few["ms"], PERCENTILES)
        assert one["ratio"] == many["ms"]["p50"] / few["ms"]["p50"]
    for one, driver in zip(report["heartbeats"], BARE, strict=True):
        assert (one["driver"], one["leases"], one["rows"], one["pages"]) == (driver, 100, 0, 0)
        assert one["renewals"] >= 100


def test_latencies_are_measured_for_each_operation_at_each_size_on_both_databases(reports):
    report = reports["rows"]
    assert report["parameters"]["tasks"] == [200, 2_000]
    assert [(one["driver"], one["tasks"], one["name"]) for one in report["operations"]] == [
        (driver, tasks, name)
        for driver in BARE
        for tasks in (200, 2_000)
        for name in ("get", "update", "page", "workflow")
    ]
    assert all(
        one["times"] >= 2 and ordered(one["ms"], PERCENTILES) for one in report["operations"]
    )


def test_an_import_and_a_call_of_the_command_are_compared_with_what_they_stand_on(reports, folder):
    report = reports["imports"]
    medians = {program["name"]: program["ms"]["median"] for program in report["programs"]}
    page = (folder / "imports.md").read_text("utf-8")
    for program, of, aim in (
        ("import engine_store", "import attrs, orjson", 1.5),
        ("engine-store --version", "import typer", 2.0),
    ):
        ratio = medians[program] / medians[of]
        assert {"program": program, "of": of, "aim": aim, "ratio": ratio} in report["ratios"]
        assert f"`{program}` takes {ratio:.2f} times as long as `{of}`;" in page


def test_plugins_keys_transfers_and_imports_are_bars_with_their_medians(reports, folder):
    for study, things, unit, names in (
        ("telemetry", "plugins", "us", ["no plugin", "SlowOperations"]),
        ("keys", "calls", "us", ["KeyChecker.check", "the hash alone"]),
        ("transfer", "moves", "rows_per_second", ["export from SQLite", "export from PostgreSQL"]),
        ("imports", "programs", "ms", ["import attrs, orjson", "import engine_store"]),
    ):
        found = reports[study][things]
        assert [one["title"] for one in found][:2] == names
        assert all(ordered(one[unit], SPREAD) for one in found)
        lines = rows((folder / f"{study}.md").read_text("utf-8"))[1:]
        assert [line[0] for line in lines] == [one["title"] for one in found]
        shown = texts(folder / f"{study}-dark.svg")
        for title, median, _ in lines:
            assert {title, median} <= set(shown)


def test_rows_go_out_of_each_database_into_each_and_from_one_to_the_other(reports):
    report = reports["transfer"]
    assert [move["title"] for move in report["moves"]] == [
        "export from SQLite",
        "export from PostgreSQL",
        "import into SQLite",
        "import into PostgreSQL",
        "copy from SQLite to PostgreSQL",
        "copy from PostgreSQL to SQLite",
    ]
    assert report["parameters"]["rows"] == 20 * 21
    assert 800 <= report["parameters"]["bytes_of_row"] <= 1_600


# --- the command line ----------------------------------------------------------------------------


def test_one_case_may_be_measured_alone_and_by_one_driver(run, tmp_path):
    options = ("--driver", "sqlite", "--case", "get", "--into", tmp_path)
    run(sys.executable, "-m", "benchmarks", *TINY, *options)
    report = json.loads((tmp_path / "ratio.json").read_text("utf-8"))
    assert [(case["driver"], case["name"]) for case in report["cases"]] == [("sqlite", "get")]
    assert set(report["databases"]) == {"sqlite"}
    assert report["command"] == (
        f"python -m benchmarks ratio --case get --driver sqlite {' '.join(TINY)}"
    )
    assert len(list(tmp_path.iterdir())) == 4


def test_a_profile_names_the_functions_and_writes_nothing(run, tmp_path):
    options = ("--profile", "get", "--seconds", "0.01", "--into", tmp_path)
    printed = run(sys.executable, "-m", "benchmarks", "--driver", "sqlite", *options)
    assert {"Connection.execute", "rows.read_usage", "TaskState.__init__"} <= set(printed.split())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def cli(root, monkeypatch):
    """The module of the command line, at the top of the repository."""
    monkeypatch.syspath_prepend(root)
    monkeypatch.chdir(root)
    return importlib.import_module("benchmarks.cli")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("unknown", f"no study 'unknown', only {', '.join(STUDIES)}"),
        ("keys --driver postgres", "postgres does not measure keys"),
        ("--case unknown", "invalid choice: 'unknown'"),
        ("rows --case get", "a case is of the study ratio: name no other one with it"),
        ("rows --profile get", "a case is of the study ratio: name no other one with it"),
        ("--profile create-threads", "invalid choice: 'create-threads'"),
        ("--driver mysql", "invalid choice: 'mysql'"),
        ("--driver postgres --case create-normal", "postgres does not measure create-normal"),
        ("--rounds 1", "expected at least 2"),
        ("--rounds few", "invalid _count value: 'few'"),
        ("--seconds 0", "expected seconds above 0"),
        ("--into Makefile", "cannot write into Makefile"),
        ("--into Makefile/below", "cannot write into Makefile/below"),
    ],
)
def test_what_cannot_be_done_is_one_line_before_anything_is_measured(cli, capsys, arguments, said):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments.split())
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert said in printed.err.splitlines()[-1]
    assert printed.out == ""


def test_a_server_that_does_not_start_is_told_and_nothing_is_written(
    cli, capsys, tmp_path, monkeypatch
):
    def refuse(folder):
        raise cli.ServerError("PostgreSQL did not start")

    monkeypatch.setitem(cli.DRIVERS, "postgres", refuse)
    assert cli.main(["transfer", "--into", str(tmp_path)]) == 3
    assert capsys.readouterr().err == "benchmarks: PostgreSQL did not start\n"
    assert list(tmp_path.iterdir()) == []
