"""Workers of a store: they claim tasks that wait, and finish them."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from attrs import frozen

import engine_store
from benchmarks.crews import LOOP, PROCESSES, THREADS, Crew, Done, LostWorkError, Shift
from benchmarks.databases import Databases
from engine_store import TaskState, WorkflowState, new_id

LEASE = 600.0
"""Seconds: no lease ends while it is measured."""

_PORTION = 1_000
"""Tasks that are made through the store; the others are copies of them."""


def add_waiting(databases: Databases, url: str, tasks: int, due_at: datetime | None = None) -> None:
    """Add so many tasks that are PENDING, without documents, to an empty database."""
    portion = min(tasks, _PORTION)
    with engine_store.open(url) as store, store.transaction() as tx:
        workflow = tx.workflows.create(WorkflowState(new_id(), "work")).workflow_exec_id
        for number in range(portion):
            tx.tasks.create(TaskState(workflow, new_id(), f"task-{number}", "work", due_at=due_at))
    databases.multiply(url, tasks // portion - 1)


@frozen
class ClaimWork:
    """Workers that claim and finish until their shift is over."""

    url: str
    batch: int

    def __call__(self, crew: Crew, shift: Shift) -> Done:
        """Work in threads, or on an event loop."""
        if crew.kind == LOOP:
            return asyncio.run(self._on_a_loop(crew.of_process, shift))
        return self._in_threads(crew.of_process, shift)

    def _in_threads(self, workers: int, shift: Shift) -> Done:
        with engine_store.open(self.url) as store, ThreadPoolExecutor(workers) as pool:

            def work(name: str) -> int:
                finished = 0
                while claims := store.tasks.claim(name, lease=LEASE, limit=self.batch):
                    for claim in claims:
                        store.tasks.finish(claim)
                    finished += len(claims)
                    if shift.is_over():
                        break
                return finished

            store.health()  # connects
            shift.begin()
            return shift.done(sum(pool.map(work, _names(workers))))

    async def _on_a_loop(self, workers: int, shift: Shift) -> Done:
        async with await engine_store.open_async(self.url) as store:

            async def work(name: str) -> int:
                finished = 0
                while claims := await store.tasks.claim(name, lease=LEASE, limit=self.batch):
                    for claim in claims:
                        await store.tasks.finish(claim)
                    finished += len(claims)
                    if shift.is_over():
                        break
                return finished

            await store.health()
            shift.begin()
            return shift.done(sum(await asyncio.gather(*map(work, _names(workers)))))


class EngineStore:
    """`benchmarks.crews.Contestant`: this store."""

    name = title = "engine-store"
    kinds = (THREADS, PROCESSES, LOOP)

    def fill(self, databases: Databases, url: str, tasks: int) -> None:
        add_waiting(databases, url, tasks)

    def work(self, url: str, batch: int) -> ClaimWork:
        return ClaimWork(url, batch)

    def check(self, databases: Databases, url: str, tasks: int, done: Done) -> None:
        """Claimed once, finished once: each version and attempt tells."""
        found = databases.rows(
            url,
            "SELECT status, attempt, version, count(*) "
            f"FROM {databases.schema}tasks GROUP BY status, attempt, version",
        )
        expected = {("SUCCESS", 1, 3, done.tasks), ("PENDING", 0, 1, tasks - done.tasks)}
        leases = databases.rows(url, f"SELECT task_exec_id FROM {databases.schema}leases")
        if set(found) != {row for row in expected if row[-1]} or leases:
            raise LostWorkError(f"{done.tasks} tasks were finished, and stored are {found}")


def _names(workers: int) -> list[str]:
    """A name for each worker of this process."""
    return [f"{os.getpid()}-{number}" for number in range(workers)]
