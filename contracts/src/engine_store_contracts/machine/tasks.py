"""Rules for task executions."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, rule

from engine_store.entities import TASK
from engine_store.models import Status, TaskState, UsageSummary
from engine_store_contracts import strategies as some
from engine_store_contracts.machine.base import SideBySide
from engine_store_contracts.machine.rows import listing, writing

seen = Bundle("seen_tasks")


class TaskRules(SideBySide):
    """Task executions."""

    write_task, rewrite_task, restore_task, modify_task = writing(
        TASK,
        seen,
        some.tasks,
        some.task_exec_ids,
        [
            "workflow_exec_id",
            "parent_state_id",
            "task_id",
            "status",
            "output",
            "tool_id",
            "usage",
        ],
    )
    list_tasks = listing(TASK)

    @rule(target=seen, parent=seen, state=some.tasks)
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

    @rule(key=some.task_exec_ids, usage=some.usages)
    def merge_task_usage(self, key: str, usage: UsageSummary) -> None:
        self.both(lambda s: s.tasks.merge_usage(key, usage))
        self.both(lambda s: s.tasks.usage(key))

    @rule(
        target=seen,
        key=some.task_exec_ids,
        where=st.none() | some.workflow_exec_ids,
        read=st.sampled_from(["get", "get_for_update"]),
    )
    def get_task(self, key: str, where: str | None, read: str) -> MultipleResults[Any]:
        return self.state(lambda s: getattr(s.tasks, read)(key, workflow_exec_id=where))

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
