"""The work at a time that a database holds: workflows that think, and writers that never pause.

A workflow updates its task by compare-and-set and thinks for about a second, as agents do. Writers
without pauses show the most that one store can do, beside the bare module on one connection.
Commits are durable, and settings the defaults.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

from attrs import asdict

from benchmarks import plots
from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.load import KINDS, Found, Load, by_the_bare_module, by_threads
from benchmarks.measure import Percentiles, by_turns
from benchmarks.study import Effort, Lab, Options, Report, Table, readable
from engine_store_postgres.options import PostgresOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "concurrent"
TITLE = "Many workflows at a time: how many updates a second, and how long each takes"
DRIVERS = (SQLITE, POSTGRES)
FULL, QUICK = Effort(3, 2.0), Effort(2, 0.1)

WORKFLOWS = (
    *(("async", workflows) for workflows in (100, 300, 1000, 3000)),
    *(("threads", workflows) for workflows in (100, 300)),
)
WRITERS = (1, 4, 16, 64)
BARE = 0
"""In the place of a number of writers: the bare module."""

PAUSE = 1.0
"""Seconds for which a workflow thinks, on average."""
LONGER = 5
"""Workflows are watched so many times as long as writers, to update more than once or twice."""
BOUND = 100.0
"""Milliseconds within which 99 of 100 updates are to be done."""


def measure(lab: Lab, options: Options) -> Report:
    """Each load in each round, on new databases."""
    smaller = 10 if options.quick else 1
    return {
        "parameters": {
            "bound_ms": BOUND,
            "pause_s": PAUSE / smaller,
            "pool_max_size": PostgresOptions().pool_max_size,
        },
        **_workflows(lab, options, smaller),
        "writers": _writers(lab, options),
    }


def _workflows(lab: Lab, options: Options, smaller: int) -> Report:
    cells = [
        (driver, kind, workflows // smaller)
        for driver, (kind, workflows) in product(options.drivers, WORKFLOWS)
    ]
    found = dict.fromkeys(cells, Found())
    for cell in by_turns(cells, options.effort.rounds):
        driver, kind, workflows = cell
        lab.say(f"{plots.NAMES[driver]}: {workflows} workflows that think, {kind}")
        load = Load(workflows, options.effort.seconds * LONGER, PAUSE / smaller)
        found[cell] += KINDS[kind](lab.databases[driver], load)
    levels = [
        {
            "driver": driver,
            "kind": kind,
            "workflows": workflows,
            **_figures(found[driver, kind, workflows]),
            "worst_ms": max(found[driver, kind, workflows].times),
            "errors": len(found[driver, kind, workflows].errors),
        }
        for driver, kind, workflows in cells
    ]
    most = {
        driver: {kind: _most(_of(levels, driver, kind)) for kind in KINDS}
        for driver in options.drivers
    }
    return {"workflows": levels, "most_workflows": most}


def _writers(lab: Lab, options: Options) -> list[Report]:
    cells = list(product(options.drivers, (BARE, *WRITERS)))
    found: dict[tuple[str, int], list[Found]] = {cell: [] for cell in cells}
    for driver, writers in by_turns(cells, options.effort.rounds):
        lab.say(f"{plots.NAMES[driver]}: {writers or 'the bare module'} without pauses")
        databases, seconds = lab.databases[driver], options.effort.seconds
        found[driver, writers].append(
            by_threads(databases, Load(writers, seconds))
            if writers
            else by_the_bare_module(databases, seconds)
        )
    return [
        {
            "driver": driver,
            "writers": writers,
            **_figures(sum(found[driver, writers], Found())),
            "of_bare": statistics.median(
                _per_second(ours) / _per_second(bare)
                for ours, bare in zip(found[driver, writers], found[driver, BARE], strict=True)
            ),
        }
        for driver, writers in cells
    ]


def _per_second(found: Found) -> float:
    return len(found.times) / found.seconds


def _figures(found: Found) -> Report:
    return {
        "updates": len(found.times),
        "per_second": _per_second(found),
        "ms": asdict(Percentiles.of(found.times)),
    }


def _most(levels: Sequence[Report]) -> int:
    """The most workflows that are within the bound without an error; 0: not even the fewest."""
    within = [one for one in levels if one["ms"]["p99"] < BOUND and not one["errors"]]
    return max((one["workflows"] for one in within), default=0)


def _of(levels: Sequence[Report], driver: str, kind: str | None = None) -> list[Report]:
    return [
        one for one in levels if one["driver"] == driver and (kind is None or one["kind"] == kind)
    ]


def tables(report: Report) -> list[Table]:
    """For each database the workflows, and the writers."""
    found = []
    for driver, engine in report["databases"].items():
        found += [
            Table(
                f"{engine['title']}: workflows that think",
                ("workflows", "updates/s", "p50 ms", "p99 ms", "worst ms", "errors"),
                tuple(
                    (
                        f"{one['workflows']:,} {one['kind']}",
                        readable(one["per_second"]),
                        readable(one["ms"]["p50"]),
                        readable(one["ms"]["p99"]),
                        readable(one["worst_ms"]),
                        f"{one['errors']}",
                    )
                    for one in _of(report["workflows"], driver)
                ),
                wide=frozenset({"errors"}),
            ),
            Table(
                f"{engine['title']}: writers without pauses",
                ("writers", "updates/s", "of bare", "p50 ms", "p99 ms"),
                tuple(
                    (
                        f"{one['writers']}" if one["writers"] else engine["bare"],
                        readable(one["per_second"]),
                        readable(one["of_bare"]),
                        readable(one["ms"]["p50"]),
                        readable(one["ms"]["p99"]),
                    )
                    for one in _of(report["writers"], driver)
                ),
            ),
        ]
    return found


def remarks(report: Report) -> list[str]:
    """The most workflows within the bound."""
    parameters = report["parameters"]
    lines = [
        f"{plots.NAMES[driver]}: most workflows with a p99 below {parameters['bound_ms']:g} ms: "
        f"{most['async']:,} asynchronous, {most['threads']:,} in threads"
        for driver, most in report["most_workflows"].items()
    ]
    lines.append(f"Updates that failed: {sum(one['errors'] for one in report['workflows'])}")
    if POSTGRES in report["databases"]:
        lines.append(
            f"PostgreSQL's pool has {parameters['pool_max_size']} connections, as by default."
        )
    return lines


def plot(report: Report, theme: plots.Theme) -> Figure:
    """The writers' share of the bare module above, the workflows' milliseconds below."""
    figure, (shares, times) = plots.panels(430, rows=2, right=84)
    shares.set_title("writers without pauses: updates, of the bare module's")
    times.set_title("workflows that think: milliseconds for one update, p99")
    shares.set_xscale("log", base=2)
    times.set_xscale("log")
    times.set_yscale("log")
    share_ends, time_ends = [], []
    for driver in report["databases"]:
        colour, marker = theme.of[driver], plots.MARKERS[driver]
        writers = _of(report["writers"], driver)[1:]
        of_bare = [one["of_bare"] for one in writers]
        shares.plot([one["writers"] for one in writers], of_bare, color=colour, marker=marker)
        share_ends.append(plots.End(WRITERS[-1], of_bare[-1], plots.NAMES[driver], colour))
        for kind, line in (("async", "-"), ("threads", ":")):
            levels = _of(report["workflows"], driver, kind)
            p99 = [one["ms"]["p99"] for one in levels]
            workflows = [one["workflows"] for one in levels]
            times.plot(workflows, p99, line, color=colour, marker=marker)
            time_ends.append(plots.End(workflows[-1], p99[-1], kind, colour))
    shares.set_ylim(0, 1.08 * shares.get_ylim()[1])
    plots.plain(shares.xaxis, WRITERS)
    plots.plain(times.xaxis, sorted({one["workflows"] for one in report["workflows"]}))
    bound = report["parameters"]["bound_ms"]
    times.axhline(bound, color=theme.faint, linewidth=1)
    fewest = min(one["workflows"] for one in report["workflows"])
    times.annotate("aim", (fewest, bound), (0, 3), textcoords="offset points")
    for axes, ends in ((shares, share_ends), (times, time_ends)):
        plots.plain(axes.yaxis)
        plots.name_ends(axes, ends)
    times.set_xlabel("workflows at a time")
    return figure
