"""Task executions (contract 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

from engine_store.checks import (
    check_restored,
    check_task,
    check_task_filter,
    check_usage,
    decode_cursor,
)
from engine_store.errors import (
    AlreadyExistsError,
    EngineStoreError,
    ImmutableFieldError,
    InvalidReferenceError,
    TaskNotFoundError,
    VersionConflictError,
)
from engine_store.models import (
    Page,
    Progress,
    Status,
    TaskFilter,
    TaskState,
    UsageSummary,
)
from engine_store.rules import progress
from engine_store.sql.operation import (
    Contended,
    Last,
    Op,
    Procedure,
    lock,
    procedure,
    read,
    transact,
    write,
)
from engine_store.sql.operations.base import Operations, changed_field, page
from engine_store.sql.rows import read_usage, write_usage
from engine_store.sql.statements import Call
from engine_store.values import (
    Document,
    check_choice,
    check_id,
    check_int,
    check_limit,
    check_optional_id,
)

_ENTITY = TaskNotFoundError.entity
_IMMUTABLE = ("workflow_exec_id", "parent_state_id")
_ALL = TaskFilter()


class TaskOperations(Operations):
    """`engine_store.protocols.TaskRepository`, as operations."""

    @read
    def get(self, task_exec_id: str, *, workflow_exec_id: str | None = None) -> Op[TaskState]:
        check_id(task_exec_id, "task_exec_id")
        check_optional_id(workflow_exec_id, "workflow_exec_id")
        row = yield self._q.get_task(task_exec_id=task_exec_id, workflow_exec_id=workflow_exec_id)
        if row is None:
            raise TaskNotFoundError(task_exec_id)
        return self._rows.task(row)

    @lock
    def get_for_update(
        self, task_exec_id: str, *, workflow_exec_id: str | None = None
    ) -> Op[TaskState]:
        check_id(task_exec_id, "task_exec_id")
        check_optional_id(workflow_exec_id, "workflow_exec_id")
        row = yield self._q.lock_task(task_exec_id=task_exec_id, workflow_exec_id=workflow_exec_id)
        if row is None:
            raise TaskNotFoundError(task_exec_id)
        return self._rows.task(row)

    @read
    def list(
        self, filter: TaskFilter = _ALL, *, limit: int = 100, cursor: str | None = None
    ) -> Op[Page[TaskState]]:
        check_task_filter(filter)
        check_limit(limit)
        after, after_id = decode_cursor("tasks", cursor) or (None, None)
        rows = yield self._list(
            filter, after_created_at=self._rows.time(after), after_id=after_id, limit=limit + 1
        )
        return page(rows, limit, self._rows.task, _position)

    @write
    def create(self, task: TaskState) -> Op[TaskState]:
        check_task(task)
        return (yield from self._insert(task, self._new()))

    @write
    def restore(self, task: TaskState) -> Op[TaskState]:
        check_task(task)
        check_restored(task, "task")
        return (yield from self._insert(task, self._rows.stamps(task)))

    @write
    def update(self, task: TaskState) -> Op[TaskState]:
        check_task(task)
        row = yield self._q.update_task(**self._rows.task_parameters(task), now=self._now())
        if row is None:
            raise (yield from self._why_not_updated(task))
        return self._rows.task(row)

    @write
    def upsert(self, task: TaskState) -> Op[TaskState]:
        check_task(task)
        row = yield self._q.upsert_task(**self._rows.task_parameters(task), now=self._now())
        if row is None:
            raise (yield from self._why_not_replaced(task))
        return self._rows.task(row)

    @procedure
    def modify(
        self, task_exec_id: str, fn: Callable[[TaskState], TaskState]
    ) -> Procedure[TaskState]:
        return self._modify(self.get, self.update, task_exec_id, fn)

    @transact
    def merge_usage(self, task_exec_id: str, usage: UsageSummary) -> Op[TaskState]:
        check_id(task_exec_id, "task_exec_id")
        check_usage(usage)
        row = yield self._q.lock_task_usage(task_exec_id=task_exec_id)
        if row is None:
            raise TaskNotFoundError(task_exec_id)
        merged = read_usage(row[0]).merge(usage)
        check_usage(merged)
        row = yield Last(
            self._q.set_task_usage(
                task_exec_id=task_exec_id, usage=write_usage(merged), now=self._now()
            )
        )
        return self._rows.task(row)

    @read
    def usage(self, task_exec_id: str) -> Op[UsageSummary]:
        check_id(task_exec_id, "task_exec_id")
        row = yield self._q.get_task_usage(task_exec_id=task_exec_id)
        if row is None:
            raise TaskNotFoundError(task_exec_id)
        return read_usage(row[0])

    @read
    def children(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> Op[tuple[TaskState, ...]]:
        check_id(parent_state_id, "parent_state_id")
        check_optional_id(workflow_exec_id, "workflow_exec_id")
        return (
            yield from self._all(
                TaskFilter(workflow_exec_id=workflow_exec_id, parent_state_id=parent_state_id)
            )
        )

    @read
    def child(
        self, parent_state_id: str, task_id: str, *, workflow_exec_id: str | None = None
    ) -> Op[TaskState]:
        check_id(parent_state_id, "parent_state_id")
        check_id(task_id, "task_id")
        check_optional_id(workflow_exec_id, "workflow_exec_id")
        row = yield self._q.latest_child(
            parent_state_id=parent_state_id, task_id=task_id, workflow_exec_id=workflow_exec_id
        )
        if row is None:
            raise TaskNotFoundError(task_id, "task_id")
        return self._rows.task(row)

    @read
    def children_outputs(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> Op[Mapping[str, Document]]:
        check_id(parent_state_id, "parent_state_id")
        check_optional_id(workflow_exec_id, "workflow_exec_id")
        rows = yield self._q.children_outputs(
            parent_state_id=parent_state_id, workflow_exec_id=workflow_exec_id
        )
        # In creation order, so that of several executions the latest stays.
        return {task_id: orjson.loads(output) for task_id, output in rows}

    @read
    def in_workflow(self, workflow_exec_id: str) -> Op[Mapping[str, TaskState]]:
        check_id(workflow_exec_id, "workflow_exec_id")
        rows = yield self._q.latest_tasks(workflow_exec_id=workflow_exec_id)
        return self._by_task_id(rows)

    @read
    def by_status(self, workflow_exec_id: str, status: Status) -> Op[tuple[TaskState, ...]]:
        check_id(workflow_exec_id, "workflow_exec_id")
        check_choice(status, Status, "status")
        return (
            yield from self._all(TaskFilter(workflow_exec_id=workflow_exec_id, statuses=[status]))
        )

    @read
    def by_agent(self, workflow_exec_id: str, agent_id: str) -> Op[tuple[TaskState, ...]]:
        check_id(workflow_exec_id, "workflow_exec_id")
        check_id(agent_id, "agent_id")
        return (
            yield from self._all(TaskFilter(workflow_exec_id=workflow_exec_id, agent_id=agent_id))
        )

    @read
    def by_tool(self, workflow_exec_id: str, tool_id: str) -> Op[tuple[TaskState, ...]]:
        check_id(workflow_exec_id, "workflow_exec_id")
        check_id(tool_id, "tool_id")
        return (
            yield from self._all(TaskFilter(workflow_exec_id=workflow_exec_id, tool_id=tool_id))
        )

    @read
    def tree(
        self, root: str, *, max_depth: int = 100, workflow_exec_id: str | None = None
    ) -> Op[tuple[TaskState, ...]]:
        check_id(root, "root")
        check_int(max_depth, "max_depth", minimum=0)
        check_optional_id(workflow_exec_id, "workflow_exec_id")
        rows = yield self._q.task_tree(
            root=root, max_depth=max_depth, workflow_exec_id=workflow_exec_id
        )
        if not rows:
            raise TaskNotFoundError(root)
        return tuple(map(self._rows.task, rows))

    @read
    def progress(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> Op[Progress]:
        check_id(parent_state_id, "parent_state_id")
        check_optional_id(workflow_exec_id, "workflow_exec_id")
        rows = yield self._q.count_children(
            parent_state_id=parent_state_id, workflow_exec_id=workflow_exec_id
        )
        return progress({Status(status): count for status, count in rows})

    def _list(self, filter: TaskFilter, **position: object) -> Call:
        return self._q.list_tasks(
            workflow_exec_id=filter.workflow_exec_id,
            statuses=self._rows.collection(filter.statuses),
            task_exec_ids=self._rows.collection(filter.task_exec_ids),
            task_id=filter.task_id,
            parent_state_id=filter.parent_state_id,
            agent_id=filter.agent_id,
            action_id=filter.action_id,
            tool_id=filter.tool_id,
            execution_type=filter.execution_type and filter.execution_type.value,
            **position,
        )

    def _all(self, filter: TaskFilter) -> Op[tuple[TaskState, ...]]:
        """Everything that matches, unpaged."""
        rows = yield self._list(filter, after_created_at=None, after_id=None, limit=None)
        return tuple(map(self._rows.task, rows))

    def _insert(self, task: TaskState, stamps: dict[str, Any]) -> Op[TaskState]:
        row = yield self._q.create_task(**self._rows.task_parameters(task) | stamps)
        if row is None:
            raise (yield from self._why_not_created(task))
        return self._rows.task(row)

    def _why_not_created(self, given: TaskState) -> Op[EngineStoreError]:
        stored, missing = yield from self._stored_and_missing(given)
        if stored is not None:
            return AlreadyExistsError(_ENTITY, "task_exec_id", given.task_exec_id)
        if missing is not None:
            return InvalidReferenceError(_ENTITY, missing, str(getattr(given, missing)))
        raise Contended

    def _why_not_updated(self, given: TaskState) -> Op[EngineStoreError]:
        key = given.task_exec_id
        row = yield self._q.get_task(task_exec_id=key, workflow_exec_id=None)
        if row is None:
            return TaskNotFoundError(key)
        stored = self._rows.task(row)
        if (field := changed_field(stored, given, *_IMMUTABLE)) is not None:
            return ImmutableFieldError(_ENTITY, key, field)
        if given.version != stored.version:
            return VersionConflictError(_ENTITY, key, given.version, stored.version)
        raise Contended

    def _why_not_replaced(self, given: TaskState) -> Op[EngineStoreError]:
        stored, missing = yield from self._stored_and_missing(given)
        if stored is not None and (field := changed_field(stored, given, *_IMMUTABLE)) is not None:
            return ImmutableFieldError(_ENTITY, given.task_exec_id, field)
        if stored is None and missing is not None:
            return InvalidReferenceError(_ENTITY, missing, str(getattr(given, missing)))
        raise Contended

    def _stored_and_missing(self, given: TaskState) -> Op[tuple[TaskState | None, str | None]]:
        """The stored task of this id, and the field of `given` that refers to what is not there."""
        row, workflow, parent = yield (
            self._q.get_task(task_exec_id=given.task_exec_id, workflow_exec_id=None),
            self._q.get_workflow(workflow_exec_id=given.workflow_exec_id),
            self._q.get_task(
                task_exec_id=given.parent_state_id, workflow_exec_id=given.workflow_exec_id
            ),
        )
        missing = None
        if workflow is None:
            missing = "workflow_exec_id"
        elif given.parent_state_id is not None and parent is None:
            missing = "parent_state_id"
        return None if row is None else self._rows.task(row), missing


def _position(state: TaskState) -> tuple[str, datetime, str]:
    return "tasks", state.created_at, state.task_exec_id
