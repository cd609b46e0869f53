"""Crews of this store and of other queues, one after the other, on equal databases."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from attrs import asdict, field, frozen

from benchmarks.claims import EngineStore
from benchmarks.crews import LOOP, PROCESSES, THREADS, Contestant, Crew, run
from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.measure import Spread, by_turns
from benchmarks.plots import NAMES
from benchmarks.rivals import RIVALS, installed
from benchmarks.study import Lab, Options, Report

OURS = EngineStore()

WORKERS: Mapping[str, Sequence[int]] = {
    THREADS: (1, 8, 16, 64),
    PROCESSES: (8, 16),  # a process with one worker is a thread
    LOOP: (1, 8, 16),
}
QUICK_WORKERS: Mapping[str, Sequence[int]] = dict.fromkeys(WORKERS, (2,))
BATCHES = (1, 10)
"""Tasks of one claim."""
WAITING, QUICK_WAITING = 100_000, 2_000
"""Tasks that wait in a database when a crew begins."""
AIMS = {(SQLITE, "dbos"): 5.0, (POSTGRES, "dbos"): 3.0, (POSTGRES, "procrastinate"): 1.0}
"""The least number of times that our rate is to be that of another queue."""


@frozen
class Cell:
    """A crew on one database, and the tasks it finished a second, round by round."""

    driver: str
    contestant: Contestant
    crew: Crew
    batch: int
    rates: list[float] = field(factory=list, eq=False)

    @property
    def title(self) -> str:
        """The queue and the crew, for people."""
        batch = f" by {self.batch}" if self.contestant is OURS else ""
        return f"{self.contestant.title}{batch}, {self.crew.title}"

    @property
    def rate(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rates)

    def times(self, other: Cell) -> float:
        """Return the ratio of our rate to that of the other one, round by round."""
        return statistics.median(
            ours / theirs for ours, theirs in zip(self.rates, other.rates, strict=True)
        )

    def report(self) -> Report:
        """What was found."""
        return {
            "driver": self.driver,
            "queue": self.contestant.name,
            "crew": self.crew.title,
            "kind": self.crew.kind,
            "workers": self.crew.workers,
            "batch": self.batch,
            "title": self.title,
            "per_second": asdict(Spread.of(self.rates)),
        }


def hold(lab: Lab, options: Options) -> Report:
    """Return the rates of all crews, and how many times those of the other queues ours are."""
    rivals = {rival for driver in options.drivers for rival in RIVALS[driver]}
    versions = {rival: installed(rival) for rival in sorted(rivals, key=lambda rival: rival.name)}
    cells = [
        Cell(driver, contestant, crew, batch)
        for driver in options.drivers
        for contestant in (OURS, *(rival for rival in RIVALS[driver] if versions[rival]))
        for crew in _crews(contestant, options)
        for batch in (BATCHES if contestant is OURS else BATCHES[:1])
    ]
    _work(lab, options, cells)
    best = _best(cells)
    return {
        "libraries": {rival.name: found for rival, found in versions.items() if found},
        "missing": [rival.title for rival, found in versions.items() if not found],
        "cycles": [cell.report() for cell in cells if cell.contestant is OURS],
        "rivals": [
            cell.report() | {"times": _times(cell, cells)}
            for cell in cells
            if cell.contestant is not OURS
        ],
        "best": [cell.report() for cell in best],
        "times": [
            {
                "driver": cell.driver,
                "queue_title": cell.contestant.title,
                "times": _at_best(cell, best),
                "aim": AIMS[cell.driver, cell.contestant.name],
            }
            for cell in best
            if cell.contestant is not OURS
        ],
    }


def _crews(contestant: Contestant, options: Options) -> list[Crew]:
    """All crews; of another queue, for a rough look, one."""
    workers = QUICK_WORKERS if options.quick else WORKERS
    crews = [Crew(kind, count) for kind in contestant.kinds for count in workers[kind]]
    return crews[:1] if options.quick and contestant is not OURS else crews


def _work(lab: Lab, options: Options, cells: Sequence[Cell]) -> None:
    """Let every crew work once in each round, on a copy of the database of its queue."""
    waiting = QUICK_WAITING if options.quick else WAITING
    full: dict[tuple[str, str], str] = {}
    with ExitStack() as stack:
        for cell in cells:
            databases, key = lab.databases[cell.driver], (cell.driver, cell.contestant.name)
            if key not in full:
                lab.say(f"{NAMES[cell.driver]}: filling a queue of {cell.contestant.title}")
                full[key] = stack.enter_context(databases.new())
                cell.contestant.fill(databases, full[key], waiting)
        for cell in by_turns(cells, options.effort.rounds):
            lab.say(f"{NAMES[cell.driver]}: {cell.title}")
            databases, contestant = lab.databases[cell.driver], cell.contestant
            with databases.copy(full[cell.driver, contestant.name]) as url:
                done = run(contestant.work(url, cell.batch), cell.crew, options.effort.seconds)
                contestant.check(databases, url, waiting, done)
            cell.rates.append(done.per_second)


def _times(rival: Cell, cells: Sequence[Cell]) -> Report:
    """Return the ratio of our rate to a rival's with the same crew, by the tasks of a claim."""
    return {
        str(cell.batch): cell.times(rival)
        for cell in cells
        if cell.contestant is OURS and (cell.driver, cell.crew) == (rival.driver, rival.crew)
    }


def _best(cells: Sequence[Cell]) -> list[Cell]:
    """The fastest crew of each queue on each database; of ours, one for each batch."""
    best: dict[tuple[str, str, int], Cell] = {}
    for cell in cells:
        key = (cell.driver, cell.contestant.name, cell.batch)
        if key not in best or cell.rate > best[key].rate:
            best[key] = cell
    return list(best.values())


def _at_best(rival: Cell, best: Sequence[Cell]) -> float:
    """Return the ratio of our rate to a rival's, both at their best."""
    return max(
        cell.times(rival)
        for cell in best
        if cell.contestant is OURS and cell.driver == rival.driver
    )
