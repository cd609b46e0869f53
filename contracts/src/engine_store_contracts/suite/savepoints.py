"""Section 3.2: transactions inside of transactions."""

from __future__ import annotations

from engine_store.models import Status
from engine_store.protocols import Store
from engine_store_contracts.suite.case import ContractCase, clause
from engine_store_contracts.suite.samples import task, user, workflow
from engine_store_contracts.suite.transactions import NOTHING, aborted, everything


class SavepointCases(ContractCase):
    """Contract 3.2."""

    @clause("3.2")
    def test_a_failed_savepoint_undoes_only_itself(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.workflows.create(workflow())
            with aborted(tx) as inner:
                inner.workflows.set_status("w", Status.RUNNING)
                inner.tasks.create(task())
                inner.users.create(user())
            assert tx.workflows.get("w").version == 1
            tx.tasks.create(task("later"))
        assert store.workflows.get("w").status is Status.PENDING
        assert [t.task_exec_id for t in store.tasks.list().items] == ["later"]
        assert store.users.list().items == ()

    @clause("3.2")
    def test_a_kept_savepoint_goes_with_a_failed_transaction(self, store: Store) -> None:
        with aborted(store) as tx:
            tx.users.create(user())
            with tx.transaction() as inner:
                inner.workflows.create(workflow())
        assert everything(store) == NOTHING

    @clause("3.2")
    def test_savepoints_nest(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.users.create(user("one"))
            with tx.transaction() as second:
                second.users.create(user("two"))
                with aborted(second) as third:
                    third.users.create(user("three"))
                    with third.transaction() as fourth:
                        fourth.users.create(user("four"))
                with second.transaction() as third:
                    third.users.create(user("five"))
            with aborted(tx) as second, second.transaction() as third:
                third.users.create(user("six"))
        assert {u.user_id for u in store.users.list().items} == {"one", "two", "five"}
