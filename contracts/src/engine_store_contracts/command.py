"""The command `engine-store conformance`: the suite on the drivers of URLs, for a terminal."""

from __future__ import annotations

import os
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer
from rich.console import Console

import engine_store
from engine_store.errors import ConfigurationError
from engine_store.plugins import load_driver
from engine_store.protocols import Driver
from engine_store.urls import mask_url, parse_url
from engine_store_contracts import report
from engine_store_contracts.display import Display, print_run
from engine_store_contracts.recorder import is_writable
from engine_store_contracts.report import Level, Report, Run

app = typer.Typer()

CASE_TIMEOUT = 300
"""Seconds after which a case has failed: a driver that hangs must not hang the run."""


NOTHING_RUN = 2
"""The exit code where no case could be run."""


class ProfileName(StrEnum):
    """The names of the profiles."""

    QUICK = "quick"
    THOROUGH = "thorough"
    SOAK = "soak"


JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the report there, as JSON.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Write the report there, as a page.")]


@app.command()
def conformance(
    urls: Annotated[list[str], typer.Argument(help="Databases: sqlite:///x.db, postgresql://...")],
    json: JsonFile = None,
    html: HtmlFile = None,
    profile: Annotated[ProfileName, typer.Option(help="How long to look.")] = ProfileName.QUICK,
    minutes: Annotated[
        float, typer.Option(help="How long the profile soak makes random calls.")
    ] = 10,
    seed: Annotated[
        list[int] | None, typer.Option(help="What random choices begin with; may be repeated.")
    ] = None,
    clause: Annotated[
        list[str] | None, typer.Option(help="Only this clause, such as 2.5; may be repeated.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that run cases side by side.")] = min(
        4, os.cpu_count() or 1
    ),
) -> None:
    """Prove drivers by the whole contract.

    Each case runs on a scratch database beside the given one.

    Exit code 0: every case passed, or needs what the driver declares it cannot do. 1: a case
    failed or did not run. 2: nothing could be run.
    """
    console = Console()
    _check_writable(json, html)
    for url in urls:
        _check_reachable(url)
    runs: list[Run] = []
    code: int = pytest.ExitCode.OK
    for url in urls:
        options = [
            f"--contract-profile={profile.value}",
            f"--contract-minutes={minutes}",
            f"--timeout={CASE_TIMEOUT + 60 * minutes * (profile is ProfileName.SOAK):.0f}",
            *(f"--contract-seed={number}" for number in seed or ()),
            *(f"--contract-clause={number}" for number in clause or ()),
        ]
        display = Display(console, mask_url(url))
        # The scratch databases of the cases lie beside one of ours: it takes along what a process
        # that was interrupted has left.
        with _driver_of(url).scratch(url) as scratch:
            code = _run_suite([f"--store-url={scratch}", *options], jobs, display)
        for run in display.runs():
            print_run(console, run)
            runs.append(run)
        if code == pytest.ExitCode.INTERRUPTED:
            break
    _write(report.made_now(runs), json, html)
    if code == pytest.ExitCode.INTERRUPTED:
        raise typer.Abort
    if not runs or any(run.level is Level.NONE for run in runs):
        raise typer.Exit(1)


@app.command()
def conformance_report(
    reports: Annotated[list[Path], typer.Argument(help="JSON of runs, such as of other machines.")],
    json: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Put the reports of several runs together.

    They become one matrix of clauses and drivers.
    """
    _check_writable(json, html)
    made = report.merge(map(_read, reports))
    _write(made, json, html)
    for run in made.runs:
        print_run(Console(), run)


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


def _driver_of(url: str) -> Driver:
    driver, _ = load_driver(parse_url(url).scheme)
    return driver


def _check_reachable(url: str) -> None:
    """That the driver can open its database: else nothing can be run."""
    try:
        with _driver_of(url).scratch(url) as scratch, engine_store.open(scratch) as store:
            store.health()
    except engine_store.EngineStoreError as error:
        typer.echo(f"engine-store: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(NOTHING_RUN) from None


def _check_writable(*files: Path | None) -> None:
    """Say so now, and not after minutes, where a report cannot be written."""
    for file in filter(None, files):
        if not is_writable(file):
            raise ConfigurationError("report", f"{file} cannot be written")


def _write(made: Report, json: Path | None, html: Path | None) -> None:
    if json is not None:
        json.write_text(report.write(made), "utf-8")
    if html is not None:
        html.write_text(report.render(made), "utf-8")


def _read(file: Path) -> Report:
    try:
        return report.read(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("report", f"{file} cannot be read: {error}") from error
