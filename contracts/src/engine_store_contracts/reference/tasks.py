"""Task executions of the reference store (contract 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import attrs

from engine_store import checks, rules, values
from engine_store.errors import (
    AlreadyExistsError,
    ImmutableFieldError,
    InvalidReferenceError,
    NotInTransactionError,
    TaskNotFoundError,
)
from engine_store.models import Page, Progress, Status, TaskFilter, TaskState, UsageSummary
from engine_store.values import Document
from engine_store_contracts.reference.data import (
    Data,
    Scope,
    check_created_at,
    check_version,
    detached,
    modified,
    page,
)

ANY_TASK = TaskFilter()

ENTITY = "task execution"


class Tasks:
    """`engine_store.protocols.TaskRepository`."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def get(self, task_exec_id: str, *, workflow_exec_id: str | None = None) -> TaskState:
        values.check_id(task_exec_id, "task_exec_id")
        values.check_optional_id(workflow_exec_id, "workflow_exec_id")
        return detached(_stored(self._scope.read(), task_exec_id, workflow_exec_id))

    def get_for_update(
        self, task_exec_id: str, *, workflow_exec_id: str | None = None
    ) -> TaskState:
        values.check_id(task_exec_id, "task_exec_id")
        values.check_optional_id(workflow_exec_id, "workflow_exec_id")
        if not self._scope.in_transaction:
            raise NotInTransactionError("tasks.get_for_update")
        return self.get(task_exec_id, workflow_exec_id=workflow_exec_id)

    def list(
        self,
        filter: TaskFilter = ANY_TASK,
        *,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[TaskState]:
        checks.check_task_filter(filter)
        values.check_limit(limit)
        checks.decode_cursor("tasks", cursor)
        matches = (row for row in self._scope.read().tasks.values() if _matches(filter, row))
        return page("tasks", matches, _position, limit, cursor)

    def create(self, task: TaskState) -> TaskState:
        checks.check_task(task)
        with self._scope.write() as data:
            _check_is_new(data, task)
            return self._create(data, task)

    def restore(self, task: TaskState) -> TaskState:
        checks.check_task(task)
        checks.check_restored(task, "task")
        with self._scope.write() as data:
            _check_is_new(data, task)
            _check_references(data, task)
            return _store(data, task)

    def update(self, task: TaskState) -> TaskState:
        checks.check_task(task)
        with self._scope.write() as data:
            before = _stored(data, task.task_exec_id)
            _check_immutable(task, before)
            check_version(ENTITY, task.task_exec_id, task.version, before.version)
            return self._replace(data, before, task)

    def upsert(self, task: TaskState) -> TaskState:
        checks.check_task(task)
        with self._scope.write() as data:
            before = data.tasks.get(task.task_exec_id)
            if before is None:
                return self._create(data, task)
            _check_immutable(task, before)
            return self._replace(data, before, task)

    def modify(self, task_exec_id: str, fn: Callable[[TaskState], TaskState]) -> TaskState:
        return modified(self.get, self.update, task_exec_id, fn)

    def merge_usage(self, task_exec_id: str, usage: UsageSummary) -> TaskState:
        values.check_id(task_exec_id, "task_exec_id")
        checks.check_usage(usage)
        with self._scope.write() as data:
            before = _stored(data, task_exec_id)
            merged = before.usage.merge(usage)
            checks.check_usage(merged)
            return self._replace(data, before, attrs.evolve(before, usage=merged))

    def usage(self, task_exec_id: str) -> UsageSummary:
        return self.get(task_exec_id).usage

    def children(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> tuple[TaskState, ...]:
        return detached(self._children(parent_state_id, workflow_exec_id))

    def child(
        self, parent_state_id: str, task_id: str, *, workflow_exec_id: str | None = None
    ) -> TaskState:
        values.check_id(task_id, "task_id")
        latest = latest_per_task_id(self._children(parent_state_id, workflow_exec_id))
        if task_id not in latest:
            raise TaskNotFoundError(task_id, "task_id")
        return detached(latest[task_id])

    def children_outputs(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> Mapping[str, Document]:
        children = self._children(parent_state_id, workflow_exec_id)
        latest = latest_per_task_id(task for task in children if task.output is not None)
        return {
            task_id: detached(task.output)
            for task_id, task in latest.items()
            if task.output is not None
        }

    def in_workflow(self, workflow_exec_id: str) -> Mapping[str, TaskState]:
        return latest_per_task_id(self._in_workflow(workflow_exec_id))

    def by_status(self, workflow_exec_id: str, status: Status) -> tuple[TaskState, ...]:
        values.check_choice(status, Status, "status")
        rows = self._in_workflow(workflow_exec_id)
        return tuple(row for row in rows if row.status is status)

    def by_agent(self, workflow_exec_id: str, agent_id: str) -> tuple[TaskState, ...]:
        values.check_id(agent_id, "agent_id")
        rows = self._in_workflow(workflow_exec_id)
        return tuple(row for row in rows if row.agent_id == agent_id)

    def by_tool(self, workflow_exec_id: str, tool_id: str) -> tuple[TaskState, ...]:
        values.check_id(tool_id, "tool_id")
        rows = self._in_workflow(workflow_exec_id)
        return tuple(row for row in rows if row.tool_id == tool_id)

    def tree(
        self, root: str, *, max_depth: int = 100, workflow_exec_id: str | None = None
    ) -> tuple[TaskState, ...]:
        values.check_id(root, "root")
        values.check_int(max_depth, "max_depth", minimum=0)
        values.check_optional_id(workflow_exec_id, "workflow_exec_id")
        data = self._scope.read()
        level = [_stored(data, root, workflow_exec_id)]
        found = list(level)
        for _ in range(max_depth):
            parents = {task.task_exec_id for task in level}
            level = _sorted(row for row in data.tasks.values() if row.parent_state_id in parents)
            if not level:
                break
            found += level
        return tuple(map(detached, found))

    def progress(self, parent_state_id: str, *, workflow_exec_id: str | None = None) -> Progress:
        children = self._children(parent_state_id, workflow_exec_id)
        return rules.progress(Counter(child.status for child in children))

    def _children(
        self, parent_state_id: str, workflow_exec_id: str | None
    ) -> tuple[TaskState, ...]:
        values.check_id(parent_state_id, "parent_state_id")
        values.check_optional_id(workflow_exec_id, "workflow_exec_id")
        return tuple(
            _sorted(
                row
                for row in self._scope.read().tasks.values()
                if row.parent_state_id == parent_state_id
                and workflow_exec_id in (None, row.workflow_exec_id)
            )
        )

    def _in_workflow(self, workflow_exec_id: str) -> tuple[TaskState, ...]:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        rows = self._scope.read().tasks.values()
        return tuple(
            detached(row)
            for row in _sorted(row for row in rows if row.workflow_exec_id == workflow_exec_id)
        )

    def _create(self, data: Data, task: TaskState) -> TaskState:
        _check_references(data, task)
        now = self._scope.now()
        return _store(data, attrs.evolve(task, version=1, created_at=now, updated_at=now))

    def _replace(self, data: Data, before: TaskState, task: TaskState) -> TaskState:
        return _store(
            data,
            attrs.evolve(
                task,
                version=before.version + 1,
                created_at=before.created_at,
                updated_at=max(before.updated_at, self._scope.now()),
            ),
        )


def latest_per_task_id(tasks: Iterable[TaskState]) -> dict[str, TaskState]:
    """The latest execution of each `task_id`, in the order the executions were made."""
    latest: dict[str, TaskState] = {}
    for task in _sorted(tasks):
        latest[task.task_id] = task
    return {task.task_id: task for task in _sorted(latest.values())}


def _position(task: TaskState) -> tuple[datetime, str]:
    return (task.created_at, task.task_exec_id)


def _sorted(tasks: Iterable[TaskState]) -> list[TaskState]:
    return sorted(tasks, key=_position)


def _stored(data: Data, task_exec_id: str, workflow_exec_id: str | None = None) -> TaskState:
    task = data.tasks.get(task_exec_id)
    if task is None or workflow_exec_id not in (None, task.workflow_exec_id):
        raise TaskNotFoundError(task_exec_id)
    return task


def _store(data: Data, task: TaskState) -> TaskState:
    row = detached(task)
    data.tasks[row.task_exec_id] = row
    return detached(row)


def _check_is_new(data: Data, task: TaskState) -> None:
    if task.task_exec_id in data.tasks:
        raise AlreadyExistsError(ENTITY, "task_exec_id", task.task_exec_id)


def _check_references(data: Data, task: TaskState) -> None:
    if task.workflow_exec_id not in data.workflows:
        raise InvalidReferenceError(ENTITY, "workflow_exec_id", task.workflow_exec_id)
    if task.parent_state_id is not None:
        parent = data.tasks.get(task.parent_state_id)
        if parent is None or parent.workflow_exec_id != task.workflow_exec_id:
            raise InvalidReferenceError(ENTITY, "parent_state_id", task.parent_state_id)


def _check_immutable(task: TaskState, before: TaskState) -> None:
    for field in ("workflow_exec_id", "parent_state_id"):
        if getattr(task, field) != getattr(before, field):
            raise ImmutableFieldError(ENTITY, task.task_exec_id, field)
    check_created_at(ENTITY, task.task_exec_id, task.created_at, before.created_at)


def _matches(filter: TaskFilter, row: TaskState) -> bool:
    return (
        (filter.statuses is None or row.status in filter.statuses)
        and (filter.task_exec_ids is None or row.task_exec_id in filter.task_exec_ids)
        and all(
            getattr(filter, field) in (None, getattr(row, field))
            for field in (
                "workflow_exec_id",
                "task_id",
                "parent_state_id",
                "agent_id",
                "action_id",
                "tool_id",
                "execution_type",
            )
        )
    )
