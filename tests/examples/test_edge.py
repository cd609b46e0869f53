"""The example of the smallest footprint: what it prints is whole and consistent.

How fast or how small anything is, no test asks.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from edge import measure
from edge.cli import main, number
from edge.footprint import installation

Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.xdist_group("edge")  # one worker, so that it measures once

RUNS, TASKS = 2, 20

UNITS = {
    "import": "ms",
    "open_new": "ms",
    "open_again": "ms",
    "writes_full": "1/s",
    "writes_normal": "1/s",
    "memory_bare": "MiB",
    "memory": "MiB",
    "disk_empty": "KiB",
    "disk": "KiB",
    "disk_large": "KiB",
    "wal": "KiB",
    "purged": "KiB",
    "free": "KiB",
    "again": "KiB",
    "vacuumed": "KiB",
    "distributions": "",
    "installed": "MiB",
    "largest": "MiB",
}

VARYING = set(list(UNITS)[:7]) | {"disk", "wal"}
"""What is measured in each run; the rest once."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the one run measures and writes."""
    return tmp_path_factory.mktemp("edge")


@pytest.fixture(scope="module")
def ran(
    folder: Path, examples: Path, clean_environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """The one run of all measurements."""
    options = ("--runs", str(RUNS), "--tasks", str(TASKS), "--json", "found.json")
    return subprocess.run(
        [sys.executable, str(examples / "edge"), *options],
        cwd=folder,
        env=clean_environment,  # coverage would bring memory and time of its own
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def report(ran: subprocess.CompletedProcess[str], folder: Path) -> dict[str, Any]:
    """What the run writes."""
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads((folder / "found.json").read_text("utf-8"))
    return found


@pytest.fixture
def values(report: dict[str, Any]) -> dict[str, float]:
    """The figures by name."""
    return {name: figure["value"] for name, figure in report["figures"].items()}


# --- what is printed and written ---------------------------------------------------------------


def test_the_table_shows_every_figure_of_the_report_with_its_unit(
    ran: subprocess.CompletedProcess[str], report: dict[str, Any]
) -> None:
    lines = ran.stdout.splitlines()
    for line, figure in zip(lines, report["figures"].values(), strict=False):
        assert line.startswith(f"{figure['title']}  ")
        assert line.endswith(f" {number(figure['value'])} {figure['unit']}".rstrip())
    facts = ", ".join(f"{name} {fact}" for name, fact in report["machine"].items())
    assert lines[len(UNITS) :] == [
        "",
        "Medians of 2 runs, each in fresh processes; what does not vary, once.",
        facts,
    ]
    assert max(map(len, lines)) <= 80
    assert ran.stderr == "edge: measuring; it takes about half a minute\n"


def test_the_report_says_what_was_measured_and_on_what(report: dict[str, Any]) -> None:
    assert set(report) == {"machine", "parameters", "figures", "distributions"}
    assert set(report["machine"]) == {"system", "architecture", "cpus", "python", "sqlite"}
    assert report["parameters"] == {"runs": RUNS, "tasks": TASKS, "payload_bytes": 400}
    assert {name: figure["unit"] for name, figure in report["figures"].items()} == UNITS


def test_a_figure_is_the_median_of_its_runs(report: dict[str, Any]) -> None:
    for name, figure in report["figures"].items():
        assert set(figure) == {"title", "unit", "value", "runs"}
        assert len(figure["runs"]) == (RUNS if name in VARYING else 1)
        assert figure["value"] == median(figure["runs"])
        assert min(figure["runs"]) > 0


def test_the_sizes_of_files_fit_each_other(values: dict[str, float]) -> None:
    assert values["disk_empty"] < values["disk"] < values["disk_large"]
    assert values["purged"] == values["disk"]  # a purge frees pages and no disk
    assert values["again"] == values["purged"]  # and they are used again
    assert values["vacuumed"] <= values["purged"] - values["free"]
    pages = [values[name] / 4 for name in ("disk_empty", "disk", "disk_large", "free", "vacuumed")]
    assert pages == [int(page) for page in pages]


def test_the_distributions_add_up_and_are_those_of_the_extra_sqlite(
    report: dict[str, Any], values: dict[str, float]
) -> None:
    sizes = report["distributions"]
    assert values["distributions"] == len(sizes)
    assert values["installed"] * 1024**2 == pytest.approx(sum(sizes.values()))
    assert values["largest"] * 1024**2 == pytest.approx(max(sizes.values()))
    assert {"attrs", "engine-store", "engine-store-sqlite", "orjson", "sqlite-utils"} <= set(sizes)
    assert {"rich", "typer", "psycopg", "pytest"}.isdisjoint(sizes)


def test_nothing_is_left_but_the_report_and_it_names_no_place(
    report: dict[str, Any], folder: Path
) -> None:
    assert [path.name for path in folder.iterdir()] == ["found.json"]
    assert str(folder) not in (folder / "found.json").read_text("utf-8")


def test_numbers_have_three_places_and_counts_none() -> None:
    assert [number(value) for value in (15, 8.44, 120.0, 99.96, 1234.5)] == [
        "15",
        "8.4",
        "120",
        "100.0",
        "1,234",
    ]


# --- how it is measured ------------------------------------------------------------------------


def test_the_peak_of_a_process_is_its_own_and_not_that_of_its_parent() -> None:
    bare, _ = measure._run("-c", "pass")
    peak, printed = measure._run("-c", "x = b'x' * (64 << 20); print('done')")
    assert printed == "done"
    assert 60 < (peak - bare) / 1024**2 < 70
    assert bare < resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * measure._MAXRSS_UNIT


def test_what_is_measured_is_measured_without_what_the_extra_does_not_bring(
    examples: Path, environment: dict[str, str]
) -> None:
    program = (
        "import sys, edge.cli, edge.probe\n"
        "print(*sorted({'rich', 'numpy', 'psycopg', 'typer'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": str(examples)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "\n")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a distribution with its requirements and files that can be found during the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, requires: list[str], **files: str) -> None:
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        lines = [f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {one}" for one in requires)]
        (info / "METADATA").write_text("\n".join(lines))
        for stem, text in files.items():
            (tmp_path / stem.replace("__", ".")).write_text(text)
        (info / "RECORD").write_text("".join(f"{stem.replace('__', '.')},,\n" for stem in files))

    return make


def test_requirements_are_followed_without_extras_and_each_is_counted_once(
    install: Callable[..., None],
) -> None:
    install("top", ["mid>=1", "low; python_version >= '3'", "dear>=2; extra == 'dear'"], a__py="12")
    install("mid", ["low", "elsewhere; sys_platform == 'elsewhere'", "top"], b__py="345")
    install("low", [], c__py="6789", c__pyc="bytecode")
    install("dear", [], d__py="very dear")
    assert installation("top") == {"low": 4, "mid": 3, "top": 2}


def test_the_code_of_an_editable_installation_is_counted(
    install: Callable[..., None], tmp_path: Path
) -> None:
    source = tmp_path / "source" / "package"
    source.mkdir(parents=True)
    (source / "code.py").write_text("x" * 1000)
    (source / "code.pyc").write_text("bytecode")
    install("editable", [], _editable__pth=f"{tmp_path}/source")
    assert installation("editable") == {"editable": 1000 + len(f"{tmp_path}/source")}


# --- what fails --------------------------------------------------------------------------------


def test_a_process_that_fails_ends_it_with_its_last_word_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('first\\nthe disk is full')")
    monkeypatch.setattr(measure, "_PROBE", broken)
    assert main(["--runs", "1", "--json", "found.json"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[1:] == ["edge: the disk is full"]
    assert list(tmp_path.iterdir()) == [broken]


def test_what_is_not_installed_is_named_with_its_remedy(
    run_example: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from importlib import metadata\n"
        "real = metadata.distribution\n"
        "def distribution(name):\n"
        "    if name == 'engine-store-sqlite':\n"
        "        raise metadata.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "metadata.distribution = distribution\n"
    )
    environment["PYTHONPATH"] = str(tmp_path)
    ran = run_example("edge")
    assert (ran.returncode, ran.stdout) == (2, "")
    remedy = 'pip install "engine-store[sqlite]"'
    assert ran.stderr == f"edge: engine-store-sqlite is not installed; {remedy}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--runs", "0"], "argument --runs: expected at least 1"),
        (["--tasks", "many"], "argument --tasks: invalid count value: 'many'"),
        (["--json", "."], "--json: . cannot be written"),
        (["--json", "nowhere/found.json"], "--json: nowhere/found.json cannot be written"),
        (["--folder", "nowhere"], "--folder: nowhere is no folder that can be written"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_measured(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(options)
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert message in printed.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
