"""Section 6.4 to 6.6: children, trees and progress."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from engine_store.errors import TaskNotFoundError
from engine_store.models import Status, Strategy, TaskState
from engine_store.protocols import Store
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises, refuses
from engine_store_contracts.suite.samples import ALPHABET, child, task, workflow

P, R, S, F = Status.PENDING, Status.RUNNING, Status.SUCCESS, Status.FAILED
T, C, W, Z = Status.TIMED_OUT, Status.CANCELED, Status.WAITING, Status.PAUSED

MANY = 1200
"""More than the 1,000 rows or levels at which a database may cut a recursion, without an error."""

# Children's statuses; the overall status by wait_all, fail_fast, best_effort and race.
PROGRESS: dict[str, tuple[list[Status], tuple[Status, Status, Status, Status]]] = {
    "none": ([], (P, P, P, P)),
    "all pending": ([P, P], (P, P, P, P)),
    "all success": ([S, S], (S, S, S, S)),
    "one running": ([P, R], (R, R, R, R)),
    "waiting and paused": ([W, Z], (R, R, R, R)),
    "one success": ([S, P], (R, R, R, S)),
    "one failed": ([F, P], (R, F, R, R)),
    "one timed out": ([T, R], (R, F, R, R)),
    "one canceled": ([C, R], (R, R, R, R)),
    "success and failed": ([S, F], (F, F, S, S)),
    "success and canceled": ([S, C], (F, R, S, S)),
    "all failed": ([F, T], (F, F, F, F)),
    "all canceled": ([C, C], (F, R, F, F)),
}


class TreeCases(ContractCase):
    """Contract 6.4 to 6.6."""

    @clause("6.4", "1.6")
    def test_children_are_in_creation_then_code_point_order(
        self, store: Store, clock: ManualClock
    ) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task("parent"))
        clock.tick()
        for key in reversed(ALPHABET):
            store.tasks.create(child(key, "parent"))
        store.tasks.create(child("grandchild", "a"))
        clock.tick(-1)
        store.tasks.create(child("zz", "parent"))
        found = store.tasks.children("parent")
        assert [row.task_exec_id for row in found] == ["zz", *ALPHABET]
        assert_same(found[0], store.tasks.get("zz"))
        assert_same(store.tasks.children("parent", workflow_exec_id="w"), found)

    @clause("6.4")
    @pytest.mark.parametrize(
        ("parent", "given"),
        [
            *((parent, {}) for parent in ("missing", "leaf", "Parent")),
            *(("parent", {"workflow_exec_id": key}) for key in ("other", "missing")),
        ],
        ids=["missing", "leaf", "in another case", "in another workflow", "in no workflow"],
    )
    def test_who_has_no_children(self, store: Store, parent: str, given: dict[str, Any]) -> None:
        _family(store)
        assert store.tasks.children(parent, **given) == ()
        assert store.tasks.children_outputs(parent, **given) == {}
        assert store.tasks.progress(parent, **given).total == 0
        with raises(TaskNotFoundError("part", "task_id")):
            store.tasks.child(parent, "part", **given)
        if parent != "leaf":
            with raises(TaskNotFoundError(parent)):
                store.tasks.tree(parent, **given)

    @clause("6.4")
    def test_a_child_is_the_latest_execution(self, store: Store, clock: ManualClock) -> None:
        _family(store)
        assert store.tasks.child("parent", "part").task_exec_id == "leaf2"
        assert store.tasks.child("parent", "part", workflow_exec_id="w").task_exec_id == "leaf2"
        clock.tick()
        latest = store.tasks.create(child("a", "parent", task_id="part"))
        store.tasks.upsert(child("leaf", "parent", task_id="part", output={"late": True}))
        assert_same(store.tasks.child("parent", "part"), latest)
        with raises(TaskNotFoundError("Part", "task_id")):
            store.tasks.child("parent", "Part")

    @clause("6.4")
    def test_outputs_of_children_are_the_latest_there_are(
        self, store: Store, clock: ManualClock
    ) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task("parent", output={"not": "a child"}))
        store.tasks.create(child("none", "parent"))
        store.tasks.create(child("empty", "parent", output={}))
        store.tasks.create(child("b2", "parent", task_id="b", output={"n": 1}))
        store.tasks.create(child("c2", "parent", task_id="c", output={"n": 1.0}))
        clock.tick()
        store.tasks.create(child("b1", "parent", task_id="b", output={"n": -0.0}))
        store.tasks.create(child("c1", "parent", task_id="c", output=None))
        store.tasks.create(child("deep", "b1", output={"not": "a child"}))
        expected = {"empty": {}, "b": {"n": -0.0}, "c": {"n": 1.0}}
        assert_same(store.tasks.children_outputs("parent"), expected)
        assert_same(store.tasks.children_outputs("parent", workflow_exec_id="w"), expected)

    @clause("6.4", "1.6")
    def test_in_workflow_has_the_latest_execution_of_each_task_in_order(
        self, store: Store, clock: ManualClock
    ) -> None:
        store.workflows.create(workflow())
        store.workflows.create(workflow("other"))
        store.tasks.create(task("elsewhere", "other", task_id="a"))
        a = store.tasks.create(task("3", task_id="a"))
        store.tasks.create(task("2", task_id="b"))
        store.tasks.create(child("1", "2", task_id="A"))
        clock.tick()
        b = store.tasks.create(child("0", "3", task_id="b"))
        found = store.tasks.in_workflow("w")
        assert list(found) == ["A", "a", "b"]
        assert_same((found["a"], found["b"]), (a, b))
        assert store.tasks.in_workflow("missing") == {}

    @clause("6.4", "1.6")
    def test_by_status_agent_and_tool(self, store: Store, clock: ManualClock) -> None:
        store.workflows.create(workflow())
        store.workflows.create(workflow("other"))
        agent = {"agent_id": "writer", "action_id": "write"}
        store.tasks.create(task("z", status=R, **agent))
        clock.tick()
        store.tasks.create(task("elsewhere", "other", status=R, **agent))
        store.tasks.create(task("c", status=R, tool_id="search"))
        store.tasks.create(child("b", "z", status=R, **agent))
        store.tasks.create(child("a", "z", status=F, tool_id="search"))

        def keys(found: tuple[TaskState, ...]) -> str:
            return "".join(row.task_exec_id for row in found)

        assert keys(store.tasks.by_status("w", R)) == "zbc"
        assert keys(store.tasks.by_status("w", P)) == ""
        assert keys(store.tasks.by_agent("w", "writer")) == "zb"
        assert keys(store.tasks.by_agent("w", "Writer")) == ""
        assert keys(store.tasks.by_tool("w", "search")) == "ac"
        assert keys(store.tasks.by_tool("missing", "search")) == ""
        assert_same(store.tasks.by_status("w", F)[0], store.tasks.get("a"))
        with refuses("status"):
            store.tasks.by_status("w", "RUNNING")  # type: ignore[arg-type]

    @clause("6.5")
    def test_a_tree_is_by_depth_then_creation_then_id(
        self, store: Store, clock: ManualClock
    ) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task("root"))
        store.tasks.create(task("another root"))
        clock.tick()
        store.tasks.create(child("b", "root"))
        store.tasks.create(child("a", "root"))
        store.tasks.create(child("x", "another root"))
        clock.tick(-2)  # before its parent
        store.tasks.create(child("a1", "a"))
        store.tasks.create(child("b1", "b"))
        clock.tick(2)
        store.tasks.create(child("a2", "a1"))
        store.tasks.create(child("a0", "a"))
        found = store.tasks.tree("root")
        assert [row.task_exec_id for row in found] == ["root", "a", "b", "a1", "b1", "a0", "a2"]
        assert_same(found, tuple(store.tasks.get(row.task_exec_id) for row in found))
        assert_same(store.tasks.tree("root", workflow_exec_id="w"), found)
        below = [row.task_exec_id for row in store.tasks.tree("a")]
        assert below == ["a", "a1", "a0", "a2"]

    @clause("6.5")
    @pytest.mark.parametrize(
        ("given", "rows"),
        [({}, 101), *(({"max_depth": n}, rows) for n, rows in ((0, 1), (99, 100), (1000, 121)))],
        ids=["by default", "0", "99", "1000"],
    )
    def test_a_tree_ends_at_its_depth_or_100_levels_below_the_root(
        self, store: Store, given: dict[str, Any], rows: int
    ) -> None:
        _chain(store, 121)
        found = store.tasks.tree("000", **given)
        assert [row.task_exec_id for row in found] == [f"{level:03}" for level in range(rows)]

    @clause("6.5")
    def test_a_long_chain_is_read_whole(self, store: Store) -> None:
        _chain(store, MANY)
        found = store.tasks.tree("000", max_depth=MANY)
        assert [row.task_exec_id for row in found] == [f"{level:03}" for level in range(MANY)]

    @clause("6.5", "6.4", "6.6")
    def test_a_wide_tree_is_read_whole(self, store: Store) -> None:
        keys = [f"{number:04}" for number in range(MANY)]
        with store.transaction() as tx:
            tx.workflows.create(workflow())
            tx.tasks.create(task("root"))
            for key in keys:
                tx.tasks.create(child(key, "root"))
        assert [row.task_exec_id for row in store.tasks.tree("root")] == ["root", *keys]
        assert [row.task_exec_id for row in store.tasks.children("root")] == keys
        assert store.tasks.progress("root").total == MANY

    @clause("1.4", "6.5")
    @pytest.mark.parametrize("depth", [-1, True, 1.0, None], ids=repr)
    def test_a_depth_is_a_count(self, store: Store, depth: Any) -> None:
        _family(store)
        with refuses("max_depth"):
            store.tasks.tree("parent", max_depth=depth)

    @clause("6.6")
    @pytest.mark.parametrize(("statuses", "overall"), PROGRESS.values(), ids=PROGRESS)
    def test_progress_counts_the_children_by_status(
        self, store: Store, statuses: list[Status], overall: tuple[Status, ...]
    ) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task("parent", status=S))
        for number, status in enumerate(statuses):
            store.tasks.create(child(str(number), "parent", status=status))
            store.tasks.create(child(f"below {number}", str(number), status=F))
        found = store.tasks.progress("parent")
        assert found.counts == {status: statuses.count(status) for status in Status}
        assert found.overall == dict(
            zip(
                (Strategy.WAIT_ALL, Strategy.FAIL_FAST, Strategy.BEST_EFFORT, Strategy.RACE),
                overall,
                strict=True,
            )
        )
        assert_same(store.tasks.progress("parent", workflow_exec_id="w"), found)

    @clause("6.6")
    def test_progress_has_totals_and_rates(self, store: Store) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task("parent"))
        for number, status in enumerate([P, R, W, Z, S, F, T, C]):
            store.tasks.create(child(str(number), "parent", status=status))
        found = store.tasks.progress("parent")
        assert (found.total, found.terminal, found.running) == (8, 4, 3)
        assert_same((found.completion_rate, found.failure_rate), (0.125, 0.25))
        store.tasks.modify("0", lambda t: attrs.evolve(t, status=S))
        assert store.tasks.progress("parent").completion_rate == 0.25
        nobody = store.tasks.progress("7")
        assert_same((nobody.total, nobody.completion_rate, nobody.failure_rate), (0, 0.0, 0.0))


def _family(store: Store) -> None:
    """A parent with three executions of one task, and an empty other workflow."""
    store.workflows.create(workflow())
    store.workflows.create(workflow("other"))
    store.tasks.create(task("parent"))
    for key in ("leaf2", "leaf", "leaf1"):
        store.tasks.create(child(key, "parent", task_id="part", output={"of": key}))


def _chain(store: Store, levels: int) -> None:
    """Tasks 000, 001 and so on, each the parent of the next."""
    with store.transaction() as tx:
        tx.workflows.create(workflow())
        tx.tasks.create(task("000"))
        for level in range(1, levels):
            tx.tasks.create(child(f"{level:03}", f"{level - 1:03}"))
