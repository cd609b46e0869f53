"""Section 9.1 and 2.6 where a call runs in the thread of its caller: the synchronous face."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TypeVar

import attrs
import pytest

from engine_store.errors import (
    EngineStoreError,
    StoreClosedError,
    TransactionClosedError,
    UnavailableError,
    VersionConflictError,
)
from engine_store.models import Status, WorkflowState
from engine_store.protocols import Store
from engine_store_contracts.exact import exact
from engine_store_contracts.faces import Face
from engine_store_contracts.hanging import Threads
from engine_store_contracts.patience import PATIENCE
from engine_store_contracts.suite.calls import CALLS, outcomes
from engine_store_contracts.suite.case import ContractCase, assert_same, clause
from engine_store_contracts.suite.samples import user, workflow

T = TypeVar("T")

WRITES: dict[str, Callable[[Store], object]] = {
    "create": lambda store: store.users.create(user("cleo")),
    "set_status": lambda store: store.workflows.set_status("w", Status.RUNNING),
    "transaction": lambda store: _write_in_a_transaction(store),
}


def _write_in_a_transaction(store: Store) -> None:
    with store.transaction() as tx:
        tx.users.create(user("cleo"))


def in_another_thread(call: Callable[[], T]) -> T:
    """What `call` returns or raises in a thread of its own."""
    with Threads() as thread:
        return thread.submit(call).result(PATIENCE.seconds)


def works_in_a_fork(call: Callable[[], bool]) -> bool:
    """Whether `call` returns true in a forked child, and does not raise an error of the store."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if call() else 2
        except EngineStoreError:
            code = 3
        finally:
            os._exit(code)  # whatever happened, nothing of the parent's tests goes on here
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 3), "it neither worked nor said so"
    return code == 0


class SyncCases(ContractCase, faces=(Face.SYNC,)):
    """Contract 2.6 and 9.1: threads, forks, and functions that use the store they are called by."""

    @clause("9.1")
    def test_a_transaction_and_a_savepoint_belong_to_the_thread_that_began_them(
        self, store: Store
    ) -> None:
        expected = exact(dict.fromkeys(CALLS, TransactionClosedError()))
        with store.transaction() as tx:
            tx.users.create(user("ann"))
            calls = partial(outcomes, CALLS, tx)
            assert exact(in_another_thread(calls)) == expected
            with tx.transaction() as inner:
                calls = partial(outcomes, CALLS, inner)
                assert exact(in_another_thread(calls)) == expected
                inner.users.create(user("bob"))  # its own thread goes on
        assert {u.user_id for u in store.users.list().items} == {"ann", "bob"}

    @clause("9.1")
    def test_closing_the_store_does_not_hang_on_other_threads(self, store: Store) -> None:
        store.workflows.create(workflow())

        def read_until_closed() -> type[EngineStoreError] | None:
            end = monotonic() + PATIENCE.seconds
            while monotonic() < end:
                try:
                    store.workflows.get("w", with_tasks=True)
                except EngineStoreError as exc:
                    return type(exc)
            return None

        with Threads() as threads:
            readers = [threads.submit(read_until_closed) for _ in range(3)]
            store.close()
            found = [reader.result(2 * PATIENCE.seconds) for reader in readers]
        assert found == [StoreClosedError] * 3

    @clause("2.6")
    def test_modify_applies_the_function_again_after_a_conflict(self, store: Store) -> None:
        store.workflows.create(workflow(input={"n": 0}))
        seen: list[int] = []

        def change(state: WorkflowState) -> WorkflowState:
            seen.append(state.version)
            if state.version < 4:
                store.workflows.set_status("w", Status.RUNNING)  # somebody is faster
            return attrs.evolve(state, input={"n": 1})

        stored = store.workflows.modify("w", change)
        assert list(dict.fromkeys(seen)) == [1, 2, 3, 4]
        assert (stored.version, stored.status, stored.input) == (5, Status.RUNNING, {"n": 1})

    @clause("2.6")
    def test_modify_gives_up_with_the_last_conflict(self, store: Store) -> None:
        store.workflows.create(workflow(input={"n": 0}))
        seen: list[int] = []

        def always_too_late(state: WorkflowState) -> WorkflowState:
            seen.append(state.version)
            assert len(seen) <= 1000, "it does not give up"
            store.workflows.set_status("w", Status.RUNNING)
            return attrs.evolve(state, input={"n": 1})

        with pytest.raises(VersionConflictError) as caught:
            store.workflows.modify("w", always_too_late)
        last = seen[-1]
        lost = VersionConflictError("workflow execution", "w", expected=last, actual=last + 1)
        assert_same(caught.value, lost)
        assert sorted(set(seen)) == list(range(1, last + 1))
        assert last >= 2
        assert store.workflows.get("w").input == {"n": 0}

    @clause("9.1")
    def test_a_forked_child_gets_a_working_store_or_a_clear_error(self, store: Store) -> None:
        created = store.users.create(user())

        def child() -> bool:
            found = store.users.get("ann")
            return (found, store.users.upsert(user("child")).user_id) == (created, "child")

        works_in_a_fork(child)
        assert_same(store.users.get("ann"), created)
        assert store.users.create(user("bob")).version == 1
        assert store.health().ok

    @clause("9.1", "3.5")
    def test_a_forked_child_does_not_have_the_transaction_of_its_parent(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.users.create(user("ann"))

            def child() -> bool:
                tx.users.create(user("child"))
                return False

            assert not works_in_a_fork(child)
            tx.users.create(user("bob"))
        assert {u.user_id for u in store.users.list().items} == {"ann", "bob"}

    @clause("9.2")
    @pytest.mark.parametrize("write", WRITES)
    def test_a_write_past_the_open_transaction_of_its_own_thread_is_done_or_fails_at_once(
        self, store: Store, write: str
    ) -> None:
        """Where one transaction writes at a time, this one would wait for itself."""
        store.workflows.create(workflow())
        with store.transaction() as tx:
            tx.users.create(user("ann"))
            refused = None
            try:
                WRITES[write](store)
            except UnavailableError as error:
                refused = error
            assert refused is None or not refused.retriable
            tx.users.create(user("bob"))
        assert {"ann", "bob"} <= {u.user_id for u in store.users.list().items}
