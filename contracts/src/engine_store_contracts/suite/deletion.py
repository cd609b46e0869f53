"""Section 5.6: deleting and purging workflow executions."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import pytest

from engine_store.errors import TaskNotFoundError, WorkflowNotFoundError
from engine_store.models import PurgeReport, Status
from engine_store.protocols import Store
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises, refuses
from engine_store_contracts.suite.samples import USAGE, child, task, workflow


class DeletionCases(ContractCase):
    """Contract 5.6."""

    @clause("5.6")
    def test_delete_takes_the_tasks_along_and_nothing_else(self, store: Store) -> None:
        kept = store.workflows.create(workflow("kept"))
        kept_task = store.tasks.create(task("kept", "kept"))
        store.workflows.create(workflow())
        store.tasks.create(task("a"))
        store.tasks.create(child("b", "a"))
        store.tasks.create(child("c", "b"))
        store.workflows.delete("w")

        with raises(WorkflowNotFoundError("w")):
            store.workflows.get("w")
        with raises(WorkflowNotFoundError("w")):
            store.workflows.delete("w")
        with raises(TaskNotFoundError("c")):
            store.tasks.get("c")
        assert store.tasks.in_workflow("w") == {}
        assert_same(store.workflows.list().items, (kept,))
        assert_same(store.tasks.list().items, (kept_task,))

    @clause("5.6")
    def test_purge_takes_terminal_workflows_unless_told_otherwise(
        self, store: Store, clock: ManualClock
    ) -> None:
        for status in Status:
            store.workflows.create(workflow(status.value, status=status))
            for number in range(2):
                store.tasks.create(task(f"{status}{number}", status.value), allow_ended=True)
        report = store.workflows.purge(clock.tick())
        assert_same(report, PurgeReport(workflows=4, tasks=8, dry_run=False))
        left = {row.status for row in store.workflows.list().items}
        assert left == {Status.PENDING, Status.RUNNING, Status.WAITING, Status.PAUSED}
        assert {t.workflow_exec_id for t in store.tasks.list().items} == {s.value for s in left}

    @clause("5.6")
    @pytest.mark.parametrize(
        ("statuses", "left"),
        [
            ([Status.RUNNING], {"s", "f"}),
            ({Status.SUCCESS, Status.RUNNING}, {"f"}),
            (Status, set()),
            ([], {"r", "s", "f"}),
        ],
        ids=["one", "two", "all", "none"],
    )
    def test_purge_takes_the_statuses_it_is_told(
        self, store: Store, clock: ManualClock, statuses: Collection[Status], left: set[str]
    ) -> None:
        for key, status in (("r", Status.RUNNING), ("s", Status.SUCCESS), ("f", Status.FAILED)):
            store.workflows.create(workflow(key, status=status))
        report = store.workflows.purge(clock.tick(), statuses=statuses)
        assert report.workflows == 3 - len(left)
        assert {row.workflow_exec_id for row in store.workflows.list().items} == left

    @clause("5.6")
    def test_purge_takes_what_was_last_written_before_the_time(
        self, store: Store, clock: ManualClock
    ) -> None:
        for key in ("old", "touched", "new"):
            store.workflows.create(workflow(key, status=Status.SUCCESS))
        limit = clock.tick(microseconds=1)
        store.workflows.merge_usage("touched", USAGE)
        store.workflows.upsert(workflow("new", status=Status.SUCCESS))
        assert store.workflows.purge(START).workflows == 0  # nothing is before its own time
        assert store.workflows.purge(limit).workflows == 1
        assert {row.workflow_exec_id for row in store.workflows.list().items} == {"touched", "new"}

    @clause("5.6")
    def test_a_dry_run_counts_and_deletes_nothing(self, store: Store, clock: ManualClock) -> None:
        for number in range(3):
            store.workflows.create(workflow(str(number), status=Status.FAILED))
            store.tasks.create(task(str(number), str(number)), allow_ended=True)
        store.workflows.create(workflow("open"))
        before = store.workflows.list().items, store.tasks.list().items
        report = store.workflows.purge(clock.tick(), batch_size=1, dry_run=True)
        assert_same(report, PurgeReport(workflows=3, tasks=3, dry_run=True))
        assert_same((store.workflows.list().items, store.tasks.list().items), before)

    @clause("5.6")
    @pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 6, 1000])
    def test_purge_goes_on_in_batches_until_nothing_is_left(
        self, store: Store, clock: ManualClock, batch_size: int
    ) -> None:
        for number in range(6):
            store.workflows.create(workflow(str(number)))
            store.tasks.create(task(f"{number}a", str(number)))
            store.tasks.create(task(f"{number}b", str(number), parent_state_id=f"{number}a"))
            store.workflows.cancel(str(number))
        report = store.workflows.purge(clock.tick(), batch_size=batch_size)
        assert_same(report, PurgeReport(workflows=6, tasks=12, dry_run=False))
        assert store.workflows.list().items == ()
        assert store.tasks.list().items == ()
        again = store.workflows.purge(clock.tick(), batch_size=batch_size)
        assert_same(again, PurgeReport(workflows=0, tasks=0, dry_run=False))

    @clause("1.4", "5.6")
    @pytest.mark.parametrize(
        ("arguments", "path"),
        [
            ({"older_than": datetime(2024, 1, 1)}, "older_than"),
            ({"older_than": None}, "older_than"),
            ({"statuses": ["SUCCESS"]}, "statuses[0]"),
            ({"statuses": None}, "statuses"),
            ({"batch_size": 0}, "batch_size"),
            ({"batch_size": 1001}, "batch_size"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_purge_refuses_what_it_cannot_use(
        self, store: Store, clock: ManualClock, arguments: dict[str, Any], path: str
    ) -> None:
        store.workflows.create(workflow(status=Status.SUCCESS))
        with refuses(path):
            store.workflows.purge(**{"older_than": clock.tick(), **arguments})
        assert len(store.workflows.list().items) == 1
