"""Measuring: rounds by turns, and what is made of their times."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from attrs import frozen

from benchmarks.study import Effort

T = TypeVar("T")


@frozen
class Spread:
    """The median of the rounds, and the tenth and ninetieth percentile."""

    median: float
    p10: float
    p90: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least two values."""
        tenths = statistics.quantiles(values, n=10, method="inclusive")
        return cls(statistics.median(values), tenths[0], tenths[-1])


@frozen
class Percentiles:
    """The times within which 50, 90 and 99 of 100 operations were done."""

    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, times: Sequence[float]) -> Percentiles:
        """The percentiles of at least two times."""
        found = statistics.quantiles(times, n=100, method="inclusive")
        return cls(found[49], found[89], found[98])


def by_turns(items: Sequence[T], rounds: int) -> Iterator[T]:
    """All of `items` in each round, each round beginning with the next one.

    What slows the machine for a while slows them all.
    """
    for number in range(rounds):
        first = number % len(items)
        yield from items[first:]
        yield from items[:first]


def filling(seconds: float, once: Callable[[int], float]) -> int:
    """How many operations fill so many seconds.

    `once` runs so many and returns the microseconds for one of them; it is called until it has run
    enough of them to tell, which also warms it up.
    """
    operations = 1
    while True:
        fitting = round(seconds * 1e6 / once(operations))
        if fitting <= 4 * operations:
            return max(1, fitting)
        operations *= 4


def side_by_side(
    calls: Mapping[str, Callable[[], object]], effort: Effort, clock: Callable[[], int]
) -> dict[str, Spread]:
    """The microseconds of each call by `clock`, which counts nanoseconds."""

    def run(name: str, operations: int) -> float:
        call = calls[name]
        started = clock()
        for _ in range(operations):
            call()
        return (clock() - started) / operations / 1000

    counts = {name: filling(effort.seconds, partial(run, name)) for name in calls}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for name in by_turns(list(calls), effort.rounds):
        times[name].append(run(name, counts[name]))
    return {name: Spread.of(found) for name, found in times.items()}
