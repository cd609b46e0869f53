"""Starts the service: `python examples/fastapi_app`, or `python -m fastapi_app` beside it."""

from __future__ import annotations

import sys
from pathlib import Path


def run() -> int:
    """Return the exit code. Python starts a folder without a package around it; make it one."""
    if not __package__:
        sys.path[0] = str(Path(__file__).resolve().parents[1])
    try:
        from fastapi_app.cli import main

        return main()
    except ModuleNotFoundError as exc:
        remedy = 'pip install "engine-store[sqlite]" fastapi uvicorn'
        print(f"fastapi_app: the module {exc.name} is missing; {remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fastapi_app: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
