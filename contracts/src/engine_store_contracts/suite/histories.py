"""Sections 2, 3, 5 and 10 by their histories: what many workers were answered can be explained.

Workers run the programs of `engine_store_contracts.history`, whose checkers then look for what no
correct store could have answered.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any, TypeAlias

import pytest

from engine_store.protocols import Store
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.faces import Face
from engine_store_contracts.harness import Database
from engine_store_contracts.history import (
    Event,
    check_leases,
    check_pages,
    check_registers,
    check_transactions,
    run,
)
from engine_store_contracts.history.events import Info, from_json, settled
from engine_store_contracts.history.programs import Program, last_look, start
from engine_store_contracts.profiles import Profile
from engine_store_contracts.suite.case import ContractCase, all_at_once, clause
from engine_store_contracts.suite.processes import at_once, workers

WORKERS = [f"worker-{number}" for number in range(4)]

REPORTS_BEFORE_KILL = 100
"""A process is killed after so many reports, or fewer; each call makes two."""


Check: TypeAlias = Callable[[Sequence[Event]], list[str]]
"""Returns what no correct store could have answered."""

CLAIM_CHECKS: Sequence[Check] = [check_registers, check_transactions, check_leases]

EACH_PROGRAM = pytest.mark.parametrize(
    ("program", "checks"),
    [
        pytest.param(
            "registers",
            [check_registers],
            marks=clause("2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "5.4", "9.1"),
        ),
        pytest.param("usage", [check_registers], marks=clause("2.7")),
        pytest.param(
            "transfers", [check_registers, check_transactions], marks=clause("3.1", "3.4", "5.1")
        ),
        pytest.param("pages", [check_pages], marks=clause("5.2", "5.6")),
        pytest.param("claims", CLAIM_CHECKS, marks=clause("10.2", "10.3", "10.4")),
    ],
    ids=["registers", "usage", "transfers", "pages", "claims"],
)
"""The programs, with the checks of their histories and the clauses that these prove."""


class HistoryCases(ContractCase):
    """Contract 2.1 to 2.7, 3.1, 3.4, 5.1, 5.2, 5.4, 5.6 and 10.2 to 10.4 among threads."""

    @EACH_PROGRAM
    def test_what_threads_were_answered_has_an_explanation(
        self,
        store: Store,
        clock: ManualClock,
        seed: int,
        profile: Profile,
        program: str,
        checks: Sequence[Check],
    ) -> None:
        history = by_threads(store, clock, program, seed, profile.steps_of_workers)
        assert violations(history, checks) == []


class ProcessHistoryCases(
    ContractCase, faces=(Face.SYNC,), needs=("processes", "reopen"), fresh=True
):
    """The same among processes, also such as are killed. Needs `database.url`."""

    @EACH_PROGRAM
    def test_what_processes_were_answered_has_an_explanation(
        self,
        database: Database,
        seed: int,
        profile: Profile,
        program: str,
        checks: Sequence[Check],
    ) -> None:
        history = by_processes(database, program, seed, profile.steps_of_workers)
        assert violations(history, checks) == []

    @clause("3.6", "3.1")
    def test_transactions_of_killed_processes_are_done_or_not(
        self, database: Database, seed: int
    ) -> None:
        history = by_killed_processes(database, "transfers", seed)
        assert violations(history, [check_registers, check_transactions]) == []

    @clause("3.6", "2.7")
    def test_usage_of_killed_processes_adds_up(self, database: Database, seed: int) -> None:
        history = by_killed_processes(database, "usage", seed)
        assert violations(history, [check_registers]) == []

    @clause("3.6", "10.2", "10.3", "10.4")
    def test_claims_of_killed_processes_are_made_or_not(
        self, database: Database, seed: int
    ) -> None:
        history = by_killed_processes(database, "claims", seed)
        assert violations(history, CLAIM_CHECKS) == []


def violations(history: Sequence[Event], checks: Sequence[Check]) -> list[str]:
    """Return what the checks find in a history."""
    return [found for check in checks for found in check(history)]


# --- recording ---------------------------------------------------------------------------------


def by_threads(
    store: Store, clock: ManualClock, program: str, seed: int, steps: int
) -> list[Event]:
    """The history of threads that share a store."""
    runs = [
        partial(run, ticking(start(program, seed, worker, steps), clock), store, worker)
        for worker in WORKERS
    ]
    histories: list[Any] = all_at_once(runs)
    return answered([*histories, run(last_look(), store, "last")])


def by_processes(database: Database, program: str, seed: int, steps: int) -> list[Event]:
    """The history of processes."""
    jobs = [
        {"program": program, "seed": seed, "worker": worker, "steps": steps} for worker in WORKERS
    ]
    with database.open() as store, workers(database, len(WORKERS)) as processes:
        at_once(processes, "open", [{}] * len(WORKERS))
        answers = at_once(processes, "history", jobs)
        histories = [[from_json(event) for event in answer] for answer in answers]
        return answered([*histories, run(last_look(), store, "last")])


def by_killed_processes(database: Database, program: str, seed: int) -> list[Event]:
    """The history of processes, each of which is killed at a moment of its own."""
    moments = random.Random(seed)  # noqa: S311 - no secret

    def until_killed(process: Any, reports: int) -> list[Event]:
        answers = [process.answer() for _ in range(reports)]
        return settled([from_json(report) for report in (*answers, *process.kill())])

    jobs = [{"program": program, "seed": seed, "worker": worker} for worker in WORKERS]
    counts = [moments.randrange(REPORTS_BEFORE_KILL) for _ in WORKERS]
    with database.open() as store, workers(database, len(WORKERS)) as processes:
        at_once(processes, "open", [{}] * len(WORKERS))
        for process, job in zip(processes, jobs, strict=True):
            process.tell("history_until_killed", **job)
        with ThreadPoolExecutor(len(WORKERS)) as threads:
            histories = list(threads.map(until_killed, processes, counts))
        return list(chain(*histories, run(last_look(), store, "last")))


def answered(histories: Sequence[list[Event]]) -> list[Event]:
    """The whole history. Most outcomes must be known: what is unknown proves little."""
    history = list(chain(*histories))
    assert 4 * sum(isinstance(event.completion, Info) for event in history) < len(history)
    return history


def ticking(program: Program, clock: ManualClock) -> Program:
    """The program, on a clock that goes on by a millisecond at each of its steps."""
    answer = None
    with suppress(StopIteration):
        while True:
            clock.tick(0.001)
            answer = yield program.send(answer)
