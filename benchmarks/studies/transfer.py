"""How many rows a second go out of a store, into one, and from one to another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from attrs import asdict

from benchmarks import bars, plots
from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.filled import filled
from benchmarks.measure import Spread
from benchmarks.study import Effort, Lab, Options, Report, Table, readable
from engine_store import transfer
from engine_store.protocols import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "transfer"
TITLE = "Rows a second of an export, an import and a copy"
DRIVERS = (SQLITE, POSTGRES)
FULL, QUICK = Effort(3, 1.0), Effort(2, 1.0)
"""A round moves all rows once, however many seconds that takes."""

WORKFLOWS, QUICK_WORKFLOWS = 400, 20
TASKS = 20
"""Of each workflow."""


class Move(NamedTuple):
    """One way for the rows to go; the driver is the one that gives its bar the colour."""

    title: str
    driver: str
    seconds: float


def measure(lab: Lab, options: Options) -> Report:
    """Every move in each round, always of the same rows, into databases without any."""
    workflows = QUICK_WORKFLOWS if options.quick else WORKFLOWS
    rows = workflows * (1 + TASKS)
    file = lab.folder / "rows.jsonl"
    found: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        stores = {
            driver: stack.enter_context(filled(lab.databases[driver], workflows, TASKS)).store
            for driver in options.drivers
        }
        for _ in range(options.effort.rounds):
            for move in _moves(lab, stores, file):
                lab.say(move.title)
                found.setdefault(move[:2], []).append(rows / move.seconds)
    return {
        "parameters": {
            "workflows": workflows,
            "tasks_of_workflow": TASKS,
            "rows": rows,
            "bytes_of_row": round(file.stat().st_size / rows),
        },
        "moves": [
            {"title": title, "driver": driver, "rows_per_second": asdict(Spread.of(rates))}
            for (title, driver), rates in found.items()
        ],
    }


def _moves(lab: Lab, stores: dict[str, Store], file: Path) -> Iterator[Move]:
    """Each move once. `file` is what the last export wrote."""
    for driver, store in stores.items():
        file.unlink(missing_ok=True)
        seconds = _seconds(partial(transfer.export, store, file))
        yield Move(f"export from {plots.NAMES[driver]}", driver, seconds)
    for driver in stores:
        with lab.databases[driver].store() as target:
            seconds = _seconds(partial(transfer.import_, target, file))
        yield Move(f"import into {plots.NAMES[driver]}", driver, seconds)
    for source, driver in permutations(stores, 2):
        with lab.databases[driver].store() as target:
            seconds = _seconds(partial(transfer.copy, stores[source], target))
        yield Move(f"copy from {plots.NAMES[source]} to {plots.NAMES[driver]}", driver, seconds)


def _seconds(move: Callable[[], object]) -> float:
    began = time.perf_counter()
    move()
    return time.perf_counter() - began


def tables(report: Report) -> list[Table]:
    """A line for each move."""
    return [bars.table("Rows a second", "move", report["moves"], "rows_per_second")]


def remarks(report: Report) -> list[str]:
    """What was moved, and what the figures are."""
    parameters = report["parameters"]
    return [
        f"{parameters['workflows']:,} workflows with {parameters['tasks_of_workflow']} tasks each, "
        f"{readable(parameters['bytes_of_row'])} bytes a row in the file; all checks are included. "
        "Medians of the rounds, from the 10th to the 90th percentile."
    ]


def plot(report: Report, theme: plots.Theme) -> Figure:
    """A bar for each move."""
    return bars.plot(theme, report["moves"], "rows_per_second", "rows a second")
