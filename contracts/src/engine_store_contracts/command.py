"""The commands of the suite, for a terminal. What they need is imported once they are called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from engine_store_contracts.profiles import ProfileName

app = typer.Typer()


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
        list[str] | None,
        typer.Option(help="Only this clause or section, such as 2.5; may be repeated."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that run cases side by side.")] = min(
        4, os.cpu_count() or 1
    ),
) -> None:
    """Prove drivers by the whole contract.

    The cases run on scratch databases next to the given one.

    Exit code 0: every case passed, or needs what the driver declares it cannot do. 1: a case
    failed or did not run. 2: nothing could be run.
    """
    from engine_store_contracts.conformance import check_clauses, prove

    check_clauses(clause or ())
    options = [
        f"--contract-profile={profile.value}",
        f"--contract-minutes={minutes}",
        *(f"--contract-seed={number}" for number in seed or ()),
        *(f"--contract-clause={number}" for number in clause or ()),
    ]
    case_minutes = minutes if profile is ProfileName.SOAK else 0
    prove(urls, options, case_minutes=case_minutes, jobs=jobs, json=json, html=html)


@app.command()
def conformance_report(
    reports: Annotated[list[Path], typer.Argument(help="JSON of runs, such as of other machines.")],
    json: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Put the reports of several runs together.

    They become one matrix of clauses and drivers.
    """
    from engine_store_contracts.conformance import put_together

    put_together(reports, json=json, html=html)
