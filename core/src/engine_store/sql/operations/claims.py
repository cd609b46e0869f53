"""Claims of tasks: queues, leases and what ends them (contract 10)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

import attrs

from engine_store.errors import ClaimLostError, TaskNotFoundError
from engine_store.ids import new_id
from engine_store.models import (
    Claim,
    ErrorInfo,
    QueueStats,
    Status,
    TaskFilter,
    TaskState,
    UsageSummary,
)
from engine_store.rules.checks import check_merged
from engine_store.rules.claims import (
    DEFAULT_QUEUES,
    ENDED,
    canceled,
    check_claim,
    check_ending,
    check_error,
    check_queues,
    check_seconds,
    claim_order,
    lost,
)
from engine_store.rules.entities import TASK
from engine_store.sql.operation import (
    Last,
    LostRace,
    Op,
    Steps,
    read,
    step,
    steps,
    transact,
    unbounded,
    write,
)
from engine_store.sql.operations.base import StateOperations, is_empty
from engine_store.sql.rows import LEASES, Row, write_document, write_error, write_usage
from engine_store.values import Document, check_id, check_limit


class ClaimOperations(StateOperations[TaskState]):
    """The part of `engine_store.protocols.TaskRepository` that is about claims."""

    entity = TASK

    @write
    def claim(
        self,
        worker: str,
        *,
        lease: float,
        queues: Collection[str] = DEFAULT_QUEUES,
        filter: TaskFilter = TASK.everything,
        limit: int = 1,
    ) -> Op[tuple[Claim, ...]]:
        check_id(worker, "worker")
        length = check_seconds(lease, "lease")
        queues = check_queues(queues)
        filter = TASK.check_filter(filter)
        check_limit(limit)
        if not queues or is_empty(filter):
            return ()
        token, now = new_id(), self._time()
        rows = yield self._q.claim_tasks(
            **self._encode_filter(filter),
            queues=self._rows.collection(queues),
            worker=worker,
            token=token,
            now=self._rows.time(now),
            expires_at=self._rows.time(now + length),
            limit=limit,
            one=True if limit == 1 else None,
        )
        tasks = sorted(map(self._decode, rows), key=claim_order)
        return tuple([Claim(task, worker, now + length, token) for task in tasks])

    @write
    def renew(self, claim: Claim, *, lease: float) -> Op[Claim]:
        claim = check_claim(claim)
        expires_at = self._time() + check_seconds(lease, "lease")
        row = yield self._q.renew_lease(
            **_place(claim), token=claim.token, expires_at=self._rows.time(expires_at)
        )
        if row is None:
            raise (yield from self._why_lost(claim))
        return attrs.evolve(claim, expires_at=expires_at)

    @steps
    def finish(
        self,
        claim: Claim,
        *,
        status: Status = Status.SUCCESS,
        output: Document | None = None,
        error: ErrorInfo | None = None,
        usage: UsageSummary | None = None,
    ) -> Steps[TaskState]:
        claim = check_claim(claim)
        status, output, error, added = check_ending(status, output, error, usage)
        ending = {
            "status": status.value,
            "output": write_document(output),
            "error": write_error(error),
        }
        self._check_size(ending["output"], "output")
        self._check_size(ending["error"], "error")
        stored: TaskState
        if added.entries:
            stored = yield step(self._finish_metered, claim, ending, added)
        else:
            stored = yield step(self._finish, claim, ending)
        return stored

    @write
    def release(
        self, claim: Claim, *, due_in: float = 0, error: ErrorInfo | None = None
    ) -> Op[TaskState]:
        claim = check_claim(claim)
        delay = check_seconds(due_in, "due_in", zero=True)
        text = write_error(check_error(error))
        self._check_size(text, "error")
        now = self._time()
        row = yield self._q.release_task(
            **_fence(claim),
            due_at=self._rows.time(now + delay),
            error=text,
            now=self._rows.time(now),
        )
        if row is None:
            raise (yield from self._why_lost(claim))
        return self._decode(row)

    @read
    def expired(
        self, *, queues: Collection[str] = DEFAULT_QUEUES, limit: int = 100
    ) -> Op[tuple[Claim, ...]]:
        queues = check_queues(queues)
        check_limit(limit)
        if not queues:
            return ()
        rows = yield self._q.list_expired(
            queues=self._rows.collection(queues), now=self._now(), limit=limit
        )
        return tuple(map(self._claim, rows))

    @read
    def next_due(self, *, queues: Collection[str] = DEFAULT_QUEUES) -> Op[datetime | None]:
        queues = check_queues(queues)
        if not queues:
            return None
        (due,) = yield self._q.next_due(queues=self._rows.collection(queues))
        found: datetime | None = self._reader("due_at")(due)
        return found

    @read
    def queues(self) -> Op[Mapping[str, QueueStats]]:
        rows = yield self._q.queue_stats(now=self._now())
        read_queue, read_due = self._reader("queue"), self._reader("due_at")
        return {
            read_queue(queue): QueueStats(ready, delayed, leased, expired, read_due(since))
            for queue, ready, delayed, leased, expired, since in rows
        }

    @unbounded
    @transact
    def cancel(
        self, task_exec_id: str, *, subtree: bool = True, reason: str | None = None
    ) -> Op[TaskState]:
        check_id(task_exec_id, "task_exec_id")
        error = write_error(canceled(reason))
        self._check_size(error, "reason")
        row = yield self._q.lock_workflow_of_task(task_exec_id=task_exec_id)
        if row is None:
            raise TaskNotFoundError(task_exec_id)
        _, stored = yield Last(
            (
                self._q.cancel_tasks(
                    workflow_exec_id=row[0],
                    root=task_exec_id if subtree else None,
                    task_exec_id=None if subtree else task_exec_id,
                    error=error,
                    now=self._now(),
                    ended_statuses=self._rows.collection(ENDED),
                ),
                self._q.get_task(task_exec_id=task_exec_id, workflow_exec_id=None),
            )
        )
        if stored is None:
            raise TaskNotFoundError(task_exec_id)
        return self._decode(stored)

    @write
    def _finish(self, claim: Claim, ending: Mapping[str, Any]) -> Op[TaskState]:
        row = yield self._q.finish_task(**_fence(claim), **ending, usage=None, now=self._now())
        if row is None:
            raise (yield from self._why_lost(claim))
        return self._decode(row)

    @transact
    def _finish_metered(
        self, claim: Claim, ending: Mapping[str, Any], added: UsageSummary
    ) -> Op[TaskState]:
        """Finish, and add the usage to that of the task and of its workflow."""
        place, workflow = _place(claim), {"workflow_exec_id": claim.task.workflow_exec_id}
        of_workflow, held = yield (
            self._q.lock_workflow_usage(**workflow),
            self._q.lock_claim(**place),
        )
        if of_workflow is None or not _has(claim, held):
            raise self._lost(claim, held)
        key = claim.task.task_exec_id
        merged = [
            write_usage(check_merged(self._read_usage(row, key).merge(added)))
            for row in (held[2:3], of_workflow)
        ]
        for text in merged:
            self._check_size(text, "usage")
        now = self._now()
        row, _ = yield Last(
            (
                self._q.finish_task(**_fence(claim), **ending, usage=merged[0], now=now),
                self._q.set_workflow_usage(**workflow, usage=merged[1], now=now),
            )
        )
        if row is None:
            raise LostRace
        return self._decode(row)

    def _why_lost(self, claim: Claim) -> Op[ClaimLostError]:
        """Return why a claim is lost. Raises `LostRace` if it is not."""
        held = yield self._q.get_claim(**_place(claim))
        if _has(claim, held):
            raise LostRace
        return self._lost(claim, held)

    def _lost(self, claim: Claim, held: Row | None) -> ClaimLostError:
        if held is None:
            return lost(claim, None, None)
        key, worker = claim.task.task_exec_id, held[3]
        if worker is not None:
            worker = self._rows.column_reader(LEASES, "worker")(worker, key)
        return lost(claim, worker, self._reader("status")(held[0], key))

    def _claim(self, row: Row) -> Claim:
        task = self._decode(row[:-3])
        names = ("worker", "expires_at", "token")
        lease = [
            self._rows.column_reader(LEASES, name)(value, task.task_exec_id)
            for name, value in zip(names, row[-3:], strict=True)
        ]
        return Claim(task, *lease)

    def _reader(self, column: str) -> Callable[..., Any]:
        """Return what reads a value of one column of tasks."""
        return self._rows.column_reader(TASK, column)


def _place(claim: Claim) -> dict[str, Any]:
    """Return the parameters that name the task of a claim."""
    task = claim.task
    return {"workflow_exec_id": task.workflow_exec_id, "task_exec_id": task.task_exec_id}


def _fence(claim: Claim) -> dict[str, Any]:
    """Return the parameters that tell a claim from a later one of its task."""
    return {**_place(claim), "attempt": claim.task.attempt, "token": claim.token}


def _has(claim: Claim, held: Row | None) -> bool:
    """Return whether a claim still has its task, by a row of `get_claim`."""
    if held is None:
        return False
    status, attempt, _, _, token = held
    return bool(status == Status.RUNNING and attempt == claim.task.attempt and token == claim.token)
