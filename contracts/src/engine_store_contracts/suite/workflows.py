"""Section 5.1 to 5.4: workflow executions, written, listed and found."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

import attrs
import pytest

from engine_store.errors import (
    StatusConflictError,
    TaskNotFoundError,
    VersionConflictError,
    WorkflowNotFoundError,
)
from engine_store.models import Status, TaskState, WorkflowFilter
from engine_store.protocols import Store
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises, refuses
from engine_store_contracts.suite.paging import assert_lists
from engine_store_contracts.suite.samples import (
    SAVED_FIELDS,
    USAGE,
    WORKFLOWS,
    full_workflow,
    task,
    workflow,
)

# a to e, a second apart; the letter of a filter's test says which are found.
FILTERS: dict[str, tuple[WorkflowFilter, str]] = {
    "nothing given": (WorkflowFilter(), "edcba"),
    "workflow": (WorkflowFilter(workflow_id="report"), "eca"),
    "workflow in another case": (WorkflowFilter(workflow_id="Report"), ""),
    "one status": (WorkflowFilter(statuses=[Status.RUNNING]), "cb"),
    "two statuses": (WorkflowFilter(statuses={Status.RUNNING, Status.FAILED}), "dcb"),
    "no status": (WorkflowFilter(statuses=[]), ""),
    "ids": (WorkflowFilter(workflow_exec_ids=("d", "a", "missing", "d")), "da"),
    "no ids": (WorkflowFilter(workflow_exec_ids=frozenset()), ""),
    "ids in another case": (WorkflowFilter(workflow_exec_ids=["A"]), ""),
    "from, inclusive": (WorkflowFilter(created_from=START + timedelta(seconds=3)), "ed"),
    "before, exclusive": (WorkflowFilter(created_before=START + timedelta(seconds=3)), "cba"),
    "a range": (
        WorkflowFilter(
            created_from=START + timedelta(seconds=1), created_before=START + timedelta(seconds=2)
        ),
        "b",
    ),
    "an empty range": (WorkflowFilter(created_from=START, created_before=START), ""),
    "all together": (
        WorkflowFilter(
            workflow_id="report",
            statuses=[Status.RUNNING, Status.PENDING],
            workflow_exec_ids=["a", "b", "c"],
            created_from=START + timedelta(seconds=1),
        ),
        "c",
    ),
}

GUARDS: dict[str, tuple[int | None, Collection[Status] | None]] = {
    "none": (None, None),
    "version": (2, None),
    "statuses": (None, [Status.RUNNING, Status.WAITING]),
    "both": (2, {Status.RUNNING}),
}


class WorkflowCases(ContractCase):
    """Contract 5.1 to 5.4."""

    @clause("5.1", "2.9")
    def test_writes_ignore_tasks_and_other_reads_leave_them_out(self, store: Store) -> None:
        given = workflow(tasks={"t": task()})
        assert store.workflows.create(given).tasks == {}
        assert store.workflows.restore(workflow("x", tasks=given.tasks, **SAVED_FIELDS)).tasks == {}
        with raises(TaskNotFoundError("t")):
            store.tasks.get("t")
        store.tasks.create(task("real"))
        full = store.workflows.get("w", with_tasks=True)
        for found in (
            store.workflows.update(attrs.evolve(full, tasks={})),
            store.workflows.upsert(full),
            store.workflows.modify("w", lambda w: attrs.evolve(w, tasks={"t": task()})),
            store.workflows.set_status("w", Status.RUNNING),
            store.workflows.merge_usage("w", USAGE),
            store.workflows.get("w"),
            store.workflows.latest("report"),
            store.workflows.list().items[0],
        ):
            assert found.tasks == {}
        assert list(store.workflows.get("w", with_tasks=True).tasks) == ["real"]

    @clause("5.1")
    def test_with_tasks_has_the_latest_execution_of_each(
        self, store: Store, clock: ManualClock
    ) -> None:
        created = store.workflows.create(workflow())
        store.workflows.create(workflow("other"))
        store.tasks.create(task("x", "other"))
        store.tasks.create(task("b1", task_id="b"))
        newest = store.tasks.create(task("b0", task_id="b", parent_state_id="b1"))
        assert store.workflows.get("w", with_tasks=True).tasks["b"].task_exec_id == "b1"
        clock.tick()
        newest = store.tasks.create(task("B", task_id="b", parent_state_id="b0"))
        other = store.tasks.create(task("a1", task_id="a"))
        found = store.workflows.get("w", with_tasks=True)
        assert_same(found, attrs.evolve(created, tasks={"b": newest, "a": other}))
        assert store.workflows.get("other", with_tasks=True).tasks.keys() == {"x"}

    @clause("5.2")
    @pytest.mark.parametrize(("filter", "expected"), FILTERS.values(), ids=FILTERS)
    def test_a_list_has_what_its_filter_matches(
        self, store: Store, clock: ManualClock, filter: WorkflowFilter, expected: str
    ) -> None:
        statuses = [Status.PENDING, Status.RUNNING, Status.RUNNING, Status.FAILED, Status.SUCCESS]
        for number, (key, status) in enumerate(zip("abcde", statuses, strict=True)):
            name = "import" if number % 2 else "report"
            store.workflows.create(workflow(key, workflow_id=name, status=status))
            clock.tick()
        assert_lists(store, WORKFLOWS, filter, expected)

    @clause("5.3")
    def test_the_latest_execution_is_the_newest_then_the_last_by_id(
        self, store: Store, clock: ManualClock
    ) -> None:
        store.workflows.create(workflow("z"))
        clock.tick()
        for key in ("a", "\uff5a", "\U00010000", "b"):
            store.workflows.create(workflow(key))
        clock.tick()
        store.workflows.create(workflow("other", workflow_id="other"))
        store.workflows.set_status("z", Status.RUNNING)
        assert_same(store.workflows.latest("report"), store.workflows.get("\U00010000"))
        clock.tick(-3600)
        store.workflows.create(workflow("late, but dated back"))
        assert store.workflows.latest("report").workflow_exec_id == "\U00010000"

    @clause("5.3")
    def test_the_latest_execution_with_a_task(self, store: Store, clock: ManualClock) -> None:
        def create(key: str, *tasks: TaskState) -> None:
            store.workflows.create(workflow(key))
            for state in tasks:
                store.tasks.create(attrs.evolve(state, workflow_exec_id=key))
            clock.tick()

        create("1", task("1", task_id="draft", agent_id="writer", action_id="write"))
        create("2", task("2", task_id="draft", tool_id="search"))
        create(
            "3",
            task("3", task_id="draft", agent_id="editor", action_id="edit"),
            task("3b", task_id="check", agent_id="writer", action_id="check"),
        )
        create("4")
        store.workflows.create(workflow("5", workflow_id="another"))
        store.tasks.create(task("5", "5", task_id="draft"))

        def latest(**having: str) -> str:
            return store.workflows.latest("report", **having).workflow_exec_id

        assert latest() == "4"
        assert latest(task_id="draft") == "3"
        assert latest(agent_id="writer") == "3"
        assert latest(tool_id="search") == "2"
        assert latest(task_id="draft", agent_id="writer") == "1"  # one task has them all
        assert latest(task_id="draft", tool_id="search") == "2"
        with raises(WorkflowNotFoundError("report", "workflow_id")):
            latest(task_id="check", tool_id="search")
        with raises(WorkflowNotFoundError("report", "workflow_id")):
            latest(agent_id="Writer")

    @clause("5.3")
    def test_there_is_no_latest_of_a_workflow_never_run(self, store: Store) -> None:
        store.workflows.create(workflow())
        with raises(WorkflowNotFoundError("Report", "workflow_id")):
            store.workflows.latest("Report")
        with refuses("agent_id"):
            store.workflows.latest("report", agent_id="")
        with refuses("task_id"):
            store.workflows.latest("report", task_id="")
        with refuses("tool_id"):
            store.workflows.latest("report", tool_id="")

    @clause("5.4")
    @pytest.mark.parametrize(("version", "statuses"), GUARDS.values(), ids=GUARDS)
    def test_set_status_changes_the_status_where_its_guards_hold(
        self,
        store: Store,
        clock: ManualClock,
        version: int | None,
        statuses: Collection[Status] | None,
    ) -> None:
        store.workflows.create(full_workflow())
        before = store.workflows.set_status("w", Status.RUNNING)
        now = clock.tick()
        after = store.workflows.set_status(
            "w", Status.PAUSED, expected_version=version, expected_statuses=statuses
        )
        expected = attrs.evolve(before, status=Status.PAUSED, version=3, updated_at=now)
        assert_same(after, expected)
        assert_same(store.workflows.get("w"), expected)

    @clause("5.4")
    @pytest.mark.parametrize("version", [0, 2, 2**63 - 1])
    def test_set_status_from_another_version_changes_nothing(
        self, store: Store, clock: ManualClock, version: int
    ) -> None:
        created = store.workflows.create(workflow())
        clock.tick()
        lost = VersionConflictError("workflow execution", "w", expected=version, actual=1)
        for statuses in (None, [Status.PENDING], [Status.PAUSED]):  # reported before the status
            with raises(lost):
                store.workflows.set_status(
                    "w", Status.RUNNING, expected_version=version, expected_statuses=statuses
                )
        assert_same(store.workflows.get("w"), created)

    @clause("5.4")
    @pytest.mark.parametrize("version", [None, 1])
    @pytest.mark.parametrize("statuses", [[], [Status.RUNNING], [Status.RUNNING, Status.PAUSED]])
    def test_set_status_from_another_status_changes_nothing(
        self, store: Store, clock: ManualClock, statuses: list[Status], version: int | None
    ) -> None:
        created = store.workflows.create(workflow())
        clock.tick()
        expected = frozenset(status.value for status in statuses)
        with raises(StatusConflictError("w", expected, "PENDING")):
            store.workflows.set_status(
                "w", Status.RUNNING, expected_version=version, expected_statuses=statuses
            )
        assert_same(store.workflows.get("w"), created)

    @clause("1.4", "5.4")
    def test_set_status_refuses_what_is_no_status_or_version(self, store: Store) -> None:
        created = store.workflows.create(workflow())
        set_status: Any = store.workflows.set_status
        with refuses("status"):
            set_status("w", "RUNNING")
        with refuses("expected_version"):
            set_status("w", Status.RUNNING, expected_version=True)
        with refuses("expected_statuses[1]"):
            set_status("w", Status.RUNNING, expected_statuses=[Status.PENDING, "PENDING"])
        assert_same(store.workflows.get("w"), created)
