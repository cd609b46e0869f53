"""Reports as a page for people, one file that needs nothing else; saving them in either form."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from engine_store_contracts.clauses import CLAUSES, is_clause
from engine_store_contracts.report.model import Level, Outcome, Report
from engine_store_contracts.report.text import write

_SIGNS = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗",
    Outcome.UNSUPPORTED: "\N{EN DASH}",
    Outcome.NOT_RUN: "?",
}
"""Read without colours, too, as on paper."""

_environment = Environment(
    loader=PackageLoader("engine_store_contracts.report", ""),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(report: Report) -> str:
    """The page: a matrix of clauses and drivers, then each driver with its failing cases."""
    return _environment.get_template("page.html").render(
        report=report,
        clauses=CLAUSES,
        columns=[{row.number: row for row in run.clauses} for run in report.runs],
        is_clause=is_clause,
        signs=_SIGNS,
        Outcome=Outcome,
        Level=Level,
    )


def save(report: Report, *, json: Path | str | None, html: Path | str | None) -> None:
    """Write the report to the files given."""
    for file, form in ((json, write), (html, render)):
        if file:
            Path(file).write_text(form(report), "utf-8")
