"""How long an operation takes, as rows are stored: every size, operation and database by turns."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count, product
from typing import TYPE_CHECKING, TypeAlias

from attrs import asdict, field, frozen

from benchmarks import plots
from benchmarks.data import PAGE, TASKS_OF_SMALL, with_result
from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.filled import Filled, filled
from benchmarks.measure import Percentiles, by_turns
from benchmarks.study import Effort, Lab, Options, Report, Table, readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "rows"
TITLE = "How long an operation takes as more rows are stored"
DRIVERS = (SQLITE, POSTGRES)
FULL, QUICK = Effort(8, 0.25), Effort(2, 0.05)

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (200, 2_000)
"""Tasks."""

Call: TypeAlias = Callable[[], object]


def get(rows: Filled) -> Iterator[Call]:
    """Tasks by id."""
    while True:
        yield partial(rows.store.tasks.get, rows.any_task())


def update(rows: Filled) -> Iterator[Call]:
    """Compare-and-set updates of what has just been read."""
    for number in count():
        task = rows.store.tasks.get(rows.any_task())
        yield partial(rows.store.tasks.update, with_result(task, number))


def page(rows: Filled) -> Iterator[Call]:
    """Pages of all tasks in creation order, from anywhere but the end."""
    total = rows.workflows * len(rows.tasks)
    step = min(1_000, total // 10)
    cursors: list[str | None] = [None]
    while len(cursors) * step + PAGE <= total:
        cursors.append(rows.store.tasks.list(limit=step, cursor=cursors[-1]).next_cursor)
    while True:
        yield partial(rows.store.tasks.list, limit=PAGE, cursor=random.choice(cursors))


def workflow(rows: Filled) -> Iterator[Call]:
    """Workflows with the latest executions of their tasks."""
    while True:
        yield partial(rows.store.workflows.get, rows.any_workflow(), with_tasks=True)


OPERATIONS = {
    "get": ("get", get),
    "update": ("update", update),
    "page": (f"page of {PAGE}", page),
    "workflow": (f"workflow of {TASKS_OF_SMALL}", workflow),
}


@frozen
class Cell:
    """One operation on one database of one size, and its milliseconds."""

    driver: str
    tasks: int
    operation: str
    calls: Iterator[Call]
    times: list[float] = field(factory=list)

    def run(self, seconds: float) -> None:
        """Measure call by call, at least one."""
        until = time.perf_counter() + seconds
        for call in self.calls:
            began = time.perf_counter()
            call()
            ended = time.perf_counter()
            self.times.append((ended - began) * 1000)
            if ended >= until:
                return


def measure(lab: Lab, options: Options) -> Report:
    """All sizes stand side by side, so that each round meets them all."""
    sizes = QUICK_SIZES if options.quick else SIZES
    cells = []
    with ExitStack() as stack:
        for driver, tasks in product(options.drivers, sizes):
            lab.say(f"{plots.NAMES[driver]}: storing {tasks:,} tasks")
            workflows = tasks // TASKS_OF_SMALL
            rows = stack.enter_context(filled(lab.databases[driver], workflows, TASKS_OF_SMALL))
            for name, (_, calls_on) in OPERATIONS.items():
                calls = calls_on(rows)
                next(calls)()  # warms it up
                cells.append(Cell(driver, tasks, name, calls))
        for cell in by_turns(cells, options.effort.rounds):
            lab.say(f"{plots.NAMES[cell.driver]}: {cell.operation} of {cell.tasks:,} tasks")
            cell.run(options.effort.seconds)
    return {
        "parameters": {"tasks": list(sizes), "page": PAGE, "tasks_of_workflow": TASKS_OF_SMALL},
        "operations": [
            {
                "driver": cell.driver,
                "tasks": cell.tasks,
                "name": cell.operation,
                "title": OPERATIONS[cell.operation][0],
                "times": len(cell.times),
                "ms": asdict(Percentiles.of(cell.times)),
            }
            for cell in cells
        ],
    }


def tables(report: Report) -> list[Table]:
    """For each database its operations, and for each of these the sizes."""
    return [
        Table(
            f"{engine['title']}: milliseconds",
            ("operation", "tasks", "p50", "p90", "p99"),
            tuple(
                (
                    title,
                    f"{found['tasks']:,}",
                    *(readable(found["ms"][name]) for name in ("p50", "p90", "p99")),
                )
                for title, of_operation in _by_title(report, driver)
                for found in of_operation
            ),
        )
        for driver, engine in report["databases"].items()
    ]


def _by_title(report: Report, driver: str) -> list[tuple[str, list[Report]]]:
    found: dict[str, list[Report]] = {}
    for operation in report["operations"]:
        if operation["driver"] == driver:
            found.setdefault(operation["title"], []).append(operation)
    return list(found.items())


def remarks(report: Report) -> list[str]:
    """Nothing."""
    return []


def plot(report: Report, theme: plots.Theme) -> Figure:
    """A panel for each operation: the median as a line, and a band up to the p99."""
    figure, panels = plots.panels(440, rows=2, columns=2, top=48)
    for driver in report["databases"]:
        colour = theme.of[driver]
        for axes, (title, found) in zip(panels, _by_title(report, driver), strict=True):
            sizes = [one["tasks"] for one in found]
            medians, slow = ([one["ms"][name] for one in found] for name in ("p50", "p99"))
            axes.fill_between(sizes, medians, slow, color=colour, alpha=0.2, linewidth=0)
            axes.plot(sizes, medians, color=colour, marker=plots.MARKERS[driver])
            axes.set_title(title)
    every = [value for one in report["operations"] for value in one["ms"].values()]
    for axes in panels:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.margins(x=0.12)
        axes.set_ylim(min(every) / 1.5, max(every) * 1.5)
        plots.plain(axes.xaxis, report["parameters"]["tasks"])
        plots.plain(axes.yaxis)
    for axes in panels[1::2]:
        axes.tick_params(labelleft=False)
    figure.supxlabel("tasks stored", y=0.005, fontsize="medium")
    plots.name_databases(
        figure, theme, list(report["databases"]), "milliseconds, median and up to p99"
    )
    return figure
