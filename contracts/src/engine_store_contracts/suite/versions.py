"""Section 2: versions and compare-and-set, alike for users, workflows and tasks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from engine_store.protocols import Store
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.exact import exact
from engine_store_contracts.suite.calls import CALLS, CALLS_BY_KEY, outcomes
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises, refuses
from engine_store_contracts.suite.samples import (
    KINDS,
    SAVED_FIELDS,
    TASKS,
    USAGE,
    VERSIONED,
    Kind,
    each,
    task,
    workflow,
    writes_of,
)

ELSEWHEN = datetime(1999, 1, 1, tzinfo=UTC)

IMMUTABLE: list[tuple[Kind, str, Any]] = [
    *((kind, field, "another") for kind in VERSIONED for field in kind.entity.immutable),
    *((kind, "created_at", ELSEWHEN) for kind in VERSIONED),
    (TASKS, "parent_state_id", None),
]

CREATING = [(kind, "create") for kind in KINDS] + [(kind, "upsert") for kind in VERSIONED]


class VersionCases(ContractCase):
    """Contract 2, and 1.5 as far as versions and times are set together."""

    @clause("2.1", "2.4", "1.3", "1.5")
    @pytest.mark.parametrize(
        ("kind", "write"), CREATING, ids=[f"{k.name}.{w}" for k, w in CREATING]
    )
    @pytest.mark.parametrize("version", [0, 1, 41, 2**63 - 1])
    def test_a_new_row_is_what_was_given_with_version_1_and_the_time(
        self, repository: Any, kind: Kind, write: str, version: int
    ) -> None:
        elsewhen = {"created_at": ELSEWHEN, "updated_at": ELSEWHEN}
        given = kind.evolve(kind.make("x"), version=version, **elsewhen)
        created = getattr(repository, write)(given)
        assert_same(created, kind.evolve(given, version=1, created_at=START, updated_at=START))
        assert_same(repository.get("x"), created)
        assert_same(repository.list().items, (created,))
        assert given.created_at == ELSEWHEN

    @clause("2.2", "2.9")
    @each(KINDS)
    @pytest.mark.parametrize("write", ["create", "restore"])
    def test_a_taken_key_is_refused_and_changes_nothing(
        self, repository: Any, clock: ManualClock, kind: Kind, write: str
    ) -> None:
        stored = repository.create(kind.make("x"))
        clock.tick()
        with raises(kind.taken()):
            getattr(repository, write)(kind.evolve(kind.change(stored, 1), **SAVED_FIELDS))
        assert_same(repository.get("x"), stored)

    @clause("2.3", "1.5")
    @each(VERSIONED)
    def test_update_returns_what_is_stored_and_leaves_its_argument(
        self, repository: Any, clock: ManualClock, kind: Kind
    ) -> None:
        created = repository.create(kind.make("x"))
        now = clock.tick(microseconds=1)
        given = attrs.evolve(kind.change(created, 1), updated_at=ELSEWHEN)
        updated = repository.update(given)
        assert_same(updated, attrs.evolve(given, version=2, updated_at=now))
        assert_same(repository.get("x"), updated)
        assert (given.version, given.updated_at) == (1, ELSEWHEN)

    @clause("2.3")
    @each(VERSIONED)
    @pytest.mark.parametrize("stale", [0, 1, 3, 2**63 - 1])
    def test_update_from_another_version_changes_nothing(
        self, repository: Any, clock: ManualClock, kind: Kind, stale: int
    ) -> None:
        stored = repository.update(repository.create(kind.make("x")))
        clock.tick()
        given = attrs.evolve(kind.change(stored, 1), version=stale)
        with raises(kind.conflict(expected=stale, actual=2)):
            repository.update(given)
        assert_same(repository.get("x"), stored)
        assert given.version == stale

    @clause("2.3", "2.6")
    @each(VERSIONED)
    def test_update_and_modify_of_what_is_missing_create_nothing(
        self, repository: Any, kind: Kind
    ) -> None:
        with raises(kind.missing()):
            repository.update(attrs.evolve(kind.make("x"), version=1))
        called: list[object] = []
        with raises(kind.missing()):
            repository.modify("x", called.append)
        with raises(kind.missing()):
            repository.get("x")
        assert called == []

    @clause("4.1", "4.4", "5.1", "6.3", "3.5")
    def test_what_is_missing_is_named_in_the_error(self, store: Store) -> None:
        for kind in KINDS:
            kind.repository(store).create(kind.make("X"))
        with store.transaction() as tx:
            found = outcomes({name: CALLS[name] for name in CALLS_BY_KEY}, tx)
        assert exact(found) == exact({name: kind.missing() for name, kind in CALLS_BY_KEY.items()})

    @clause("2.3", "5.6")
    @each(VERSIONED)
    def test_update_of_what_was_deleted_and_made_again_is_a_conflict(
        self, store: Store, repository: Any, kind: Kind
    ) -> None:
        old = repository.update(repository.create(kind.make("x")))
        if kind is TASKS:
            store.workflows.delete("w")
            kind.repository(store)
        else:
            repository.delete("x")
        made_again = repository.create(kind.make("x"))
        with raises(kind.conflict(expected=2, actual=1)):
            repository.update(old)
        assert_same(repository.get("x"), made_again)

    @clause("2.4")
    @each(VERSIONED)
    @pytest.mark.parametrize("version", [0, 1, 3, 41])
    def test_upsert_replaces_whatever_the_version_and_needs_no_created_at(
        self, repository: Any, clock: ManualClock, kind: Kind, version: int
    ) -> None:
        repository.update(repository.create(kind.make("x")))
        now = clock.tick()
        given = attrs.evolve(kind.change(kind.make("x"), 1), version=version)
        stored = repository.upsert(given)
        assert_same(stored, attrs.evolve(given, version=3, created_at=START, updated_at=now))
        assert_same(repository.get("x"), stored)
        assert given.version == version

    @clause("2.1", "1.5")
    @each(VERSIONED)
    def test_every_write_adds_1_and_sets_no_time_back_and_leaves_other_rows_alone(
        self, store: Store, clock: ManualClock, kind: Kind
    ) -> None:
        others = [other.repository(store).create(other.make("y")) for other in KINDS]
        repository = kind.entity.of(store)
        repository.create(kind.make("x"))
        clock.tick(-3600)
        for version, (_, write) in enumerate(writes_of(kind), start=2):
            written = write(repository)
            found = (written.version, written.created_at, written.updated_at)
            assert found == (version, START, START)
        assert repository.get("x").version == version
        assert_same([other.entity.of(store).get("y") for other in KINDS], others)

    @clause("2.6")
    @each(VERSIONED)
    def test_modify_applies_the_function_to_what_is_stored(
        self, repository: Any, clock: ManualClock, kind: Kind
    ) -> None:
        created = repository.create(kind.make("x"))
        now = clock.tick()
        seen = []

        def change(state: Any) -> Any:
            seen.append(state)
            return kind.change(state, 1)

        stored = repository.modify("x", change)
        assert_same(seen, [created])
        assert_same(stored, attrs.evolve(kind.change(created, 1), version=2, updated_at=now))
        assert_same(repository.get("x"), stored)

    @clause("2.6", "2.1")
    @each(VERSIONED)
    def test_modify_writes_an_equal_state_and_not_the_state_itself(
        self, repository: Any, clock: ManualClock, kind: Kind
    ) -> None:
        created = repository.create(kind.make("x"))
        now = clock.tick()
        assert_same(repository.modify("x", lambda state: state), created)
        assert_same(repository.get("x"), created)
        stored = repository.modify("x", lambda state: attrs.evolve(state))
        assert_same(stored, attrs.evolve(created, version=2, updated_at=now))

    @clause("2.6")
    @each(VERSIONED)
    def test_what_the_function_of_modify_raises_comes_out_unchanged(
        self, repository: Any, kind: Kind
    ) -> None:
        created = repository.create(kind.make("x"))
        error = ZeroDivisionError("of the caller")

        def fail(state: object) -> Any:
            raise error

        with pytest.raises(ZeroDivisionError) as caught:
            repository.modify("x", fail)
        assert caught.value is error
        assert_same(repository.get("x"), created)

    @clause("2.6")
    @each(VERSIONED)
    @pytest.mark.parametrize("wrong", ["another id", "None", "another class"])
    def test_modify_refuses_what_is_not_the_same_row(
        self, repository: Any, kind: Kind, wrong: str
    ) -> None:
        created = repository.create(kind.make("x"))
        results = {"another id": kind.make("y"), "None": None, "another class": USAGE}
        with refuses("fn"):
            repository.modify("x", lambda state: results[wrong])
        assert_same(repository.get("x"), created)

    @clause("2.8")
    @pytest.mark.parametrize("write", ["update", "upsert", "modify"])
    @pytest.mark.parametrize(
        ("kind", "field", "value"), IMMUTABLE, ids=[f"{k.name}.{f}" for k, f, _ in IMMUTABLE]
    )
    def test_what_never_changes_after_creation(
        self,
        store: Store,
        repository: Any,
        clock: ManualClock,
        kind: Kind,
        field: str,
        value: Any,
        write: str,
    ) -> None:
        row = kind.make("x")
        if kind is TASKS:
            store.workflows.create(workflow("another"))
            repository.create(task("parent"))
            repository.create(task("another"))
            row = attrs.evolve(row, parent_state_id="parent")
        created = repository.create(row)
        clock.tick()
        given = attrs.evolve(created, **{field: value})
        with raises(kind.immutable(field)):
            if write == "modify":
                repository.modify("x", lambda state: given)
            else:
                getattr(repository, write)(given)
        assert_same(repository.get("x"), created)

    @clause("2.3", "2.8")
    @each(VERSIONED)
    def test_immutable_fields_are_reported_in_their_order_and_before_a_conflict(
        self, repository: Any, kind: Kind
    ) -> None:
        created = repository.create(kind.make("x"))
        changes = {**dict.fromkeys(kind.entity.immutable, "another"), "created_at": ELSEWHEN}
        given = attrs.evolve(created, version=9, **changes)
        for field in changes:
            with raises(kind.immutable(field)):
                repository.update(given)
            given = attrs.evolve(given, **{field: getattr(created, field)})
        with raises(kind.conflict(expected=9, actual=1)):
            repository.update(given)
