"""The outcomes of a run, collected from pytest's reports, and what is made of them in the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from engine_store_contracts import recording

if TYPE_CHECKING:
    from engine_store_contracts.report import Case, Run

_SEVERITY = ["", "passed", "skipped", "failed"]


class Recorder:
    """A pytest plugin of the process that the user started."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._started = monotonic()
        self._started_at = datetime.now(UTC)
        self._cases: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self._facts: dict[str, dict[str, Any]] = defaultdict(dict)
        self._problems: list[str] = []

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
        # A case that was only set up, since its process died, has not passed.
        if report.when == "call" or not report.passed:
            case["outcome"] = max(case["outcome"] or "", report.outcome, key=_SEVERITY.index)
        if report.failed:
            case["failure"] = "\n".join(filter(None, [case["failure"], report.longreprtext]))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A part of the run could not even be read."""
        if report.failed:
            self._problems.append(f"{report.nodeid}: {report.longreprtext}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A process of xdist has ended; the cases it found."""
        for case in getattr(node, "workeroutput", {}).get(recording.CASE, []):
            self._case(case)
        if error is not None:
            self._problems.append(f"the process {node.gateway.id} ended: {error}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports that were asked for."""
        for case in session.config.stash.get(recording.COLLECTED, []):
            self._case(case)
        option = session.config.option
        if not (option.contract_json or option.contract_html):
            return
        from engine_store_contracts import report

        made = report.made_now(self.runs())
        if option.contract_json:
            Path(option.contract_json).write_text(report.write(made), "utf-8")
        if option.contract_html:
            Path(option.contract_html).write_text(report.render(made), "utf-8")

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
        return tuple(
            Run(
                subject=subject,
                profile=option.contract_profile,
                seeds=tuple(option.contract_seeds),
                cases=tuple(map(_case, cases.values())),
                capabilities={
                    name: Capability(*declared)
                    for name, declared in self._facts[subject]
                    .get(recording.CAPABILITIES, {})
                    .items()
                },
                started_at=self._started_at,
                seconds=round(monotonic() - self._started, 3),
                problems=tuple(self._problems),
                **self._facts[subject].get(recording.SERVER, {}),
            )
            for subject, cases in self._cases.items()
        )

    def _case(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of a case, from now on."""
        fresh = {"found": found, "properties": {}, "outcome": None, "seconds": 0.0, "failure": None}
        return self._cases[found["subject"]].setdefault(found["id"], fresh)


def _case(known: Mapping[str, Any]) -> Case:
    from engine_store_contracts.report.model import Case, Outcome

    outcomes = {
        "passed": Outcome.PASSED,
        "failed": Outcome.FAILED,
        "skipped": Outcome.UNSUPPORTED,
        None: Outcome.NOT_RUN,
    }
    properties = known["properties"]
    capability, reason = properties.get(recording.UNSUPPORTED, (None, None))
    return Case(
        id=known["found"]["id"],
        clauses=tuple(known["found"]["clauses"]),
        outcome=outcomes[known["outcome"]],
        seconds=round(known["seconds"], 3),
        capability=capability,
        reason=reason,
        failure=known["failure"],
        script=properties.get(recording.SCRIPT),
        operations=properties.get(recording.OPERATIONS, 0),
    )
