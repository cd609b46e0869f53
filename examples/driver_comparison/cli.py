"""The command line: finds both databases, runs the rounds, shows what came of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from rich.console import Console

from database_server import NotInstalledError, ServerError
from driver_comparison.measure import Comparison, compare, machine, rounds
from driver_comparison.workload import Size
from engine_store import EngineStoreError
from engine_store.errors import UnavailableError
from postgres_server import add_option, given_or_started, home_in

DONE, DIFFERENT, USAGE, UNAVAILABLE = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print and write; the exit code. What went wrong is a line on standard error."""
    options = _parser().parse_args(arguments)
    from driver_comparison import report  # takes matplotlib a second, which --help need not

    output: Path = options.output
    size = Size(options.workflows, options.tasks, options.workers)
    console = Console(highlight=False)
    try:
        output.mkdir(parents=True, exist_ok=True)
        with _databases(output, options.postgres) as urls, console.status("") as status:
            found = compare(size, list(rounds(urls, size, options.rounds, status.update)))
        report.show(console, found)
        report.write_plots(output, found)
    except NotInstalledError as error:
        return fail(f"{error}; name a database with --postgres URL", USAGE)
    except ServerError as error:
        return fail(str(error), UNAVAILABLE)
    except OSError as error:
        return fail(f"{error.filename or 'output'}: {error.strerror}", USAGE)
    except EngineStoreError as error:
        return fail(str(error), UNAVAILABLE if isinstance(error, UnavailableError) else USAGE)
    _say(found, options.rounds, output)
    return DONE if found.same_work else DIFFERENT


def fail(message: str, code: int) -> int:
    """Print `message` as one line on standard error; returns `code`."""
    print(" ".join(f"driver_comparison: {message}".split()), file=sys.stderr)
    return code


@contextmanager
def _databases(output: Path, postgres: str | None) -> Iterator[Mapping[str, str]]:
    """The URL of each driver's database.

    They lie in `output`, on the same disk: the system's temporary folder may lie in memory, where
    it costs nothing to make a commit durable.
    """
    with TemporaryDirectory(prefix="databases-", dir=output) as name:
        folder = Path(name).resolve()
        with given_or_started(postgres, home_in(folder)) as url:
            yield {"sqlite": f"sqlite:///{quote(str(folder))}/engine.db", "postgres": url}


def _say(found: Comparison, count: int, output: Path) -> None:
    size, of = found.size, found.versions
    print(f"workflows {size.workflows}, tasks of each {size.tasks}", end=", ")
    print(f"workers {size.workers}, rounds {count}")
    print(f"SQLite {of['sqlite']}, PostgreSQL {of['postgres']}, {machine()}")
    tasks = sum(len(state.tasks) for state in found.left)
    tokens = sum(entry.total_tokens or 0 for one in found.left for entry in one.usage.entries)
    left = f"{len(found.left)} workflows, {tasks} tasks and {tokens:,} tokens"
    if found.same_work:
        print(f"Each round left the same on both drivers: {left}.")
    else:
        print(f"The rounds did not all leave the same. The first one left {left}.")
    print(f"Plots: {output}/comparison-light.svg and comparison-dark.svg")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "driver_comparison",
        description="Run the same work on SQLite and on PostgreSQL; compare how long it takes.",
        epilog="Exit codes: 0 both did the same work, 1 they did not, 2 asked for what cannot be "
        "done, 3 the database is not available.",
        allow_abbrev=False,
    )
    for name, default, what in (
        ("workflows", 12, "how many workflows are run"),
        ("tasks", 20, "how many tasks each of them has"),
        ("workers", 4, "how many threads run them"),
        ("rounds", 5, "how often each driver does it all"),
    ):
        parser.add_argument(
            f"--{name}",
            metavar="N",
            type=_count,
            default=default,
            help=f"{what} (default: {default})",
        )
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        type=Path,
        default=Path("comparison"),
        help="where the plots go (default: comparison)",
    )
    add_option(parser)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError("expected a number, 1 to 1000")
    return int(text)
