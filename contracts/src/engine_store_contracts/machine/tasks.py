"""Rules for task executions."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, rule

from engine_store.clock import UNSAVED
from engine_store.models import ExecutionType, Status, TaskFilter, TaskState, UsageSummary
from engine_store_contracts import strategies as some
from engine_store_contracts.machine.base import SideBySide, limits
from engine_store_contracts.machine.script import change

changes = st.fixed_dictionaries(
    {},
    optional={
        "workflow_exec_id": some.workflow_exec_ids,
        "parent_state_id": st.none() | some.task_exec_ids,
        "task_id": some.task_ids,
        "status": some.statuses,
        "output": some.optional_documents,
        "tool_id": st.none() | some.tool_ids,
        "usage": some.usages,
        "version": st.integers(0, 4),
        "created_at": st.just(UNSAVED) | some.times,
    },
)

filters = st.builds(
    TaskFilter,
    workflow_exec_id=st.none() | some.workflow_exec_ids,
    statuses=st.none() | st.lists(some.statuses, max_size=3),
    task_exec_ids=st.none() | st.lists(some.task_exec_ids, max_size=3),
    task_id=st.none() | some.task_ids,
    parent_state_id=st.none() | some.task_exec_ids,
    agent_id=st.none() | some.agent_ids,
    action_id=st.none() | some.action_ids,
    tool_id=st.none() | some.tool_ids,
    execution_type=st.none() | st.sampled_from(ExecutionType),
)


class TaskRules(SideBySide):
    """Task executions."""

    seen_tasks = Bundle("seen_tasks")
    """States as they once were: live ones, stale ones, deleted ones."""

    @rule(
        target=seen_tasks,
        state=some.tasks,
        write=st.sampled_from(["create", "create", "update", "upsert"]),
    )
    def write_task(self, state: TaskState, write: str) -> MultipleResults[Any]:
        return self.state(lambda s: getattr(s.tasks, write)(state))

    @rule(target=seen_tasks, parent=seen_tasks, state=some.tasks)
    def create_child(self, parent: TaskState, state: TaskState) -> MultipleResults[Any]:
        """Below a task that was there once; without actors, so that most can be stored."""
        child = attrs.evolve(
            state,
            workflow_exec_id=parent.workflow_exec_id,
            parent_state_id=parent.task_exec_id,
            agent_id=None,
            action_id=None,
            tool_id=None,
        )
        return self.state(lambda s: s.tasks.create(child))

    @rule(
        target=seen_tasks,
        state=seen_tasks,
        changes=changes,
        write=st.sampled_from(["create", "update", "update", "upsert"]),
    )
    def rewrite_task(
        self, state: TaskState, changes: dict[str, Any], write: str
    ) -> MultipleResults[Any]:
        return self.state(lambda s: getattr(s.tasks, write)(attrs.evolve(state, **changes)))

    @rule(target=seen_tasks, state=some.tasks | seen_tasks, saved=some.saved_fields)
    def restore_task(self, state: TaskState, saved: dict[str, Any]) -> MultipleResults[Any]:
        return self.state(lambda s: s.tasks.restore(attrs.evolve(state, **saved)))

    @rule(target=seen_tasks, key=some.task_exec_ids, changes=st.none() | changes)
    def modify_task(self, key: str, changes: dict[str, Any] | None) -> MultipleResults[Any]:
        return self.state(lambda s: s.tasks.modify(key, change(changes)))

    @rule(key=some.task_exec_ids, usage=some.usages)
    def merge_task_usage(self, key: str, usage: UsageSummary) -> None:
        self.both(lambda s: s.tasks.merge_usage(key, usage))
        self.both(lambda s: s.tasks.usage(key))

    @rule(
        target=seen_tasks,
        key=some.task_exec_ids,
        where=st.none() | some.workflow_exec_ids,
        read=st.sampled_from(["get", "get_for_update"]),
    )
    def get_task(self, key: str, where: str | None, read: str) -> MultipleResults[Any]:
        return self.state(lambda s: getattr(s.tasks, read)(key, workflow_exec_id=where))

    @rule(filter=filters, limit=limits)
    def list_tasks(self, filter: TaskFilter, limit: int) -> None:
        self.pages(lambda s, cursor: s.tasks.list(filter, limit=limit, cursor=cursor))

    @rule(
        parent=some.task_exec_ids,
        task_id=some.task_ids,
        where=st.none() | some.workflow_exec_ids,
        depth=st.integers(0, 4),
    )
    def read_family(self, parent: str, task_id: str, where: str | None, depth: int) -> None:
        self.both(lambda s: s.tasks.children(parent, workflow_exec_id=where))
        self.both(lambda s: s.tasks.child(parent, task_id, workflow_exec_id=where))
        self.both(lambda s: s.tasks.children_outputs(parent, workflow_exec_id=where))
        self.both(lambda s: s.tasks.progress(parent, workflow_exec_id=where))
        self.both(lambda s: s.tasks.tree(parent, max_depth=depth, workflow_exec_id=where))

    @rule(
        key=some.workflow_exec_ids,
        status=some.statuses,
        agent_id=some.agent_ids,
        tool_id=some.tool_ids,
    )
    def read_workflow_tasks(self, key: str, status: Status, agent_id: str, tool_id: str) -> None:
        self.both(lambda s: list(s.tasks.in_workflow(key).items()))  # their order counts
        self.both(lambda s: s.tasks.by_status(key, status))
        self.both(lambda s: s.tasks.by_agent(key, agent_id))
        self.both(lambda s: s.tasks.by_tool(key, tool_id))
