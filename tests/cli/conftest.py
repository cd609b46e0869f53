"""What the tests of the command line share: the installed script, run in a process of its own."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from engine_store.cli import main
from engine_store.run_context import LOGGER
from engine_store_sqlite import library

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


CHANGING = ("ENGINE_STORE_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM")
"""Variables that change a command's answers."""


def clean(*, measured: bool = True) -> dict[str, str]:
    """The environment of this process without them; without coverage where not `measured`."""
    outer = CHANGING if measured else (*CHANGING, "COVERAGE_")
    return {name: text for name, text in os.environ.items() if not name.startswith(outer)}


@contextmanager
def logging_as_before() -> Iterator[None]:
    """What a command does to the log ends with it, as it does with its process."""
    logger = logging.getLogger(LOGGER)
    handlers, level = list(logger.handlers), logger.level
    try:
        yield
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)


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
    """Run the command in an empty folder; keywords are variables of the environment.

    It is not measured: nearly all of its lines are run by `here` as well.
    """

    def run_it(*arguments: object, stdin: str | None = None, **variables: str) -> Done:
        done = subprocess.run(
            [str(SCRIPT), *map(str, arguments)],
            cwd=tmp_path,
            env=clean(measured=False) | variables,
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
    """Run the command in this process: ten times as fast, for what needs no other proof."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - clean().keys():
        monkeypatch.delenv(name)

    def run_it(*arguments: object, **variables: str) -> Done:
        with pytest.MonkeyPatch.context() as patch, logging_as_before():
            patch.setattr(sys.modules["__main__"], "__package__", None)  # as a script has it
            patch.setattr(sys, "argv", ["engine-store", *map(str, arguments)])
            patch.setattr(library, "RESET_BUG", None)  # whatever the machine's SQLite has
            for name, text in variables.items():
                patch.setenv(name, text)
            with pytest.raises(SystemExit) as ended:
                main()
        return Done(ended.value.code, *capfd.readouterr())

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
