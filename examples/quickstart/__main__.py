"""Starts the quickstart: `python examples/quickstart`, or `python -m quickstart` beside it."""

from __future__ import annotations

import sys
from pathlib import Path


def run() -> int:
    """Return the exit code. Python starts a folder without a package around it; make it one."""
    if not __package__:
        sys.path[0] = str(Path(__file__).resolve().parents[1])
    try:
        from quickstart.cli import main

        return main()
    except ModuleNotFoundError as exc:
        remedy = 'pip install "engine-store[sqlite]" rich'
        print(f"quickstart: the module {exc.name} is missing; {remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("quickstart: Interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
