"""Section 10: canceling, and workflows that have ended."""

from __future__ import annotations

import attrs
import pytest

from engine_store.errors import (
    AlreadyExistsError,
    InvalidReferenceError,
    StatusConflictError,
    TaskNotFoundError,
    WorkflowNotFoundError,
)
from engine_store.models import (
    ErrorInfo,
    Status,
    TaskState,
)
from engine_store.protocols import Store
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.suite.case import (
    ContractCase,
    assert_same,
    clause,
    raises,
    refuses,
)
from engine_store_contracts.suite.claims import after, stored
from engine_store_contracts.suite.samples import (
    ERROR,
    SAVED_FIELDS,
    TERMINAL_STATUSES,
    UNFINISHED_STATUSES,
    child,
    task,
    workflow,
)

UNFINISHED = frozenset(status.value for status in UNFINISHED_STATUSES)


class CancelCases(ContractCase):
    """Contract 10.7: canceling, and what has ended."""

    TREE = (
        task("root", status=Status.RUNNING),
        child("done", "root", status=Status.FAILED, error=ERROR),
        child("below", "done", status=Status.WAITING, output={"n": 1}, error=ERROR),
        child("leaf", "below"),
        task("other", status=Status.PAUSED),
    )
    """A tree and a task beside it; what has ended has tasks below that have not."""

    def _canceled(self, store: Store, version: int = 2) -> dict[str, TaskState]:
        tasks = {state.task_exec_id: state for state in store.tasks.list().items}
        for state in tasks.values():
            if state.status is Status.CANCELED:
                assert_same(state.error, ErrorInfo("enough", "CANCELED"))
                assert_same((state.version, state.updated_at), (version, after(2)))
        assert_same(tasks["done"], attrs.evolve(tasks["done"], version=1, error=ERROR))
        assert tasks["below"].output == {"n": 1}
        return {k: s for k, s in tasks.items() if s.status is Status.CANCELED}

    @clause("10.7")
    def test_a_workflow_is_canceled_with_its_tasks(self, store: Store, clock: ManualClock) -> None:
        stored(store, *self.TREE)
        before = store.workflows.get("w")
        clock.tick(2)
        state = store.workflows.cancel("w", reason="enough")
        error = ErrorInfo("enough", "CANCELED")
        expected = before.evolve(
            status=Status.CANCELED, error=error, version=2, updated_at=after(2)
        )
        assert_same(state, expected)
        assert_same(store.workflows.get("w"), expected)
        assert set(self._canceled(store)) == {"root", "below", "leaf", "other"}

    @clause("10.7")
    @pytest.mark.parametrize("status", TERMINAL_STATUSES, ids=str)
    def test_a_workflow_that_has_ended_stays_and_its_tasks_end(
        self, store: Store, clock: ManualClock, status: Status
    ) -> None:
        stored(store, *self.TREE)
        ended = store.workflows.set_status("w", status)
        clock.tick(2)
        assert_same(store.workflows.cancel("w", reason="enough"), ended)
        assert set(self._canceled(store)) == {"root", "below", "leaf", "other"}

    @clause("10.7")
    @pytest.mark.parametrize(
        ("key", "subtree", "expected"),
        [
            ("root", True, "root below leaf"),
            ("root", False, "root"),
            ("done", True, "below leaf"),
            ("done", False, ""),
            ("leaf", True, "leaf"),
        ],
    )
    def test_a_task_is_canceled_with_what_is_below_it(
        self, store: Store, clock: ManualClock, key: str, subtree: bool, expected: str
    ) -> None:
        stored(store, *self.TREE)
        before = store.workflows.get("w")
        clock.tick(2)
        state = store.tasks.cancel(key, subtree=subtree, reason="enough")
        assert_same(state, store.tasks.get(key))
        assert set(self._canceled(store)) == set(expected.split())
        assert_same(store.workflows.get("w"), before)

    @clause("10.7")
    def test_a_reason_may_be_left_out(self, store: Store) -> None:
        stored(store, task("t"))
        assert store.tasks.cancel("t").error == ErrorInfo("canceled", "CANCELED")
        assert store.workflows.cancel("w").error == ErrorInfo("canceled", "CANCELED")
        with refuses("reason"):
            store.workflows.cancel("w", reason="\0")
        with refuses("reason"):
            store.tasks.cancel("t", reason=7)  # type: ignore[arg-type]

    @clause("10.7")
    def test_what_is_missing_cannot_be_canceled(self, store: Store) -> None:
        with raises(WorkflowNotFoundError("w")):
            store.workflows.cancel("w")
        with raises(TaskNotFoundError("t")):
            store.tasks.cancel("t")

    @clause("10.7")
    @pytest.mark.parametrize("status", Status, ids=str)
    @pytest.mark.parametrize("write", ["create", "upsert"])
    def test_a_workflow_that_has_ended_takes_a_new_task_only_if_it_is_allowed(
        self, store: Store, status: Status, write: str
    ) -> None:
        [old] = stored(store, task("old"))
        store.workflows.set_status("w", status)
        put = getattr(store.tasks, write)
        if status in TERMINAL_STATUSES:
            with raises(StatusConflictError("w", UNFINISHED, status.value)):
                put(task("t"))
            with pytest.raises(TaskNotFoundError):
                store.tasks.get("t")
        assert put(task("t"), allow_ended=True).version == 1
        assert store.tasks.upsert(old).version == 2
        assert store.tasks.update(attrs.evolve(old, version=2)).version == 3

    @clause("10.7", "2.2", "6.1")
    def test_what_else_stands_against_a_new_task_comes_first(self, store: Store) -> None:
        stored(store, task("t"))
        store.workflows.set_status("w", Status.SUCCESS)
        with raises(AlreadyExistsError("task execution", "task_exec_id", "t")):
            store.tasks.create(task("t"))
        with raises(InvalidReferenceError("task execution", "parent_state_id", "missing")):
            store.tasks.create(child("c", "missing"))
        with raises(InvalidReferenceError("task execution", "workflow_exec_id", "none")):
            store.tasks.create(task("c", "none"))

    @clause("10.7", "2.9")
    def test_a_task_is_restored_into_a_workflow_that_has_ended(self, store: Store) -> None:
        store.workflows.create(workflow("w", status=Status.SUCCESS))
        exported = attrs.evolve(task("t"), **SAVED_FIELDS)
        assert_same(store.tasks.restore(exported), exported)
