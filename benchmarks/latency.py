"""The time from the creation of a task in one process to a waiting claim in another."""

from __future__ import annotations

import random
import time

import engine_store
from benchmarks.children import Pipe, answer, child
from benchmarks.claims import LEASE
from benchmarks.databases import Databases
from engine_store import TaskState, WorkflowState, new_id

PAUSE = (0.01, 0.1)
"""Seconds between two tasks, in which the worker is waiting again: drawn anew each time."""
WARM_UP = 3
"""Tasks that are not counted."""
WAIT = 60.0


def latencies(databases: Databases, tasks: int) -> list[float]:
    """Return the milliseconds of each task, from the call of `create` to the end of `claim`."""
    times = []
    with (
        databases.new() as url,
        engine_store.open(url) as store,
        child(_claim, url) as worker,
    ):
        workflow = store.workflows.create(WorkflowState(new_id(), "work")).workflow_exec_id
        answer(worker)
        for number in range(WARM_UP + tasks):
            time.sleep(random.uniform(*PAUSE))
            task = TaskState(workflow, new_id(), f"task-{number}", "work")
            began = time.monotonic()
            store.tasks.create(task)
            times.append((answer(worker) - began) * 1000)
    return times[WARM_UP:]


def _claim(pipe: Pipe, url: str) -> None:
    """Say when each claim ends, by the clock that all processes share."""
    with engine_store.open(url) as store:
        pipe.send(None)
        while claims := store.tasks.claim("worker", lease=LEASE, wait=WAIT):
            pipe.send(time.monotonic())
            for claim in claims:
                store.tasks.finish(claim)
