"""Sections 2, 3 and 5 by their histories: what many workers were answered can be explained.

Workers run the programs of `engine_store_contracts.history`, whose checkers then look for what no
correct store could have answered.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any

from engine_store.protocols import Store
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.faces import Face
from engine_store_contracts.hanging import run_in_loop
from engine_store_contracts.harness import Database, Harness
from engine_store_contracts.history import (
    Event,
    check_pages,
    check_registers,
    check_transactions,
    check_usage,
    run,
    run_async,
)
from engine_store_contracts.history.events import Info, from_json, settled
from engine_store_contracts.history.programs import Program, last_look, start
from engine_store_contracts.profiles import Profile
from engine_store_contracts.suite.case import ContractCase, all_at_once, clause
from engine_store_contracts.suite.processes import at_once, workers

WORKERS = [f"worker-{number}" for number in range(4)]

REPORTS_BEFORE_KILL = 100
"""A process is killed after so many reports, or fewer; each call makes two."""


class HistoryCases(ContractCase):
    """Contract 2.3 to 2.7, 3.1, 3.4, 5.1, 5.2 and 6.3 among threads."""

    @clause("2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "5.4")
    def test_what_threads_read_and_write_has_an_order(
        self, store: Store, clock: ManualClock, seed: int, profile: Profile
    ) -> None:
        history = by_threads(store, clock, "registers", seed, profile.steps_of_workers)
        assert check_registers(history) == []

    @clause("2.7")
    def test_usage_that_threads_merge_adds_up(
        self, store: Store, clock: ManualClock, seed: int, profile: Profile
    ) -> None:
        history = by_threads(store, clock, "usage", seed, profile.steps_of_workers)
        assert [*check_registers(history), *check_usage(history)] == []

    @clause("3.1", "3.4", "5.1")
    def test_threads_see_the_whole_of_a_transaction_or_nothing(
        self, store: Store, clock: ManualClock, seed: int, profile: Profile
    ) -> None:
        history = by_threads(store, clock, "transfers", seed, profile.steps_of_workers)
        assert [*check_registers(history), *check_transactions(history)] == []

    @clause("5.2", "5.6")
    def test_pages_show_threads_what_is_there_throughout_once(
        self, store: Store, clock: ManualClock, seed: int, profile: Profile
    ) -> None:
        history = by_threads(store, clock, "pages", seed, profile.steps_of_workers)
        assert check_pages(history) == []


class AsyncHistoryCases(ContractCase, faces=(Face.ASYNC,)):
    """The same among the tasks of an event loop (9.3)."""

    @clause("9.3", "2.3", "2.4", "2.5", "2.6")
    def test_what_tasks_read_and_write_has_an_order(
        self, harness: Harness, clock: ManualClock, seed: int, profile: Profile
    ) -> None:
        history = by_tasks(harness, clock, "registers", seed, profile.steps_of_workers)
        assert check_registers(history) == []

    @clause("9.3", "2.7")
    def test_usage_that_tasks_merge_adds_up(
        self, harness: Harness, clock: ManualClock, seed: int, profile: Profile
    ) -> None:
        history = by_tasks(harness, clock, "usage", seed, profile.steps_of_workers)
        assert [*check_registers(history), *check_usage(history)] == []

    @clause("9.3", "3.1", "3.4", "5.1")
    def test_tasks_see_the_whole_of_a_transaction_or_nothing(
        self, harness: Harness, clock: ManualClock, seed: int, profile: Profile
    ) -> None:
        history = by_tasks(harness, clock, "transfers", seed, profile.steps_of_workers)
        assert [*check_registers(history), *check_transactions(history)] == []

    @clause("9.3", "5.2", "5.6")
    def test_pages_show_tasks_what_is_there_throughout_once(
        self, harness: Harness, clock: ManualClock, seed: int, profile: Profile
    ) -> None:
        history = by_tasks(harness, clock, "pages", seed, profile.steps_of_workers)
        assert check_pages(history) == []


class ProcessHistoryCases(
    ContractCase, faces=(Face.SYNC,), needs=("processes", "reopen"), fresh=True
):
    """The same among processes, also such as are killed. Needs `database.url`."""

    @clause("2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "5.4")
    def test_what_processes_read_and_write_has_an_order(
        self, database: Database, seed: int, profile: Profile
    ) -> None:
        history = by_processes(database, "registers", seed, profile.steps_of_workers)
        assert check_registers(history) == []

    @clause("2.7")
    def test_usage_that_processes_merge_adds_up(
        self, database: Database, seed: int, profile: Profile
    ) -> None:
        history = by_processes(database, "usage", seed, profile.steps_of_workers)
        assert [*check_registers(history), *check_usage(history)] == []

    @clause("3.1", "3.4", "5.1")
    def test_processes_see_the_whole_of_a_transaction_or_nothing(
        self, database: Database, seed: int, profile: Profile
    ) -> None:
        history = by_processes(database, "transfers", seed, profile.steps_of_workers)
        assert [*check_registers(history), *check_transactions(history)] == []

    @clause("5.2", "5.6")
    def test_pages_show_processes_what_is_there_throughout_once(
        self, database: Database, seed: int, profile: Profile
    ) -> None:
        history = by_processes(database, "pages", seed, profile.steps_of_workers)
        assert check_pages(history) == []

    @clause("3.6", "3.1")
    def test_transactions_of_killed_processes_are_done_or_not(
        self, database: Database, seed: int
    ) -> None:
        history = by_killed_processes(database, "transfers", seed)
        assert [*check_registers(history), *check_transactions(history)] == []

    @clause("3.6", "2.7")
    def test_usage_of_killed_processes_adds_up(self, database: Database, seed: int) -> None:
        history = by_killed_processes(database, "usage", seed)
        assert [*check_registers(history), *check_usage(history)] == []


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


def by_tasks(
    harness: Harness, clock: ManualClock, program: str, seed: int, steps: int
) -> list[Event]:
    """The history of the tasks of one event loop."""

    async def histories() -> list[list[Event]]:
        async with await harness.open_async(clock=clock) as store:
            runs = [
                run_async(ticking(start(program, seed, worker, steps), clock), store, worker)
                for worker in WORKERS
            ]
            at_once = await asyncio.gather(*runs)
            return [*at_once, await run_async(last_look(), store, "last")]

    return answered(run_in_loop(histories))


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
        heard = [process.answer() for _ in range(reports)]
        return settled([from_json(report) for report in (*heard, *process.kill())])

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
    """The whole history. Most calls must have told their outcome: what is unknown proves little."""
    history = list(chain(*histories))
    assert 4 * sum(isinstance(event.completion, Info) for event in history) < len(history)
    return history


def ticking(program: Program, clock: ManualClock) -> Program:
    """The program, on a clock that goes on a little at each of its steps."""
    answer = None
    with suppress(StopIteration):
        while True:
            clock.tick(microseconds=1)
            answer = yield program.send(answer)
