"""A run of the suite: its progress while it runs, as a bar or as lines, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

import pytest
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from engine_store_contracts.clauses import CLAUSES
from engine_store_contracts.recorder import Recorder
from engine_store_contracts.report import Case, Level, Outcome, Run
from engine_store_contracts.report.text import summary

LONGEST_FAILURE = 40
"""Lines of a failure that are printed; the reports have all."""


BETWEEN_LINES = 10
"""Seconds from one line of progress to the next, if the output is no terminal and has no bar."""


LONGEST_END = 20
"""Seconds that a process may take to end: it is interrupted after 5, and gives up after 15."""


class Display:
    """A pytest plugin in place of pytest's own terminal."""

    def __init__(self, console: Console, title: str) -> None:
        """A progress bar with this title."""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[red]{task.fields[failed]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._title = title
        self._said = monotonic()
        self._task = self._progress.add_task(escape(title), total=None, failed="")
        self._failed = 0
        self._recorder: Recorder | None = None
        self._xdist: Any = None

    def runs(self) -> tuple[Run, ...]:
        """What came of it; nothing, where it did not even begin."""
        return () if self._recorder is None else self._recorder.runs()

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Begin."""
        recorder = config.pluginmanager.get_plugin("engine_store_recorder")
        assert isinstance(recorder, Recorder)
        self._recorder = recorder
        self._xdist = config.pluginmanager.get_plugin("dsession")
        config.pluginmanager.unregister(name="terminalreporter")
        self._progress.start()

    def pytest_unconfigure(self) -> None:
        """End."""
        self._progress.stop()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The cases are known, where they run in this process."""
        if session.items:
            self._progress.update(self._task, total=len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """The cases are known, where other processes run them."""
        self._progress.update(self._task, total=len(ids))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a case has ended."""
        if report.failed:
            self._failed += 1
            self._progress.update(self._task, failed=f"{self._failed} failed")
        if report.when == "teardown":
            self._progress.advance(self._task)
            self._say_progress()

    def _say_progress(self) -> None:
        """Print a line now and then where there is no bar."""
        if not self._progress.disable or monotonic() - self._said < BETWEEN_LINES:
            return
        self._said = monotonic()
        [task] = self._progress.tasks
        line = (
            f"{self._title}: {task.completed:.0f} of {task.total or 0:.0f} cases, "
            f"{self._failed} failed, {task.elapsed or 0:.0f} s"
        )
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def pytest_keyboard_interrupt(self) -> None:
        """Let the processes of xdist end their cases and remove what those have made."""
        if self._xdist is not None and self._xdist.nodemanager is not None:
            self._xdist.nodemanager.EXIT_TIMEOUT = LONGEST_END

    def pytest_internalerror(self, excrepr: Any) -> None:
        """Pytest itself has failed."""
        self._progress.console.print(str(excrepr), markup=False, highlight=False)


def print_run(console: Console, run: Run) -> None:
    """The sections, what failed, and the level."""
    table = Table(box=None, pad_edge=False)
    table.add_column("section")
    for outcome in Outcome:
        table.add_column(outcome.value, justify="right")
    for number, title in CLAUSES.items():
        if "." not in number:
            table.add_row(f"{number} {title}", *_counts(run, number))
    console.print(table)
    for case in run.cases:
        if case.outcome is Outcome.FAILED:
            _print_failure(console, case)
    first, *rest = summary(run)
    colour = "yellow" if run.is_part else "red" if run.level is Level.NONE else "green"
    console.print(f"[bold {colour}]{escape(first)}", soft_wrap=True)
    for line in rest:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _counts(run: Run, section: str) -> list[str]:
    """How many cases ended in each way, of those that name the section first."""
    cases = [
        case
        for case in run.cases
        for first in case.clauses[:1]
        if first.partition(".")[0] == section
    ]
    counts = [sum(case.outcome is outcome for case in cases) for outcome in Outcome]
    red = {Outcome.FAILED, Outcome.NOT_RUN}
    return [
        f"[red]{count}[/]" if count and outcome in red else str(count or "")
        for outcome, count in zip(Outcome, counts, strict=True)
    ]


def _print_failure(console: Console, case: Case) -> None:
    console.print(f"\n[red]clause {', '.join(case.clauses)}[/]: {escape(case.id)}")
    text = (case.failure or "").splitlines()
    for line in text[-LONGEST_FAILURE:]:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if case.script:
        console.print("  It happens again with:")
        console.print(case.script, markup=False, highlight=False, soft_wrap=True)
