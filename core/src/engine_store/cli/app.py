"""The command line as a whole, and what an error means for a terminal."""

from __future__ import annotations

import re
import sys
import traceback
from typing import Annotated, Any

import typer

from engine_store import __version__
from engine_store.cli import NO, UNAVAILABLE, USAGE
from engine_store.cli.lazy import LazyGroup
from engine_store.cli.streams import output, printable, streams, tell
from engine_store.errors import (
    ConfigurationError,
    DriverLoadError,
    EngineStoreError,
    InvalidValueError,
    MigrationLockError,
    UnavailableError,
    UnknownDriverError,
)
from engine_store.urls import mask_url

BUG = 70
"""A mistake of the program's own, as in `sysexits.h`."""

INTERRUPTED = 130
"""As a shell has it for what Ctrl-C has ended."""


UsageError: Any = typer.BadParameter.__base__
"""What is raised for wrong arguments; typer does not export it."""

_URL = re.compile(r"[^\s'\"(]*://[^\s'\")]*")


def run() -> int:
    """Run the command line; its exit code."""
    with streams():
        return _run()


def _run() -> int:
    try:
        with output():
            return command_line()(standalone_mode=False) or 0
    except BrokenPipeError:  # whoever read the output has had enough
        return 0
    except EngineStoreError as error:
        for line in explained(error):
            tell(f"engine-store: {line}")
        return code_of(error)
    except UsageError as error:
        # The words of a user's mistake may be a URL, whose password is not to be shown.
        error.message = printable(_URL.sub(lambda url: mask_url(url[0]), error.message))
        error.show()
        return USAGE
    except (KeyboardInterrupt, typer.Abort):
        tell("engine-store: interrupted")
        return INTERRUPTED
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        tell(f"engine-store: a bug: {_described(error)}; PYTHONDEVMODE=1 shows the traceback")
        return BUG


def _described(error: Exception) -> str:
    """A bug in one line. Its words may be what is stored, or a secret: they are left out."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return f"{type(error).__name__} in {frame.f_globals.get('__name__')}, line {line}"


def explained(error: EngineStoreError) -> list[str]:
    """The error in plain words, a line for each mistake."""
    if isinstance(error, ConfigurationError) and error.problems:
        return [str(problem) for problem in error.problems]
    return [" ".join(str(error).split())]


def code_of(error: EngineStoreError) -> int:
    """The exit code of an error."""
    wrong = ConfigurationError | UnknownDriverError | DriverLoadError | InvalidValueError
    if isinstance(error, wrong):
        return USAGE
    return UNAVAILABLE if isinstance(error, UnavailableError | MigrationLockError) else NO


def show_version(wanted: bool) -> None:
    """Print the version and exit, if it is wanted."""
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """The storage layer of AI-agent workflow engines."""


def command_line() -> typer.Typer:
    """Return the command line with every installed command."""
    app = typer.Typer(
        cls=LazyGroup,
        name="engine-store",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,  # they show the values of variables, secrets among them
        context_settings={"max_content_width": 80, "help_option_names": ["-h", "--help"]},
        epilog="Exit codes: 0 done, 1 the answer is no, 2 wrong usage or configuration, "
        "3 the database is unavailable, 70 a bug.",
    )
    app.callback()(options)
    return app
