"""The command `engine-store conformance`: the suite on the drivers of URLs, for a terminal.

Every other command loads this module, too; what a run needs, pytest above all, is imported by it.
"""

from __future__ import annotations

import os
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

import engine_store
from engine_store.plugins import load_driver
from engine_store.urls import mask_url, parse_url

if TYPE_CHECKING:
    from engine_store_contracts.display import Display
    from engine_store_contracts.report import Run

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
    urls: Annotated[list[str], typer.Argument(help="Databases, such as sqlite:///engine.db.")],
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
    from engine_store_contracts import report
    from engine_store_contracts.display import Display, print_run

    console = Console()
    for path in filter(None, (json, html)):
        _check_writable(path)
    for url in urls:
        _check_reachable(url)
    runs: list[Run] = []
    for url in urls:
        options = [
            f"--store-url={url}",
            f"--contract-profile={profile.value}",
            f"--contract-minutes={minutes}",
            f"--timeout={CASE_TIMEOUT + 60 * minutes * (profile is ProfileName.SOAK):.0f}",
            *(f"--contract-seed={number}" for number in seed or ()),
            *(f"--contract-clause={number}" for number in clause or ()),
        ]
        for run in _run_suite(options, jobs, Display(console, mask_url(url))):
            print_run(console, run)
            runs.append(run)
    made = report.made_now(runs)
    if json is not None:
        json.write_text(report.write(made), "utf-8")
    if html is not None:
        html.write_text(report.render(made), "utf-8")
    if not runs or any(run.level is report.Level.NONE for run in runs):
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
    from engine_store_contracts import report
    from engine_store_contracts.display import print_run

    made = report.merge(report.read(path.read_text("utf-8")) for path in reports)
    if json is not None:
        json.write_text(report.write(made), "utf-8")
    if html is not None:
        html.write_text(report.render(made), "utf-8")
    for run in made.runs:
        print_run(Console(), run)


def _run_suite(options: list[str], jobs: int, display: Display) -> tuple[Run, ...]:
    """What pytest finds with these options, in a folder of no project of its own."""
    import pytest

    with tempfile.TemporaryDirectory() as folder:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
        pytest.main(
            [
                "--pyargs",
                "engine_store_contracts",
                f"--config-file={os.devnull}",
                f"--rootdir={folder}",
                "--strict-markers",
                "--tb=short",  # the values of arguments may hold a password
                "-pno:cacheprovider",
                *(["-n", str(jobs), "--dist=worksteal"] if jobs > 1 else []),
                *options,
            ],
            plugins=[display],
        )
    return display.runs()


def _check_reachable(url: str) -> None:
    """That the driver can open its database: else nothing can be run."""
    try:
        driver, _ = load_driver(parse_url(url).scheme)
        with driver.scratch(url) as scratch, engine_store.open(scratch) as store:
            store.health()
    except engine_store.EngineStoreError as error:
        typer.echo(f"engine-store: {error}", err=True)
        raise typer.Exit(NOTHING_RUN) from None


def _check_writable(path: Path) -> None:
    """Say so now, and not after minutes, where a report cannot be written."""
    folder = path.resolve().parent
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise typer.BadParameter(f"{path} cannot be written")
