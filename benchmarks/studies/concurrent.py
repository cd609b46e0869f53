"""How many workflows a database holds: throughput and latency of their updates, side by side.

Each workflow is a thread of its own that updates its task back to back, as no engine does for
long: the most that so many can ask of one store. Commits are durable, and settings the defaults.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from typing import TYPE_CHECKING

from attrs import asdict

from benchmarks import plots
from benchmarks.data import add_running, with_result
from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.measure import Percentiles, by_turns
from benchmarks.study import Effort, Lab, Options, Report, Table, readable
from engine_store import TaskState
from engine_store.protocols import Store
from engine_store_postgres.options import PostgresOptions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "concurrent"
TITLE = "Updates of many workflows at a time: how many a second, and how long each takes"
DRIVERS = (SQLITE, POSTGRES)
FULL, QUICK = Effort(3, 2.0), Effort(2, 0.1)

LEVELS = (4, 8, 16, 32, 64, 128)
BOUND = 100.0
"""Milliseconds within which 99 of 100 updates are to be done."""


def measure(lab: Lab, options: Options) -> Report:
    """Each level in each round, with new workflows, on one database of each driver."""
    cells = list(product(options.drivers, LEVELS))
    times: dict[tuple[str, int], list[float]] = {cell: [] for cell in cells}
    seconds = dict.fromkeys(cells, 0.0)
    with ExitStack() as stack:
        stores = {
            driver: stack.enter_context(lab.databases[driver].store()) for driver in options.drivers
        }
        for driver, workflows in by_turns(cells, options.effort.rounds):
            lab.say(f"{plots.NAMES[driver]}: {workflows} workflows at a time")
            found, took = _side_by_side(stores[driver], workflows, options.effort.seconds)
            times[driver, workflows] += found
            seconds[driver, workflows] += took
    levels = [
        {
            "driver": driver,
            "workflows": workflows,
            "updates": len(times[driver, workflows]),
            "per_second": len(times[driver, workflows]) / seconds[driver, workflows],
            "ms": asdict(Percentiles.of(times[driver, workflows])),
        }
        for driver, workflows in cells
    ]
    return {
        "parameters": {"bound_ms": BOUND, "pool_max_size": PostgresOptions().pool_max_size},
        "most_workflows": {driver: _most(levels, driver) for driver in options.drivers},
        "levels": levels,
    }


def _side_by_side(store: Store, workflows: int, seconds: float) -> tuple[list[float], float]:
    """The milliseconds of each update of so many workflows, and the seconds of all together."""
    with store.transaction() as tx:
        tasks = [add_running(tx) for _ in range(workflows)]
    began: list[float] = []
    ready = threading.Barrier(workflows, lambda: began.append(time.perf_counter()))
    with ThreadPoolExecutor(workflows) as pool:
        done = [pool.submit(_workflow, store, task, ready, seconds) for task in tasks]
        times = [one for workflow in done for one in workflow.result()]
        return times, time.perf_counter() - began[0]


def _workflow(
    store: Store, task: TaskState, ready: threading.Barrier, seconds: float
) -> list[float]:
    """The milliseconds of each update of one workflow, of which there is at least one."""
    times: list[float] = []
    ready.wait()
    until = time.perf_counter() + seconds
    while not times or time.perf_counter() < until:
        changed = with_result(task, task.version)
        began = time.perf_counter()
        task = store.tasks.update(changed)
        times.append((time.perf_counter() - began) * 1000)
    return times


def _most(levels: Sequence[Report], driver: str) -> int:
    """The most workflows that are within the bound; 0 where even the fewest are not."""
    of_driver = _of(levels, driver)
    return max((one["workflows"] for one in of_driver if one["ms"]["p99"] < BOUND), default=0)


def _of(levels: Sequence[Report], driver: str) -> list[Report]:
    return [level for level in levels if level["driver"] == driver]


def tables(report: Report) -> list[Table]:
    """A line for each level."""
    return [
        Table(
            engine["title"],
            ("workflows", "updates/s", "p50 ms", "p99 ms"),
            tuple(
                (
                    f"{level['workflows']}",
                    readable(level["per_second"]),
                    readable(level["ms"]["p50"]),
                    readable(level["ms"]["p99"]),
                )
                for level in _of(report["levels"], driver)
            ),
        )
        for driver, engine in report["databases"].items()
    ]


def remarks(report: Report) -> list[str]:
    """The most workflows within the bound."""
    parameters = report["parameters"]
    within = f"most workflows with a p99 below {parameters['bound_ms']:g} ms"
    lines = [
        f"{plots.NAMES[driver]}: {within}: {most}"
        for driver, most in report["most_workflows"].items()
    ]
    if POSTGRES in report["databases"]:
        lines.append(
            f"PostgreSQL's pool has {parameters['pool_max_size']} connections, as by default."
        )
    return lines


def plot(report: Report, theme: plots.Theme) -> Figure:
    """Updates a second above, milliseconds below."""
    figure, (rates, times) = plots.panels(430, rows=2, right=78)
    rates.set_title("updates a second")
    times.set_title("milliseconds for one update")
    times.set_yscale("log")
    for axes in (rates, times):
        axes.set_xscale("log", base=2)
        plots.plain(axes.xaxis, LEVELS)
    ends: dict[Axes, list[plots.End]] = {rates: [], times: []}
    for driver in report["databases"]:
        levels = _of(report["levels"], driver)
        colour = theme.of[driver]
        for axes, label, line, values in (
            (rates, plots.NAMES[driver], "-", [level["per_second"] for level in levels]),
            (times, "p99", "-", [level["ms"]["p99"] for level in levels]),
            (times, "p50", ":", [level["ms"]["p50"] for level in levels]),
        ):
            axes.plot(LEVELS, values, line, color=colour, marker=plots.MARKERS[driver])
            ends[axes].append(plots.End(LEVELS[-1], values[-1], label, colour))
    rates.set_ylim(0, 1.08 * rates.get_ylim()[1])
    bound = report["parameters"]["bound_ms"]
    times.axhline(bound, color=theme.faint, linewidth=1)
    times.annotate("aim for the p99", (LEVELS[0], bound), (0, 3), textcoords="offset points")
    for axes, of_axes in ends.items():
        plots.plain(axes.yaxis)
        plots.name_ends(axes, of_axes)
    times.set_xlabel("workflows at a time")
    return figure
