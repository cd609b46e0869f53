"""Workflow executions (contract 5)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

import attrs

from engine_store.errors import StatusConflictError, VersionConflictError, WorkflowNotFoundError
from engine_store.models import (
    TERMINAL,
    Page,
    PurgeReport,
    Status,
    UsageSummary,
    WorkflowFilter,
    WorkflowState,
)
from engine_store.rules.checks import PURGED_BY_DEFAULT, check_purge
from engine_store.rules.claims import ENDED, canceled
from engine_store.rules.entities import TASK, WORKFLOW
from engine_store.rules.outcomes import Transform, completed
from engine_store.sql.batches import BatchSize
from engine_store.sql.operation import (
    Last,
    LostRace,
    Op,
    Pause,
    Steps,
    lock,
    read,
    step,
    steps,
    transact,
    unbounded,
    write,
)
from engine_store.sql.operations.base import Bindings, StateOperations, read_status
from engine_store.sql.rows import workflow_with_tasks, write_error
from engine_store.sql.statements import Call
from engine_store.values import check_choice, check_choices, check_id, check_int, check_optional_id

DELETED_AT_ONCE = 1_000
"""An execution of no more tasks is deleted by one statement, which takes some 20 ms."""


class WorkflowOperations(StateOperations[WorkflowState]):
    """`engine_store.protocols.WorkflowRepository`, as operations."""

    entity = WORKFLOW

    def __init__(self, bindings: Bindings) -> None:
        """Operations on the statements of `bindings`."""
        super().__init__(bindings)
        self._decode_task = bindings.rows.decoder(TASK)

    @read
    def get(self, workflow_exec_id: str, *, with_tasks: bool = False) -> Op[WorkflowState]:
        check_id(workflow_exec_id, "workflow_exec_id")
        if not with_tasks:
            return self._one(self._stored(workflow_exec_id), workflow_exec_id)
        return self._with_tasks(workflow_exec_id)

    @read
    def status_of(self, workflow_exec_id: str) -> Op[Status]:
        """Read the status alone, for waiters. Raises `WorkflowNotFoundError`."""
        row = yield self._q.get_status(workflow_exec_id=workflow_exec_id)
        return read_status(self._rows, workflow_exec_id, row)

    @lock
    def get_for_update(self, workflow_exec_id: str) -> Op[WorkflowState]:
        check_id(workflow_exec_id, "workflow_exec_id")
        return self._one(self._held(workflow_exec_id), workflow_exec_id)

    @read
    def list(
        self,
        filter: WorkflowFilter = WORKFLOW.everything,
        *,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Op[Page[WorkflowState]]:
        return self._page(self._q.list_workflows, filter, limit, cursor)

    @read
    def latest(
        self,
        workflow_id: str,
        *,
        task_id: str | None = None,
        agent_id: str | None = None,
        tool_id: str | None = None,
    ) -> Op[WorkflowState]:
        check_id(workflow_id, "workflow_id")
        check_optional_id(task_id, "task_id")
        check_optional_id(agent_id, "agent_id")
        check_optional_id(tool_id, "tool_id")
        call = self._q.latest_workflow(
            workflow_id=workflow_id,
            by_task=task_id or agent_id or tool_id,
            task_id=task_id,
            agent_id=agent_id,
            tool_id=tool_id,
        )
        return self._one(call, workflow_id, "workflow_id")

    @write
    def create(self, workflow: WorkflowState) -> Op[WorkflowState]:
        return self._create(self._q.create_workflow, workflow)

    @write
    def restore(self, workflow: WorkflowState) -> Op[WorkflowState]:
        return self._restore(self._q.create_workflow, workflow)

    @write
    def update(self, workflow: WorkflowState) -> Op[WorkflowState]:
        return self._update(self._q.update_workflow, workflow)

    @write
    def upsert(self, workflow: WorkflowState) -> Op[WorkflowState]:
        return self._upsert(self._q.upsert_workflow, workflow)

    @steps
    def modify(
        self, workflow_exec_id: str, fn: Callable[[WorkflowState], WorkflowState]
    ) -> Steps[WorkflowState]:
        return self._modify(workflow_exec_id, fn)

    @write
    def set_status(
        self,
        workflow_exec_id: str,
        status: Status,
        *,
        expected_version: int | None = None,
        expected_statuses: Collection[Status] | None = None,
    ) -> Op[WorkflowState]:
        check_id(workflow_exec_id, "workflow_exec_id")
        check_choice(status, Status, "status")
        expected_statuses = check_choices(expected_statuses, Status, "expected_statuses")
        if expected_version is not None:
            check_int(expected_version, "expected_version", minimum=0)
        if expected_statuses is None or expected_statuses:  # of no status nothing can be expected
            row = yield self._q.set_workflow_status(
                workflow_exec_id=workflow_exec_id,
                status=status.value,
                expected_version=expected_version,
                expected_statuses=self._rows.collection(expected_statuses),
                now=self._now(),
            )
            if row is not None:
                return self._decode(row)
        stored = yield from self._one(self._stored(workflow_exec_id), workflow_exec_id)
        if expected_version is not None and expected_version != stored.version:
            raise VersionConflictError(
                WORKFLOW.label, workflow_exec_id, expected_version, stored.version
            )
        if expected_statuses is not None and stored.status not in expected_statuses:
            expected = frozenset(status.value for status in expected_statuses)
            raise StatusConflictError(workflow_exec_id, expected, stored.status.value)
        raise LostRace

    @transact
    def merge_usage(self, workflow_exec_id: str, usage: UsageSummary) -> Op[WorkflowState]:
        return self._merge_usage(
            workflow_exec_id, usage, self._q.lock_workflow_usage, self._q.set_workflow_usage
        )

    @transact
    def complete(
        self, workflow_exec_id: str, transform: Transform | None = None
    ) -> Op[WorkflowState]:
        check_id(workflow_exec_id, "workflow_exec_id")
        state = yield from self.get_for_update(workflow_exec_id)
        rows = yield self._q.latest_tasks_and_roots(workflow_exec_id=workflow_exec_id)
        found = [(self._decode_task(row[:-2]), *row[-2:]) for row in rows]
        tasks = {task.task_id: task for task, is_latest, _ in found if is_latest}
        state = attrs.evolve(state, tasks=tasks)
        if state.status in TERMINAL:
            return state
        roots = {task.task_id: task.status for task, _, is_latest_root in found if is_latest_root}
        done = completed(state, roots, transform, max_document_bytes=self._max_bytes)
        written, stored = yield Last(
            (
                self._q.update_workflow(**self._encode(done), now=self._now()),
                self._stored(workflow_exec_id),
            )
        )
        if written is None:  # the transform wrote to it, in the caller's transaction
            if stored is None:
                raise WorkflowNotFoundError(workflow_exec_id)
            actual = self._decode(stored).version
            raise VersionConflictError(WORKFLOW.label, workflow_exec_id, state.version, actual)
        return attrs.evolve(self._decode(written), tasks=tasks)

    @unbounded
    @transact
    def cancel(self, workflow_exec_id: str, *, reason: str | None = None) -> Op[WorkflowState]:
        check_id(workflow_exec_id, "workflow_exec_id")
        error = write_error(canceled(reason))
        self._check_size(error, "reason")
        if (yield self._q.lock_workflow_key(workflow_exec_id=workflow_exec_id)) is None:
            raise WorkflowNotFoundError(workflow_exec_id)
        ended = {
            "workflow_exec_id": workflow_exec_id,
            "error": error,
            "now": self._now(),
            "ended_statuses": self._rows.collection(ENDED),
        }
        _, _, stored = yield Last(
            (
                self._q.cancel_tasks(**ended, root=None, task_exec_id=None),
                self._q.cancel_workflow(**ended),
                self._stored(workflow_exec_id),
            )
        )
        if stored is None:
            raise WorkflowNotFoundError(workflow_exec_id)
        return self._decode(stored)

    @steps
    def delete(self, workflow_exec_id: str) -> Steps[None]:
        check_id(workflow_exec_id, "workflow_exec_id")
        if (yield step(self._delete_small, workflow_exec_id)):
            return
        found = yield step(self._mark_deleted, workflow_exec_id)
        yield from self._remove_deleted(workflow_exec_id)
        if not found:
            raise WorkflowNotFoundError(workflow_exec_id)

    @steps
    def purge(
        self,
        older_than: datetime,
        *,
        statuses: Collection[Status] = PURGED_BY_DEFAULT,
        batch_size: int = 100,
        dry_run: bool = False,
    ) -> Steps[PurgeReport]:
        older_than, statuses = check_purge(older_than, statuses, batch_size)
        if not statuses:
            return PurgeReport(0, 0, dry_run)
        chosen = (self._rows.codec.write_time(older_than), self._rows.collection(statuses))
        if dry_run:
            workflows, tasks = yield step(self._count_purgeable, *chosen)
            return PurgeReport(workflows, tasks, dry_run=True)
        workflows, tasks = 0, 0
        while True:
            marked: int = yield step(self._mark_purgeable, *chosen, batch_size)
            removed = yield from self._remove_deleted()
            workflows, tasks = workflows + removed[0], tasks + removed[1]
            if marked < batch_size:
                return PurgeReport(workflows, tasks, dry_run=False)

    def _remove_deleted(self, workflow_exec_id: str | None = None) -> Steps[tuple[int, int]]:
        """Remove what is left of deleted workflows, in batches; count workflows and tasks."""
        size = BatchSize()
        workflows, tasks = 0, 0
        while True:
            with size.measured() as rows:
                removed = yield step(self._remove_batch, workflow_exec_id, rows)
            workflows, tasks = workflows + removed[0], tasks + removed[1]
            if not any(removed):
                return workflows, tasks
            yield Pause(min(size.last, size.SHORT), for_others=True)

    @unbounded
    @read
    def _count_purgeable(self, older_than: object, statuses: object) -> Op[tuple[int, int]]:
        workflows, tasks = yield self._q.count_purgeable(older_than=older_than, statuses=statuses)
        return workflows, tasks

    @unbounded
    @write
    def _delete_small(self, workflow_exec_id: str) -> Op[bool]:
        """Delete a workflow at once; return False if it is missing or has too many tasks."""
        row = yield self._q.delete_small_workflow(
            workflow_exec_id=workflow_exec_id, limit=DELETED_AT_ONCE + 1
        )
        return row is not None

    @transact
    def _mark_deleted(self, workflow_exec_id: str) -> Op[bool]:
        """Delete a workflow for all who read; what is left to do is `_remove_deleted`."""
        if (yield self._q.lock_workflow_key(workflow_exec_id=workflow_exec_id)) is None:
            return False
        ids = self._rows.collection([workflow_exec_id])
        yield Last(self._q.mark_deleted(workflow_exec_ids=ids))
        return True

    @unbounded
    @transact
    def _mark_purgeable(self, older_than: object, statuses: object, limit: int) -> Op[int]:
        rows = yield self._q.lock_purgeable(older_than=older_than, statuses=statuses, limit=limit)
        if rows:
            ids = self._rows.collection([workflow_exec_id for (workflow_exec_id,) in rows])
            yield Last(self._q.mark_deleted(workflow_exec_ids=ids))
        return len(rows)

    @unbounded
    @transact
    def _remove_batch(self, workflow_exec_id: str | None, limit: int) -> Op[tuple[int, int, int]]:
        """Remove some `limit` rows; count workflows, tasks and events."""
        of = {"workflow_exec_id": workflow_exec_id}
        tasks = yield self._q.remove_tasks(**of, limit=limit)
        if len(tasks) == limit:
            return 0, len(tasks), 0
        events, workflows = yield Last(
            (
                self._q.remove_events(**of, limit=limit - len(tasks)),
                self._q.remove_workflows(**of),
            )
        )
        return len(workflows), len(tasks), len(events)

    def _with_tasks(self, workflow_exec_id: str) -> Op[WorkflowState]:
        rows = yield self._q.get_workflow_with_tasks(workflow_exec_id=workflow_exec_id)
        state = workflow_with_tasks(rows, self._decode, self._decode_task)
        if state is None:
            raise WorkflowNotFoundError(workflow_exec_id)
        return state

    def _stored(self, key: str) -> Call:
        return self._q.get_workflow(workflow_exec_id=key)

    def _held(self, key: str) -> Call:
        return self._q.lock_workflow(workflow_exec_id=key)
