"""Where the store's time goes: the profile of one case, to look at before one tunes."""

from __future__ import annotations

import cProfile
import pstats
import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.blocks import Case
from benchmarks.compare import calibrate
from benchmarks.databases import Bench
from benchmarks.terminal import WIDTH

LINES = 30


@frozen
class Line:
    """What one function cost one operation: calls, and microseconds in itself and below it."""

    function: str
    calls: float
    own: float
    total: float


def profile(console: Console, case: Case, bench: Bench, seconds: float) -> None:
    """Print the functions that take the store's side of `case` the longest."""
    prepare = case.set_up(bench)
    operations = calibrate(case, prepare, seconds)
    block = prepare(operations).store
    profiler = cProfile.Profile()
    profiler.runcall(block)
    lines = sorted(_lines(profiler, operations), key=lambda line: -line.own)
    console.print(_table(f"{case.title}, {bench.engine.title}", operations, lines))


def _lines(profiler: cProfile.Profile, operations: int) -> Iterator[Line]:
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    for (file, _, name), (_, calls, own, total, _) in stats.items():
        function = _built_in(name) if file == "~" else f"{_module(file)}.{name}"
        yield Line(function, calls / operations, own * 1e6 / operations, total * 1e6 / operations)


def _built_in(name: str) -> str:
    method = re.fullmatch(r"<method '(\w+)' of '(?:\w+\.)*(\w+)' objects>", name)
    return (
        f"{method[2]}.{method[1]}" if method else name.strip("<>").removeprefix("built-in method ")
    )


def _module(file: str) -> str:
    """The module of a file, or the class that attrs made the function for."""
    path = Path(file)
    return path.stem if path.suffix == ".py" else file.strip("<>").rpartition(".")[2]


def _table(title: str, operations: int, lines: list[Line]) -> Table:
    whole = sum(line.own for line in lines)
    table = Table(
        title=f"{title}: {whole:,.1f} us with the profiler, for one of {operations:,}",
        caption="microseconds; the profiler makes calls of Python functions look dearer",
        box=box.SIMPLE,
        width=WIDTH,
    )
    table.add_column("function", ratio=1, no_wrap=True)
    for name in ("calls", "own", "share", "with callees"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines[:LINES]:
        table.add_row(
            line.function.replace("[", "\\["),
            f"{line.calls:,.1f}",
            f"{line.own:,.2f}",
            f"{line.own / whole:.0%}",
            f"{line.total:,.2f}",
        )
    return table
