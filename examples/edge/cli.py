"""The command line: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.footprint import installation
from edge.measure import PAYLOAD, Figure, ProbeFailedError, measure, of_installation

RUNS, TASKS = 5, 1000
WIDTH = 56

DONE, NOT_DONE, USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and return the exit code. No figure is too slow or too large: the code is 0."""
    parser = _parser()
    options = parser.parse_args(arguments)
    target: Path | None = options.json
    if target is not None and (target.is_dir() or not _is_open(target.absolute().parent)):
        parser.error(f"--json: {target} cannot be written; name a file in a folder that can be")
    if not _is_open(options.folder):
        parser.error(f"--folder: {options.folder} is no folder that can be written")
    sizes = installation("engine-store", "engine-store-sqlite")
    print("edge: measuring; it takes about half a minute", file=sys.stderr)
    try:
        figures = [*measure(options.folder, options.runs, options.tasks), *of_installation(sizes)]
        show(figures, options.runs)
        if target is not None:
            found = as_json(figures, sizes, options.runs, options.tasks)
            target.write_text(found, "utf-8")
    except (ProbeFailedError, OSError) as exc:
        print(f"edge: {exc}", file=sys.stderr)
        return NOT_DONE
    return DONE


def _is_open(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK)


def show(figures: Sequence[Figure], runs: int) -> None:
    """Print the table, and what its figures depend on."""
    for figure in figures:
        print(f"{figure.title:<{WIDTH}}{number(figure.value):>10} {figure.unit}".rstrip())
    print(f"\nMedians of {runs} runs, each in fresh processes; what does not vary, once.")
    print(", ".join(f"{name} {fact}" for name, fact in machine().items()))


def number(value: float) -> str:
    """Three places are enough, and a count has none."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def machine() -> Mapping[str, object]:
    """What a figure depends on; nothing that names the machine or its places."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
    }


def as_json(figures: Sequence[Figure], sizes: Mapping[str, int], runs: int, tasks: int) -> str:
    """Everything that was measured, and what with."""
    found = {
        "machine": machine(),
        "parameters": {"runs": runs, "tasks": tasks, "payload_bytes": PAYLOAD},
        "figures": {
            figure.name: {
                "title": figure.title,
                "unit": figure.unit,
                "value": figure.value,
                "runs": figure.runs,
            }
            for figure in figures
        },
        "distributions": sizes,
    }
    return json.dumps(found, indent=2) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "edge",
        description="Measure the smallest footprint of engine-store on this machine.",
        epilog="Exit codes: 0 done, 1 something failed while measuring, 2 usage, 130 interrupted.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", metavar="PATH", type=Path, help="write the figures there, too")
    parser.add_argument(
        "--folder",
        metavar="FOLDER",
        type=Path,
        default=Path(),
        help="measure on the disk of this folder (default: the working directory)",
    )
    parser.add_argument(
        "--runs", metavar="N", type=count, default=RUNS, help=f"of each (default: {RUNS})"
    )
    parser.add_argument(
        "--tasks", metavar="N", type=count, default=TASKS, help=f"to write (default: {TASKS})"
    )
    return parser


def count(text: str) -> int:
    """A number of runs or tasks."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected at least 1")
    return number
