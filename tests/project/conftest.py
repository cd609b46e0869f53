"""What the tests of packaging and documents share: the repository, and running commands in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def run(root: Path) -> Run:
    """Run a command, by default at the top of the repository; its output, if it succeeds."""
    outer = ("COVERAGE_", "MAKE", "MFLAGS")  # of the `make test` that runs these tests
    environment = {name: os.environ[name] for name in os.environ if not name.startswith(outer)}

    def run(*command: str | Path, cwd: Path = root, **variables: str) -> str:
        result = subprocess.run(
            command, cwd=cwd, env=environment | variables, capture_output=True, text=True
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    return run
