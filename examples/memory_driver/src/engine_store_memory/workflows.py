"""Workflow executions (contract 5)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from itertools import islice

import attrs

from engine_store import checks, rules, values
from engine_store.errors import StatusConflictError, WorkflowNotFoundError
from engine_store.models import (
    TERMINAL,
    PurgeReport,
    Status,
    UsageSummary,
    WorkflowFilter,
    WorkflowState,
)
from engine_store_memory.kinds import TASKS, WORKFLOWS
from engine_store_memory.repository import Metered, detached
from engine_store_memory.tables import Snapshot
from engine_store_memory.tasks import latest_of_each


class Workflows(Metered[WorkflowState, WorkflowFilter]):
    """`engine_store.protocols.WorkflowRepository`."""

    kind = WORKFLOWS

    def get(self, workflow_exec_id: str, *, with_tasks: bool = False) -> WorkflowState:
        if not with_tasks:
            return self._get(workflow_exec_id)
        values.check_id(workflow_exec_id, "workflow_exec_id")
        return detached(self._with_tasks(self._scope.read(), workflow_exec_id))

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
        any_task = not any(having.values())
        data = self._scope.read()
        for state in reversed(data[WORKFLOWS].where(workflow_id=workflow_id)):
            key = state.workflow_exec_id
            if any_task or data[TASKS].where(workflow_exec_id=key, **having):
                return detached(state)
        raise WorkflowNotFoundError(workflow_id, "workflow_id")

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
        values.check_choices(expected_statuses, Status, "expected_statuses")
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
        self, workflow_exec_id: str, transform: rules.Transform | None = None
    ) -> WorkflowState:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        with self._scope.write() as data:
            before = self._with_tasks(data, workflow_exec_id)
            if before.status not in TERMINAL:
                tasks = data[TASKS].where(workflow_exec_id=workflow_exec_id)
                roots = latest_of_each(task for task in tasks if task.parent_state_id is None)
                statuses = {task_id: root.status for task_id, root in roots.items()}
                after = rules.completed(before, statuses, transform)
                checks.check_workflow(after)
                self._replace(data, before, after)
            return detached(self._with_tasks(data, workflow_exec_id))

    def delete(self, workflow_exec_id: str) -> None:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        with self._scope.write() as data:
            self._stored(data, workflow_exec_id)
            _delete(data, workflow_exec_id)

    def purge(
        self,
        older_than: datetime,
        *,
        statuses: Collection[Status] = checks.PURGED_UNLESS_TOLD,
        batch_size: int = 100,
        dry_run: bool = False,
    ) -> PurgeReport:
        checks.check_purge(older_than, statuses, batch_size)

        def doomed(data: Snapshot) -> Iterator[str]:
            for state in data[WORKFLOWS]:
                if state.status in statuses and state.updated_at < older_than:
                    yield state.workflow_exec_id

        if dry_run:
            data = self._scope.read()
            sizes = [len(data[TASKS].where(workflow_exec_id=key)) for key in doomed(data)]
            return PurgeReport(len(sizes), sum(sizes), dry_run)
        workflows = tasks = 0
        while True:
            with self._scope.write() as data:
                sizes = [_delete(data, key) for key in list(islice(doomed(data), batch_size))]
            workflows, tasks = workflows + len(sizes), tasks + sum(sizes)
            if len(sizes) < batch_size:
                return PurgeReport(workflows, tasks, dry_run)

    def _put(self, data: Snapshot, row: WorkflowState) -> WorkflowState:
        return super()._put(data, attrs.evolve(row, tasks={}))

    def _with_tasks(self, data: Snapshot, key: str) -> WorkflowState:
        tasks = latest_of_each(data[TASKS].where(workflow_exec_id=key))
        return attrs.evolve(self._stored(data, key), tasks=tasks)


def _delete(data: Snapshot, key: str) -> int:
    """Delete a workflow execution with its tasks, and count these."""
    tasks = data[TASKS].where(workflow_exec_id=key)
    for task in tasks:
        data[TASKS].remove(task.task_exec_id)
    data[WORKFLOWS].remove(key)
    return len(tasks)
