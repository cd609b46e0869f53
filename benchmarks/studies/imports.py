"""The cost of starting: importing the package, and the shortest call of the command."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import asdict, frozen

from benchmarks import bars, plots
from benchmarks.databases import SQLITE
from benchmarks.measure import side_by_side
from benchmarks.study import Effort, Lab, Options, Report, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "imports"
TITLE = "The processor's time of an import, and of engine-store --version"
DRIVERS = (SQLITE,)
FULL, QUICK = Effort(41, 0.05), Effort(7, 0.02)

VERSION = "engine-store --version"


@frozen
class Bound:
    """A program, and how many times the processor's time of another one it should take at most."""

    program: str
    of: str
    aim: float


IMPORTS = (
    "import attrs, orjson",
    "import engine_store",
    "from engine_store import *",
    "import typer",
)
BOUNDS = (
    Bound("import engine_store", "import attrs, orjson", 1.5),
    Bound(VERSION, "import typer", 2.0),
)


def measure(lab: Lab, options: Options) -> Report:
    """The programs by turns, each in processes that are started anew."""
    lab.say("importing")
    script = Path(sys.executable).with_name("engine-store")
    calls: dict[str, Callable[[], object]] = {
        program: partial(_run, sys.executable, "-c", program) for program in IMPORTS
    }
    calls[VERSION] = partial(_run, str(script), "--version")
    found = side_by_side(calls, options.effort, _time_of_children)
    ms = {
        program: {name: us / 1000 for name, us in asdict(spread).items()}
        for program, spread in found.items()
    }
    return {
        "programs": [{"name": name, "title": name, "ms": spread} for name, spread in ms.items()],
        "ratios": [
            {**asdict(bound), "ratio": ms[bound.program]["median"] / ms[bound.of]["median"]}
            for bound in BOUNDS
        ],
    }


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _time_of_children() -> int:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((used.ru_utime + used.ru_stime) * 1e9)


def tables(report: Report) -> list[Table]:
    """A line for each program."""
    return [bars.table("Milliseconds of a process", "program", report["programs"], "ms")]


def remarks(report: Report) -> list[str]:
    """The ratios, and what the time is."""
    ratios = [
        f"`{one['program']}` takes {one['ratio']:.2f} times as long as `{one['of']}`; "
        f"the aim is at most {one['aim']:g}."
        for one in report["ratios"]
    ]
    time = "Processor time of whole processes; medians of interleaved rounds"
    return [*ratios, f"{time}, from the 10th to the 90th percentile."]


def plot(report: Report, theme: plots.Theme) -> Figure:
    """A bar for each program."""
    return bars.plot(theme, report["programs"], "ms", "milliseconds of processor time")
