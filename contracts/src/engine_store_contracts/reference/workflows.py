"""Workflow executions of the reference store (contract 5)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

import attrs

from engine_store import checks, rules, values
from engine_store.errors import (
    AlreadyExistsError,
    ImmutableFieldError,
    NotInTransactionError,
    StatusConflictError,
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
from engine_store_contracts.reference.data import (
    Data,
    Scope,
    check_created_at,
    check_version,
    detached,
    modified,
    page,
)
from engine_store_contracts.reference.tasks import latest_per_task_id

ANY_WORKFLOW = WorkflowFilter()

ENTITY = "workflow execution"


class Workflows:
    """`engine_store.protocols.WorkflowRepository`."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def get(self, workflow_exec_id: str, *, with_tasks: bool = False) -> WorkflowState:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        data = self._scope.read()
        state = stored(data, workflow_exec_id)
        return detached(_with_tasks(data, state) if with_tasks else state)

    def get_for_update(self, workflow_exec_id: str) -> WorkflowState:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        if not self._scope.in_transaction:
            raise NotInTransactionError("workflows.get_for_update")
        return self.get(workflow_exec_id)  # every write is held off while a transaction is open

    def list(
        self,
        filter: WorkflowFilter = ANY_WORKFLOW,
        *,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[WorkflowState]:
        checks.check_workflow_filter(filter)
        values.check_limit(limit)
        checks.decode_cursor("workflows", cursor)
        matches = (row for row in self._scope.read().workflows.values() if _matches(filter, row))
        return page("workflows", matches, _position, limit, cursor, newest_first=True)

    def latest(
        self,
        workflow_id: str,
        *,
        task_id: str | None = None,
        agent_id: str | None = None,
        tool_id: str | None = None,
    ) -> WorkflowState:
        values.check_id(workflow_id, "workflow_id")
        values.check_optional_id(task_id, "task_id")
        values.check_optional_id(agent_id, "agent_id")
        values.check_optional_id(tool_id, "tool_id")
        data = self._scope.read()
        found = [row for row in data.workflows.values() if row.workflow_id == workflow_id]
        if (task_id, agent_id, tool_id) != (None, None, None):
            having = {
                task.workflow_exec_id
                for task in data.tasks.values()
                if task_id in (None, task.task_id)
                and agent_id in (None, task.agent_id)
                and tool_id in (None, task.tool_id)
            }
            found = [row for row in found if row.workflow_exec_id in having]
        if not found:
            raise WorkflowNotFoundError(workflow_id, "workflow_id")
        return detached(max(found, key=_position))

    def create(self, workflow: WorkflowState) -> WorkflowState:
        checks.check_workflow(workflow)
        with self._scope.write() as data:
            _check_is_new(data, workflow)
            return self._create(data, workflow)

    def restore(self, workflow: WorkflowState) -> WorkflowState:
        checks.check_workflow(workflow)
        checks.check_restored(workflow, "workflow")
        with self._scope.write() as data:
            _check_is_new(data, workflow)
            return _store(
                data,
                workflow,
                version=workflow.version,
                created_at=workflow.created_at,
                updated_at=workflow.updated_at,
            )

    def update(self, workflow: WorkflowState) -> WorkflowState:
        checks.check_workflow(workflow)
        with self._scope.write() as data:
            before = stored(data, workflow.workflow_exec_id)
            _check_immutable(workflow, before)
            key = workflow.workflow_exec_id
            check_version(ENTITY, key, workflow.version, before.version)
            return self._replace(data, before, workflow)

    def upsert(self, workflow: WorkflowState) -> WorkflowState:
        checks.check_workflow(workflow)
        with self._scope.write() as data:
            before = data.workflows.get(workflow.workflow_exec_id)
            if before is None:
                return self._create(data, workflow)
            _check_immutable(workflow, before)
            return self._replace(data, before, workflow)

    def modify(
        self, workflow_exec_id: str, fn: Callable[[WorkflowState], WorkflowState]
    ) -> WorkflowState:
        return modified(self.get, self.update, workflow_exec_id, fn)

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
            before = stored(data, workflow_exec_id)
            if expected_version is not None:
                check_version(ENTITY, workflow_exec_id, expected_version, before.version)
            if expected_statuses is not None and before.status not in expected_statuses:
                expected = frozenset(status.value for status in expected_statuses)
                raise StatusConflictError(workflow_exec_id, expected, before.status.value)
            return self._replace(data, before, attrs.evolve(before, status=status))

    def merge_usage(self, workflow_exec_id: str, usage: UsageSummary) -> WorkflowState:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        checks.check_usage(usage)
        with self._scope.write() as data:
            before = stored(data, workflow_exec_id)
            merged = before.usage.merge(usage)
            checks.check_usage(merged)
            return self._replace(data, before, attrs.evolve(before, usage=merged))

    def complete(
        self, workflow_exec_id: str, transform: rules.Transform | None = None
    ) -> WorkflowState:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        with self._scope.write() as data:
            before = stored(data, workflow_exec_id)
            if before.status not in TERMINAL:
                roots = latest_per_task_id(
                    task
                    for task in data.tasks.values()
                    if task.workflow_exec_id == workflow_exec_id and task.parent_state_id is None
                )
                statuses = {task_id: root.status for task_id, root in roots.items()}
                state = detached(_with_tasks(data, before))
                after = rules.completed(state, statuses, transform)
                checks.check_workflow(after)
                self._replace(data, before, after)
            return detached(_with_tasks(data, data.workflows[workflow_exec_id]))

    def delete(self, workflow_exec_id: str) -> None:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        with self._scope.write() as data:
            stored(data, workflow_exec_id)
            _delete(data, {workflow_exec_id})

    def purge(
        self,
        older_than: datetime,
        *,
        statuses: Collection[Status] = checks.PURGED_UNLESS_TOLD,
        batch_size: int = 100,
        dry_run: bool = False,
    ) -> PurgeReport:
        checks.check_purge(older_than, statuses, batch_size)
        total = PurgeReport(workflows=0, tasks=0, dry_run=dry_run)
        if dry_run:
            now = self._scope.read()
            return _counted(total, now, _purgeable(now, older_than, statuses))
        while True:
            with self._scope.write() as data:
                doomed = set(sorted(_purgeable(data, older_than, statuses))[:batch_size])
                total = _counted(total, data, doomed)
                _delete(data, doomed)
            if len(doomed) < batch_size:
                return total

    def _create(self, data: Data, workflow: WorkflowState) -> WorkflowState:
        now = self._scope.now()
        return _store(data, workflow, version=1, created_at=now, updated_at=now)

    def _replace(self, data: Data, before: WorkflowState, workflow: WorkflowState) -> WorkflowState:
        return _store(
            data,
            workflow,
            version=before.version + 1,
            created_at=before.created_at,
            updated_at=max(before.updated_at, self._scope.now()),
        )


def stored(data: Data, workflow_exec_id: str) -> WorkflowState:
    """The row, or `WorkflowNotFoundError`."""
    if workflow_exec_id not in data.workflows:
        raise WorkflowNotFoundError(workflow_exec_id)
    return data.workflows[workflow_exec_id]


def _store(
    data: Data,
    workflow: WorkflowState,
    *,
    version: int,
    created_at: datetime,
    updated_at: datetime,
) -> WorkflowState:
    row = detached(
        attrs.evolve(
            workflow, tasks={}, version=version, created_at=created_at, updated_at=updated_at
        )
    )
    data.workflows[row.workflow_exec_id] = row
    return detached(row)


def _position(workflow: WorkflowState) -> tuple[datetime, str]:
    return (workflow.created_at, workflow.workflow_exec_id)


def _with_tasks(data: Data, workflow: WorkflowState) -> WorkflowState:
    tasks = latest_per_task_id(
        task for task in data.tasks.values() if task.workflow_exec_id == workflow.workflow_exec_id
    )
    return attrs.evolve(workflow, tasks=tasks)


def _check_is_new(data: Data, workflow: WorkflowState) -> None:
    if workflow.workflow_exec_id in data.workflows:
        raise AlreadyExistsError(ENTITY, "workflow_exec_id", workflow.workflow_exec_id)


def _check_immutable(workflow: WorkflowState, before: WorkflowState) -> None:
    key = workflow.workflow_exec_id
    if workflow.workflow_id != before.workflow_id:
        raise ImmutableFieldError(ENTITY, key, "workflow_id")
    check_created_at(ENTITY, key, workflow.created_at, before.created_at)


def _matches(filter: WorkflowFilter, row: WorkflowState) -> bool:
    return (
        filter.workflow_id in (None, row.workflow_id)
        and (filter.statuses is None or row.status in filter.statuses)
        and (filter.workflow_exec_ids is None or row.workflow_exec_id in filter.workflow_exec_ids)
        and (filter.created_from is None or filter.created_from <= row.created_at)
        and (filter.created_before is None or row.created_at < filter.created_before)
    )


def _purgeable(data: Data, older_than: datetime, statuses: Collection[Status]) -> set[str]:
    return {
        key
        for key, row in data.workflows.items()
        if row.status in statuses and row.updated_at < older_than
    }


def _counted(report: PurgeReport, data: Data, doomed: Collection[str]) -> PurgeReport:
    return attrs.evolve(
        report,
        workflows=report.workflows + len(doomed),
        tasks=report.tasks + sum(task.workflow_exec_id in doomed for task in data.tasks.values()),
    )


def _delete(data: Data, doomed: Collection[str]) -> None:
    data.workflows = {key: row for key, row in data.workflows.items() if key not in doomed}
    data.tasks = {key: row for key, row in data.tasks.items() if row.workflow_exec_id not in doomed}
