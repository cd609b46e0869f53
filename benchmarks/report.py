"""What is told: tables for people, JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import asdict
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.cases import BATCH, IN_FLIGHT, THREADS
from benchmarks.data import PAGE, payload
from benchmarks.databases import Engine
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
    }


def show(console: Console, measurements: Sequence[Measurement]) -> None:
    """Print for each database the table of ratios, then that of throughputs."""
    for engine in _engines(measurements):
        of_engine = [found for found in measurements if found.engine is engine]
        compared = [found for found in of_engine if found.ratio is not None]
        alone = [found for found in of_engine if found.ratio is None]
        if compared:
            console.print(_ratios(engine, compared))
        if alone:
            console.print(_throughputs(engine, alone))
        console.print(_facts(engine.facts), style="dim")
    console.print(
        "ratio: the store's throughput as a share of the bare module's, which runs the same "
        "statements with the same parameters and settings. Medians of interleaved rounds; a "
        "range is from the 10th to the 90th percentile.",
        style="dim",
    )
    console.print(_facts(machine()), style="dim")


def _engines(measurements: Sequence[Measurement]) -> list[Engine]:
    return list({id(found.engine): found.engine for found in measurements}.values())


def _facts(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {fact}" for name, fact in facts.items())


def _ratios(engine: Engine, measurements: Sequence[Measurement]) -> Table:
    title = f"{engine.title}: microseconds for one operation"
    table = Table(title=title, box=box.SIMPLE, width=WIDTH)
    table.add_column("case", ratio=1)
    for name in ("store", engine.bare, "ratio", "range", "aim"):
        table.add_column(name, justify="right", no_wrap=True)
    for found in measurements:
        assert found.bare is not None
        assert found.ratio is not None
        aim = found.aim
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


def _throughputs(engine: Engine, measurements: Sequence[Measurement]) -> Table:
    title = f"{engine.title}: operations in a second, many at once"
    table = Table(title=title, box=box.SIMPLE, width=WIDTH)
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
        "databases": {
            engine.driver: {"bare": engine.bare, **engine.facts}
            for engine in _engines(measurements)
        },
        "cases": [_case(found) for found in measurements],
    }


def _case(found: Measurement) -> dict[str, Any]:
    case = found.case
    return {
        "driver": found.engine.driver,
        "name": case.name,
        "title": case.title,
        "durable": case.durable,
        "operations_per_round": found.operations,
        "store_us": asdict(found.store),
        "bare_us": None if found.bare is None else asdict(found.bare),
        "ratio": None if found.ratio is None else asdict(found.ratio),
        "aim": found.aim,
        "operations_per_second": asdict(_rate(found.store)),
    }
