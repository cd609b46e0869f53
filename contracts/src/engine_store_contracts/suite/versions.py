"""Section 2: versions and compare-and-set, alike for users, workflows and tasks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from engine_store.clock import UNSAVED
from engine_store.errors import (
    AlreadyExistsError,
    EngineStoreError,
    ImmutableFieldError,
    InvalidValueError,
    VersionConflictError,
)
from engine_store.models import Role, Status
from engine_store.protocols import Store
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.suite.case import (
    ContractCase,
    assert_same,
    clause,
    raises,
    refuses,
)
from engine_store_contracts.suite.samples import (
    EACH_KIND,
    ERROR,
    TASKS,
    USAGE,
    USERS,
    WORKFLOWS,
    Kind,
    child,
    task,
    user,
    workflow,
)

ELSEWHEN = datetime(1999, 1, 1, tzinfo=UTC)

IMMUTABLE: list[tuple[Kind, str, Any]] = [
    (USERS, "created_at", ELSEWHEN),
    (WORKFLOWS, "workflow_id", "another"),
    (WORKFLOWS, "created_at", ELSEWHEN),
    (TASKS, "workflow_exec_id", "another"),
    (TASKS, "parent_state_id", "another"),
    (TASKS, "created_at", ELSEWHEN),
]


class VersionCases(ContractCase):
    """Contract 2."""

    @clause("2.1")
    @EACH_KIND
    @pytest.mark.parametrize("stated", [0, 1, 7, 2**63 - 1])
    def test_create_begins_with_version_1(self, store: Store, kind: Kind, stated: int) -> None:
        created = kind.repository(store).create(attrs.evolve(kind.make("x"), version=stated))
        assert created.version == 1
        assert_same(getattr(store, kind.name).get("x"), created)

    @clause("2.2")
    @EACH_KIND
    def test_create_with_a_taken_key_changes_nothing(
        self, store: Store, clock: ManualClock, kind: Kind
    ) -> None:
        repository = kind.repository(store)
        stored = repository.create(kind.make("x"))
        clock.tick()
        given = kind.change(kind.make("x"), 1)
        with raises(AlreadyExistsError(kind.entity, kind.key_field, "x")):
            repository.create(given)
        assert_same(repository.get("x"), stored)
        assert_same(given, kind.change(kind.make("x"), 1))

    @clause("2.3")
    @EACH_KIND
    def test_update_returns_what_is_stored_and_leaves_its_argument(
        self, store: Store, clock: ManualClock, kind: Kind
    ) -> None:
        repository = kind.repository(store)
        created = repository.create(kind.make("x"))
        now = clock.tick()
        given = kind.change(created, 1)
        updated = repository.update(given)
        assert_same(updated, attrs.evolve(given, version=2, updated_at=now))
        assert_same(repository.get("x"), updated)
        assert_same(given, kind.change(created, 1))

    @clause("2.1")
    @EACH_KIND
    def test_update_without_a_change_is_a_write(self, store: Store, kind: Kind) -> None:
        repository = kind.repository(store)
        created = repository.create(kind.make("x"))
        assert_same(repository.update(created), attrs.evolve(created, version=2))

    @clause("2.3")
    @EACH_KIND
    @pytest.mark.parametrize("stale", [0, 1, 3, 2**63 - 1])
    def test_update_from_another_version_changes_nothing(
        self, store: Store, clock: ManualClock, kind: Kind, stale: int
    ) -> None:
        repository = kind.repository(store)
        stored = repository.update(repository.create(kind.make("x")))
        clock.tick()
        given = attrs.evolve(kind.change(stored, 1), version=stale)
        with raises(VersionConflictError(kind.entity, "x", expected=stale, actual=2)):
            repository.update(given)
        assert_same(repository.get("x"), stored)
        assert given.version == stale

    @clause("2.3")
    @EACH_KIND
    def test_update_of_what_is_missing_creates_nothing(self, store: Store, kind: Kind) -> None:
        repository = kind.repository(store)
        with raises(kind.not_found("x")):
            repository.update(attrs.evolve(kind.make("x"), version=1))
        with raises(kind.not_found("x")):
            repository.get("x")

    @clause("2.3")
    @EACH_KIND
    def test_update_of_what_was_deleted_and_made_again_is_a_conflict(
        self, store: Store, kind: Kind
    ) -> None:
        repository = kind.repository(store)
        old = repository.update(repository.create(kind.make("x")))
        if kind.name == "tasks":
            store.workflows.delete("w")
            kind.repository(store)
        else:
            repository.delete("x")
        made_again = repository.create(kind.make("x"))
        with raises(VersionConflictError(kind.entity, "x", expected=2, actual=1)):
            repository.update(old)
        assert_same(repository.get("x"), made_again)

    @clause("2.4")
    @EACH_KIND
    @pytest.mark.parametrize("stated", [0, 41])
    def test_upsert_creates_what_is_missing(
        self, store: Store, clock: ManualClock, kind: Kind, stated: int
    ) -> None:
        given = attrs.evolve(kind.make("x"), version=stated, created_at=ELSEWHEN)
        stored = kind.repository(store).upsert(given)
        now = clock()
        assert_same(stored, attrs.evolve(given, version=1, created_at=now, updated_at=now))
        assert_same(getattr(store, kind.name).get("x"), stored)

    @clause("2.4")
    @EACH_KIND
    @pytest.mark.parametrize("stated", [0, 1, 3, 41])
    def test_upsert_replaces_whatever_the_version(
        self, store: Store, clock: ManualClock, kind: Kind, stated: int
    ) -> None:
        repository = kind.repository(store)
        created = repository.create(kind.make("x"))
        repository.update(created)
        now = clock.tick()
        given = attrs.evolve(kind.change(created, 1), version=stated)
        stored = repository.upsert(given)
        assert_same(stored, attrs.evolve(given, version=3, updated_at=now))
        assert_same(repository.get("x"), stored)
        assert given.version == stated

    @clause("2.4")
    @EACH_KIND
    def test_upsert_needs_no_created_at(self, store: Store, clock: ManualClock, kind: Kind) -> None:
        repository = kind.repository(store)
        created = repository.create(kind.make("x"))
        clock.tick()
        assert kind.make("x").created_at == UNSAVED
        assert repository.upsert(kind.make("x")).created_at == created.created_at

    @clause("2.6")
    @EACH_KIND
    def test_modify_applies_the_function_to_what_is_stored(
        self, store: Store, clock: ManualClock, kind: Kind
    ) -> None:
        repository = kind.repository(store)
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

    @clause("2.6")
    @EACH_KIND
    def test_modify_that_returns_the_state_itself_writes_nothing(
        self, store: Store, clock: ManualClock, kind: Kind
    ) -> None:
        repository = kind.repository(store)
        created = repository.create(kind.make("x"))
        clock.tick()
        assert_same(repository.modify("x", lambda state: state), created)
        assert_same(repository.get("x"), created)

    @clause("2.6", "2.1")
    @EACH_KIND
    def test_modify_that_returns_an_equal_state_is_a_write(self, store: Store, kind: Kind) -> None:
        repository = kind.repository(store)
        created = repository.create(kind.make("x"))
        stored = repository.modify("x", lambda state: attrs.evolve(state))
        assert_same(stored, attrs.evolve(created, version=2))

    @clause("2.6")
    @EACH_KIND
    def test_modify_of_what_is_missing_does_not_call_the_function(
        self, store: Store, kind: Kind
    ) -> None:
        called: list[object] = []
        with raises(kind.not_found("x")):
            kind.repository(store).modify("x", called.append)
        assert called == []

    @clause("2.6")
    @EACH_KIND
    def test_what_the_function_of_modify_raises_comes_out_unchanged(
        self, store: Store, kind: Kind
    ) -> None:
        repository = kind.repository(store)
        created = repository.create(kind.make("x"))
        error = ZeroDivisionError("mine")

        def fail(state: object) -> Any:
            raise error

        with pytest.raises(ZeroDivisionError) as caught:
            repository.modify("x", fail)
        assert caught.value is error
        assert_same(repository.get("x"), created)

    @clause("2.6")
    @EACH_KIND
    @pytest.mark.parametrize("wrong", ["another id", "None", "another class"])
    def test_modify_refuses_what_is_not_the_same_row(
        self, store: Store, kind: Kind, wrong: str
    ) -> None:
        repository = kind.repository(store)
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
        self, store: Store, kind: Kind, field: str, value: Any, write: str
    ) -> None:
        repository = kind.repository(store)
        store.workflows.create(workflow("another"))
        store.workflows.create(workflow("third"))
        if kind is TASKS:
            repository.create(task("another"))
        created = repository.create(kind.make("x"))
        given = attrs.evolve(created, **{field: value})
        with raises(ImmutableFieldError(kind.entity, "x", field)):
            if write == "modify":
                repository.modify("x", lambda state: given)
            else:
                getattr(repository, write)(given)
        assert_same(repository.get("x"), created)

    @clause("2.8")
    def test_a_task_with_a_parent_keeps_it(self, store: Store) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task("parent"))
        created = store.tasks.create(child("t", "parent"))
        for moved in (None, "t2"):
            with raises(ImmutableFieldError("task execution", "t", "parent_state_id")):
                store.tasks.upsert(attrs.evolve(created, parent_state_id=moved))
        assert_same(store.tasks.get("t"), created)

    @clause("2.3", "2.8")
    @EACH_KIND
    def test_an_immutable_field_is_reported_before_a_conflict(
        self, store: Store, kind: Kind
    ) -> None:
        repository = kind.repository(store)
        created = repository.create(kind.make("x"))
        with raises(ImmutableFieldError(kind.entity, "x", "created_at")):
            repository.update(attrs.evolve(created, version=9, created_at=ELSEWHEN))

    @clause("2.8")
    def test_immutable_fields_are_reported_in_their_order(self, store: Store) -> None:
        store.workflows.create(workflow())
        created = store.tasks.create(task())
        given = attrs.evolve(
            created, workflow_exec_id="x", parent_state_id="y", created_at=ELSEWHEN
        )
        with raises(ImmutableFieldError("task execution", "t", "workflow_exec_id")):
            store.tasks.update(given)
        with raises(ImmutableFieldError("task execution", "t", "parent_state_id")):
            store.tasks.update(attrs.evolve(given, workflow_exec_id="w"))
        with raises(ImmutableFieldError("workflow execution", "w", "workflow_id")):
            store.workflows.update(workflow(workflow_id="another", created_at=ELSEWHEN))

    @clause("2.3", "2.8", "1.4")
    @EACH_KIND
    @pytest.mark.parametrize(
        ("write", "changes", "error"),
        [
            ("create", {}, AlreadyExistsError),
            ("update", {"version": 5}, VersionConflictError),
            ("upsert", {"created_at": ELSEWHEN}, ImmutableFieldError),
            ("upsert", {"version": -1}, InvalidValueError),
        ],
        ids=["taken", "conflict", "immutable", "invalid"],
    )
    def test_a_refused_write_leaves_version_and_times(
        self,
        store: Store,
        clock: ManualClock,
        kind: Kind,
        write: str,
        changes: dict[str, Any],
        error: type[EngineStoreError],
    ) -> None:
        repository = kind.repository(store)
        created = repository.create(kind.make("x"))
        clock.tick()
        with pytest.raises(error):
            getattr(repository, write)(attrs.evolve(created, **changes))
        assert_same(repository.get("x"), created)

    @clause("2.1")
    def test_every_path_that_writes_a_workflow_adds_1(self, store: Store) -> None:
        workflows = store.workflows
        versions = [workflows.create(workflow()).version]
        versions.append(workflows.update(workflows.get("w")).version)
        versions.append(workflows.upsert(workflow()).version)
        versions.append(workflows.modify("w", lambda w: attrs.evolve(w, error=ERROR)).version)
        versions.append(workflows.set_status("w", Status.RUNNING).version)
        versions.append(workflows.merge_usage("w", USAGE).version)
        versions.append(workflows.complete("w").version)
        assert versions == [1, 2, 3, 4, 5, 6, 7]
        assert workflows.get("w").version == 7

    @clause("2.1")
    def test_every_path_that_writes_a_task_adds_1(self, store: Store) -> None:
        store.workflows.create(workflow())
        tasks = store.tasks
        versions = [tasks.create(task()).version]
        versions.append(tasks.update(tasks.get("t")).version)
        versions.append(tasks.upsert(task()).version)
        versions.append(tasks.modify("t", lambda t: attrs.evolve(t, error=ERROR)).version)
        versions.append(tasks.merge_usage("t", USAGE).version)
        assert versions == [1, 2, 3, 4, 5]
        assert tasks.get("t").version == 5

    @clause("2.1")
    def test_every_path_that_writes_a_user_adds_1(self, store: Store) -> None:
        users = store.users
        versions = [users.create_initial_admin_if_none(user(role=Role.ADMIN)).version]
        versions.append(users.update(users.get("ann")).version)
        versions.append(users.upsert(user()).version)
        versions.append(users.modify("ann", lambda u: attrs.evolve(u, role=Role.ADMIN)).version)
        assert versions == [1, 2, 3, 4]
        assert users.get("ann").version == 4

    @clause("2.1")
    def test_writes_to_one_row_leave_the_others_alone(self, store: Store) -> None:
        store.workflows.create(workflow("other"))
        store.workflows.create(workflow())
        store.tasks.create(task("other"))
        others = (store.workflows.get("other"), store.workflows.get("w"), store.tasks.get("other"))
        store.tasks.create(task())
        store.tasks.modify("t", lambda t: attrs.evolve(t, status=Status.SUCCESS))
        store.tasks.merge_usage("t", USAGE)
        found = (store.workflows.get("other"), store.workflows.get("w"), store.tasks.get("other"))
        assert_same(found, others)
