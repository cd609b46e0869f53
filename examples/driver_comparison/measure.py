"""Rounds of the work on each driver in turn, and what they come to."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import cpu_count

import numpy as np
from attrs import frozen

import engine_store
from driver_comparison.workload import KINDS, Size, Timings, run_workers
from engine_store import WorkflowState
from engine_store.drivers.discovery import load_driver

NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
"""The drivers, and what people call their databases."""


@frozen
class Figures:
    """Of one kind of operation: how many a second, and how many milliseconds one takes."""

    rate: float
    p50: float
    p99: float


@frozen
class Round:
    """One run of the work on one driver."""

    driver: str
    version: str
    """Of the database."""
    figures: Mapping[str, Figures]
    """By the kind of operation."""
    rate: float
    """Operations of all kinds in a second of the whole run."""
    lost_claims: int
    left: Sequence[WorkflowState]


@frozen
class Comparison:
    """The medians of all rounds, by driver."""

    size: Size
    versions: Mapping[str, str]
    figures: Mapping[str, Mapping[str, Figures]]
    rates: Mapping[str, float]
    lost_claims: Mapping[str, float]
    left: Sequence[WorkflowState]
    same_work: bool
    """Whether every round left the same, on both drivers."""


def rounds(
    urls: Mapping[str, str], size: Size, count: int, say: Callable[[str], None]
) -> Iterator[Round]:
    """`count` rounds on each driver, in turn: what slows the machine down, slows down both."""
    for number in range(count):
        for name, url in urls.items():
            say(f"round {number + 1} of {count}: {NAMES[name]}")
            driver = load_driver(name)
            with driver.scratch(url) as scratch:
                yield _round(name, scratch, size)


def compare(size: Size, rounds: Sequence[Round]) -> Comparison:
    """What the rounds come to."""
    of = {name: [one for one in rounds if one.driver == name] for name in NAMES}
    return Comparison(
        size,
        {name: found[0].version for name, found in of.items()},
        {
            name: {kind: _medians([one.figures[kind] for one in found]) for kind in KINDS}
            for name, found in of.items()
        },
        {name: statistics.median(one.rate for one in found) for name, found in of.items()},
        {name: statistics.median(one.lost_claims for one in found) for name, found in of.items()},
        rounds[0].left,
        all(one.left == rounds[0].left for one in rounds),
    )


def machine() -> str:
    """What figures depend on beside the databases."""
    cpus, python = cpu_count(), platform.python_version()
    return f"{platform.system()} {platform.machine()}, {cpus} CPUs, Python {python}"


def _round(driver: str, url: str, size: Size) -> Round:
    with engine_store.open(url) as store:
        began = time.perf_counter()
        timings, left = run_workers(store, size)
        took = time.perf_counter() - began
        version = str(store.health().details[_VERSION[driver]])
    seconds = {kind: _seconds(timings, kind) for kind in KINDS}
    return Round(
        driver,
        version,
        {kind: _figures(found, size.workers) for kind, found in seconds.items()},
        sum(map(len, seconds.values())) / took,
        sum(len(one.lost_claims) for one in timings),
        left,
    )


_VERSION = {"sqlite": "sqlite_version", "postgres": "server_version"}


def _seconds(timings: Sequence[Timings], kind: str) -> list[float]:
    return [one for of_worker in timings for one in of_worker.seconds[kind]]


def _figures(seconds: Sequence[float], workers: int) -> Figures:
    # So many workers, side by side, are done with this number in this time.
    rate = workers * len(seconds) / sum(seconds)
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return Figures(rate, float(p50), float(p99))


def _medians(found: Sequence[Figures]) -> Figures:
    return Figures(
        statistics.median(one.rate for one in found),
        statistics.median(one.p50 for one in found),
        statistics.median(one.p99 for one in found),
    )
