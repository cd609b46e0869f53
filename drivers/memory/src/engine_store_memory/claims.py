"""Claims of tasks (contract 10)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial

import attrs

from engine_store import values
from engine_store.ids import new_id
from engine_store.models import (
    TERMINAL,
    Claim,
    ErrorInfo,
    QueueStats,
    Status,
    TaskFilter,
    TaskState,
    UsageSummary,
)
from engine_store.rules import checks, claims
from engine_store.rules.entities import TASK, WORKFLOW
from engine_store.rules.sizes import size_of
from engine_store.values import Document
from engine_store.waiting.waits import wait_for_claims
from engine_store_memory.database import Data, Draft, Lease
from engine_store_memory.repository import Metered, put
from engine_store_memory.rows import by_parent, detached, matching, written


class Claims(Metered[TaskState, TaskFilter]):
    """The part of the tasks that is about claims."""

    entity = TASK

    def claim(
        self,
        worker: str,
        *,
        lease: float,
        queues: Collection[str] = claims.DEFAULT_QUEUES,
        filter: TaskFilter = TASK.everything,
        limit: int = 1,
        wait: float = 0,
    ) -> tuple[Claim, ...]:
        claim = partial(self._claim, worker, lease, queues, filter, limit)
        if not claims.check_seconds(wait, "wait", zero=True):
            return claim()
        next_due = partial(self.next_due, queues=queues)
        return wait_for_claims(self._scope.notifier, queues, filter, wait, claim, next_due).run()

    def _claim(
        self, worker: str, lease: float, queues: Collection[str], filter: TaskFilter, limit: int
    ) -> tuple[Claim, ...]:
        values.check_id(worker, "worker")
        length = claims.check_seconds(lease, "lease")
        queues = claims.check_queues(queues)
        filter = TASK.check_filter(filter)
        values.check_limit(limit)
        with self._scope.write() as data:
            now = self._scope.now()
            given = Lease(worker, new_id(), now + length)
            free = [task for task in _of(data, queues) if _is_free(data, task, now)]
            taken = sorted(matching(free, filter), key=claims.claim_order)[:limit]
            return tuple([self._take(data, task, given) for task in taken])

    def renew(self, claim: Claim, *, lease: float) -> Claim:
        claim = claims.check_claim(claim)
        expires_at = self._scope.now() + claims.check_seconds(lease, "lease")
        with self._scope.write() as data:
            self._claimed(data, claim)
            data.leases[claim.task.task_exec_id] = Lease(claim.worker, claim.token, expires_at)
        return attrs.evolve(claim, expires_at=expires_at)

    def finish(
        self,
        claim: Claim,
        *,
        status: Status = Status.SUCCESS,
        output: Document | None = None,
        error: ErrorInfo | None = None,
        usage: UsageSummary | None = None,
    ) -> TaskState:
        claim = claims.check_claim(claim)
        status, output, error, added = claims.check_ending(status, output, error, usage)
        self._check_size(output, "output")
        self._check_size(error, "error")
        with self._scope.write() as data:
            task = self._claimed(data, claim)
            if not added.entries:
                ended = attrs.evolve(task, status=status, output=output, error=error)
                return self._rewrite(data, task, ended)
            workflow = data[WORKFLOW][task.workflow_exec_id]
            merged = [checks.check_merged(row.usage.merge(added)) for row in (task, workflow)]
            for summary in merged:
                self._check_size(summary, "usage")
            now = self._scope.now()
            data[WORKFLOW][workflow.workflow_exec_id] = written(workflow, now, usage=merged[1])
            ended = attrs.evolve(task, status=status, output=output, error=error, usage=merged[0])
            return self._rewrite(data, task, ended)

    def release(
        self, claim: Claim, *, due_in: float = 0, error: ErrorInfo | None = None
    ) -> TaskState:
        claim = claims.check_claim(claim)
        delay = claims.check_seconds(due_in, "due_in", zero=True)
        error = claims.check_error(error)
        self._check_size(error, "error")
        with self._scope.write() as data:
            task = self._claimed(data, claim)
            due_at = self._scope.now() + delay
            waiting = attrs.evolve(task, status=Status.PENDING, due_at=due_at, error=error)
            return self._rewrite(data, task, waiting)

    def cancel(
        self, task_exec_id: str, *, subtree: bool = True, reason: str | None = None
    ) -> TaskState:
        values.check_id(task_exec_id, "task_exec_id")
        error = claims.canceled(reason)
        self._check_size(error, "reason")
        with self._scope.write() as data:
            tasks = [self._stored(data, task_exec_id)]
            if subtree:
                tasks += below(data, task_exec_id)
            cancel(data, tasks, error, self._scope.now())
            return detached(data[TASK][task_exec_id])

    def expired(
        self, *, queues: Collection[str] = claims.DEFAULT_QUEUES, limit: int = 100
    ) -> tuple[Claim, ...]:
        queues = claims.check_queues(queues)
        values.check_limit(limit)
        data, now = self._scope.read(), self._scope.now()
        found = [
            Claim(detached(task), lease.worker, lease.expires_at, lease.token)
            for task in _of(data, queues)
            if (lease := data.leases.get(task.task_exec_id)) and lease.expires_at <= now
        ]
        found.sort(key=lambda claim: (claim.expires_at, claim.task.task_exec_id))
        return tuple(found[:limit])

    def next_due(self, *, queues: Collection[str] = claims.DEFAULT_QUEUES) -> datetime | None:
        queues = claims.check_queues(queues)
        data = self._scope.read()
        times = [
            lease.expires_at if lease else claims.due_of(task)
            for task in _of(data, queues)
            if (lease := data.leases.get(task.task_exec_id)) or task.status is Status.PENDING
        ]
        return min(times, default=None)

    def queues(self) -> Mapping[str, QueueStats]:
        data, now = self._scope.read(), self._scope.now()
        found = defaultdict[str, list[TaskState]](list)
        for task in data[TASK].values():
            if task.status is Status.PENDING or task.task_exec_id in data.leases:
                found[task.queue].append(task)
        return {queue: _stats(data, tasks, now) for queue, tasks in sorted(found.items())}

    def _take(self, data: Draft, task: TaskState, lease: Lease) -> Claim:
        taken = attrs.evolve(task, status=Status.RUNNING, attempt=task.attempt + 1)
        stored = self._rewrite(data, task, taken)
        data.leases[task.task_exec_id] = lease
        return Claim(stored, lease.worker, lease.expires_at, lease.token)

    def _claimed(self, data: Data, claim: Claim) -> TaskState:
        """Return the task of a claim. Raises `ClaimLostError`."""
        key = claim.task.task_exec_id
        task, lease = data[TASK].get(key), data.leases.get(key)
        if task is None or task.workflow_exec_id != claim.task.workflow_exec_id:
            raise claims.lost(claim, None, None)
        if lease is None or lease.token != claim.token:
            raise claims.lost(claim, lease.worker if lease else None, task.status)
        return task

    def _rewrite(self, data: Draft, before: TaskState, after: TaskState) -> TaskState:
        """Store what the store itself has made of a task."""
        return super()._replace(data, before, after)

    def _replace(self, data: Draft, before: TaskState, after: TaskState) -> TaskState:
        return super()._replace(data, before, attrs.evolve(after, attempt=before.attempt))

    def _put(self, data: Draft, row: TaskState) -> TaskState:
        if row.status is not Status.RUNNING:
            data.leases.pop(row.task_exec_id, None)
        return super()._put(data, row)

    def _check_size(self, value: object, path: str) -> None:
        if value is not None:
            values.check_size(size_of(value), path, self._scope.max_document_bytes)


def below(data: Data, root: str) -> list[TaskState]:
    """Return the tasks below a task, in any order."""
    children = by_parent(data[TASK].values())
    found = list(children[root])
    for task in found:  # which grows meanwhile
        found += children[task.task_exec_id]
    return found


def cancel(data: Draft, tasks: Iterable[TaskState], error: ErrorInfo, now: datetime) -> None:
    """End those of the tasks that have not ended."""
    for task in tasks:
        if task.status not in TERMINAL:
            data.leases.pop(task.task_exec_id, None)
            put(data, TASK, written(task, now, status=Status.CANCELED, error=error))


def _of(data: Data, queues: Collection[str]) -> Iterator[TaskState]:
    """Yield the tasks of the queues."""
    return (task for task in data[TASK].values() if task.queue in queues)


def _is_free(data: Data, task: TaskState, now: datetime) -> bool:
    """Return whether a task can be claimed."""
    lease = data.leases.get(task.task_exec_id)
    if lease is not None:
        return lease.expires_at <= now
    return task.status is Status.PENDING and claims.due_of(task) <= now


def _stats(data: Data, tasks: Iterable[TaskState], now: datetime) -> QueueStats:
    leases = [data.leases.get(task.task_exec_id) for task in tasks]
    due = [claims.due_of(task) for task in tasks if task.status is Status.PENDING]
    ready = [time for time in due if time <= now]
    return QueueStats(
        ready=len(ready),
        delayed=len(due) - len(ready),
        leased=sum(lease is not None for lease in leases),
        expired=sum(lease is not None and lease.expires_at <= now for lease in leases),
        ready_since=min(ready, default=None),
    )
