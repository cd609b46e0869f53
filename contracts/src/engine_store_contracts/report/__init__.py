"""What a run of the suite found: as JSON (`schema.json` says how), and as a page for people."""

from engine_store_contracts.report.model import Case, Level, Outcome, Report, Run
from engine_store_contracts.report.page import render, save
from engine_store_contracts.report.text import made_now, merge, read, summary, write

__all__ = [
    "Case",
    "Level",
    "Outcome",
    "Report",
    "Run",
    "made_now",
    "merge",
    "read",
    "render",
    "save",
    "summary",
    "write",
]
