"""Mutants of section 6: task executions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs

from engine_store.models import ExecutionType, Status, TaskState, UsageSummary
from engine_store.rules import outcomes
from engine_store_broken.mutant import mutant, replace, rewrite, rewrite_step


@mutant("6.1", base="memory")
def tasks_without_a_workflow() -> None:
    """No foreign key: a task is stored for a workflow that is not there."""

    @replace("engine_store_memory.tasks:Tasks._admit")
    def admit(original: Any, tasks: Any, data: Any, state: Any, before: Any) -> None:
        if state.parent_state_id is not None:
            original(tasks, data, state, before)


@mutant("6.1", base="memory")
def parents_in_another_workflow() -> None:
    """A parent is any task there is."""

    @replace("engine_store_memory.tasks:Tasks._admit")
    def admit(original: Any, tasks: Any, data: Any, state: Any, before: Any) -> None:
        parent = data[tasks.entity].get(state.parent_state_id)
        if parent is None:
            original(tasks, data, state, before)


@mutant("6.1", base="sqlite")
def task_ids_unique_in_their_workflow() -> None:
    """The primary key has the workflow in it, and there is no other constraint."""
    rewrite_step(4, "task_exec_id TEXT NOT NULL PRIMARY KEY", "task_exec_id TEXT NOT NULL")
    rewrite_step(4, " REFERENCES tasks_anew (task_exec_id)", "")
    key = "PRIMARY KEY (workflow_exec_id, task_exec_id)"
    rewrite_step(4, "<> task_exec_id)\n", f"<> task_exec_id),\n  {key}\n")
    rewrite("upsert_task", "CONFLICT (task_exec_id)", "CONFLICT (workflow_exec_id, task_exec_id)")


@mutant("6.2", base="sqlite")
def routers_with_an_agent() -> None:
    """A router is checked as an execution type without rules of its own."""

    @replace("engine_store.rules.entities:Entity.check")
    def check(original: Any, entity: Any, task: Any) -> Any:
        if type(task) is not TaskState or task.execution_type is not ExecutionType.ROUTER:
            return original(entity, task)
        other = original(entity, attrs.evolve(task, execution_type=ExecutionType.AGGREGATE))
        return attrs.evolve(other, execution_type=ExecutionType.ROUTER)


@mutant("6.3", base="sqlite")
def a_filter_is_ignored() -> None:
    """One of the filters never got into the statement."""
    rewrite("list_tasks", "  AND action_id = :action_id --? action_id\n", "")


@mutant("6.3", base="sqlite")
def an_empty_filter_is_none() -> None:
    """`if statuses:`: a filter by none of them finds all."""

    @replace("engine_store.sql.operations.base:is_empty")
    def is_empty(original: Any, filter: Any) -> bool:
        return False

    @replace("engine_store.sql.rows:Rows.filter_encoder")
    def filter_encoder(original: Any, rows: Any, entity: Any) -> Any:
        encode = original(rows, entity)
        return lambda given: {
            name: value if getattr(given, name) else None for name, value in encode(given).items()
        }


@mutant("6.3", base="memory")
def update_keeps_what_is_none() -> None:
    """An update writes the fields that are given: None is taken for one that is not."""

    @replace("engine_store_memory.repository:Versioned._replace")
    def replaced(original: Any, repository: Any, data: Any, before: Any, after: Any) -> Any:
        kept = {
            name: getattr(before, name)
            for name in ("agent_id", "action_id")
            if isinstance(after, TaskState) and getattr(after, name) is None
        }
        return original(repository, data, before, attrs.evolve(after, **kept))


@mutant("6.4", base="memory")
def children_by_id() -> None:
    """Children come in the order of their ids."""

    @replace("engine_store_memory.tasks:Tasks.children")
    def children(original: Any, tasks: Any, *args: Any, **kwargs: Any) -> Any:
        return tuple(sorted(original(tasks, *args, **kwargs), key=lambda task: task.task_exec_id))


@mutant("6.4", base="memory")
def outputs_of_children_without_one() -> None:
    """A child without an output has None among the outputs, and hides an older one."""

    @replace("engine_store_memory.tasks:Tasks.children_outputs")
    def outputs(original: Any, tasks: Any, *args: Any, **kwargs: Any) -> Any:
        return {task.task_id: task.output for task in tasks.children(*args, **kwargs)}


@mutant("6.4", base="sqlite")
def a_child_is_the_first_execution() -> None:
    """Of several executions of a child the oldest is found."""
    rewrite(
        "latest_child",
        "ORDER BY created_at DESC, task_exec_id DESC",
        "ORDER BY created_at, task_exec_id",
    )


@mutant("6.5", base="sqlite")
def trees_without_a_limit() -> None:
    """The depth is an argument that nobody looks at."""
    rewrite("task_tree", "WHERE tree.depth < :max_depth", "")


@mutant("6.5", base="sqlite")
def trees_of_a_thousand() -> None:
    """A recursion ends at the database's limit, without an error: 1,000 rows in MariaDB 10.11."""
    rewrite("task_tree", "WHERE tree.depth < :max_depth", "WHERE tree.depth < min(:max_depth, 999)")


@mutant("6.5", base="sqlite")
def trees_of_a_page() -> None:
    """A tree ends where a page of a list would."""
    rewrite(
        "task_tree",
        "ORDER BY tree.depth, tasks.created_at, tasks.task_exec_id",
        "ORDER BY tree.depth, tasks.created_at, tasks.task_exec_id LIMIT 1000",
    )


@mutant("6.5", base="sqlite")
def trees_by_creation() -> None:
    """A tree is sorted by time alone, so that a child may come before its parent."""
    rewrite("task_tree", "ORDER BY tree.depth, ", "ORDER BY ")


@mutant("6.6", base="memory")
def progress_counts_all_below() -> None:
    """Grandchildren are counted as children."""

    @replace("engine_store_memory.tasks:Tasks.progress")
    def progress(original: Any, tasks: Any, parent: str, **kwargs: Any) -> Any:
        children = tasks.children(parent, **kwargs)
        below = [task for child in children for task in tasks.tree(child.task_exec_id)]
        return outcomes.progress(Counter(task.status for task in below))


@mutant("6.6", base="sqlite")
def rates_of_what_is_done() -> None:
    """Rates are shares of the terminal children, and not of all."""

    @replace("engine_store.sql.operations.tasks:progress")
    def progress(original: Any, counts: Any) -> Any:
        found = original(counts)
        done = found.terminal or 1
        return attrs.evolve(found, completion_rate=found.counts[Status.SUCCESS] / done)


@mutant("6.7", base="memory")
def usage_of_the_whole_tree() -> None:
    """The usage of a task is taken together with that of all tasks below it."""

    @replace("engine_store_memory.tasks:Tasks.usage")
    def usage(original: Any, tasks: Any, key: str) -> Any:
        below = tasks.tree(key, max_depth=1000)
        return UsageSummary.of(entry for task in below for entry in task.usage.entries)
