"""`examples/driver_comparison`: both drivers do the same work. How fast, no test asks."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from attrs import evolve

import engine_store
from driver_comparison import cli
from driver_comparison.measure import Comparison, Figures, compare, rounds
from driver_comparison.report import write_plots
from driver_comparison.workload import KINDS, Size, run_workers
from engine_store import Status, Store
from engine_store.errors import StoreClosedError

Run = Callable[..., "subprocess.CompletedProcess[str]"]

TINY = ("--workflows", "2", "--tasks", "3", "--workers", "2", "--rounds", "2")
SIZE = Size(workflows=2, tasks=3, workers=2)


@pytest.fixture
def urls(tmp_path: Path, postgres_store_url: str) -> dict[str, str]:
    """A database of each driver."""
    return {"sqlite": f"sqlite:///{tmp_path}/engine.db", "postgres": postgres_store_url}


def texts(svg: Path) -> set[str]:
    """What is written in a plot."""
    namespace = "{http://www.w3.org/2000/svg}"
    return {"".join(one.itertext()) for one in ET.parse(svg).iter(f"{namespace}text")}


def test_a_run_prints_every_operation_and_draws_it_for_light_and_dark(
    run_example: Run, tmp_path: Path, urls: dict[str, str]
) -> None:
    options = ("--postgres", urls["postgres"], "--output", "a/folder")
    ran = run_example("driver_comparison", *TINY, *options)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[1].split() == ["SQLite", "PostgreSQL"]
    assert lines[2].split() == ["operation", *["per", "second", "p50", "ms", "p99", "ms"] * 2]
    for kind in KINDS:
        assert re.search(rf"^ {kind}( +[\d,.]+){{6}} *$", ran.stdout, re.MULTILINE), ran.stdout
    assert re.search(r"^ whole run( +[\d,]+){2} *$", ran.stdout, re.MULTILINE)
    assert re.search(r"^ lost claims( +\d+){2} *$", ran.stdout, re.MULTILINE)
    assert lines[-4] == "workflows 2, tasks of each 3, workers 2, rounds 2"
    assert re.fullmatch(r"SQLite 3[\d.]+, PostgreSQL \d[^,]+, .*, Python 3[\d.]+", lines[-3])
    assert lines[-2:] == [
        "Each round left the same on both drivers: 2 workflows, 8 tasks and 6,000 tokens.",
        "Plots: a/folder/comparison-light.svg and comparison-dark.svg",
    ]
    plots = sorted((tmp_path / "a" / "folder").iterdir())
    assert [plot.name for plot in plots] == ["comparison-dark.svg", "comparison-light.svg"]
    labels = {"operations a second", "milliseconds, p50 (dot) to p99 (bar)"}
    for plot in plots:
        assert texts(plot) >= {*KINDS, "SQLite", "PostgreSQL", *labels}
        assert "<dc:date>" not in plot.read_text("utf-8")
    assert texts(plots[0]) == texts(plots[1])
    assert plots[0].read_text("utf-8") != plots[1].read_text("utf-8")


def test_without_a_server_one_is_started_beside_the_plots(run_example: Run, tmp_path: Path) -> None:
    ran = run_example("driver_comparison", *TINY)
    assert ran.returncode == 0, ran.stderr
    assert "2 workflows, 8 tasks and 6,000 tokens." in ran.stdout
    assert sorted(path.name for path in (tmp_path / "comparison").iterdir()) == [
        "comparison-dark.svg",
        "comparison-light.svg",
    ]


def test_the_work_ends_every_task_once_whoever_claims_it(store: Store) -> None:
    timings, left = run_workers(store, SIZE)
    assert [(state.workflow_exec_id, state.status, state.version) for state in left] == [
        ("w-0000", Status.SUCCESS, 5),  # created, the usage of three tasks, completed
        ("w-0001", Status.SUCCESS, 5),
    ]
    for state in left:
        assert {key: (task.status, task.version) for key, task in state.tasks.items()} == {
            "root": (Status.SUCCESS, 2),
            "task-0000": (Status.SUCCESS, 4),  # created, claimed, usage merged, finished
            "task-0001": (Status.SUCCESS, 4),
            "task-0002": (Status.SUCCESS, 4),
        }
        assert [entry.total_tokens for entry in state.usage.entries] == [3000]
    for kind, count in {"plan": 2, "claim": 6, "merge usage": 6, "finish": 6, "tree": 6}.items():
        assert sum(len(of_worker.seconds[kind]) for of_worker in timings) == count


def test_every_round_leaves_the_same_on_both_drivers(urls: dict[str, str]) -> None:
    said: list[str] = []
    found = list(rounds(urls, SIZE, 2, said.append))
    assert said == [
        "round 1 of 2: SQLite",
        "round 1 of 2: PostgreSQL",
        "round 2 of 2: SQLite",
        "round 2 of 2: PostgreSQL",
    ]
    assert [one.left for one in found] == [found[0].left] * 4
    assert compare(SIZE, found).same_work
    other = evolve(found[3], left=found[3].left[:1])
    assert not compare(SIZE, [*found[:3], other]).same_work


def test_the_same_figures_are_drawn_to_the_same_bytes(tmp_path: Path, store: Store) -> None:
    figures = dict.fromkeys(KINDS, Figures(rate=100, p50=1, p99=10))
    both = {"sqlite": figures, "postgres": figures}
    found = Comparison(SIZE, {}, both, {}, {}, [], same_work=True)
    drawn = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        write_plots(folder, found)
        drawn.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert drawn[0] == drawn[1]


def test_rounds_that_left_different_states_end_with_1(
    tmp_path: Path,
    urls: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def forgetful(store: Store, size: Size) -> object:
        timings, left = run_workers(store, size)
        return timings, left if "sqlite_version" in store.health().details else left[:1]

    monkeypatch.setattr("driver_comparison.measure.run_workers", forgetful)
    options = ("--postgres", urls["postgres"], "--output", str(tmp_path))
    assert cli.main([*TINY, *options]) == 1
    assert capsys.readouterr().out.splitlines()[-2] == (
        "The rounds did not all leave the same. "
        "The first one left 2 workflows, 8 tasks and 6,000 tokens."
    )


def test_what_fails_in_a_worker_ends_the_run() -> None:
    with engine_store.open("sqlite:///:memory:") as store:
        pass
    with pytest.raises(StoreClosedError):
        run_workers(store, SIZE)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--output", "file"], 2, "driver_comparison: file: File exists\n"),
        (
            ["--postgres", "postgresql://me:secret@127.0.0.1:1/none"],
            3,
            "driver_comparison: PostgreSQL at 127.0.0.1, database none: connection failed: ",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert cli.main(arguments) == code
    output = capsys.readouterr()
    assert (output.out, output.err.count("\n")) == ("", 1)
    assert output.err.startswith(said)
    assert "secret" not in output.err


@pytest.mark.parametrize("given", [("--workers", "0"), ("--tasks", "many"), ("--rounds", "1001")])
def test_a_number_that_is_none_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], given: tuple[str, str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(given)
    assert caught.value.code == 2
    said = f"driver_comparison: error: argument {given[0]}: expected a number, 1 to 1000\n"
    assert capsys.readouterr().err.endswith(said)
