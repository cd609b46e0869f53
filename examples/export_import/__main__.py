"""Starts the example: `python examples/export_import` in the clone."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run() -> int:
    """The exit code. Python starts a folder without a package around it; make it one."""
    sys.path[0] = str(ROOT / "examples")
    sys.path.append(str(ROOT / "scripts"))  # postgres_server
    # As after Ctrl-C, a server that was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        from export_import.cli import main

        return main()
    except ModuleNotFoundError as exc:
        remedy = 'pip install "engine-store[sqlite,postgres]" rich psutil'
        print(f"export_import: the module {exc.name} is missing; {remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("export_import: Interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
