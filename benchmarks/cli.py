"""The command line: which cases, how long, and where the results go."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from benchmarks import concurrent, postgres, sqlite
from benchmarks.cases import CASES, Case
from benchmarks.databases import Databases
from benchmarks.measure import Measurement, measure
from benchmarks.profiling import profile
from benchmarks.report import as_json, console, show
from postgres_server import ServerError

DRIVERS = {sqlite.DRIVER: sqlite.open_databases, postgres.DRIVER: postgres.open_databases}

RESULTS = Path(__file__).parent / "results"
ROUNDS, SECONDS = 41, 0.1
QUICK_ROUNDS, QUICK_SECONDS = 7, 0.02
PROFILED_SECONDS = 2.0

_Work: TypeAlias = list[tuple[Databases, list[Case]]]
"""Databases, each with the cases to run on them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write. A missed aim is a figure, not a failure: the exit code is 0."""
    parser = _parser()
    options = parser.parse_args(arguments)
    date = datetime.now(UTC)
    results: Path = options.json or RESULTS / f"{date:%Y%m%d-%H%M%S}.json"
    if results.is_dir():
        parser.error(f"{results} is a directory; name a file inside it")
    names = [options.profile] if options.profile else options.case or list(CASES)
    if concurrent.NAME in names and (len(names) > 1 or options.driver not in (None, "sqlite")):
        parser.error(f"{concurrent.NAME} is measured alone, and on sqlite")
    chosen = _chosen(options.driver, [name for name in names if name in CASES])
    if not chosen and names != [concurrent.NAME]:
        parser.error(f"{options.driver} does not measure {', '.join(names)}")
    try:
        results.parent.mkdir(parents=True, exist_ok=True)
        # Beside the results: the system's temporary directory may lie in memory, where a durable
        # write costs nothing.
        folder = TemporaryDirectory(prefix="databases-", dir=results.parent)
    except OSError as exc:
        parser.error(f"cannot write into {results.parent}: {exc.strerror}")
    with ExitStack() as stack:
        place = Path(stack.enter_context(folder))
        if not chosen:
            quick = concurrent.QUICK_SECONDS if options.quick else concurrent.SECONDS
            levels = concurrent.measure(place, options.seconds or quick)
            concurrent.show(console(), levels)
            _write(results, concurrent.as_json(levels, date), named=options.json is not None)
            return 0
        try:
            work = [
                (stack.enter_context(DRIVERS[driver](place)), cases)
                for driver, cases in chosen.items()
            ]
        except ServerError as exc:
            parser.error(str(exc))
        if options.profile:
            _profile(work, options.seconds or PROFILED_SECONDS)
            return 0
        rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
        seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
        measurements = _measure(work, rounds, seconds)
    report = as_json(measurements, date=date, rounds=rounds, seconds=seconds)
    show(console(), measurements)
    _write(results, report, named=options.json is not None)
    return 0


def _write(results: Path, report: dict[str, Any], *, named: bool) -> None:
    """Write the report; say where, if nobody has named the place."""
    results.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    if not named:
        print(f"written to {results.relative_to(RESULTS.parents[1])}")


def _chosen(driver: str | None, names: Sequence[str]) -> dict[str, list[Case]]:
    """The cases of each driver, without those that it does not measure."""
    found = {
        name: [case for case in map(CASES.__getitem__, names) if name in case.aims]
        for name in DRIVERS
        if driver in (None, name)
    }
    return {name: cases for name, cases in found.items() if cases}


def _profile(work: _Work, seconds: float) -> None:
    for databases, cases in work:
        for case in cases:
            with databases.bench(durable=case.durable) as bench:
                profile(console(), case, bench, seconds)


def _measure(work: _Work, rounds: int, seconds: float) -> list[Measurement]:
    found = []
    with console().status("") as status:
        for databases, cases in work:
            for case in cases:
                status.update(f"{databases.engine.title}: {case.title}")
                with databases.bench(durable=case.durable) as bench:
                    found.append(measure(case, bench, rounds, seconds))
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "benchmarks",
        description="Measure each store beside the bare module of its database.",
        epilog=f"Cases: {', '.join(CASES)}; and {concurrent.NAME}, only where named: how long "
        "an update takes beside many others on SQLite.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--driver",
        choices=DRIVERS,
        help="measure this driver alone (default: all)",
    )
    parser.add_argument(
        "--case",
        metavar="NAME",
        action="append",
        choices=[*CASES, concurrent.NAME],
        help="measure this case alone; may be given again (default: all)",
    )
    parser.add_argument(
        "--rounds", type=count, metavar="N", help=f"rounds of a case (default: {ROUNDS})"
    )
    parser.add_argument(
        "--seconds",
        type=duration,
        metavar="S",
        help=f"length of a round on each side (default: {SECONDS})",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"a rough look: {QUICK_ROUNDS} rounds of {QUICK_SECONDS} s",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="PATH",
        help="where to write the results (default: a new file in benchmarks/results)",
    )
    parser.add_argument(
        "--profile",
        metavar="NAME",
        choices=[name for name, case in CASES.items() if not case.concurrent],
        help="print where the store's time goes in this case, and measure nothing",
    )
    return parser


def count(text: str) -> int:
    """A number of rounds."""
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError("expected at least 2: one round has no spread")
    return number


def duration(text: str) -> float:
    """Seconds of a round."""
    number = float(text)
    if not 0 < number < 60:
        raise argparse.ArgumentTypeError("expected seconds above 0 and below 60")
    return number
