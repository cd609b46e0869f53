"""What is shown on the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.report import measured_by
from benchmarks.study import Report, Study, Table

WIDTH = 80

_TOLD = {"title", "bare"}
"""Facts of a database that the tables and the last line have."""


def console() -> Console:
    """Standard output at one width, so that a pipe shows what a terminal shows."""
    return Console(width=WIDTH, highlight=False)


def show(console: Console, study: Study, report: Report) -> None:
    """Print the tables of a report, and what is to be known of them."""
    for table in study.tables(report):
        console.print(_rich(table))
    for line in study.remarks(report):
        console.print(line)
    for engine in report["databases"].values():
        console.print(_facts(engine), style="dim")
    console.print(measured_by(report), style="dim")
    console.print()


def _rich(table: Table) -> RichTable:
    shown = RichTable(title=table.title, box=box.SIMPLE, width=WIDTH)
    for place, name in enumerate(table.columns):
        if place:
            shown.add_column(name, justify="right", no_wrap=True)
        else:
            shown.add_column(name, ratio=1)
    for row in table.rows:
        shown.add_row(*row)
    return shown


def _facts(engine: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {fact}" for name, fact in engine.items() if name not in _TOLD)
