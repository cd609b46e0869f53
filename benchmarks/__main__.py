"""Starts the benchmarks: `python -m benchmarks` at the top of the repository."""

from __future__ import annotations

import sys

from benchmarks.cli import main

if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
