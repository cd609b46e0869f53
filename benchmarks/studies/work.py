"""Queues: tasks claimed and finished a second, and what a claim waits for, finds and leaves alone.

All of it is measured in processes that the study starts, and none of it reads or writes a document.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import asdict

from benchmarks import bars, contest, plots
from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.delayed import DUE, claim_times
from benchmarks.heartbeats import heartbeats
from benchmarks.latency import latencies
from benchmarks.measure import Percentiles
from benchmarks.study import Effort, Lab, Options, Report, Table, readable
from engine_store_postgres.options import PostgresOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "work"
TITLE = "Queues: tasks claimed and finished a second, beside other queues"
DRIVERS = (SQLITE, POSTGRES)
FULL, QUICK = Effort(3, 1.0), Effort(2, 0.1)

CREATED, QUICK_CREATED = 200, 10
"""Tasks that a waiting worker gets, one by one."""
DELAYED, QUICK_DELAYED = (10_000, 1_000_000), (1_000, 20_000)
LEASES, QUICK_LEASES = 1_000, 100
LONGER, QUICK_LONGER = 60, 10
"""Leases are renewed for so many times as long as a round."""

LATENCY_AIM = {SQLITE: 30.0, POSTGRES: 5.0}
"""Milliseconds from `create` to a waiting claim: the median is to be below."""
AMONG_AIM = 1.5
"""The most that a claim among many delayed tasks may take of the time of one among few."""


def measure(lab: Lab, options: Options) -> Report:
    """The contest of crews in rounds, and the rest once on each database."""
    return {
        "parameters": {
            "waiting": contest.QUICK_WAITING if options.quick else contest.WAITING,
            "batches": list(contest.BATCHES),
            "due": DUE,
            "pool_max_size": PostgresOptions().pool_max_size,
        },
        **contest.hold(lab, options),
        "latency": [_latency(lab, driver, options) for driver in options.drivers],
        "among": [_among(lab, driver, options) for driver in options.drivers],
        "heartbeats": [_heartbeats(lab, driver, options) for driver in options.drivers],
    }


def _latency(lab: Lab, driver: str, options: Options) -> Report:
    lab.say(f"{plots.NAMES[driver]}: from create to a waiting claim")
    times = latencies(lab.databases[driver], QUICK_CREATED if options.quick else CREATED)
    twentieths = statistics.quantiles(times, n=20, method="inclusive")
    return {
        "driver": driver,
        "tasks": len(times),
        "ms": {"p50": statistics.median(times), "p95": twentieths[-1]},
        "aim_ms": LATENCY_AIM[driver],
    }


def _among(lab: Lab, driver: str, options: Options) -> Report:
    lab.say(f"{plots.NAMES[driver]}: claims among delayed tasks")
    sizes = QUICK_DELAYED if options.quick else DELAYED
    seconds = options.effort.rounds * options.effort.seconds * len(sizes)
    times = claim_times(lab.databases[driver], sizes, seconds)
    few, many = (Percentiles.of(times[size]) for size in sizes)
    return {
        "driver": driver,
        "sizes": [
            {"tasks": size, "claims": len(times[size]), "ms": asdict(found)}
            for size, found in zip(sizes, (few, many), strict=True)
        ],
        "ratio": many.p50 / few.p50,
        "aim": AMONG_AIM,
    }


def _heartbeats(lab: Lab, driver: str, options: Options) -> Report:
    lab.say(f"{plots.NAMES[driver]}: leases that are renewed")
    leases, longer = (QUICK_LEASES, QUICK_LONGER) if options.quick else (LEASES, LONGER)
    seconds = options.effort.seconds * longer
    found = heartbeats(lab.databases[driver], leases, seconds)
    return {"driver": driver, "seconds": seconds, **asdict(found)}


def tables(report: Report) -> list[Table]:
    """The rates of each database, and beside them those of other queues; then the rest."""
    found = []
    for driver, engine in report["databases"].items():
        found.append(_cycles(engine["title"], _of(report["cycles"], driver)))
        if rivals := _of(report["rivals"], driver):
            found.append(_rivals(engine["title"], rivals))
    return [*found, _latencies(report), _delayed(report), _renewals(report)]


def _of(found: Sequence[Report], driver: str) -> list[Report]:
    return [one for one in found if one["driver"] == driver]


def _cycles(database: str, found: Sequence[Report]) -> Table:
    rates: dict[str, list[str]] = {}
    for one in found:
        rates.setdefault(one["crew"], []).append(readable(one["per_second"]["median"]))
    return Table(
        f"{database}: tasks claimed and finished a second",
        ("workers", *(f"{batch} a claim" for batch in contest.BATCHES)),
        tuple((crew, *of_crew) for crew, of_crew in rates.items()),
    )


def _rivals(database: str, found: Sequence[Report]) -> Table:
    return Table(
        f"{database}: other queues, and how many times as fast engine-store is",
        ("queue", "tasks/s", *(f"{batch} a claim" for batch in contest.BATCHES)),
        tuple(
            (
                one["title"],
                readable(one["per_second"]["median"]),
                *(f"{times:.2f}" for times in one["times"].values()),
            )
            for one in found
        ),
    )


def _latencies(report: Report) -> Table:
    return Table(
        "From create to a waiting claim: milliseconds",
        ("database", "p50", "p95", "aim of p50"),
        tuple(
            (
                plots.NAMES[one["driver"]],
                readable(one["ms"]["p50"]),
                readable(one["ms"]["p95"]),
                f"{one['aim_ms']:g}",
            )
            for one in report["latency"]
        ),
    )


def _delayed(report: Report) -> Table:
    return Table(
        "A claim among delayed tasks: milliseconds",
        ("database", "tasks", "p50", "p99", "ratio"),
        tuple(
            (
                plots.NAMES[one["driver"]],
                f"{size['tasks']:,}",
                readable(size["ms"]["p50"]),
                readable(size["ms"]["p99"]),
                f"{size['ms']['p50'] / one['sizes'][0]['ms']['p50']:.2f}",
            )
            for one in report["among"]
            for size in one["sizes"]
        ),
    )


def _renewals(report: Report) -> Table:
    return Table(
        "Renewed leases: what they wrote to the table of tasks",
        ("database", "renewals", "rows", "pages", "dead rows"),
        tuple(
            (
                plots.NAMES[one["driver"]],
                f"{one['renewals']:,}",
                f"{one['rows']}",
                f"{one['pages']}",
                "-" if one["dead_rows"] is None else f"{one['dead_rows']}",
            )
            for one in report["heartbeats"]
        ),
    )


def remarks(report: Report) -> list[str]:
    """The aims, and what the figures are of."""
    parameters = report["parameters"]
    lines = [
        f"{plots.NAMES[one['driver']]}: each at its best, engine-store finishes "
        f"{one['times']:.2f} times as many tasks a second as {one['queue_title']}; the aim is at "
        f"least {one['aim']:g}."
        for one in report["times"]
    ]
    lines += [f"Not compared, because it is not installed: {name}." for name in report["missing"]]
    lines += [
        f"{plots.NAMES[one['driver']]}: a claim among {one['sizes'][-1]['tasks']:,} delayed tasks "
        f"takes {one['ratio']:.2f} times as long as among {one['sizes'][0]['tasks']:,}; the aim is "
        f"at most {one['aim']:g}."
        for one in report["among"]
    ]
    beats = report["heartbeats"][0]
    lines.append(
        f"{parameters['waiting']:,} tasks wait when a crew begins; {parameters['due']} of the "
        f"delayed ones are due. {beats['leases']:,} leases are renewed for "
        f"{beats['seconds']:g} seconds."
    )
    return lines


def plot(report: Report, theme: plots.Theme) -> Figure:
    """A bar for the fastest crew of each queue, and of ours for each size of a claim."""
    found = [
        {**one, "title": f"{plots.NAMES[one['driver']]}: {one['title']}"} for one in report["best"]
    ]
    return bars.plot(theme, found, "per_second", "tasks a second")
