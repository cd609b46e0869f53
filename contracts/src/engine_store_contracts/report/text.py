"""Reports as JSON, and in a few lines for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import version
from typing import Any

import cattrs
from cattrs.preconf.json import make_converter

from engine_store.errors import ConfigurationError
from engine_store_contracts.report.model import SCHEMA, Level, Outcome, Report, Run

_converter = make_converter()


def _exactly(value: Any, kind: type[Any]) -> Any:
    """A `kind`; nothing else is turned into one."""
    if issubclass(kind, Enum):
        return kind(value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}")
    return value


def _time(value: Any, _: type[datetime]) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError("expected an offset from UTC")
    return time


for _kind in (str, bool, int, float):
    _converter.register_structure_hook(_kind, _exactly)
_converter.register_structure_hook(datetime, _time)


def made_now(runs: Sequence[Run]) -> Report:
    """A report of this version of the suite."""
    return Report(version("engine-store-contracts"), datetime.now(UTC), tuple(runs))


def write(report: Report) -> str:
    """The report as JSON. What follows from its cases is written out for other readers."""
    data = {"schema": SCHEMA, **_converter.unstructure(report)}
    for made, run in zip(data["runs"], report.runs, strict=True):
        made["level"] = run.level.value
        made["totals"] = {outcome.value: run.counted(outcome) for outcome in Outcome}
        made["operations"] = run.operations
        made["clauses"] = _converter.unstructure(run.clauses)
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def read(text: str) -> Report:
    """The report that `write` has written. Its levels are computed again, from its cases.

    Raises `ConfigurationError` for anything else.
    """
    try:
        data: Any = json.loads(text)
        if data["schema"] != SCHEMA:
            raise ConfigurationError("schema", f"expected {SCHEMA}, found {data['schema']!r}")
        return _converter.structure(data, Report)
    except (ValueError, TypeError, KeyError, RecursionError, cattrs.BaseValidationError) as error:
        raise ConfigurationError("report", "expected the JSON of a run of the suite") from error


def merge(reports: Iterable[Report]) -> Report:
    """One report with the runs of several, such as those of other machines."""
    found = tuple(reports)
    versions = {report.suite_version for report in found}
    if len(versions) != 1:
        raise ConfigurationError(
            "report", f"expected reports of one version of the suite, found {sorted(versions)}"
        )
    runs = tuple(run for report in found for run in report.runs)
    return Report(versions.pop(), max(report.created_at for report in found), runs)


def summary(run: Run) -> Iterator[str]:
    """What a driver has earned, and why not more."""
    counts = ", ".join(f"{run.counted(outcome)} {outcome}" for outcome in Outcome)
    seeds = ", ".join(map(str, run.seeds))
    yield f"{run.title} ({run.subject}): {_earned(run)}"
    yield f"  {counts}; profile {run.profile}, seed {seeds}"
    if run.operations:
        yield f"  {run.operations} random calls did what they do on the reference store"
    if run.failed_clauses:
        yield f"  failed: clauses {', '.join(run.failed_clauses)}"
    if run.uncovered and not run.counted(Outcome.NOT_RUN):
        yield f"  without a case: clauses {', '.join(run.uncovered)}"
    elif run.level is not Level.NONE:
        yield "  every clause is covered"
    for name, reason in sorted({(c.capability, c.reason) for c in run.cases if c.capability}):
        yield f"  without {name}: {reason}"
    for problem in run.problems:
        yield f"  {problem.splitlines()[0]}"


def _earned(run: Run) -> str:
    if not run.is_part:
        return f"level {run.level}"
    clauses = f"{'clause' if len(run.selected) == 1 else 'clauses'} {', '.join(run.selected)}"
    cases = f"{len(run.selected_cases)} cases{f' of {clauses}' if run.selected else ''}"
    passed = f"{run.counted(Outcome.PASSED)} of {cases} passed"
    return f"{passed}; no level, for a part of the suite earns none"
