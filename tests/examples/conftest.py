"""The examples are run and imported from their folder, as their users do: none is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import engine_store
from engine_store import Store

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def store() -> Iterator[Store]:
    with engine_store.open("sqlite:///:memory:") as opened:
        yield opened


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder that the examples are imported from."""
    return EXAMPLES


@pytest.fixture(autouse=True)
def _unmeasured_processes(unmeasured: None) -> None:
    """What an example does with a store, the tests of the library do as well."""


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """An environment that says nothing to the examples. Nobody changes it."""
    said = ("QUICKSTART_", "ENGINE_STORE_", "COLUMNS", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(said)}


@pytest.fixture
def environment(clean_environment: dict[str, str]) -> dict[str, str]:
    """The same, for a test to add to."""
    return dict(clean_environment)


@pytest.fixture
def run_example(tmp_path: Path, environment: dict[str, str]) -> Run:
    """Run an example, by its name or its folder, in `tmp_path` to its end."""

    def run(example: str | Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(EXAMPLES / example), *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.fixture
def run(run_example: Run) -> Run:
    """Run the quickstart."""
    return partial(run_example, "quickstart")


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Start a module of the quickstart in `tmp_path`; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(module: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(EXAMPLES)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder with three short texts."""
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "cats.txt").write_text("The cat sat. A cat ran!")
    (folder / "dogs.md").write_text("# Dogs\n\nDogs bark at the cat.")
    (folder / "empty.txt").write_text("")
    return folder


@pytest.fixture
def many_texts(tmp_path: Path) -> Path:
    """A folder with so many texts that a run of them can be interrupted half-way."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(200):
        (folder / f"text-{number:03}.txt").write_text(f"Text {number} is short. It ends here.")
    return folder
