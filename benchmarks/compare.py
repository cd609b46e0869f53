"""The store beside the bare module: short rounds, the two sides by turns, and medians of them.

By hand, because pyperf and pytest-benchmark run one side to its end before the other, and asv
interleaves whole processes: a busy minute of the machine would fall on one side only. The garbage
collector runs as it does where the store is used; the objects a read makes keep it busy, and that
is a part of what the read costs.
"""

from __future__ import annotations

import time

from attrs import frozen

from benchmarks.blocks import Block, Case, Prepare
from benchmarks.databases import Bench, Engine
from benchmarks.measure import Spread, filling
from benchmarks.study import Effort

PORTION = 50
"""Operations of one side before the other has its turn, at most."""


@frozen
class Measurement:
    """What the rounds of a case gave; times are microseconds for one operation.

    `ratio` is the store's throughput as a share of the bare module's, round by round: what slows
    the machine for longer than a round slows both and leaves the ratio alone.
    """

    case: Case
    engine: Engine
    operations: int
    """In each round, on each side."""
    store: Spread
    bare: Spread | None
    ratio: Spread | None

    @property
    def aim(self) -> float | None:
        """The ratio to reach, None where none is set."""
        return self.case.aims[self.engine.driver]


def compare(case: Case, bench: Bench, effort: Effort) -> Measurement:
    """Measure `case`, in rounds that are as long as `effort` says on the store's side."""
    prepare = case.set_up(bench)
    operations = calibrate(case, prepare, effort.seconds)
    times = [_round(case, prepare, operations, number) for number in range(effort.rounds)]
    store = Spread.of([ours for ours, _ in times])
    pairs = [(ours, theirs) for ours, theirs in times if theirs is not None]
    if not pairs:
        return Measurement(case, bench.engine, operations, store, None, None)
    bench.check_same_work()
    bare = Spread.of([theirs for _, theirs in pairs])
    ratio = Spread.of([theirs / ours for ours, theirs in pairs])
    return Measurement(case, bench.engine, operations, store, bare, ratio)


def calibrate(case: Case, prepare: Prepare, seconds: float) -> int:
    """How many operations fill a round. Its own rounds warm both sides up."""
    return filling(seconds, lambda operations: _round(case, prepare, operations, 0)[0])


def _round(case: Case, prepare: Prepare, operations: int, turn: int) -> tuple[float, float | None]:
    """Microseconds for one operation on each side, the sides taking turns at being first.

    It goes in small portions, so that an operation meets its arguments in the processor's cache,
    as it does where a program has just made them.
    """
    portion = operations if case.concurrent else PORTION
    times: dict[str, float] = {}
    for number, start in enumerate(range(0, operations, portion)):
        sides = list(prepare(min(portion, operations - start))._asdict().items())
        if (turn + number) % 2:
            sides.reverse()
        for side, block in sides:
            if block is not None:
                times[side] = times.get(side, 0) + _time(block) / operations
    return times["store"], times.get("bare")


def _time(block: Block) -> float:
    """Microseconds that `block` takes."""
    started = time.perf_counter_ns()
    block()
    return (time.perf_counter_ns() - started) / 1000
