"""How many workflows one SQLite file holds: the latency of their updates, side by side.

Each workflow is a thread of its own that updates its task back to back, as no engine does for
long: the most that so many can ask of one writer. The commits are durable, as by default.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import asdict, frozen
from rich import box
from rich.console import Console
from rich.table import Table

import engine_store
from benchmarks.data import new_task, with_result
from benchmarks.report import machine
from engine_store import WorkflowState, new_id
from engine_store.protocols import Store

NAME = "concurrent"
DRIVER = "sqlite"
TITLE = "workflows side by side on one SQLite file"

LEVELS = (4, 8, 16, 32, 64, 128)
BOUND = 100.0
"""Milliseconds within which 99 of 100 updates are to be done."""
SECONDS, QUICK_SECONDS = 5.0, 0.2


@frozen
class Level:
    """What so many workflows at a time have measured; times are milliseconds for one update."""

    workflows: int
    updates: int
    seconds: float
    p50: float
    p99: float

    @property
    def holds(self) -> bool:
        """Whether they are within the bound."""
        return self.p99 < BOUND


def measure(folder: Path, seconds: float) -> list[Level]:
    """Each level for so many seconds, on a new file."""
    return [_measure(folder / f"{workflows}.db", workflows, seconds) for workflows in LEVELS]


def most(levels: Sequence[Level]) -> int:
    """The most workflows that hold; 0 where even the fewest do not."""
    return max((level.workflows for level in levels if level.holds), default=0)


def show(console: Console, levels: Sequence[Level]) -> None:
    """Print a line for each level, and the most that hold."""
    table = Table("workflows", "updates/s", "p50 ms", "p99 ms", title=TITLE, box=box.SIMPLE)
    for level in levels:
        rate = level.updates / level.seconds
        table.add_row(str(level.workflows), f"{rate:,.0f}", f"{level.p50:.1f}", f"{level.p99:.1f}")
    console.print(table)
    console.print(f"most workflows with a p99 below {BOUND:g} ms: {most(levels)}")


def as_json(levels: Sequence[Level], date: datetime) -> dict[str, Any]:
    """The report."""
    return {
        "date": date.isoformat(timespec="seconds"),
        "machine": machine(),
        "bound_ms": BOUND,
        "most_workflows": most(levels),
        "levels": [asdict(level) for level in levels],
    }


def _measure(path: Path, workflows: int, seconds: float) -> Level:
    times: list[list[float]] = [[] for _ in range(workflows)]
    ready = threading.Barrier(workflows + 1)
    with engine_store.open(f"sqlite:///{path}") as store:
        threads = [
            threading.Thread(target=_workflow, args=(store, ready, seconds, mine)) for mine in times
        ]
        for thread in threads:
            thread.start()
        ready.wait()
        began = time.perf_counter()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
    every = [one for mine in times for one in mine]
    percentiles = statistics.quantiles(every, n=100, method="inclusive")
    return Level(workflows, len(every), took, percentiles[49], percentiles[98])


def _workflow(store: Store, ready: threading.Barrier, seconds: float, times: list[float]) -> None:
    """The updates of one workflow; at least two, so that there is a spread."""
    key = store.workflows.create(WorkflowState(new_id(), "measured")).workflow_exec_id
    task = store.tasks.create(new_task(key, 0))
    ready.wait()
    until = time.perf_counter() + seconds
    while len(times) < 2 or time.perf_counter() < until:
        changed = with_result(task, task.version)
        began = time.perf_counter()
        task = store.tasks.update(changed)
        times.append((time.perf_counter() - began) * 1000)
