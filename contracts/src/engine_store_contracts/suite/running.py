"""Section 3.7: a function that is run in a transaction, and again if it has to be."""

from __future__ import annotations

from typing import Any

import pytest

from engine_store.errors import (
    EngineStoreError,
    UnavailableError,
    VersionConflictError,
    WorkflowNotFoundError,
)
from engine_store.protocols import Store, Transaction
from engine_store_contracts.suite.case import (
    ContractCase,
    all_at_once,
    clause,
    raises,
    refuses,
)
from engine_store_contracts.suite.samples import increment, task, workflow

BUSY = UnavailableError("busy", retriable=True)
CONFLICT = VersionConflictError("workflow execution", "w", expected=1, actual=2)


class RunCases(ContractCase):
    """Contract 3.7."""

    @clause("3.7")
    def test_what_a_function_wrote_is_committed_and_what_it_returns_comes_back(
        self, store: Store
    ) -> None:
        def create(tx: Transaction) -> str:
            tx.workflows.create(workflow("w"))
            return tx.tasks.create(task("t")).task_exec_id

        assert store.run(create) == "t"
        assert list(store.workflows.get("w", with_tasks=True).tasks) == ["t"]

    @clause("3.7")
    @pytest.mark.parametrize("error", [BUSY, CONFLICT], ids=lambda error: type(error).__name__)
    def test_it_is_called_again_in_a_new_transaction(
        self, store: Store, error: EngineStoreError
    ) -> None:
        seen: list[int] = []

        def fail_twice(tx: Transaction) -> int:
            seen.append(len(tx.workflows.list().items))
            tx.workflows.create(workflow(f"w{len(seen)}"))
            if len(seen) < 3:
                raise error
            return len(seen)

        assert store.run(fail_twice) == 3
        assert seen == [0, 0, 0]
        assert [state.workflow_exec_id for state in store.workflows.list().items] == ["w3"]

    @clause("3.7")
    @pytest.mark.parametrize("attempts", [1, 2, 5])
    def test_after_so_many_attempts_the_error_comes_out(self, store: Store, attempts: int) -> None:
        seen: list[object] = []

        def fail(tx: Transaction) -> None:
            seen.append(tx.workflows.create(workflow("w")))
            raise UnavailableError(f"busy {len(seen)}", retriable=True)

        with raises(UnavailableError(f"busy {attempts}", retriable=True)):
            store.run(fail, attempts=attempts)
        assert len(seen) == attempts
        assert store.workflows.list().items == ()

    @clause("3.7")
    @pytest.mark.parametrize(
        "error",
        [LookupError("x"), UnavailableError("gone", retriable=False), WorkflowNotFoundError("w")],
        ids=lambda error: type(error).__name__,
    )
    def test_any_other_error_comes_out_at_once(self, store: Store, error: Exception) -> None:
        seen: list[object] = []

        def fail(tx: Transaction) -> None:
            seen.append(tx.workflows.create(workflow("w")))
            raise error

        with pytest.raises(type(error)) as caught:
            store.run(fail)
        assert caught.value is error
        assert len(seen) == 1
        assert store.workflows.list().items == ()

    @clause("3.7", "1.4")
    @pytest.mark.parametrize("attempts", [0, -1, True, 1.0, None], ids=str)
    def test_other_numbers_of_attempts_are_refused(self, store: Store, attempts: Any) -> None:
        called: list[object] = []
        with refuses("attempts"):
            store.run(called.append, attempts=attempts)
        assert called == []

    @clause("3.7")
    def test_of_many_that_change_one_row_each_counts(self, store: Store) -> None:
        store.workflows.create(workflow("w", input={"n": 0}))

        def change(tx: Transaction) -> None:
            tx.workflows.update(increment(tx.workflows.get("w")))

        def change_often() -> None:
            for _ in range(10):
                store.run(change, attempts=100)

        assert all_at_once([change_often] * 3) == [None] * 3
        assert store.workflows.get("w").input == {"n": 30}
