"""What the tests of packaging and documents share: the repository, and running commands in it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen

Run = Callable[..., str]


@frozen
class Section:
    """What stands below a heading of a page, and the messages it quotes."""

    text: str

    @property
    def quotes(self) -> list[str]:
        """The blocks that show what a program says."""
        return re.findall(r"^```text\n(.*?)\n```$", self.text, re.DOTALL | re.MULTILINE)

    @property
    def statements(self) -> list[str]:
        """The blocks of SQL."""
        return re.findall(r"^```sql\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)


Sections = dict[str, Section]


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


@pytest.fixture(scope="session")
def troubleshooting(root: Path) -> tuple[Sections, Sections]:
    """The sections of the page of troubleshooting by heading: the symptoms, and the errors."""
    text = (root / "docs" / "troubleshooting.md").read_text("utf-8")
    _, symptoms, errors = re.split(r"^## By .*\n", text, flags=re.MULTILINE)
    return _sections(symptoms), _sections(errors)


def _sections(part: str) -> Sections:
    _, *found = re.split(r"^### (.*)\n", part, flags=re.MULTILINE)
    return {name: Section(text) for name, text in zip(found[::2], found[1::2], strict=True)}
