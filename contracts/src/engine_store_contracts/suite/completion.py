"""Section 5.5: completing a workflow by its root tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from engine_store.errors import WorkflowNotReadyError
from engine_store.models import ExecutionType, Status, WorkflowState
from engine_store.protocols import Store
from engine_store.rules.outcomes import OUTPUT_TRANSFORMATION_FAILED
from engine_store.values import Document
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises
from engine_store_contracts.suite.samples import (
    ERROR,
    TERMINAL_STATUSES,
    UNFINISHED_STATUSES,
    USAGE,
    child,
    task,
    workflow,
)

S, F, T, C = Status.SUCCESS, Status.FAILED, Status.TIMED_OUT, Status.CANCELED

ROOTS: dict[str, tuple[list[Status], Status]] = {
    "none": ([], S),
    "all succeeded": ([S, S], S),
    "one failed": ([S, F], F),
    "one timed out": ([T, S], F),
    "one canceled": ([S, C, S], C),
    "failed and canceled": ([C, F], F),
    "timed out and canceled": ([T, C], F),
    "all canceled": ([C, C], C),
}


def shown(
    output: Document | None, parent: str | None = None, *, execution_type: str = "basic"
) -> Document:
    """Return a task as the default output has it."""
    return {"output": output, "parent_state_id": parent, "execution_type": execution_type}


def _raise(state: object) -> Any:
    raise LookupError("no such answer: \ud800\0")


TRANSFORMS_THAT_FAIL: dict[str, tuple[Callable[[WorkflowState], Any], str]] = {
    "raises": (_raise, "LookupError"),
    "returns an array": (lambda state: [1], "InvalidValueError"),
    "returns NaN": (lambda state: {"a": float("nan")}, "InvalidValueError"),
    "returns a subclass": (lambda state: state.tasks, "InvalidValueError"),
}


class CompletionCases(ContractCase):
    """Contract 5.5."""

    @clause("5.5")
    @pytest.mark.parametrize(("roots", "expected"), ROOTS.values(), ids=ROOTS)
    def test_the_status_follows_from_the_roots(
        self, store: Store, clock: ManualClock, roots: list[Status], expected: Status
    ) -> None:
        created = store.workflows.create(
            workflow(status=Status.RUNNING, input={"a": 1}, error=ERROR, usage=USAGE)
        )
        output: Document = {}
        for number, status in enumerate(roots):
            key = f"root-{number}"
            store.tasks.create(task(key, status=status, output={"n": number}))
            output[key] = shown({"n": number})
        now = clock.tick()
        found = store.workflows.complete("w")
        assert_same(
            attrs.evolve(found, tasks={}),
            attrs.evolve(created, status=expected, output=output, version=2, updated_at=now),
        )
        assert_same(store.workflows.get("w", with_tasks=True), found)

    @clause("5.5")
    def test_the_default_output_has_the_latest_execution_of_every_task(
        self, store: Store, clock: ManualClock
    ) -> None:
        store.workflows.create(workflow())
        store.tasks.create(
            task("root", status=S, execution_type=ExecutionType.COLLECTION, output={"sum": 3})
        )
        store.tasks.create(child("c1", "root", task_id="part", status=F, output={"n": 1}))
        clock.tick()
        store.tasks.create(child("c0", "root", task_id="part", status=S, output={"n": 2}))
        store.tasks.create(child("d", "c0", task_id="deep"))
        assert_same(
            store.workflows.complete("w").output,
            {
                "root": shown({"sum": 3}, execution_type="collection"),
                "part": shown({"n": 2}, "root"),
                "deep": shown(None, "c0"),
            },
        )

    @clause("5.5")
    @pytest.mark.parametrize("status", UNFINISHED_STATUSES)
    def test_a_root_that_is_not_terminal_keeps_the_workflow_open(
        self, store: Store, clock: ManualClock, status: Status
    ) -> None:
        created = store.workflows.create(workflow())
        store.tasks.create(task("done", status=F))
        store.tasks.create(task("z", status=status))
        store.tasks.create(task("a", status=status))
        clock.tick()
        called: list[object] = []
        with raises(WorkflowNotReadyError("w", ("a", "z"))):
            store.workflows.complete("w", called.append)
        assert_same(store.workflows.get("w"), created)
        assert called == []

    @clause("5.5")
    def test_only_the_latest_execution_of_a_root_counts(
        self, store: Store, clock: ManualClock
    ) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task("try-2", task_id="root", status=F))
        store.tasks.create(task("open", task_id="other", status=Status.RUNNING))
        clock.tick()
        store.tasks.create(task("try-1", task_id="root", status=S))
        store.tasks.create(task("closed", task_id="other", status=C))
        assert store.workflows.complete("w").status is C

    @clause("5.5", "1.6")
    def test_of_roots_made_at_the_same_time_the_last_by_id_counts(self, store: Store) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task("\U00010000", task_id="root", status=S))
        store.tasks.create(task("\uff5a", task_id="root", status=F))
        assert store.workflows.complete("w").status is S

    @clause("5.5")
    def test_children_and_other_workflows_do_not_count(self, store: Store) -> None:
        store.workflows.create(workflow("other"))
        store.tasks.create(task("elsewhere", "other", task_id="root", status=F))
        store.workflows.create(workflow())
        store.tasks.create(task("root", status=S))
        store.tasks.create(child("failed", "root", status=F))
        store.tasks.create(child("running", "root", status=Status.RUNNING))
        store.tasks.create(child("root again", "root", task_id="root", status=F))
        assert store.workflows.complete("w").status is S
        assert store.workflows.get("other").version == 1

    @clause("5.5")
    @pytest.mark.parametrize("status", TERMINAL_STATUSES)
    def test_a_terminal_workflow_is_returned_unchanged(
        self, store: Store, clock: ManualClock, status: Status
    ) -> None:
        created = store.workflows.create(workflow(status=status, output={"kept": True}))
        unfinished = store.tasks.create(task("t", status=Status.RUNNING), allow_ended=True)
        clock.tick()
        called: list[object] = []
        found = store.workflows.complete("w", called.append)
        assert_same(found, attrs.evolve(created, tasks={"t": unfinished}))
        assert_same(store.workflows.get("w"), created)
        assert called == []

    @clause("5.5")
    @pytest.mark.parametrize("output", [None, {}, {"answer": [42, 1.0]}], ids=str)
    def test_a_transform_makes_the_output(self, store: Store, output: Document | None) -> None:
        created = store.workflows.create(workflow(status=Status.RUNNING, input={"q": 1}))
        root = store.tasks.create(task("root", status=C, output={"n": 1}))
        part = store.tasks.create(child("part", "root"))
        seen: list[WorkflowState] = []

        def transform(state: WorkflowState) -> Document | None:
            seen.append(state)
            return output

        found = store.workflows.complete("w", transform)
        assert_same(seen, [attrs.evolve(created, tasks={"root": root, "part": part})])
        assert_same((found.status, found.output, found.error), (C, output, None))
        assert_same(store.workflows.get("w").output, output)

    @clause("5.5")
    @pytest.mark.parametrize(
        ("transform", "kind"), TRANSFORMS_THAT_FAIL.values(), ids=TRANSFORMS_THAT_FAIL
    )
    def test_a_transform_that_fails_makes_the_workflow_failed(
        self, store: Store, transform: Callable[[WorkflowState], Any], kind: str
    ) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task("root", status=S, output={"n": 1}))
        found = store.workflows.complete("w", transform)
        assert found.status is F
        assert found.error is not None
        assert found.error.code == OUTPUT_TRANSFORMATION_FAILED == "OUTPUT_TRANSFORMATION_FAILED"
        assert found.error.details == {"type": kind}
        if kind == "LookupError":  # whose text is kept as it can be
            assert found.error.message == "no such answer: \\ud800\\0"
        assert found.output == {"root": shown({"n": 1})}
        assert_same(store.workflows.get("w", with_tasks=True), found)

    @clause("5.5", "3.2")
    def test_what_stops_the_program_stops_a_transform_too(self, store: Store) -> None:
        class Stop(BaseException):
            pass

        def stop(state: object) -> Any:
            raise Stop

        created = store.workflows.create(workflow())
        with pytest.raises(Stop):
            store.workflows.complete("w", stop)
        assert_same(store.workflows.get("w"), created)
        assert store.workflows.set_status("w", Status.RUNNING).version == 2

    @clause("5.5")
    @pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
    def test_a_transform_cannot_reach_what_is_stored(self, store: Store, fails: bool) -> None:
        created = store.workflows.create(workflow(input={"n": [1]}, error=ERROR))
        root = store.tasks.create(task("root", status=S, output={"n": [1]}))

        def transform(state: WorkflowState) -> Document | None:
            output = state.tasks["root"].output
            assert state.input is not None
            assert output is not None
            state.input["n"].append(2)
            output["n"].append(2)
            if fails:
                raise LookupError
            return {"made of": output}

        expected = {"root": shown({"n": [1]})} if fails else {"made of": {"n": [1, 2]}}
        assert_same(store.workflows.complete("w", transform).output, expected)
        stored = store.workflows.get("w", with_tasks=True)
        assert_same((stored.input, stored.tasks), (created.input, {"root": root}))

    @clause("5.5", "1.2")
    def test_what_is_around_an_output_does_not_count_for_its_depth(self, store: Store) -> None:
        deepest: Document = {}
        for _ in range(99):
            deepest = {"k": deepest}
        for name in ("default", "fails", "own"):
            store.workflows.create(workflow(name))
            store.tasks.create(task(name, name, task_id="root", status=S, output=deepest))
        done = store.workflows.complete("default")
        assert (done.status, done.output) == (S, {"root": shown(deepest)})
        assert_same(store.workflows.get("default", with_tasks=True), done)
        failed = store.workflows.complete("fails", lambda state: 1 / 0)  # type: ignore[arg-type, return-value]
        assert (failed.status, failed.output) == (Status.FAILED, {"root": shown(deepest)})
        too_deep = store.workflows.complete("own", lambda state: {"a": {"b": {"c": deepest}}})
        assert too_deep.error is not None
        assert (too_deep.status, too_deep.error.code) == (
            Status.FAILED,
            "OUTPUT_TRANSFORMATION_FAILED",
        )
        assert_same(store.workflows.get("own", with_tasks=True), too_deep)
