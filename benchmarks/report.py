"""What is told: tables for people, JSON for programs."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import asdict
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.cases import BATCH, IN_FLIGHT, THREADS
from benchmarks.data import PAGE, payload
from benchmarks.measure import PORTION, Measurement, Spread

WIDTH = 80


def console() -> Console:
    """Standard output at one width, so that a pipe shows what a terminal shows."""
    return Console(width=WIDTH, highlight=False)


def machine() -> dict[str, object]:
    """What a figure depends on; nothing that names the machine or its places."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
    }


def show(console: Console, measurements: Sequence[Measurement]) -> None:
    """Print the table of ratios, then that of throughputs."""
    compared = [found for found in measurements if found.ratio is not None]
    alone = [found for found in measurements if found.ratio is None]
    if compared:
        console.print(_ratios(compared))
        console.print(
            "ratio: the store's throughput as a share of the bare module's, which runs the same "
            "statements with the same parameters and pragmas. Medians of interleaved rounds; the "
            "range is from the 10th to the 90th percentile.",
            style="dim",
        )
    if alone:
        console.print(_throughputs(alone))
    console.print(", ".join(f"{name} {fact}" for name, fact in machine().items()), style="dim")


def _ratios(measurements: Sequence[Measurement]) -> Table:
    table = Table(title="Microseconds for one operation", box=box.SIMPLE, width=WIDTH)
    table.add_column("case", ratio=1)
    for name in ("store", "bare", "ratio", "range", "aim"):
        table.add_column(name, justify="right", no_wrap=True)
    for found in measurements:
        assert found.bare is not None
        assert found.ratio is not None
        aim = found.case.aim
        style = "" if aim is None else "green" if found.ratio.median >= aim else "red"
        table.add_row(
            found.case.title,
            _number(found.store.median),
            _number(found.bare.median),
            Text(f"{found.ratio.median:.2f}", style),
            f"{found.ratio.p10:.2f}-{found.ratio.p90:.2f}",
            "" if aim is None else f"{aim}",
        )
    return table


def _throughputs(measurements: Sequence[Measurement]) -> Table:
    table = Table(title="Operations in a second, many at once", box=box.SIMPLE, width=WIDTH)
    table.add_column("case", ratio=1)
    for name in ("median", "range"):
        table.add_column(name, justify="right", no_wrap=True)
    for found in measurements:
        rate = _rate(found.store)
        table.add_row(
            found.case.title, _number(rate.median), f"{_number(rate.p10)}-{_number(rate.p90)}"
        )
    return table


def _number(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _rate(time: Spread) -> Spread:
    """Operations in a second, from microseconds for one: the slow rounds are the low ones."""
    return Spread(1e6 / time.median, 1e6 / time.p90, 1e6 / time.p10)


def as_json(
    measurements: Sequence[Measurement], *, date: datetime, rounds: int, seconds: float
) -> dict[str, Any]:
    """Everything that was measured, and what it was measured with."""
    return {
        "date": date.isoformat(timespec="seconds"),
        "machine": machine(),
        "parameters": {
            "rounds": rounds,
            "seconds": seconds,
            "portion": PORTION,
            "threads": THREADS,
            "in_flight": IN_FLIGHT,
            "batch": BATCH,
            "page": PAGE,
        },
        "payload": payload(),
        "cases": [_case(found) for found in measurements],
    }


def _case(found: Measurement) -> dict[str, Any]:
    case = found.case
    return {
        "name": case.name,
        "title": case.title,
        "synchronous": case.synchronous,
        "operations_per_round": found.operations,
        "store_us": asdict(found.store),
        "bare_us": None if found.bare is None else asdict(found.bare),
        "ratio": None if found.ratio is None else asdict(found.ratio),
        "aim": case.aim,
        "operations_per_second": asdict(_rate(found.store)),
    }
