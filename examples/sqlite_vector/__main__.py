"""Starts the example: `python examples/sqlite_vector`, or `python -m sqlite_vector` beside it."""

from __future__ import annotations

import sys
from pathlib import Path


def run() -> int:
    """The exit code. Python starts a folder without a package around it; make it one."""
    if not __package__:
        sys.path[0] = str(Path(__file__).resolve().parents[1])
    try:
        from sqlite_vector.cli import main

        return main()
    except ModuleNotFoundError as exc:
        remedy = 'pip install "engine-store[sqlite]" numpy qdrant-client'
        print(f"sqlite_vector: the module {exc.name} is missing; {remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sqlite_vector: Interrupted; what is done is kept.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
