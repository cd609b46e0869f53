"""A report: runs of the suite, each of one driver, case by case and clause by clause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from attrs import field, frozen

from engine_store_contracts.clauses import CLAUSES, is_clause, is_in

SCHEMA = 1
"""The version of the format. A reader of it can read every later addition."""


class Outcome(StrEnum):
    """What became of a case, or of all the cases of a clause."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    """Left out by a capability that the driver declares as unsupported."""
    NOT_RUN = "not run"


class Level(StrEnum):
    """What a driver has earned by a run."""

    FULL = "full"
    """Every case of the suite ran and passed."""
    DECLARED = "declared"
    """Every case ran and passed, but for those of the capabilities that are not supported."""
    NONE = "none"
    """A case failed or did not run, or a clause has no case that passed or was left out."""


@frozen
class Case:
    """A case of the contract. `seconds` is its duration, `reason` why it is unsupported."""

    id: str
    clauses: tuple[str, ...]
    outcome: Outcome
    seconds: float = 0.0
    capability: str | None = None
    reason: str | None = None
    failure: str | None = None
    script: str | None = None
    operations: int = 0


@frozen
class Clause:
    """A clause, or a section as a whole, and how many of its cases ended in each way."""

    number: str
    title: str
    outcome: Outcome
    passed: int
    failed: int
    unsupported: int
    not_run: int


@frozen
class Capability:
    """What the driver declares."""

    supported: bool
    reason: str = ""


@frozen
class Run:
    """One driver, proven once. What is None is not known: no store could be opened."""

    subject: str
    profile: str
    seeds: tuple[int, ...]
    cases: tuple[Case, ...]
    driver: str | None = None
    driver_version: str | None = None
    server_version: str | None = None
    schema_version: int | None = None
    capabilities: Mapping[str, Capability] = field(factory=dict)
    started_at: datetime | None = None
    seconds: float = 0.0
    problems: tuple[str, ...] = ()
    """What went wrong beside the cases, such as a process that ended."""
    selected: tuple[str, ...] = ()
    """The clauses and sections that were asked for; none where all were."""

    @property
    def title(self) -> str:
        """The driver and its server, for people."""
        return " ".join(filter(None, (self.driver or self.subject, self.server_version)))

    def counted(self, outcome: Outcome) -> int:
        """How many cases ended so."""
        return sum(case.outcome is outcome for case in self.cases)

    @property
    def operations(self) -> int:
        """Calls that were made at random and compared with the reference store."""
        return sum(case.operations for case in self.cases)

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """Every clause and section of the contract, in order."""
        return tuple(self._clause(number) for number in CLAUSES)

    @property
    def failed_clauses(self) -> tuple[str, ...]:
        """The numbers of those with a case that failed, in order."""
        return tuple(row.number for row in self.clauses if row.outcome is Outcome.FAILED)

    @property
    def uncovered(self) -> tuple[str, ...]:
        """The clauses that no case has looked at."""
        return tuple(
            row.number
            for row in self.clauses
            if row.outcome is Outcome.NOT_RUN and is_clause(row.number)
        )

    @property
    def level(self) -> Level:
        """What was earned, by what ran and passed alone."""
        unearned = (Outcome.FAILED, Outcome.NOT_RUN)
        if self.problems or self.uncovered or any(map(self.counted, unearned)):
            return Level.NONE
        if not self.counted(Outcome.PASSED):
            return Level.NONE
        return Level.DECLARED if self.counted(Outcome.UNSUPPORTED) else Level.FULL

    @property
    def is_part(self) -> bool:
        """Whether all is well with what ran, and the rest of the suite was not asked for."""
        unwell = self.problems or self.counted(Outcome.FAILED) or not self.counted(Outcome.PASSED)
        return not unwell and self.counted(Outcome.NOT_RUN) > 0

    @property
    def selected_cases(self) -> tuple[Case, ...]:
        """The cases of the clauses and sections that were asked for."""
        if not self.selected:
            return self.cases
        wanted = {number for number in CLAUSES for asked in self.selected if is_in(number, asked)}
        return tuple(case for case in self.cases if not wanted.isdisjoint(case.clauses))

    def _clause(self, number: str) -> Clause:
        cases = [case for case in self.cases if number in case.clauses]
        counts = {outcome: sum(case.outcome is outcome for case in cases) for outcome in Outcome}
        worst = (Outcome.FAILED, Outcome.NOT_RUN, Outcome.PASSED, Outcome.UNSUPPORTED)
        return Clause(
            number,
            CLAUSES[number],
            next((outcome for outcome in worst if counts[outcome]), Outcome.NOT_RUN),
            *(counts[outcome] for outcome in Outcome),
        )


@frozen
class Report:
    """Runs of one version of the suite."""

    suite_version: str
    created_at: datetime
    runs: Sequence[Run]
