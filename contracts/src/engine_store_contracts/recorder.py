"""The outcomes of a run, collected from pytest's reports, and what is made of them in the end."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_plus

import pytest

from engine_store_contracts import recording

if TYPE_CHECKING:
    from engine_store_contracts.report import Case, Run

_OUTCOMES = {"passed": "passed", "skipped": "unsupported"}
"""Of what pytest says. What other plugins make of a failure, such as a rerun, is a failure."""

_SEVERITY = ["not run", "passed", "unsupported", "failed"]


class Recorder:
    """A pytest plugin of the process that the user started."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._started = monotonic()
        self._started_at = datetime.now(UTC)
        self._cases: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self._facts: dict[str, dict[str, Any]] = defaultdict(dict)
        self._problems: list[str] = []
        if not __debug__:
            self._problems.append("nothing is asserted: Python runs with -O")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a case has ended."""
        properties: dict[str, Any] = dict(report.user_properties)
        if recording.CASE not in properties:
            return
        case = self._case(properties[recording.CASE])
        for name in (recording.CAPABILITIES, recording.SERVER):
            self._facts[properties[recording.CASE]["subject"]].update(
                {name: properties[name]} if name in properties else {}
            )
        case["properties"] = properties
        case["seconds"] += report.duration
        outcome = _OUTCOMES.get(report.outcome, "failed")
        # A case that was only set up, since its process died, has not passed.
        if report.when == "call" or not report.passed:
            case["outcome"] = max(case["outcome"], outcome, key=_SEVERITY.index)
        if outcome == "failed":
            case["failure"] = "\n".join(filter(None, [case["failure"], report.longreprtext]))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A part of the run could not even be read."""
        if report.failed:
            self._note_problem(f"{report.nodeid}: {report.longreprtext}")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """The run ends early; workers of xdist do not say then which cases they had."""
        self._note_problem(f"the run was interrupted: {str(excinfo.value) or 'by the keyboard'}")

    def pytest_internalerror(self, excrepr: object) -> None:
        """Pytest itself has failed."""
        self._note_problem(f"pytest failed\n{excrepr}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A process of xdist has ended; the cases it found."""
        for case in getattr(node, "workeroutput", {}).get(recording.CASE, []):
            self._case(case)
        if error is not None:
            self._note_problem(f"the process {node.gateway.id} ended: {error}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports that were asked for."""
        for case in session.config.stash.get(recording.COLLECTED, []):
            self._case(case)
        option = session.config.option
        if option.contract_json or option.contract_html:
            from engine_store_contracts import report

            made = report.made_now(self.runs())
            report.save(made, json=option.contract_json, html=option.contract_html)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line for each driver: what it has earned."""
        if not self._cases:
            return
        from engine_store_contracts.report.text import summary

        terminalreporter.section("contract")
        for run in self.runs():
            for line in summary(run):
                terminalreporter.line(line)

    def runs(self) -> tuple[Run, ...]:
        """What is known so far, a run for each class."""
        from engine_store_contracts.report.model import Capability, Run

        option = self._config.option
        found = [
            (subject, sorted(cases.values(), key=_place)) for subject, cases in self._cases.items()
        ]
        return tuple(
            Run(
                subject=subject,
                profile=option.contract_profile,
                seeds=tuple(option.contract_seeds),
                cases=tuple(map(_case, cases)),
                capabilities={
                    name: Capability(*declared)
                    for name, declared in self._facts[subject]
                    .get(recording.CAPABILITIES, {})
                    .items()
                },
                started_at=self._started_at,
                seconds=round(monotonic() - self._started, 3),
                problems=tuple(self._problems),
                selected=tuple(option.contract_clauses),
                **self._facts[subject].get(recording.SERVER, {}),
            )
            for subject, cases in sorted(found, key=lambda run: _place(run[1][0]))
        )

    def _case(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of a case, from now on."""
        fresh = {"found": found, "properties": {}, "seconds": 0.0, "failure": None}
        fresh["outcome"] = _SEVERITY[0]
        return self._cases[found["subject"]].setdefault(found["id"], fresh)

    def _note_problem(self, text: str) -> None:
        self._problems.append(printable(text, self._config.option.store_url))


def why_unwritable(*files: Path | str | None) -> str | None:
    """Return why a report cannot be written to one of the files, before the minutes of a run."""
    for file in [Path(file) for file in files if file]:
        if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
            return f"{file} cannot be written"
    return None


def make_printable(report: pytest.TestReport, url: str | None) -> None:
    """Take the password of `url` out of all that a report says of a failure."""
    if (text := printable(report.longreprtext, url)) != report.longreprtext:
        report.longrepr = text
    report.sections = [(name, printable(text, url)) for name, text in report.sections]
    report.user_properties = [
        (name, printable(value, url) if isinstance(value, str) else value)
        for name, value in report.user_properties
    ]


def printable(text: str, url: str | None) -> str:
    """`text` without the password of `url`, and such that every file can have it."""
    if url:
        from engine_store.urls import mask_secrets

        text = mask_secrets(text, _secrets(url))
    return text.encode("utf-8", "backslashreplace").decode()


@lru_cache
def _secrets(url: str) -> tuple[str, ...]:
    """Return what `mask_url` hides, in the forms in which it may be quoted."""
    from engine_store.secrecy import MASK
    from engine_store.urls import mask_url

    shown = map(re.escape, mask_url(url).split(MASK))
    found = re.fullmatch("(.+)".join(shown), url, re.DOTALL)
    hidden = found.groups() if found else ()
    plain = {form for raw in hidden for form in (raw, unquote(raw), unquote_plus(raw))}
    return tuple(plain | {repr(form)[1:-1] for form in plain})


def _place(known: Mapping[str, Any]) -> int:
    """Where the case is in the order of the classes."""
    place: int = known["found"]["place"]
    return place


def _case(known: Mapping[str, Any]) -> Case:
    from engine_store_contracts.report.model import Case, Outcome

    properties = known["properties"]
    capability, reason = properties.get(recording.UNSUPPORTED, (None, None))
    return Case(
        id=known["found"]["id"],
        clauses=tuple(known["found"]["clauses"]),
        outcome=Outcome(known["outcome"]),
        seconds=round(known["seconds"], 3),
        capability=capability,
        reason=reason,
        failure=known["failure"],
        script=properties.get(recording.SCRIPT),
        operations=properties.get(recording.OPERATIONS, 0),
    )
