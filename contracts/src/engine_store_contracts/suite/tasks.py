"""Section 6: task executions, written and listed."""

from __future__ import annotations

import attrs
import pytest

from engine_store.errors import AlreadyExistsError, InvalidReferenceError, TaskNotFoundError
from engine_store.models import (
    Component,
    ExecutionType,
    Status,
    TaskFilter,
    UsageEntry,
    UsageSummary,
)
from engine_store.protocols import Store
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises, refuses
from engine_store_contracts.suite.paging import assert_lists
from engine_store_contracts.suite.samples import (
    SAVED_FIELDS,
    TASKS,
    USAGE,
    child,
    full_task,
    task,
    workflow,
)

ROUTER, BASIC = ExecutionType.ROUTER, ExecutionType.BASIC

# What may run a task of which execution type: agent, action and tool.
ACTORS: dict[str, tuple[ExecutionType, str, bool]] = {
    "basic, none": (BASIC, "", True),
    "basic, agent and action": (BASIC, "agent action", True),
    "basic, tool": (BASIC, "tool", True),
    "basic, agent alone": (BASIC, "agent", False),
    "basic, action alone": (BASIC, "action", False),
    "basic, agent and tool": (BASIC, "agent tool", False),
    "basic, action and tool": (BASIC, "action tool", False),
    "basic, all": (BASIC, "agent action tool", False),
    "router, none": (ROUTER, "", True),
    "router, agent": (ROUTER, "agent", False),
    "router, action": (ROUTER, "action", False),
    "router, agent and action": (ROUTER, "agent action", False),
    "router, tool": (ROUTER, "tool", False),
    "aggregate, all": (ExecutionType.AGGREGATE, "agent action tool", True),
    "wait, agent alone": (ExecutionType.WAIT, "agent", True),
}

# Of the tasks made by `_listed`, those a filter matches.
FILTERS: dict[str, tuple[TaskFilter, str]] = {
    "nothing given": (TaskFilter(), "abcdef"),
    "workflow": (TaskFilter(workflow_exec_id="w"), "abcde"),
    "one status": (TaskFilter(statuses=[Status.SUCCESS]), "bf"),
    "two statuses": (TaskFilter(statuses=(Status.SUCCESS, Status.FAILED)), "bcf"),
    "no status": (TaskFilter(statuses=[]), ""),
    "ids": (TaskFilter(task_exec_ids={"f", "a", "missing"}), "af"),
    "no ids": (TaskFilter(task_exec_ids=()), ""),
    "task": (TaskFilter(task_id="part"), "bcf"),
    "task in another case": (TaskFilter(task_id="Part"), ""),
    "parent": (TaskFilter(parent_state_id="a"), "bc"),
    "agent": (TaskFilter(agent_id="writer"), "b"),
    "action": (TaskFilter(action_id="write"), "b"),
    "tool": (TaskFilter(tool_id="search"), "cf"),
    "execution type": (TaskFilter(execution_type=ExecutionType.WAIT), "de"),
    "workflow and tool": (TaskFilter(workflow_exec_id="w", tool_id="search"), "c"),
    "all together": (
        TaskFilter(
            workflow_exec_id="w",
            statuses=[Status.SUCCESS],
            task_exec_ids=["a", "b", "c"],
            task_id="part",
            parent_state_id="a",
            agent_id="writer",
            action_id="write",
            execution_type=BASIC,
        ),
        "b",
    ),
    "what nothing is": (TaskFilter(agent_id="writer", tool_id="search"), ""),
}


class TaskCases(ContractCase):
    """Contract 6.1 to 6.3 and 6.7."""

    @clause("6.3")
    def test_every_field_that_may_change_is_replaced_by_an_update(
        self, store: Store, clock: ManualClock
    ) -> None:
        store.workflows.create(workflow())
        store.tasks.create(full_task())
        now = clock.tick()
        given = task(
            version=1,
            created_at=START,
            task_id="renamed",
            workflow_id="renamed",
            component=Component.TOOL,
            execution_type=ExecutionType.COMPOSITE,
            status=Status.WAITING,
            tool_id="search",
        )
        expected = attrs.evolve(given, version=2, updated_at=now)
        assert_same(store.tasks.update(given), expected)
        assert_same(store.tasks.get("t"), expected)
        assert_same(
            store.tasks.upsert(full_task()),
            attrs.evolve(full_task(), version=3, created_at=START, updated_at=now),
        )

    @clause("6.3")
    def test_a_task_is_looked_for_in_the_workflow_given(self, store: Store) -> None:
        store.workflows.create(workflow())
        store.workflows.create(workflow("other"))
        created = store.tasks.create(task())
        assert_same(store.tasks.get("t", workflow_exec_id="w"), created)
        for workflow_exec_id in ("other", "missing"):
            with raises(TaskNotFoundError("t")):
                store.tasks.get("t", workflow_exec_id=workflow_exec_id)

    @clause("6.1", "2.9")
    @pytest.mark.parametrize("write", ["create", "upsert", "restore"])
    def test_a_task_needs_its_workflow(self, store: Store, write: str) -> None:
        with raises(InvalidReferenceError("task execution", "workflow_exec_id", "w")):
            getattr(store.tasks, write)(task(**SAVED_FIELDS))
        assert store.tasks.list().items == ()

    @clause("6.1", "2.9")
    @pytest.mark.parametrize("write", ["create", "upsert", "restore"])
    @pytest.mark.parametrize("parent", ["missing", "elsewhere", "Here"])
    def test_a_task_needs_its_parent_in_the_same_workflow(
        self, store: Store, parent: str, write: str
    ) -> None:
        store.workflows.create(workflow())
        store.workflows.create(workflow("other"))
        store.tasks.create(task("elsewhere", "other"))
        store.tasks.create(task("here"))
        before = store.tasks.list().items
        with raises(InvalidReferenceError("task execution", "parent_state_id", parent)):
            getattr(store.tasks, write)(child("t", parent, **SAVED_FIELDS))
        assert_same(store.tasks.list().items, before)
        stored = getattr(store.tasks, write)(child("t", "here", **SAVED_FIELDS))
        assert_same(store.tasks.children("here"), (stored,))

    @clause("6.1", "2.9")
    @pytest.mark.parametrize("write", ["create", "update", "upsert", "restore"])
    def test_a_task_is_never_its_own_parent(self, store: Store, write: str) -> None:
        store.workflows.create(workflow())
        created = store.tasks.create(task())
        with raises(InvalidReferenceError("task execution", "parent_state_id", "t")):
            getattr(store.tasks, write)(attrs.evolve(created, parent_state_id="t"))
        assert_same(store.tasks.list().items, (created,))

    @clause("2.2", "6.1")
    def test_an_id_is_unique_in_the_store_and_errors_come_in_their_order(
        self, store: Store
    ) -> None:
        store.workflows.create(workflow())
        store.workflows.create(workflow("other"))
        store.tasks.create(task())
        with raises(AlreadyExistsError("task execution", "task_exec_id", "t")):
            store.tasks.create(task("t", "missing", parent_state_id="missing"))
        with raises(AlreadyExistsError("task execution", "task_exec_id", "t")):
            store.tasks.create(task("t", "other"))
        with raises(InvalidReferenceError("task execution", "workflow_exec_id", "missing")):
            store.tasks.create(task("x", "missing", parent_state_id="missing"))
        with raises(InvalidReferenceError("task execution", "parent_state_id", "missing")):
            store.tasks.create(child("x", "missing"))

    @clause("6.2")
    @pytest.mark.parametrize(("kind", "actors", "allowed"), ACTORS.values(), ids=ACTORS)
    def test_who_may_run_a_task(
        self, store: Store, kind: ExecutionType, actors: str, allowed: bool
    ) -> None:
        store.workflows.create(workflow())
        given = task(execution_type=kind, **{f"{actor}_id": actor for actor in actors.split()})
        if allowed:
            created = store.tasks.create(given)
            assert (created.agent_id, created.action_id, created.tool_id) == (
                given.agent_id,
                given.action_id,
                given.tool_id,
            )
            return
        for write in (store.tasks.create, store.tasks.update, store.tasks.upsert):
            with refuses("task"):
                write(given)
        assert store.tasks.list().items == ()

    @clause("6.3")
    @pytest.mark.parametrize(("filter", "expected"), FILTERS.values(), ids=FILTERS)
    def test_a_list_of_tasks_has_what_its_filter_matches(
        self, store: Store, filter: TaskFilter, expected: str
    ) -> None:
        _listed(store)
        assert_lists(store, TASKS, filter, expected)

    @clause("6.7")
    def test_the_usage_is_read_alone(self, store: Store) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task("unused"))
        store.tasks.create(full_task())
        more = UsageSummary.of([UsageEntry("anthropic", "claude", 1)])
        store.tasks.create(child("below", "t", usage=more))
        assert_same(store.tasks.usage("t"), USAGE)
        assert_same(store.tasks.usage("unused"), UsageSummary())
        assert_same(store.tasks.merge_usage("t", more).usage, USAGE.merge(more))
        assert_same(store.tasks.usage("t"), USAGE.merge(more))


def _listed(store: Store) -> None:
    """Tasks a to e of the workflow w, and f of another; all made at the same time."""
    store.workflows.create(workflow())
    store.workflows.create(workflow("other"))
    tasks = store.tasks
    tasks.create(task("f", "other", task_id="part", tool_id="search", status=Status.SUCCESS))
    tasks.create(task("a"))
    tasks.create(child("c", "a", task_id="part", tool_id="search", status=Status.FAILED))
    tasks.create(
        child("b", "a", task_id="part", agent_id="writer", action_id="write", status=Status.SUCCESS)
    )
    tasks.create(child("e", "b", execution_type=ExecutionType.WAIT, status=Status.WAITING))
    tasks.create(task("d", execution_type=ExecutionType.WAIT, status=Status.PENDING))
