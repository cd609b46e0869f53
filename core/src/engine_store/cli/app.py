"""Every command, put together, and what an error means for a terminal."""

from __future__ import annotations

import re
import sys
from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer

from engine_store.cli import GROUP, backup, keys, migrate, service, transfer, users, workflows
from engine_store.cli.run import NO, UNAVAILABLE, USAGE
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

INTERRUPTED = 130
"""As a shell has it for what Ctrl-C has ended."""


UsageError: Any = typer.BadParameter.__base__
"""What is raised for wrong arguments; typer does not export it."""

_URL = re.compile(r"[^\s'\"(]*://[^\s'\")]*")


def run() -> int:
    """Run the command line; its exit code."""
    try:
        return command_line()(standalone_mode=False) or 0
    except EngineStoreError as error:
        for line in explained(error):
            sys.stderr.write(f"engine-store: {line}\n")
        return code_of(error)
    except UsageError as error:
        # The words of a user's mistake may be a URL, whose password is not to be shown.
        error.message = _URL.sub(lambda url: mask_url(url[0]), error.message)
        error.show()
        return USAGE
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("engine-store: interrupted\n")
        return INTERRUPTED


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
    """Print the version and end, where it is asked for."""
    if wanted:
        typer.echo(version("engine-store"))
        raise typer.Exit


def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """The storage layer of AI-agent workflow engines."""


def command_line() -> typer.Typer:
    """Every command installed."""
    app = typer.Typer(
        name="engine-store",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,  # they show the values of variables, secrets among them
        context_settings={"max_content_width": 80, "help_option_names": ["-h", "--help"]},
        epilog="Exit codes: 0 done, 1 the answer is no, 2 wrong usage or configuration, "
        "3 the database is unavailable.",
    )

    app.callback()(options)
    app.add_typer(service.app)
    app.add_typer(migrate.app, name="migrate")
    app.add_typer(users.app, name="users")
    app.add_typer(keys.app, name="keys")
    app.add_typer(workflows.app, name="workflows")
    app.add_typer(transfer.app)
    app.add_typer(backup.app)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            app.add_typer(point.load())
        except Exception as error:  # noqa: BLE001 - a plugin's; the other commands work
            name = point.dist.name if point.dist else point.value
            sys.stderr.write(f"engine-store: the commands of {name} are missing: {error!r}\n")
    return app
