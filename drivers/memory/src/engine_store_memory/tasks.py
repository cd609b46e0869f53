"""Task executions (contract 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import chain

import attrs

from engine_store import values
from engine_store.errors import InvalidReferenceError, TaskNotFoundError
from engine_store.models import TERMINAL, Progress, Status, TaskState, UsageSummary
from engine_store.protocols import TaskRepository
from engine_store.rules import claims, outcomes
from engine_store.rules.entities import TASK, WORKFLOW
from engine_store.values import Document
from engine_store_memory.claims import Claims
from engine_store_memory.database import Data, Lease
from engine_store_memory.rows import by_parent, detached, latest_of_each, ordered, where


class Tasks(Claims, TaskRepository):
    """Task executions in memory."""

    def get(self, task_exec_id: str, *, workflow_exec_id: str | None = None) -> TaskState:
        values.check_id(task_exec_id, "task_exec_id")
        values.check_optional_id(workflow_exec_id, "workflow_exec_id")
        return detached(self._found(self._scope.read(), task_exec_id, workflow_exec_id))

    def get_for_update(
        self, task_exec_id: str, *, workflow_exec_id: str | None = None
    ) -> TaskState:
        values.check_id(task_exec_id, "task_exec_id")
        values.check_optional_id(workflow_exec_id, "workflow_exec_id")
        self._check_locking()
        return self.get(task_exec_id, workflow_exec_id=workflow_exec_id)

    def create(self, task: TaskState, *, allow_ended: bool = False) -> TaskState:
        task = attrs.evolve(self._checked(task), attempt=0)
        with self._scope.write() as data:
            if not allow_ended:
                self._check_open(data, task)
            return self._insert(data, task)

    def restore(self, task: TaskState) -> TaskState:
        task = self._checked(task, restored=True)
        with self._scope.write() as data:
            stored = self._add(data, task)
            if task.status is Status.RUNNING and task.attempt:
                key = task.task_exec_id
                data.leases[key] = Lease(claims.RESTORED, key, task.updated_at)
            return stored

    def update(self, task: TaskState) -> TaskState:
        return self._update(task)

    def upsert(self, task: TaskState, *, allow_ended: bool = False) -> TaskState:
        task = attrs.evolve(self._checked(task), attempt=0)
        with self._scope.write() as data:
            if not allow_ended:
                self._check_open(data, task)
            return self._upsert_in(data, task)

    def modify(self, task_exec_id: str, fn: Callable[[TaskState], TaskState]) -> TaskState:
        return self._modify(task_exec_id, fn)

    def merge_usage(self, task_exec_id: str, usage: UsageSummary) -> TaskState:
        return self._merge_usage(task_exec_id, usage)

    def usage(self, task_exec_id: str) -> UsageSummary:
        return self._get(task_exec_id).usage

    def children(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> tuple[TaskState, ...]:
        values.check_id(parent_state_id, "parent_state_id")
        values.check_optional_id(workflow_exec_id, "workflow_exec_id")
        return self._where(parent_state_id=parent_state_id, workflow_exec_id=workflow_exec_id)

    def child(
        self, parent_state_id: str, task_id: str, *, workflow_exec_id: str | None = None
    ) -> TaskState:
        values.check_id(task_id, "task_id")
        for task in reversed(self.children(parent_state_id, workflow_exec_id=workflow_exec_id)):
            if task.task_id == task_id:
                return task
        raise TaskNotFoundError(task_id, "task_id")

    def children_outputs(
        self, parent_state_id: str, *, workflow_exec_id: str | None = None
    ) -> Mapping[str, Document]:
        children = self.children(parent_state_id, workflow_exec_id=workflow_exec_id)
        return {task.task_id: task.output for task in children if task.output is not None}

    def in_workflow(self, workflow_exec_id: str) -> Mapping[str, TaskState]:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        return latest_of_each(self._where(workflow_exec_id=workflow_exec_id))

    def by_status(self, workflow_exec_id: str, status: Status) -> tuple[TaskState, ...]:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        values.check_choice(status, Status, "status")
        return self._where(workflow_exec_id=workflow_exec_id, status=status)

    def by_agent(self, workflow_exec_id: str, agent_id: str) -> tuple[TaskState, ...]:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        values.check_id(agent_id, "agent_id")
        return self._where(workflow_exec_id=workflow_exec_id, agent_id=agent_id)

    def by_tool(self, workflow_exec_id: str, tool_id: str) -> tuple[TaskState, ...]:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        values.check_id(tool_id, "tool_id")
        return self._where(workflow_exec_id=workflow_exec_id, tool_id=tool_id)

    def tree(
        self, root: str, *, max_depth: int = 100, workflow_exec_id: str | None = None
    ) -> tuple[TaskState, ...]:
        values.check_id(root, "root")
        values.check_int(max_depth, "max_depth", minimum=0)
        values.check_optional_id(workflow_exec_id, "workflow_exec_id")
        data = self._scope.read()
        level = [self._found(data, root, workflow_exec_id)]
        children = by_parent(data[TASK].values())
        found = list(level)
        while level and max_depth:
            below = chain.from_iterable(children[task.task_exec_id] for task in level)
            level = ordered(TASK, below)
            found += level
            max_depth -= 1
        return tuple(map(detached, found))

    def progress(self, parent_state_id: str, *, workflow_exec_id: str | None = None) -> Progress:
        children = self.children(parent_state_id, workflow_exec_id=workflow_exec_id)
        return outcomes.progress(Counter(child.status for child in children))

    def _found(self, data: Data, key: str, workflow_exec_id: str | None) -> TaskState:
        task = self._stored(data, key)
        if workflow_exec_id not in (None, task.workflow_exec_id):
            raise TaskNotFoundError(key)
        return task

    def _check_open(self, data: Data, task: TaskState) -> None:
        """Raise if the task is new, and its workflow has ended."""
        workflow = data[WORKFLOW].get(task.workflow_exec_id)
        if workflow and workflow.status in TERMINAL and task.task_exec_id not in data[TASK]:
            self._admit(data, task, None)  # what it refers to comes first
            raise claims.ended(workflow)

    def _where(self, **fields: object) -> tuple[TaskState, ...]:
        found = where(self._scope.read()[TASK].values(), **fields)
        return tuple(map(detached, ordered(TASK, found)))

    def _admit(self, data: Data, state: TaskState, before: TaskState | None) -> None:
        if before is not None:
            return  # what it refers to cannot change, and goes only together with it
        key, parent_key = state.workflow_exec_id, state.parent_state_id
        if key not in data[WORKFLOW]:
            raise InvalidReferenceError("task execution", "workflow_exec_id", key)
        if parent_key is not None:
            parent = data[TASK].get(parent_key)
            if parent is None or parent.workflow_exec_id != key:
                raise InvalidReferenceError("task execution", "parent_state_id", parent_key)
