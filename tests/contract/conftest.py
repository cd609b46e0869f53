"""What the tests of the suite share: running it as its users do, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen

from engine_store_contracts import report
from engine_store_contracts.report import Report, Run

HARNESS = """
import os
import pytest
from engine_store.protocols import Capability
from engine_store_contracts.contract import DriverContract
from engine_store_contracts.harness import UrlHarness

class Contract(DriverContract):
    @pytest.fixture
    def harness(self):
        with UrlHarness("sqlite:///:memory:") as harness:
            yield harness
"""
"""How the test modules written here begin: a class that only needs a name that pytest collects."""


@frozen
class Proof:
    """What a run of pytest came to."""

    code: int
    output: str
    report: Report

    @property
    def run(self) -> Run:
        """The only one."""
        [run] = self.report.runs
        return run

    def run_of(self, name: str) -> Run:
        """That of the class."""
        [run] = [run for run in self.report.runs if run.subject.endswith(f"::{name}")]
        return run


Prove = Callable[..., Proof]


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of these processes: nothing of the tests that start them."""
    outer = ("COVERAGE_", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(outer)}


@pytest.fixture(scope="session")
def prove(environment: dict[str, str]) -> Prove:
    """Run pytest in a folder, on a test module that begins with `HARNESS`, if one is given."""

    def prove(folder: Path, *options: str, module: str | None = None, **variables: str) -> Proof:
        if module is not None:
            (folder / "test_it.py").write_text(HARNESS + module, "utf-8")
        written = folder / "report.json"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
                *(f"--contract-json={written}", *options),
            ],
            cwd=folder,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert written.exists(), output
        return Proof(done.returncode, output, report.read(written.read_text("utf-8")))

    return prove


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what MariaDB does on both sides on the asynchronous one, unless MARIADB is set.

    That side is the kit's, and SQLite's suite runs it.
    """
    if os.environ.get("MARIADB"):
        return
    names = {item.name for item in items if item.path.name == "test_mariadb.py"}
    twins = {name for name in names if name.replace("[async", "[sync") in names - {name}}
    left_out = [i for i in items if i.path.name == "test_mariadb.py" and i.name in twins]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(autouse=True)
def _unmeasured_processes(unmeasured: None) -> None:
    """Hundreds of processes would each begin with measuring coverage, and find nothing new."""
