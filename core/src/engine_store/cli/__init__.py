"""The command `engine-store`: what the installed distributions offer to a terminal.

A distribution adds commands by an entry point in the group `engine_store.commands`: a
`typer.Typer`, whose commands become commands of `engine-store`.
"""

from __future__ import annotations

import sys

GROUP = "engine_store.commands"

DONE, NO, USAGE, UNAVAILABLE = 0, 1, 2, 3
"""Exit codes: it is done; the answer is no; wrong usage or configuration; no database."""


def main() -> None:
    """Run the command line. Report an error of the store in plain words, with an exit code."""
    try:
        import rich  # noqa: F401 - the extra may be missing
        import typer  # noqa: F401
    except ModuleNotFoundError:
        missing = 'engine-store: the command line is an extra: pip install "engine-store[cli]"\n'
        sys.stderr.write(missing)
        sys.exit(USAGE)
    from engine_store.cli.app import run

    sys.exit(run())
