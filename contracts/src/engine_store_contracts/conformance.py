"""Running the suite on the drivers of URLs, and writing what came of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from rich.console import Console

from engine_store.errors import ConfigurationError
from engine_store.urls import mask_url
from engine_store_contracts import report
from engine_store_contracts.clauses import clauses_of
from engine_store_contracts.display import Display, print_run
from engine_store_contracts.harness import driver_of, why_unreachable
from engine_store_contracts.recorder import why_unwritable
from engine_store_contracts.report import Level, Report, Run

CASE_TIMEOUT = 300
"""Seconds after which a case has failed: a driver that hangs must not hang the run."""

NOT_EARNED, NOTHING_RUN = 1, 2
"""Exit codes: a case failed or did not run; no case could be run."""


def prove(
    urls: Sequence[str],
    options: Sequence[str],
    *,
    case_minutes: float,
    jobs: int,
    json: Path | None,
    html: Path | None,
) -> None:
    """Run the suite for each URL, with these options of its plugin. Ends with its exit code.

    `case_minutes` is how long a case may soak beside its usual time.
    """
    console = Console()
    _check_writable(json, html)
    for url in urls:
        if (reason := why_unreachable(url)) is not None:
            typer.echo(f"engine-store: {reason}", err=True)
            raise typer.Exit(NOTHING_RUN)
    runs: list[Run] = []
    code: int = pytest.ExitCode.OK
    timeout = f"--timeout={CASE_TIMEOUT + 60 * case_minutes:.0f}"
    for url in urls:
        display = Display(console, mask_url(url))
        # The scratch databases of the cases lie beside one of ours: it takes along what a process
        # that was interrupted has left.
        with driver_of(url).scratch(url) as scratch:
            code = _run_suite([f"--store-url={scratch}", timeout, *options], jobs, display)
        for run in display.runs():
            print_run(console, run)
            runs.append(run)
        if code == pytest.ExitCode.INTERRUPTED:
            break
    report.save(report.made_now(runs), json=json, html=html)
    if code == pytest.ExitCode.INTERRUPTED:
        raise typer.Abort
    if not runs or any(run.level is Level.NONE for run in runs):
        raise typer.Exit(NOT_EARNED)


def put_together(reports: Sequence[Path], *, json: Path | None, html: Path | None) -> None:
    """One report of several. Raises `ConfigurationError` for a file that is none."""
    _check_writable(json, html)
    made = report.merge(map(_read, reports))
    report.save(made, json=json, html=html)
    for run in made.runs:
        print_run(Console(), run)


def check_clauses(numbers: Sequence[str]) -> None:
    """Raise `ConfigurationError` for what is no clause and no section of the contract."""
    for number in numbers:
        try:
            clauses_of(number)
        except ValueError as error:
            raise ConfigurationError("clause", str(error)) from None


def _run_suite(options: list[str], jobs: int, display: Display) -> int:
    """Run pytest with these options, in a folder of no project of its own; its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
        return pytest.main(
            [
                "--pyargs",
                "engine_store_contracts",
                f"--config-file={os.devnull}",
                f"--rootdir={folder}",
                "--noconftest",  # of the folder it is called in
                "--strict-markers",
                "--tb=short",  # the values of arguments may hold a password
                "-pno:cacheprovider",
                *(["-n", str(jobs), "--dist=worksteal"] if jobs > 1 else []),
                *options,
            ],
            plugins=[display],
        )


def _check_writable(*files: Path | None) -> None:
    if reason := why_unwritable(*files):
        raise ConfigurationError("report", reason)


def _read(file: Path) -> Report:
    try:
        return report.read(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("report", f"{file} cannot be read: {error}") from error
