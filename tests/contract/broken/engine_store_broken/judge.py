# ruff: noqa: T201 - what is printed are the answers
"""A pytest plugin that proves one mutant after the other: collected once, and forked for each.

Each line of the input is a run: a JSON object with `url`, `clauses`, `report` and `output`. A fork
goes on with it as pytest does, and writes the report of the suite; the answer is its exit code,
and which report it wrote. Of two clauses the first is the one that the mutant breaks. Once that was
noticed in each seed, the run is over; the other one shows before that the driver works.
"""

from __future__ import annotations

import gc
import json
import os
import re
import sys
from collections.abc import Collection, Generator
from fnmatch import fnmatchcase
from typing import Any

import pytest

BY_SEED = (
    "test_transactions_of_killed_processes_are_done_or_not*",
    "test_after_an_interrupt_the_store_is_as_usable_as_before*",
    "test_what_threads_were_answered_has_an_explanation[[]*-claims*",
)
"""Of the cases with seeds, or with many processes, patterns of those that alone notice a mutant.

The others are left out: they take longer than all cases without together.
"""

CRASHED = re.compile(
    r"engine_store_broken/\S+\.py:\d+: (AttributeError|ImportError|NameError|TypeError)\b"
)
"""A failure that is a mistake of the mutant itself, and not one of its driver."""


def seeds_of(case: str, seeds: Collection[int]) -> set[int]:
    """Those of `seeds` in which the case of this name, which failed, would fail.

    A case without a seed does the same in all of them.
    """
    named = {int(part) for part in re.split(r"[\[\]-]", case) if part.isdecimal()}
    return named & set(seeds) or set(seeds)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Let the cases be collected without a URL: each run has its own."""
    session.config.option.store_url = "broken://"


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Say `ready`, then fork for each run asked for; the fork goes on to run its cases."""
    gc.freeze()  # so that no fork looks for garbage in what they share
    print("\nready", flush=True)
    for run in map(json.loads, sys.stdin):
        child = os.fork()
        if child == 0:
            _begin(session, **run)
            return None
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), run["report"], flush=True)
    return True


def _begin(
    session: pytest.Session, *, url: str, clauses: list[str], report: str, output: str
) -> None:
    """Make the session one of this run."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    written = os.open(output, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(written, stream)
    option = session.config.option
    option.store_url, option.contract_clauses, option.contract_json = url, clauses, report
    # What a case does is the same through both faces, and so are the mistakes of mutants.
    names = {item.name for item in session.items}
    session.items = [
        item
        for item in session.items
        if not _clauses(item).isdisjoint(clauses)
        and (not _takes_long(item) or any(fnmatchcase(item.name, each) for each in BY_SEED))
        and ("[async" not in item.name or item.name.replace("[async", "[sync", 1) not in names)
    ]
    session.items.sort(key=lambda item: (clauses[0] in _clauses(item), _takes_long(item)))
    session.config.stash[_JUDGED] = None if "mutant=none" in url else set()


_JUDGED = pytest.StashKey[set[int] | None]()
"""The seeds in which the mutant of this run was noticed."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, object]:
    """End the run once a case of the broken clause has failed in each seed."""
    report: pytest.TestReport = yield
    judged, option = item.config.stash[_JUDGED], item.config.option
    noticed = report.failed and not CRASHED.search(report.longreprtext)
    if judged is not None and noticed and option.contract_clauses[0] in _clauses(item):
        judged |= seeds_of(item.name, option.contract_seeds)
        if judged == set(option.contract_seeds):
            item.session.shouldfail = "every seed is judged"
    return report


def _clauses(item: pytest.Item) -> set[str]:
    return {number for mark in item.iter_markers("clause") for number in mark.args}


def _takes_long(item: pytest.Item) -> bool:
    assert isinstance(item, pytest.Function)
    return not {"seed", "profile"}.isdisjoint(item.fixturenames)
