"""Progress of a run where no bar can be shown."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from engine_store_contracts import display
from engine_store_contracts.display import Display


def case(*, passed: bool) -> list[pytest.TestReport]:
    """The reports of the phases of a case."""
    location = ("suite.py", 1, "test_it")
    outcomes = ["passed", "passed" if passed else "failed", "passed"]
    phases = zip(("setup", "call", "teardown"), outcomes, strict=True)
    return [
        pytest.TestReport("test_it", location, {}, outcome, None, when) for when, outcome in phases
    ]


def test_a_pipe_gets_a_line_every_so_often(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(display, "monotonic", lambda: clock.now)
    out = StringIO()
    shown = Display(Console(file=out), "sqlite:///x.db")
    shown.pytest_collection_finish(SimpleNamespace(items=[None] * 4))
    for seconds, passed in [(1, True), (10, False), (19.9, True), (25, True)]:
        clock.now = 100 + seconds
        for report in case(passed=passed):
            shown.pytest_runtest_logreport(report)
    assert out.getvalue().splitlines() == [
        "sqlite:///x.db: 2 of 4 cases, 1 failed, 0 s",
        "sqlite:///x.db: 4 of 4 cases, 1 failed, 0 s",
    ]


def test_a_terminal_gets_no_lines(monkeypatch):
    monkeypatch.setattr(display, "BETWEEN_LINES", 0)
    out = StringIO()
    shown = Display(Console(file=out, force_terminal=True), "sqlite:///x.db")
    for report in case(passed=True):
        shown.pytest_runtest_logreport(report)
    assert out.getvalue() == ""
