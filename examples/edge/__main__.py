"""Starts the example: `python examples/edge`, or `python -m edge` beside it."""

from __future__ import annotations

import sys
from pathlib import Path


def run() -> int:
    """The exit code. Python starts a folder without a package around it; make it one."""
    if not __package__:
        sys.path[0] = str(Path(__file__).resolve().parents[1])
    try:
        from edge.cli import main

        return main()
    except ModuleNotFoundError as exc:
        remedy = 'pip install "engine-store[sqlite]"'
        print(f"edge: {exc.name} is not installed; {remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("edge: Interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
