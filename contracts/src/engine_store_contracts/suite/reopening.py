"""A database that outlives its store, and several stores on it at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import wait

import pytest

from engine_store.errors import StoreClosedError, UserNotFoundError
from engine_store.models import Status
from engine_store.protocols import Store
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.hanging import Threads
from engine_store_contracts.harness import Database
from engine_store_contracts.patience import PATIENCE
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises
from engine_store_contracts.suite.samples import KINDS, VERSIONED, Kind, each, user, workflow
from engine_store_contracts.suite.transactions import aborted, everything


class ReopenCases(ContractCase, needs=("reopen",)):
    """Contract 2.5, 3.4 and 3.6 with several stores; for databases that can be opened again."""

    @pytest.fixture
    def other(self, store: Store, database: Database, clock: ManualClock) -> Iterator[Store]:
        """Another store on the database of `store`."""
        other = database.open(clock=clock)
        yield other
        other.close()

    @clause("3.1", "3.6")
    def test_what_was_committed_is_there_after_opening_again_and_nothing_else(
        self, store: Store, database: Database
    ) -> None:
        with store.transaction() as tx:
            for kind in KINDS:
                kind.repository(tx).create(kind.make("kept"))
        written = everything(store)
        with aborted(store) as tx:
            for kind in KINDS:
                kind.repository(tx).create(kind.make("lost"))
        store.close()
        with database.open() as again:
            assert_same(everything(again), written)

    @clause("1.5")
    def test_another_store_with_a_slow_clock_does_not_set_times_back(
        self, store: Store, database: Database, clock: ManualClock
    ) -> None:
        created = store.workflows.create(workflow())
        slow = ManualClock(clock())
        slow.tick(-3600)
        with database.open(clock=slow) as other:
            updated = other.workflows.update(created)
            assert (updated.created_at, updated.updated_at) == (clock(), clock())
            assert other.workflows.create(workflow("x")).created_at == slow()
        assert store.workflows.get("w").updated_at == clock()

    @clause("3.4")
    def test_another_store_sees_what_is_committed_and_nothing_else(
        self, store: Store, other: Store
    ) -> None:
        created = store.workflows.create(workflow())
        assert_same(other.workflows.get("w"), created)
        with store.transaction() as tx:
            tx.workflows.set_status("w", Status.RUNNING)
            tx.users.create(user())
            assert_same(other.workflows.get("w"), created)
            with raises(UserNotFoundError("ann")):
                other.users.get("ann")
        assert other.workflows.get("w").status is Status.RUNNING
        assert other.users.get("ann").version == 1

    @clause("3.5")
    def test_get_for_update_holds_the_row_against_another_store(
        self, store: Store, other: Store
    ) -> None:
        store.workflows.create(workflow())
        with Threads() as thread:
            with store.transaction() as tx:
                held = tx.workflows.get_for_update("w")
                rival = thread.submit(other.workflows.set_status, "w", Status.RUNNING)
                wait([rival], timeout=0.05)
                assert not rival.done()
                assert tx.workflows.update(held).version == 2
            assert rival.result(PATIENCE.seconds).version == 3

    @clause("2.3")
    @each(VERSIONED)
    def test_a_stale_state_of_another_store_is_a_conflict(
        self, store: Store, other: Store, kind: Kind
    ) -> None:
        repository, rival = kind.repository(store), kind.repository(other)
        created = repository.create(kind.make("x"))
        updated = rival.update(kind.change(rival.get("x"), 1))
        with raises(kind.conflict(expected=1, actual=2)):
            repository.update(kind.change(created, 2))
        assert_same(repository.get("x"), updated)

    @clause("5.2")
    def test_a_cursor_of_one_store_works_in_another(self, store: Store, other: Store) -> None:
        for key in "abc":
            store.users.create(user(key))
        first = store.users.list(limit=2)
        rest = other.users.list(limit=2, cursor=first.next_cursor)
        assert [u.user_id for u in (*first.items, *rest.items)] == ["a", "b", "c"]

    @clause("9.1", "3.1")
    def test_closing_a_store_in_the_middle_of_its_transaction_commits_nothing(
        self, store: Store, other: Store
    ) -> None:
        with pytest.raises(StoreClosedError), store.transaction() as tx:  # noqa: PT012
            tx.users.create(user())
            store.close()
        assert other.users.list().items == ()
        assert other.users.create(user()).version == 1

    @clause("9.1")
    def test_closing_one_store_leaves_the_other_open(self, store: Store, other: Store) -> None:
        store.users.create(user())
        other.close()
        assert store.users.get("ann").version == 1
        assert store.users.create(user("bob")).version == 1
        assert store.health().ok
