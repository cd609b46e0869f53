"""The part of an engine that is under test: workers take tasks, finish them, or take too long.

A task changes only by compare-and-set from the version that was read. So of two workers that want
the same task one gets it, and a worker that lost its task cannot overwrite what came after.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from engine_store import AsyncStore, ErrorInfo, Status, Store, TaskState
from engine_store.errors import VersionConflictError


def claim(store: Store, task: TaskState, worker: str) -> TaskState | None:
    """Take the task as it was read; None where somebody was first."""
    try:
        return store.tasks.update(_claimed(task, worker))
    except VersionConflictError:
        return None


def claim_next(store: Store, workflow_exec_id: str, worker: str) -> TaskState | None:
    """Take the oldest task that waits; None where none does."""
    for task in store.tasks.by_status(workflow_exec_id, Status.PENDING):
        if claimed := claim(store, task, worker):
            return claimed
    return None


def finish(store: Store, task: TaskState, output: dict[str, Any]) -> TaskState:
    """Store the result of a claimed task. Raises `VersionConflictError` where the claim is lost."""
    return store.tasks.update(task.evolve(status=Status.SUCCESS, output=output))


def time_out(store: Store, workflow_exec_id: str, now: datetime, limit: timedelta) -> int:
    """End the tasks that were claimed longer than `limit` ago; how many."""
    ended = 0
    for task in store.tasks.by_status(workflow_exec_id, Status.RUNNING):
        if now - task.updated_at > limit:
            error = ErrorInfo(f"no result within {limit}", "TIMED_OUT")
            try:
                store.tasks.update(task.evolve(status=Status.TIMED_OUT, error=error))
            except VersionConflictError:  # it was finished in the last moment
                continue
            ended += 1
    return ended


# --- the same on an event loop -----------------------------------------------------------------


async def claim_next_async(
    store: AsyncStore, workflow_exec_id: str, worker: str
) -> TaskState | None:
    """Take the oldest task that waits; None where none does."""
    for task in await store.tasks.by_status(workflow_exec_id, Status.PENDING):
        try:
            return await store.tasks.update(_claimed(task, worker))
        except VersionConflictError:
            continue
    return None


async def finish_async(store: AsyncStore, task: TaskState, output: dict[str, Any]) -> TaskState:
    """Store the result of a claimed task. Raises `VersionConflictError` where the claim is lost."""
    return await store.tasks.update(task.evolve(status=Status.SUCCESS, output=output))


def _claimed(task: TaskState, worker: str) -> TaskState:
    return task.evolve(status=Status.RUNNING, input={**(task.input or {}), "worker": worker})
