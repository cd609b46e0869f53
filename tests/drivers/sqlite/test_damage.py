"""Damaged files: whatever happened to the bytes, a call works or raises an error of the store.

`DAMAGED_FILES` in the environment makes more of them than the usual run.
"""

from __future__ import annotations

import os
import random
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import engine_store
from engine_store.errors import UnavailableError
from engine_store.protocols import (
    ApiKeyRepository,
    EventRepository,
    Store,
    TaskRepository,
    UserRepository,
    WorkflowRepository,
)

PROGRAM = Path(__file__).with_name("damage.py")


@pytest.mark.usefixtures("unmeasured")
def test_every_call_on_a_damaged_file_works_or_raises_an_error_of_the_store(tmp_path: Path) -> None:
    count, seed = os.environ.get("DAMAGED_FILES", "40"), str(random.randrange(10**6))
    ran = subprocess.run(
        [sys.executable, PROGRAM, tmp_path, count, seed],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == "worked or raised an error of the store", ran.stderr


def test_the_program_calls_every_method() -> None:
    program = runpy.run_path(str(PROGRAM))
    protocols = {
        "users": UserRepository,
        "api_keys": ApiKeyRepository,
        "workflows": WorkflowRepository,
        "tasks": TaskRepository,
        "events": EventRepository,
    }
    methods = {
        f"{name}.{method}"
        for name, protocol in protocols.items()
        for method in vars(protocol)
        if not method.startswith("_")
    }
    methods.remove("events.follow")  # which calls `events.wait`
    assert {*program["calls"](), *program["IN_TRANSACTIONS"]} == methods


def test_a_damaged_schema_is_damage_also_if_sqlites_words_about_it_are_no_text(
    path: Path, store: Store
) -> None:
    store.close()
    path.write_bytes(path.read_bytes().replace(b"indextasks_by_a", b"indextasks_by_\xff"))
    with pytest.raises(UnavailableError, match="the database is damaged") as caught:
        engine_store.open(f"sqlite:///{path}")
    assert not caught.value.retriable
    assert type(caught.value.__cause__) is UnicodeDecodeError
