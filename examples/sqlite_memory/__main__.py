"""Runs the tests of this folder, then says what a store for each of them costs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

STORES = 20
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main() -> int:
    """The exit code: that of the tests, with Ctrl-C told apart."""
    argparse.ArgumentParser(
        "sqlite_memory",
        description="Run an engine's tests on stores in memory, and time such a store.",
        epilog="Exit codes: 0 every test passed, 1 one failed, 2 usage, 130 interrupted.",
    ).parse_args()
    try:
        import pytest

        code = pytest.main(["-v", "--no-header", str(Path(__file__).parent)])
        if code != pytest.ExitCode.OK:
            return INTERRUPTED if code == pytest.ExitCode.INTERRUPTED else FAILED
        milliseconds = median(seconds_of_a_store() for _ in range(STORES)) * 1000
        print(f"a fresh store: {milliseconds:.1f} ms to open and close, median of {STORES}")
    except ModuleNotFoundError as exc:
        remedy = 'pip install "engine-store[sqlite]" pytest'
        print(f"sqlite_memory: the module {exc.name} is missing; {remedy}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("sqlite_memory: Interrupted.", file=sys.stderr)
        return INTERRUPTED
    return DONE


def seconds_of_a_store() -> float:
    """How long it takes to open a store in memory, with its schema, and to close it again."""
    import engine_store

    began = perf_counter()
    engine_store.open("sqlite:///:memory:").close()
    return perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
