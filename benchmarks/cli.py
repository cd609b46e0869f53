"""The command line: which studies, how long, and where the results go."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from rich.console import Console

from benchmarks import postgres, report, sqlite, terminal
from benchmarks.cases import CASES
from benchmarks.databases import POSTGRES, SQLITE, Databases
from benchmarks.profiling import profile
from benchmarks.studies import STUDIES, ratio
from benchmarks.study import Effort, Lab, Options, Study
from database_server import ServerError

DRIVERS = {SQLITE: sqlite.open_databases, POSTGRES: postgres.open_databases}

RESULTS = Path(__file__).parent / "results"
PROFILED_SECONDS = 2.0

_Work: TypeAlias = list[tuple[Study, Options]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write. A missed aim is a figure, not a failure: the exit code is 0."""
    date = datetime.now(UTC)
    parser = _parser()
    asked = parser.parse_args(arguments)
    work = _work(parser, asked)
    beside: Path = asked.into or RESULTS
    into: Path = asked.into or RESULTS / f"{date:%Y%m%d-%H%M%S}"
    try:
        beside.mkdir(parents=True, exist_ok=True)
        # Beside the results: the system's temporary directory may lie in memory, where a durable
        # write costs nothing.
        folder = TemporaryDirectory(prefix="databases-", dir=beside)
    except OSError as exc:
        parser.error(f"cannot write into {beside}: {exc.strerror}")
    with ExitStack() as stack:
        place = Path(stack.enter_context(folder))
        needed = [name for name in DRIVERS if any(name in todo.drivers for _, todo in work)]
        try:
            databases = {name: stack.enter_context(DRIVERS[name](place)) for name in needed}
        except ServerError as exc:
            print(f"benchmarks: {exc}", file=sys.stderr)
            return 3
        console = terminal.console()
        if asked.profile:
            _profile(console, databases, asked.profile, asked.seconds or PROFILED_SECONDS)
            return 0
        found = []
        for study, options in work:
            with console.status(study.TITLE) as status:
                measured = study.measure(Lab(place, databases, status.update), options)
            command = _command(study, asked)
            found.append(report.complete(study, measured, command, date, options, databases))
            terminal.show(console, study, found[-1])
            report.write(into, {f"{study.NAME}.json": report.as_json(found[-1])})
    for one in found:
        report.write(into, report.pages(one))
    if not asked.into:
        print(f"written to {into.relative_to(RESULTS.parents[1])}")
    return 0


def _work(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> _Work:
    """The studies that are asked for, each with what is asked of it."""
    cases = [asked.profile] if asked.profile else asked.case
    names = dict.fromkeys(asked.studies or ([ratio.NAME] if cases else STUDIES))
    if cases and list(names) != [ratio.NAME]:
        parser.error(f"a case is of the study {ratio.NAME}: name no other one with it")
    work = []
    for study in map(STUDIES.__getitem__, names):
        drivers = [name for name in study.DRIVERS if asked.driver in (None, name)]
        if cases:
            drivers = [name for name in drivers if ratio.cases_of(name, cases)]
        if drivers:
            usual = study.QUICK if asked.quick else study.FULL
            effort = Effort(asked.rounds or usual.rounds, asked.seconds or usual.seconds)
            work.append((study, Options(effort, tuple(drivers), tuple(cases), asked.quick)))
        elif cases or asked.studies:
            parser.error(f"{asked.driver} does not measure {', '.join(cases or [study.NAME])}")
    return work


def _profile(
    console: Console, databases: Mapping[str, Databases], name: str, seconds: float
) -> None:
    case = CASES[name]
    for one in databases.values():
        with one.bench(durable=case.durable) as bench:
            profile(console, case, bench, seconds)


def _command(study: Study, asked: argparse.Namespace) -> str:
    """What measures this study again; where the results go is of no matter to it."""
    words = ["python -m benchmarks", study.NAME]
    words += [f"--case {name}" for name in asked.case]
    for name in ("driver", "rounds", "seconds"):
        if value := getattr(asked, name):
            words.append(f"--{name} {value}")
    return " ".join(words + ["--quick"] * asked.quick)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "benchmarks",
        description="Measure the stores, and write tables and pictures of what was found.",
        epilog=f"Studies: {', '.join(STUDIES)}. Cases of {ratio.NAME}: {', '.join(CASES)}.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "studies", type=_study, nargs="*", metavar="STUDY", help="measure it alone (default: all)"
    )
    parser.add_argument(
        "--driver", choices=DRIVERS, help="measure this driver alone (default: all)"
    )
    parser.add_argument(
        "--case",
        metavar="NAME",
        action="append",
        default=[],
        choices=CASES,
        help=f"measure this case of {ratio.NAME} alone; may be given again (default: all)",
    )
    parser.add_argument(
        "--rounds", type=_count, metavar="N", help="rounds (default: the study's own)"
    )
    parser.add_argument(
        "--seconds",
        type=_duration,
        metavar="S",
        help="length of what is measured in a round (default: the study's own)",
    )
    parser.add_argument("--quick", action="store_true", help="a rough look")
    parser.add_argument(
        "--into",
        type=Path,
        metavar="FOLDER",
        help="where to write the results (default: a new folder in benchmarks/results)",
    )
    parser.add_argument(
        "--profile",
        metavar="NAME",
        choices=[name for name, case in CASES.items() if not case.concurrent],
        help="print where the store's time goes in this case, and measure nothing",
    )
    return parser


def _study(text: str) -> str:
    if text not in STUDIES:
        raise argparse.ArgumentTypeError(f"no study {text!r}, only {', '.join(STUDIES)}")
    return text


def _count(text: str) -> int:
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError("expected at least 2: one round has no spread")
    return number


def _duration(text: str) -> float:
    number = float(text)
    if not 0 < number < 60:
        raise argparse.ArgumentTypeError("expected seconds above 0 and below 60")
    return number
