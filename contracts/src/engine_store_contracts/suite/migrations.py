"""Section 8: migrations, for drivers that have some and a database that can be opened again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

import pytest

import engine_store
from engine_store.config import DatabaseConfig
from engine_store.errors import ConfigurationError, SchemaBehindError
from engine_store.migrations import Direction, Migration
from engine_store.protocols import Store
from engine_store_contracts.harness import Database
from engine_store_contracts.suite.case import (
    ContractCase,
    all_at_once,
    assert_same,
    clause,
    raises,
    successes,
)
from engine_store_contracts.suite.samples import KINDS, Kind, user, workflow

Rows: TypeAlias = dict[tuple[str, int], object]
"""States by their kind and the number in their keys."""


def write_what_can_be(store: Store, number: int) -> Rows:
    """Write a row of each kind, as far as the schema has a place for it; return what is stored."""

    def write(kind: Kind) -> object:
        return kind.repository(store).create(kind.make(str(number)))

    return _possible({(kind.name, number): partial(write, kind) for kind in KINDS})


def read_what_can_be(store: Store, rows: Rows) -> Rows:
    """Return the rows as they are now, without those that the schema has no place for any more."""
    return _possible({(kind, n): partial(getattr(store, kind).get, str(n)) for kind, n in rows})


def _possible(calls: dict[tuple[str, int], Callable[[], object]]) -> Rows:
    done: Rows = {}
    for key, call in calls.items():
        # Of a schema that is behind nothing is promised but what the migrator says.
        with suppress(Exception):
            done[key] = call()
    return done


class MigrationCases(ContractCase, needs=("migrations", "reopen"), fresh=True):
    """Contract 8. Needs `harness.url`."""

    @clause("8.1", "8.3")
    def test_status_has_every_step_in_order(self, store: Store) -> None:
        steps = store.migrator.status()
        assert [step.version for step in steps] == list(range(1, len(steps) + 1))
        assert all(step.name for step in steps)
        assert all(step.applied_at is not None for step in steps)
        assert store.health().schema_version == len(steps) > 0

    @clause("8.3")
    def test_a_plan_has_the_sql_and_runs_nothing(self, store: Store) -> None:
        before = store.migrator.status()
        store.users.create(user())
        plan = store.migrator.plan(0)
        assert plan.direction is Direction.DOWN
        assert [step.version for step in plan.steps] == list(range(len(before), 0, -1))
        assert plan.sql == "\n".join(step.down_sql for step in plan.steps)
        assert plan.sql.strip()
        assert store.migrator.plan().steps == store.migrator.plan(len(before)).steps == ()
        assert_same(store.migrator.status(), before)
        assert store.users.get("ann").version == 1

    @clause("8.3")
    def test_what_was_reverted_can_be_applied_again_to_the_same_schema(self, store: Store) -> None:
        newest = len(store.migrator.status())
        store.migrator.verify()
        down = store.migrator.down(0)
        assert (down.direction, len(down.steps)) == (Direction.DOWN, newest)
        assert [step.applied_at for step in store.migrator.status()] == [None] * newest
        with raises(SchemaBehindError(database=0, code=newest)):
            store.migrator.verify()

        plan = store.migrator.plan()
        assert plan.sql == "\n".join(step.up_sql for step in plan.steps)
        assert store.migrator.up() == plan
        assert plan.direction is Direction.UP
        store.migrator.verify()
        assert store.workflows.create(workflow()).version == 1
        assert store.migrator.up().steps == ()

    @clause("8.1", "8.3")
    def test_steps_are_applied_and_reverted_one_by_one(self, store: Store) -> None:
        newest = len(store.migrator.status())

        def applied() -> list[int]:
            return [s.version for s in store.migrator.status() if s.applied_at is not None]

        def versions(steps: tuple[Migration, ...]) -> list[int]:
            return [step.version for step in steps]

        for target in range(newest - 1, -1, -1):
            for _ in range(2):
                assert versions(store.migrator.down(target).steps) == [target + 1]
                assert applied() == list(range(1, target + 1))
                store.migrator.up(target + 1)
            store.migrator.down(target)
        for target in range(1, newest + 1):
            assert versions(store.migrator.up(target).steps) == [target]
            assert applied() == list(range(1, target + 1))
        store.migrator.verify()

    @clause("8.1", "8.3")
    def test_what_is_written_before_a_step_is_there_after_it(self, store: Store) -> None:
        newest = len(store.migrator.status())
        store.migrator.down(0)
        written: Rows = {}
        for step in range(1, newest + 1):
            store.migrator.up(step)
            written |= write_what_can_be(store, step)
        assert_same(read_what_can_be(store, written), written)
        assert {kind for kind, _ in written} == {kind.name for kind in KINDS}

    @clause("8.3")
    def test_what_a_reverted_step_leaves_is_there_when_it_is_applied_again(
        self, store: Store
    ) -> None:
        newest = len(store.migrator.status())
        written = write_what_can_be(store, 0)
        for step in range(newest, 0, -1):
            store.migrator.down(step - 1)
            left = read_what_can_be(store, written)
            store.migrator.up()
            assert_same(read_what_can_be(store, left), left)
            store.migrator.verify()
            assert set(write_what_can_be(store, step)) == {(kind.name, step) for kind in KINDS}

    @clause("8.3")
    @pytest.mark.parametrize("target", [-1, 10_000])
    def test_a_target_is_a_step(self, store: Store, target: int) -> None:
        before = store.migrator.status()
        for run in (store.migrator.plan, store.migrator.up, store.migrator.down):
            with pytest.raises(ConfigurationError) as caught:
                run(target)
            assert caught.value.field == "target"
        assert_same(store.migrator.status(), before)

    @clause("8.4")
    def test_a_schema_that_is_behind_is_refused_where_migrating_is_off(
        self, store: Store, database: Database
    ) -> None:
        newest = len(store.migrator.status())
        store.migrator.down(newest - 1)
        before = store.migrator.status()
        with raises(SchemaBehindError(database=newest - 1, code=newest)):
            engine_store.open(DatabaseConfig(url=database.url, auto_migrate=False))
        assert_same(store.migrator.status(), before)
        store.migrator.up()
        with engine_store.open(DatabaseConfig(url=database.url, auto_migrate=False)) as opened:
            assert opened.users.create(user()).version == 1

    @clause("8.4")
    def test_an_empty_database_is_not_touched_where_migrating_is_off(
        self, database: Database
    ) -> None:
        with pytest.raises(SchemaBehindError) as caught:
            engine_store.open(DatabaseConfig(url=database.url, auto_migrate=False))
        assert caught.value.database == 0
        with database.open() as store:
            assert len(store.migrator.status()) == caught.value.code
            store.migrator.verify()

    @clause("8.2")
    def test_threads_that_open_an_empty_database_at_once_all_succeed(
        self, database: Database
    ) -> None:
        def use(number: int) -> int:
            with database.open() as store:
                store.users.create(user(str(number)))
                return len(store.migrator.status())

        outcomes = all_at_once([partial(use, number) for number in range(4)])
        assert len(set(successes(outcomes))) == 1
        with database.open() as store:
            assert len(store.users.list().items) == len(outcomes) == 4
            assert store.migrator.up().steps == ()

    @clause("8.2")
    def test_migrating_at_once_runs_each_step_once(self, store: Store) -> None:
        newest = len(store.migrator.status())
        store.migrator.down(0)
        outcomes = all_at_once([store.migrator.up] * 4)
        ran = [step.version for plan in successes(outcomes) for step in plan.steps]
        assert sorted(ran) == list(range(1, newest + 1))
        store.migrator.verify()
