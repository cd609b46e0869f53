"""The command `engine-store`: what the installed distributions offer to a terminal.

A distribution adds commands by an entry point in the group `engine_store.commands`: a
`typer.Typer`, whose commands become commands of `engine-store`.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING

from engine_store.errors import EngineStoreError

if TYPE_CHECKING:
    import typer

GROUP = "engine_store.commands"

USAGE_ERROR = 2
"""The exit code for what could not even begin, as that of a wrong option."""


def main() -> None:
    """Run the command line. An error of the store is one line, and exit code 2."""
    try:
        import typer  # noqa: F401 - the extra may be missing
    except ModuleNotFoundError:
        sys.exit('engine-store: the command line is an extra: pip install "engine-store[cli]"')
    try:
        command_line()()
    except EngineStoreError as error:
        sys.stderr.write(f"engine-store: {' '.join(str(error).split())}\n")
        sys.exit(USAGE_ERROR)


def command_line() -> typer.Typer:
    """Every command installed."""
    import typer

    app = typer.Typer(
        name="engine-store",
        help="The storage layer of AI-agent workflow engines.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,  # they show the values of variables, secrets among them
        add_completion=False,
    )

    def show_version(wanted: bool) -> None:
        if wanted:
            typer.echo(version("engine-store"))
            raise typer.Exit

    @app.callback()
    def options(
        version: bool = typer.Option(
            False, "--version", callback=show_version, is_eager=True, help="Say the version."
        ),
    ) -> None:
        """The storage layer of AI-agent workflow engines."""

    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        app.add_typer(point.load())
    return app
