"""Workflow executions (contract 5)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Set
from datetime import datetime

import attrs

from engine_store import values
from engine_store.errors import StatusConflictError, WorkflowNotFoundError
from engine_store.models import (
    TERMINAL,
    PurgeReport,
    Status,
    TaskState,
    UsageSummary,
    WorkflowFilter,
    WorkflowState,
)
from engine_store.protocols import WorkflowRepository
from engine_store.rules import checks, claims, outcomes
from engine_store.rules.entities import TASK, WORKFLOW
from engine_store.rules.sizes import size_of
from engine_store.waiting.waits import wait_for_status
from engine_store_memory.claims import cancel
from engine_store_memory.database import Data, Draft
from engine_store_memory.repository import Metered
from engine_store_memory.rows import detached, latest_of_each, ordered, where, written


class Workflows(Metered[WorkflowState, WorkflowFilter], WorkflowRepository):
    """Workflow executions in memory."""

    entity = WORKFLOW

    def get(self, workflow_exec_id: str, *, with_tasks: bool = False) -> WorkflowState:
        if not with_tasks:
            return self._get(workflow_exec_id)
        values.check_id(workflow_exec_id, "workflow_exec_id")
        return detached(self._with_tasks(self._scope.read(), workflow_exec_id))

    def wait(
        self,
        workflow_exec_id: str,
        *,
        statuses: Collection[Status] = TERMINAL,
        timeout: float | None = None,
    ) -> WorkflowState:
        def get() -> WorkflowState:
            return self._get(workflow_exec_id)

        return wait_for_status(
            self._scope.notifier, workflow_exec_id, statuses, timeout, lambda: get().status, get
        ).run()

    def get_for_update(self, workflow_exec_id: str) -> WorkflowState:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        self._check_locking()
        return self._get(workflow_exec_id)

    def latest(
        self,
        workflow_id: str,
        *,
        task_id: str | None = None,
        agent_id: str | None = None,
        tool_id: str | None = None,
    ) -> WorkflowState:
        values.check_id(workflow_id, "workflow_id")
        having = {"task_id": task_id, "agent_id": agent_id, "tool_id": tool_id}
        for field, value in having.items():
            values.check_optional_id(value, field)
        data = self._scope.read()
        found = where(data[WORKFLOW].values(), workflow_id=workflow_id)
        if any(having.values()):
            owners = {task.workflow_exec_id for task in where(data[TASK].values(), **having)}
            found = [state for state in found if state.workflow_exec_id in owners]
        if not found:
            raise WorkflowNotFoundError(workflow_id, "workflow_id")
        return detached(max(found, key=WORKFLOW.position))

    def create(self, workflow: WorkflowState) -> WorkflowState:
        return self._create(workflow)

    def restore(self, workflow: WorkflowState) -> WorkflowState:
        return self._restore(workflow)

    def update(self, workflow: WorkflowState) -> WorkflowState:
        return self._update(workflow)

    def upsert(self, workflow: WorkflowState) -> WorkflowState:
        return self._upsert(workflow)

    def modify(
        self, workflow_exec_id: str, fn: Callable[[WorkflowState], WorkflowState]
    ) -> WorkflowState:
        return self._modify(workflow_exec_id, fn)

    def set_status(
        self,
        workflow_exec_id: str,
        status: Status,
        *,
        expected_version: int | None = None,
        expected_statuses: Collection[Status] | None = None,
    ) -> WorkflowState:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        values.check_choice(status, Status, "status")
        if expected_version is not None:
            values.check_int(expected_version, "expected_version", minimum=0)
        expected_statuses = values.check_choices(expected_statuses, Status, "expected_statuses")
        with self._scope.write() as data:
            before = self._stored(data, workflow_exec_id)
            if expected_version is not None:
                self._check_version(before, expected_version)
            if expected_statuses is not None and before.status not in expected_statuses:
                expected = frozenset(status.value for status in expected_statuses)
                raise StatusConflictError(workflow_exec_id, expected, before.status.value)
            return self._replace(data, before, attrs.evolve(before, status=status))

    def merge_usage(self, workflow_exec_id: str, usage: UsageSummary) -> WorkflowState:
        return self._merge_usage(workflow_exec_id, usage)

    def complete(
        self, workflow_exec_id: str, transform: outcomes.Transform | None = None
    ) -> WorkflowState:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        with self._scope.write() as data:
            before = self._with_tasks(data, workflow_exec_id)
            if before.status not in TERMINAL:
                tasks = tasks_of(data, workflow_exec_id)
                roots = latest_of_each(task for task in tasks if task.parent_state_id is None)
                statuses = {task_id: root.status for task_id, root in roots.items()}
                limit = self._scope.max_document_bytes
                after = outcomes.completed(before, statuses, transform, max_document_bytes=limit)
                # The transform may have written in this transaction, also this workflow.
                self._check_version(self._stored(data, workflow_exec_id), before.version)
                self._replace(data, before, after)
            return detached(self._with_tasks(data, workflow_exec_id))

    def cancel(self, workflow_exec_id: str, *, reason: str | None = None) -> WorkflowState:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        error = claims.canceled(reason)
        values.check_size(size_of(error), "reason", self._scope.max_document_bytes)
        with self._scope.write() as data:
            state, now = self._stored(data, workflow_exec_id), self._scope.now()
            cancel(data, tasks_of(data, workflow_exec_id), error, now)
            if state.status not in TERMINAL:
                canceled = written(state, now, status=Status.CANCELED, error=error)
                self._put(data, canceled)
            return detached(self._stored(data, workflow_exec_id))

    def delete(self, workflow_exec_id: str) -> None:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        with self._scope.write() as data:
            self._stored(data, workflow_exec_id)
            _delete(data, {workflow_exec_id})

    def purge(
        self,
        older_than: datetime,
        *,
        statuses: Collection[Status] = checks.PURGED_BY_DEFAULT,
        batch_size: int = 100,
        dry_run: bool = False,
    ) -> PurgeReport:
        older_than, statuses = checks.check_purge(older_than, statuses, batch_size)

        def doomed(data: Data) -> list[str]:
            found = data[WORKFLOW].items()
            return [k for k, s in found if s.status in statuses and s.updated_at < older_than]

        if dry_run:
            now = self._scope.read()
            keys = set(doomed(now))
            return PurgeReport(len(keys), len(_ids_of_tasks(now, keys)), dry_run)
        workflows = tasks = 0
        while True:
            with self._scope.write() as data:
                keys = set(doomed(data)[:batch_size])
                tasks += _delete(data, keys)
            workflows += len(keys)
            if len(keys) < batch_size:
                return PurgeReport(workflows, tasks, dry_run)

    def _put(self, data: Draft, row: WorkflowState) -> WorkflowState:
        return super()._put(data, attrs.evolve(row, tasks={}))

    def _with_tasks(self, data: Data, key: str) -> WorkflowState:
        tasks = latest_of_each(tasks_of(data, key))
        return attrs.evolve(self._stored(data, key), tasks=tasks)


def tasks_of(data: Data, key: str) -> list[TaskState]:
    """Return the tasks of a workflow execution, in order."""
    return ordered(TASK, where(data[TASK].values(), workflow_exec_id=key))


def _ids_of_tasks(data: Data, keys: Set[str]) -> list[str]:
    return [key for key, task in data[TASK].items() if task.workflow_exec_id in keys]


def _delete(data: Draft, keys: Set[str]) -> int:
    """Delete workflow executions with their tasks, and count the tasks."""
    tasks = _ids_of_tasks(data, keys)
    for task in tasks:
        del data[TASK][task]
        data.leases.pop(task, None)
    for key in keys:
        del data[WORKFLOW][key]
        data.events.pop(key, None)
    return len(tasks)
