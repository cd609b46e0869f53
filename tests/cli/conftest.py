"""What the tests of the command line share: the installed script, run in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from engine_store.cli import app

SCRIPT = Path(sys.executable).parent / "engine-store"
PATIENCE = 60


@frozen
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it answered in JSON."""
        return json.loads(self.out)


def clean() -> dict[str, str]:
    """The environment of this process without what changes a command's answers."""
    changing = ("ENGINE_STORE_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM")
    return {name: text for name, text in os.environ.items() if not name.startswith(changing)}


@pytest.fixture
def script() -> Path:
    """The installed script."""
    return SCRIPT


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment that the commands get."""
    return clean()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Done]:
    """Run the command in an empty folder; keywords are variables of the environment."""

    def run_it(*arguments: object, stdin: str | None = None, **variables: str) -> Done:
        done = subprocess.run(
            [str(SCRIPT), *map(str, arguments)],
            cwd=tmp_path,
            env=clean() | variables,
            input=None if stdin is None else stdin.encode(),
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=PATIENCE,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run_it


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run the command in this process: a hundred times as fast, for what needs no other proof."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - clean().keys():
        monkeypatch.delenv(name)

    def run_it(*arguments: object, **variables: str) -> Done:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["engine-store", *map(str, arguments)])
            for name, text in variables.items():
                patch.setenv(name, text)
            code = app.run()
        return Done(code, *capfd.readouterr())

    return run_it


@pytest.fixture
def at_terminal(tmp_path: Path) -> Callable[..., Done]:
    """Run the command at a terminal of 80 columns, where `typed` is typed."""

    def run_it(*arguments: object, typed: str = "", **variables: str) -> Done:
        ours, theirs = pty.openpty()
        environment = clean() | {"TERM": "xterm-256color", "COLUMNS": "80"} | variables
        with subprocess.Popen(
            [str(SCRIPT), *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            os.write(ours, typed.encode())
            shown = b""
            while True:
                try:
                    portion = os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
                if not portion:
                    break
                shown += portion
            code = process.wait(PATIENCE)
        os.close(ours)
        return Done(code, shown.decode().replace("\r\n", "\n"), "")

    return run_it


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that nothing has opened yet, of each driver."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/engine.db"
    made: str = request.getfixturevalue("postgres_store_url")
    return made
