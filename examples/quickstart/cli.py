"""The command line: what to analyse, where to keep it; every failure it knows is one line."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console

import engine_store
from engine_store import EngineStoreError
from quickstart.demo import Demo
from quickstart.sources import Source, UsageError, folder_or_file, project_documents
from quickstart.supervisor import WorkerFailedError
from quickstart.worker import STORE_VARIABLE, exit_code

FOLDER = Path(".demo")
DEFAULT_STORE = f"sqlite:///{FOLDER}/engine.db"

DONE, NOT_DONE, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code; what went wrong is a line on standard error."""
    for stream in (sys.stdout, sys.stderr):  # a file's name may hold what the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(arguments)
        source = project_documents() if options.input is None else folder_or_file(options.input)
        return _run(source, _store_url(options.store), kill=options.kill)
    except UsageError as exc:
        return fail(str(exc), USAGE)
    except EngineStoreError as exc:
        return fail(str(exc), exit_code(exc))
    except WorkerFailedError as exc:
        return fail(f"{exc}; what is done is kept, and the same command resumes", exc.exit_code)
    except OSError as exc:  # standard output cannot be written, no process can be started
        return fail(str(exc), NOT_DONE)


def fail(message: str, code: int) -> int:
    """Print `message` as one line on standard error; return `code`."""
    print(" ".join(f"quickstart: {message}".split()), file=sys.stderr)
    return code


def _run(source: Source, url: str, *, kill: bool) -> int:
    with engine_store.open(url) as store:
        demo = Demo(Console(), store, url, kill)
        try:
            return DONE if demo.run(source) else NOT_DONE
        except KeyboardInterrupt:
            return fail(demo.interrupted(source), INTERRUPTED)


def _store_url(given: str | None) -> str:
    """The URL of the store. The default one gets its folder made; a place of yours is yours."""
    if given is None:
        try:
            FOLDER.mkdir(mode=0o700, exist_ok=True)
        except OSError as exc:
            place = f"the folder {FOLDER.absolute()} cannot be made: {exc.strerror}"
            raise UsageError(f"{place}; name another place with --store") from exc
        return DEFAULT_STORE
    if given.partition("?")[0].endswith(":memory:"):
        raise UsageError("--store: a database in memory has no room for a second process")
    return given


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "quickstart",
        description="Analyse text files as a workflow; kill the worker half-way, and go on.",
        epilog="Exit codes: 0 done, 1 the workflow or a check failed, 2 asked for what cannot be "
        "done, 3 database not available, 130 interrupted: the same command resumes.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--input", metavar="PATH", help="a folder of texts (default: the project's documents)"
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        default=os.environ.get(STORE_VARIABLE) or None,
        help=f"where to keep the workflow (default: ${STORE_VARIABLE}, else {DEFAULT_STORE})",
    )
    parser.add_argument(
        "--no-kill", dest="kill", action="store_false", help="let the first worker finish"
    )
    return parser
