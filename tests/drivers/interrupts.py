"""A program for `test_interrupts`: the URL of a store, how many interrupts, and a seed."""

from __future__ import annotations

import sqlite3
import sys

import engine_store
from engine_store_contracts.interrupts import interrupt

URL, COUNT, SEED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ON_FILE = URL.startswith("sqlite")


def check() -> None:
    """Check that another process is not refused for a moment."""
    if ON_FILE:
        with sqlite3.connect(URL.removeprefix("sqlite:///").partition("?")[0]) as other:
            other.execute("PRAGMA busy_timeout = 0")
            other.execute("BEGIN IMMEDIATE")
        other.close()


with engine_store.open(URL) as store:
    interrupt(store, COUNT, SEED, 0.0007 if ON_FILE else 0.003, check)
sys.stdout.write("as usable as before\n")
