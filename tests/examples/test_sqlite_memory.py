"""The example of a store in memory: its tests pass, and notice an engine that is wrong."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RACE = "test_of_two_workers_that_race_for_a_task_one_gets_it"


@pytest.fixture
def temporary(tmp_path: Path, environment: dict[str, str]) -> Path:
    """The temporary directory of the example."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment["TMPDIR"] = str(folder)
    return folder


def test_every_test_passes_a_store_is_timed_and_nothing_is_left(
    run_example: Run, examples: Path, tmp_path: Path, temporary: Path
) -> None:
    ran = run_example("sqlite_memory")
    assert (ran.returncode, ran.stderr) == (0, "")
    tests = (examples / "sqlite_memory" / "test_engine.py").read_text("utf-8")
    names = re.findall(r"^def (test_\w+)", tests, re.MULTILINE)
    assert re.findall(r"::(\w+) PASSED", ran.stdout) == names
    last = ran.stdout.splitlines()[-1]
    assert re.fullmatch(r"a fresh store: \d+\.\d ms to open and close, median of 20", last)
    assert list(temporary.iterdir()) == []
    assert list(tmp_path.iterdir()) == [temporary]


def test_a_claim_without_compare_and_set_is_noticed_by_the_race(
    run_example: Run, examples: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "sqlite_memory"
    shutil.copytree(examples / "sqlite_memory", copy)
    engine = copy / "engine.py"
    right = engine.read_text("utf-8")
    wrong = right.replace(
        "return store.tasks.update(_claimed", "return store.tasks.upsert(_claimed"
    )
    assert wrong != right
    engine.write_text(wrong, "utf-8")
    ran = run_example(copy)
    assert ran.returncode == 1
    assert re.findall(r"::(\w+) FAILED", ran.stdout) == [RACE]
    assert "a fresh store" not in ran.stdout


def test_an_unknown_option_is_refused(run_example: Run) -> None:
    ran = run_example("sqlite_memory", "--nonsense")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.endswith("sqlite_memory: error: unrecognized arguments: --nonsense\n")
