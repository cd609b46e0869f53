"""Workflow executions (contract 5)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import attrs

from engine_store.checks import (
    PURGED_UNLESS_TOLD,
    check_purge,
    check_restored,
    check_usage,
    check_workflow,
    check_workflow_filter,
    decode_cursor,
)
from engine_store.errors import (
    AlreadyExistsError,
    EngineStoreError,
    ImmutableFieldError,
    StatusConflictError,
    VersionConflictError,
    WorkflowNotFoundError,
)
from engine_store.models import (
    TERMINAL,
    Page,
    PurgeReport,
    Status,
    UsageSummary,
    WorkflowFilter,
    WorkflowState,
)
from engine_store.rules import Transform, completed
from engine_store.sql.operation import (
    Contended,
    Last,
    Op,
    Procedure,
    Step,
    lock,
    procedure,
    read,
    transact,
    write,
)
from engine_store.sql.operations.base import Operations, changed_field, page
from engine_store.sql.rows import Row, read_usage, write_usage
from engine_store.values import (
    check_choice,
    check_choices,
    check_id,
    check_int,
    check_limit,
    check_optional_id,
)

_ENTITY = WorkflowNotFoundError.entity
_IMMUTABLE = ("workflow_id",)
_ALL = WorkflowFilter()


class WorkflowOperations(Operations):
    """`engine_store.protocols.WorkflowRepository`, as operations."""

    @read
    def get(self, workflow_exec_id: str, *, with_tasks: bool = False) -> Op[WorkflowState]:
        check_id(workflow_exec_id, "workflow_exec_id")
        if not with_tasks:
            row = yield self._q.get_workflow(workflow_exec_id=workflow_exec_id)
            return self._found(row, workflow_exec_id)
        rows = yield self._q.get_workflow_with_tasks(workflow_exec_id=workflow_exec_id)
        state = self._rows.workflow_with_tasks(rows)
        if state is None:
            raise WorkflowNotFoundError(workflow_exec_id)
        return state

    @lock
    def get_for_update(self, workflow_exec_id: str) -> Op[WorkflowState]:
        check_id(workflow_exec_id, "workflow_exec_id")
        row = yield self._q.lock_workflow(workflow_exec_id=workflow_exec_id)
        return self._found(row, workflow_exec_id)

    @read
    def list(
        self, filter: WorkflowFilter = _ALL, *, limit: int = 100, cursor: str | None = None
    ) -> Op[Page[WorkflowState]]:
        check_workflow_filter(filter)
        check_limit(limit)
        before, before_id = decode_cursor("workflows", cursor) or (None, None)
        rows = yield self._q.list_workflows(
            workflow_id=filter.workflow_id,
            statuses=self._rows.collection(filter.statuses),
            workflow_exec_ids=self._rows.collection(filter.workflow_exec_ids),
            created_from=self._rows.time(filter.created_from),
            created_before=self._rows.time(filter.created_before),
            before_created_at=self._rows.time(before),
            before_id=before_id,
            limit=limit + 1,
        )
        return page(rows, limit, self._rows.workflow, _position)

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
        row = yield self._q.latest_workflow(
            workflow_id=workflow_id,
            by_task=task_id or agent_id or tool_id,
            task_id=task_id,
            agent_id=agent_id,
            tool_id=tool_id,
        )
        if row is None:
            raise WorkflowNotFoundError(workflow_id, "workflow_id")
        return self._rows.workflow(row)

    @write
    def create(self, workflow: WorkflowState) -> Op[WorkflowState]:
        check_workflow(workflow)
        return (yield from self._insert(workflow, self._new()))

    @write
    def restore(self, workflow: WorkflowState) -> Op[WorkflowState]:
        check_workflow(workflow)
        check_restored(workflow, "workflow")
        return (yield from self._insert(workflow, self._rows.stamps(workflow)))

    @write
    def update(self, workflow: WorkflowState) -> Op[WorkflowState]:
        check_workflow(workflow)
        parameters = self._rows.workflow_parameters(workflow)
        row = yield self._q.update_workflow(**parameters, now=self._now())
        if row is None:
            raise (yield from self._why_not_updated(workflow))
        return self._rows.workflow(row)

    @write
    def upsert(self, workflow: WorkflowState) -> Op[WorkflowState]:
        check_workflow(workflow)
        parameters = self._rows.workflow_parameters(workflow)
        row = yield self._q.upsert_workflow(**parameters, now=self._now())
        if row is None:
            raise (yield from self._why_not_replaced(workflow))
        return self._rows.workflow(row)

    @procedure
    def modify(
        self, workflow_exec_id: str, fn: Callable[[WorkflowState], WorkflowState]
    ) -> Procedure[WorkflowState]:
        return self._modify(self.get, self.update, workflow_exec_id, fn)

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
        check_choices(expected_statuses, Status, "expected_statuses")
        if expected_version is not None:
            check_int(expected_version, "expected_version", minimum=0)
        row = yield self._q.set_workflow_status(
            workflow_exec_id=workflow_exec_id,
            status=status.value,
            expected_version=expected_version,
            expected_statuses=self._rows.collection(expected_statuses),
            now=self._now(),
        )
        if row is not None:
            return self._rows.workflow(row)
        row = yield self._q.get_workflow(workflow_exec_id=workflow_exec_id)
        stored = self._found(row, workflow_exec_id)
        if expected_version is not None and expected_version != stored.version:
            raise VersionConflictError(_ENTITY, workflow_exec_id, expected_version, stored.version)
        if expected_statuses is not None and stored.status not in expected_statuses:
            expected = frozenset(status.value for status in expected_statuses)
            raise StatusConflictError(workflow_exec_id, expected, stored.status.value)
        raise Contended

    @transact
    def merge_usage(self, workflow_exec_id: str, usage: UsageSummary) -> Op[WorkflowState]:
        check_id(workflow_exec_id, "workflow_exec_id")
        check_usage(usage)
        row = yield self._q.lock_workflow_usage(workflow_exec_id=workflow_exec_id)
        if row is None:
            raise WorkflowNotFoundError(workflow_exec_id)
        merged = read_usage(row[0]).merge(usage)
        check_usage(merged)
        row = yield Last(
            self._q.set_workflow_usage(
                workflow_exec_id=workflow_exec_id, usage=write_usage(merged), now=self._now()
            )
        )
        return self._rows.workflow(row)

    @transact
    def complete(
        self, workflow_exec_id: str, transform: Transform | None = None
    ) -> Op[WorkflowState]:
        check_id(workflow_exec_id, "workflow_exec_id")
        row = yield self._q.lock_workflow(workflow_exec_id=workflow_exec_id)
        state = self._found(row, workflow_exec_id)
        rows = yield self._q.latest_tasks_and_roots(workflow_exec_id=workflow_exec_id)
        found = [(self._rows.task(row[:-2]), *row[-2:]) for row in rows]
        tasks = {task.task_id: task for task, is_latest, _ in found if is_latest}
        state = attrs.evolve(state, tasks=tasks)
        if state.status in TERMINAL:
            return state
        roots = {task.task_id: task.status for task, _, is_latest_root in found if is_latest_root}
        done = completed(state, roots, transform)
        check_workflow(done)
        parameters = self._rows.workflow_parameters(done)
        row = yield Last(self._q.update_workflow(**parameters, now=self._now()))
        return attrs.evolve(self._found(row, workflow_exec_id), tasks=tasks)

    @write
    def delete(self, workflow_exec_id: str) -> Op[None]:
        check_id(workflow_exec_id, "workflow_exec_id")
        if (yield self._q.delete_workflow(workflow_exec_id=workflow_exec_id)) is None:
            raise WorkflowNotFoundError(workflow_exec_id)

    @procedure
    def purge(
        self,
        older_than: datetime,
        *,
        statuses: Collection[Status] = PURGED_UNLESS_TOLD,
        batch_size: int = 100,
        dry_run: bool = False,
    ) -> Procedure[PurgeReport]:
        check_purge(older_than, statuses, batch_size)
        chosen = (self._rows.codec.write_time(older_than), self._rows.collection(statuses))
        if dry_run:
            workflows, tasks = yield Step(self._count_purgeable, chosen)
            return PurgeReport(workflows, tasks, dry_run=True)
        deleted = (0, 0)
        while True:
            workflows, tasks = yield Step(self._purge_batch, (*chosen, batch_size))
            deleted = (deleted[0] + workflows, deleted[1] + tasks)
            if workflows < batch_size:
                return PurgeReport(*deleted, dry_run=False)

    @read
    def _count_purgeable(self, older_than: object, statuses: object) -> Op[tuple[int, int]]:
        workflows, tasks = yield self._q.count_purgeable(older_than=older_than, statuses=statuses)
        return workflows, tasks

    @transact
    def _purge_batch(self, older_than: object, statuses: object, limit: int) -> Op[tuple[int, int]]:
        rows = yield self._q.lock_purgeable(older_than=older_than, statuses=statuses, limit=limit)
        ids = self._rows.collection([workflow_exec_id for (workflow_exec_id,) in rows])
        tasks, _ = yield Last(
            (
                self._q.count_tasks_of(workflow_exec_ids=ids),
                self._q.delete_workflows(workflow_exec_ids=ids),
            )
        )
        return len(rows), tasks[0]

    def _insert(self, workflow: WorkflowState, stamps: dict[str, Any]) -> Op[WorkflowState]:
        row = yield self._q.create_workflow(**self._rows.workflow_parameters(workflow) | stamps)
        if row is None:
            raise AlreadyExistsError(_ENTITY, "workflow_exec_id", workflow.workflow_exec_id)
        return self._rows.workflow(row)

    def _found(self, row: Row | None, workflow_exec_id: str) -> WorkflowState:
        if row is None:
            raise WorkflowNotFoundError(workflow_exec_id)
        return self._rows.workflow(row)

    def _why_not_updated(self, given: WorkflowState) -> Op[EngineStoreError]:
        key = given.workflow_exec_id
        row = yield self._q.get_workflow(workflow_exec_id=key)
        stored = self._found(row, key)
        if (field := changed_field(stored, given, *_IMMUTABLE)) is not None:
            return ImmutableFieldError(_ENTITY, key, field)
        if given.version != stored.version:
            return VersionConflictError(_ENTITY, key, given.version, stored.version)
        raise Contended

    def _why_not_replaced(self, given: WorkflowState) -> Op[EngineStoreError]:
        key = given.workflow_exec_id
        row = yield self._q.get_workflow(workflow_exec_id=key)
        if row is not None and (
            field := changed_field(self._rows.workflow(row), given, *_IMMUTABLE)
        ):
            return ImmutableFieldError(_ENTITY, key, field)
        raise Contended


def _position(state: WorkflowState) -> tuple[str, datetime, str]:
    return "workflows", state.created_at, state.workflow_exec_id
