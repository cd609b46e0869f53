"""Section 9: opening, health and closing."""

from __future__ import annotations

import pytest

from engine_store.errors import StoreClosedError
from engine_store.protocols import Store
from engine_store_contracts.exact import exact
from engine_store_contracts.harness import Database
from engine_store_contracts.suite.calls import CALLS_OF_A_STORE, Call, outcomes
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises
from engine_store_contracts.suite.samples import user
from engine_store_contracts.suite.transactions import everything, write_everywhere

SERVED: dict[str, Call] = {
    **{n: call for n, call in CALLS_OF_A_STORE.items() if not n.endswith("get_for_update")},
    "health": lambda s: s.health(),
    "migrator.status": lambda s: s.migrator.status(),
    "migrator.up": lambda s: s.migrator.up(),
    "migrator.verify": lambda s: s.migrator.verify(),
}


class LifeCycleCases(ContractCase):
    """Contract 9.1 and 9.4."""

    @clause("9.1")
    def test_a_closed_store_serves_nothing_and_may_be_closed_again(self, store: Store) -> None:
        store.close()
        store.close()
        expected = dict.fromkeys(SERVED, StoreClosedError())
        assert exact(outcomes(SERVED, store)) == exact(expected)

    @clause("9.1")
    def test_a_store_closes_itself_at_the_end_of_a_with_block(self, database: Database) -> None:
        with database.open() as store:
            assert store.users.create(user()).version == 1
        with raises(StoreClosedError()):
            store.users.get("ann")

    @clause("9.1")
    def test_an_exception_closes_the_store_and_comes_out(self, database: Database) -> None:
        error = ValueError("of the caller")
        with pytest.raises(ValueError, match="of the caller") as caught, database.open() as store:
            raise error
        assert caught.value is error
        with raises(StoreClosedError()):
            store.health()

    @clause("9.4")
    def test_health_says_that_a_store_can_read_and_write(self, store: Store) -> None:
        health = store.health()
        assert (health.can_read, health.can_write, health.ok) == (True, True, True)
        assert health.problem is None
        assert health.driver
        assert health.schema_version == len(store.migrator.status())
        assert {type(figure) for figure in health.details.values()} <= {int, float, str}

    @clause("9.4")
    def test_asking_for_health_writes_nothing(self, store: Store) -> None:
        write_everywhere(store)
        before = everything(store)
        for _ in range(3):
            assert store.health().ok
        assert_same(everything(store), before)

    @clause("8.3")
    def test_a_store_is_opened_with_its_whole_schema(self, store: Store) -> None:
        assert [step for step in store.migrator.status() if step.applied_at is None] == []
        assert store.migrator.plan().steps == ()
        assert store.migrator.up().steps == ()
        store.migrator.verify()
        assert store.health().schema_version == len(store.migrator.status())
