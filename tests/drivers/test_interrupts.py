"""Exceptions from signal handlers: Ctrl-C, a soft time limit, an interrupt in a notebook.

They may come between any two steps of a program. `INTERRUPTS` in the environment makes more of them
than the usual run. The program is not measured: coverage has a lock that an interrupt leaves held.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("unmeasured")

PROGRAM = Path(__file__).with_name("interrupts.py")


def interrupted(url: str, usual: int) -> str:
    """Return what the program says after many interrupts, or how it ended."""
    count = os.environ.get("INTERRUPTS", str(usual))
    seed = str(random.randrange(10**6))
    ran = subprocess.run(
        [sys.executable, PROGRAM, url, count, seed], capture_output=True, text=True, timeout=600
    )
    return ran.stdout.strip() if ran.returncode == 0 else f"seed {seed}: {ran.stderr}"


def test_a_store_on_a_file_is_as_usable_as_before(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/engine.db?synchronous=off&busy_timeout=2s"
    assert interrupted(url, 1000) == "as usable as before"


def test_a_store_on_postgres_is_as_usable_as_before(postgres_store_url: str) -> None:
    url = f"{postgres_store_url}&pool_max_size=3&pool_timeout=5s"
    assert interrupted(url, 200) == "as usable as before"
