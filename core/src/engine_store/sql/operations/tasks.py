"""Task executions (contract 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine_store.errors import EngineStoreError, InvalidReferenceError, TaskNotFoundError
from engine_store.models import (
    TERMINAL,
    Page,
    Progress,
    Status,
    TaskFilter,
    TaskState,
    UsageSummary,
)
from engine_store.rules.claims import ENDED, ended
from engine_store.rules.entities import TASK, WORKFLOW
from engine_store.rules.outcomes import progress
from engine_store.sql.operation import Op, Steps, lock, read, steps, transact, write
from engine_store.sql.operations.base import Action
from engine_store.sql.operations.claims import ClaimOperations
from engine_store.sql.rows import Row
from engine_store.sql.statements import Call
from engine_store.values import Document, check_choice, check_id, check_int, check_optional_id


class TaskOperations(ClaimOperations):
    """`engine_store.protocols.TaskRepository`, as operations."""

    @read
    def get(self, task_exec_id: str, *, workflow_exec_id: str | None = None) -> Op[TaskState]:
        check_id(task_exec_id, "task_exec_id")
        check_optional_id(workflow_exec_id, "workflow_exec_id")
        return self._one(self._stored(task_exec_id, workflow_exec_id), task_exec_id)

    @lock
    def get_for_update(
        self, task_exec_id: str, *, workflow_exec_id: str | None = None
    ) -> Op[TaskState]:
        check_id(task_exec_id, "task_exec_id")
        check_optional_id(workflow_exec_id, "workflow_exec_id")
        return self._one(self._held(task_exec_id, workflow_exec_id), task_exec_id)

    @read
    def list(
        self, filter: TaskFilter = TASK.everything, *, limit: int = 100, cursor: str | None = None
    ) -> Op[Page[TaskState]]:
        return self._page(self._q.list_tasks, filter, limit, cursor)

    @write
    def create(self, task: TaskState, *, allow_ended: bool = False) -> Op[TaskState]:
        ended = self._ended(allow_ended)
        return self._create(self._q.create_task, task, ended_statuses=ended)

    @write
    def restore(self, task: TaskState) -> Op[TaskState]:
        return self._restore(self._q.create_task, task, ended_statuses=None)

    @write
    def update(self, task: TaskState) -> Op[TaskState]:
        return self._update(self._q.update_task, task)

    @write
    def upsert(self, task: TaskState, *, allow_ended: bool = False) -> Op[TaskState]:
        ended = self._ended(allow_ended)
        return self._upsert(self._q.upsert_task, task, ended_statuses=ended)

    @steps
    def modify(self, task_exec_id: str, fn: Callable[[TaskState], TaskState]) -> Steps[TaskState]:
        return self._modify(task_exec_id, fn)

    @transact
    def merge_usage(self, task_exec_id: str, usage: UsageSummary) -> Op[TaskState]:
        return self._merge_usage(
            task_exec_id, usage, self._q.lock_task_usage, self._q.set_task_usage
        )

    @read
    def usage(self, task_exec_id: str) -> Op[UsageSummary]:
        check_id(task_exec_id, "task_exec_id")
        row = yield self._q.get_task_usage(task_exec_id=task_exec_id)
        if row is None:
            raise TaskNotFoundError(task_exec_id)
        return self._read_usage(row, task_exec_id)

    @read
    def children(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> Op[tuple[TaskState, ...]]:
        check_id(parent_state_id, "parent_state_id")
        check_optional_id(workflow_exec_id, "workflow_exec_id")
        return self._all(
            TaskFilter(workflow_exec_id=workflow_exec_id, parent_state_id=parent_state_id)
        )

    @read
    def child(
        self, parent_state_id: str, task_id: str, *, workflow_exec_id: str | None = None
    ) -> Op[TaskState]:
        check_id(parent_state_id, "parent_state_id")
        check_id(task_id, "task_id")
        check_optional_id(workflow_exec_id, "workflow_exec_id")
        call = self._q.latest_child(
            parent_state_id=parent_state_id, task_id=task_id, workflow_exec_id=workflow_exec_id
        )
        return self._one(call, task_id, "task_id")

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
        read_id, read_output = self._reader("task_id"), self._reader("output")
        return {read_id(task_id, key): read_output(output, key) for key, task_id, output in rows}

    @read
    def in_workflow(self, workflow_exec_id: str) -> Op[Mapping[str, TaskState]]:
        check_id(workflow_exec_id, "workflow_exec_id")
        rows = yield self._q.latest_tasks(workflow_exec_id=workflow_exec_id)
        return {task.task_id: task for task in map(self._decode, rows)}

    @read
    def by_status(self, workflow_exec_id: str, status: Status) -> Op[tuple[TaskState, ...]]:
        check_id(workflow_exec_id, "workflow_exec_id")
        check_choice(status, Status, "status")
        return self._all(TaskFilter(workflow_exec_id=workflow_exec_id, statuses=[status]))

    @read
    def by_agent(self, workflow_exec_id: str, agent_id: str) -> Op[tuple[TaskState, ...]]:
        check_id(workflow_exec_id, "workflow_exec_id")
        check_id(agent_id, "agent_id")
        return self._all(TaskFilter(workflow_exec_id=workflow_exec_id, agent_id=agent_id))

    @read
    def by_tool(self, workflow_exec_id: str, tool_id: str) -> Op[tuple[TaskState, ...]]:
        check_id(workflow_exec_id, "workflow_exec_id")
        check_id(tool_id, "tool_id")
        return self._all(TaskFilter(workflow_exec_id=workflow_exec_id, tool_id=tool_id))

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
        return tuple(map(self._decode, rows))

    @read
    def progress(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> Op[Progress]:
        check_id(parent_state_id, "parent_state_id")
        check_optional_id(workflow_exec_id, "workflow_exec_id")
        rows = yield self._q.count_children(
            parent_state_id=parent_state_id, workflow_exec_id=workflow_exec_id
        )
        read_status = self._reader("status")
        return progress({read_status(status): count for status, count in rows})

    def _all(self, filter: TaskFilter) -> Op[tuple[TaskState, ...]]:
        """Return everything that matches, unpaged."""
        whole = {"after_created_at": None, "after_id": None, "limit": None}
        rows = yield self._q.list_tasks(**self._encode_filter(filter), **whole)
        return tuple(map(self._decode, rows))

    def _stored(self, key: str, workflow_exec_id: str | None = None) -> Call:
        return self._q.get_task(task_exec_id=key, workflow_exec_id=workflow_exec_id)

    def _held(self, key: str, workflow_exec_id: str | None = None) -> Call:
        return self._q.lock_task(task_exec_id=key, workflow_exec_id=workflow_exec_id)

    def _others(self, given: TaskState, action: Action) -> Sequence[Call]:
        if action == "update":  # what is stored refers to what is there
            return ()
        workflow = self._q.get_workflow(workflow_exec_id=given.workflow_exec_id)
        if given.parent_state_id is None:
            return (workflow,)
        return workflow, self._stored(given.parent_state_id, given.workflow_exec_id)

    def _ended(self, allowed: bool) -> Any:
        """Return the statuses of a workflow that takes no new task; None: it always does."""
        return None if allowed else self._rows.collection(ENDED)

    def _obstacle(
        self,
        given: TaskState,
        stored: TaskState | None,
        others: Sequence[Row | None],
        parameters: Mapping[str, Any],
    ) -> EngineStoreError | None:
        if stored is not None:
            return None
        for field, row in zip(("workflow_exec_id", "parent_state_id"), others, strict=False):
            if row is None:
                return InvalidReferenceError(TASK.label, field, str(getattr(given, field)))
        if parameters.get("ended_statuses") is not None and (row := others[0]) is not None:
            workflow = self._rows.decoder(WORKFLOW)(row)
            if workflow.status in TERMINAL:
                return ended(workflow)
        return None
