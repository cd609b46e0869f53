"""Claims among few and among many tasks that are not due yet."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from attrs import frozen

import engine_store
from benchmarks.claims import LEASE, add_waiting
from benchmarks.databases import Databases
from benchmarks.measure import by_turns
from engine_store import TaskState, WorkflowState, new_id
from engine_store.protocols import Store

DUE = 10
"""Tasks that can be claimed at any moment."""
WARM_UP = 5
"""Claims that are not counted."""


@frozen
class Delayed:
    """A store with many delayed tasks, and a few that are due."""

    store: Store
    workflow: str

    def add_due(self) -> None:
        """Add a task that can be claimed."""
        self.store.tasks.create(TaskState(self.workflow, new_id(), "due", "work"))

    def claim(self) -> float:
        """Claim and finish a task; return the milliseconds. Another one takes its place."""
        began = time.perf_counter()
        [claim] = self.store.tasks.claim("worker", lease=LEASE)
        self.store.tasks.finish(claim)
        took = time.perf_counter() - began
        self.add_due()
        return took * 1000


def claim_times(
    databases: Databases, sizes: Sequence[int], seconds: float
) -> dict[int, list[float]]:
    """Return the milliseconds of claims among so many tasks, the sizes by turns."""
    times: dict[int, list[float]] = {size: [] for size in sizes}
    with ExitStack() as stack:
        stores = {size: stack.enter_context(_delayed(databases, size)) for size in sizes}
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or len(times[sizes[0]]) < WARM_UP + 2:
            for size in by_turns(sizes, len(sizes)):
                times[size].append(stores[size].claim())
    return {size: found[WARM_UP:] for size, found in times.items()}


@contextmanager
def _delayed(databases: Databases, tasks: int) -> Iterator[Delayed]:
    with databases.new() as url:
        add_waiting(databases, url, tasks - DUE, engine_store.utc_now() + timedelta(days=1))
        with engine_store.open(url) as store:
            workflow = store.workflows.create(WorkflowState(new_id(), "work"))
            delayed = Delayed(store, workflow.workflow_exec_id)
            for _ in range(DUE):
                delayed.add_due()
            yield delayed
