"""Section 9: opening, health and closing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine_store.errors import StoreClosedError
from engine_store.models import Status
from engine_store.protocols import Store
from engine_store_contracts.clock import START
from engine_store_contracts.harness import Database
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises
from engine_store_contracts.suite.samples import ADMIN, USAGE, api_key, task, user, workflow
from engine_store_contracts.suite.transactions import everything, write_everywhere

CALLS: dict[str, Callable[[Store], object]] = {
    "users.get": lambda s: s.users.get("ann"),
    "users.list": lambda s: s.users.list(),
    "users.create": lambda s: s.users.create(user()),
    "users.create_initial_admin_if_none": lambda s: s.users.create_initial_admin_if_none(ADMIN),
    "users.modify": lambda s: s.users.modify("ann", lambda u: u),
    "api_keys.get_by_fingerprint": lambda s: s.api_keys.get_by_fingerprint(b"x" * 32),
    "api_keys.touch": lambda s: s.api_keys.touch("key"),
    "api_keys.create": lambda s: s.api_keys.create(api_key()),
    "workflows.get": lambda s: s.workflows.get("w"),
    "workflows.get with tasks": lambda s: s.workflows.get("w", with_tasks=True),
    "workflows.latest": lambda s: s.workflows.latest("report"),
    "workflows.update": lambda s: s.workflows.update(workflow()),
    "workflows.set_status": lambda s: s.workflows.set_status("w", Status.FAILED),
    "workflows.complete": lambda s: s.workflows.complete("w"),
    "workflows.purge": lambda s: s.workflows.purge(START),
    "workflows.purge, dry": lambda s: s.workflows.purge(START, dry_run=True),
    "tasks.list": lambda s: s.tasks.list(),
    "tasks.upsert": lambda s: s.tasks.upsert(task()),
    "tasks.merge_usage": lambda s: s.tasks.merge_usage("t", USAGE),
    "tasks.tree": lambda s: s.tasks.tree("t"),
    "tasks.progress": lambda s: s.tasks.progress("t"),
    "transaction": lambda s: s.transaction().__enter__(),
    "health": lambda s: s.health(),
    "migrator.status": lambda s: s.migrator.status(),
    "migrator.up": lambda s: s.migrator.up(),
    "migrator.verify": lambda s: s.migrator.verify(),
}


class LifeCycleCases(ContractCase):
    """Contract 9.1 and 9.4."""

    @clause("9.1")
    @pytest.mark.parametrize("call", CALLS)
    def test_a_closed_store_serves_nothing(self, store: Store, call: str) -> None:
        store.close()
        with raises(StoreClosedError()):
            CALLS[call](store)

    @clause("9.1")
    def test_closing_twice_is_fine(self, store: Store) -> None:
        store.users.create(user())
        store.close()
        store.close()
        with raises(StoreClosedError()):
            store.users.get("ann")

    @clause("9.1")
    def test_a_store_closes_itself_at_the_end_of_a_with_block(self, database: Database) -> None:
        with database.open() as store:
            assert store.users.create(user()).version == 1
        with raises(StoreClosedError()):
            store.users.get("ann")

    @clause("9.1")
    def test_an_exception_closes_the_store_and_comes_out(self, database: Database) -> None:
        error = ValueError("mine")
        with pytest.raises(ValueError, match="mine") as caught, database.open() as store:
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
