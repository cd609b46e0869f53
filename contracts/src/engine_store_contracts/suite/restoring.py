"""Section 2.9: a row that was exported is stored as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from engine_store.clock import UNSAVED
from engine_store.errors import (
    AlreadyExistsError,
    EmailExistsError,
    InvalidReferenceError,
)
from engine_store.models import Status
from engine_store.protocols import Store
from engine_store.urls import MASK
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises, refuses
from engine_store_contracts.suite.hostile import BAD_DOCUMENTS, DOCUMENTS
from engine_store_contracts.suite.samples import (
    EACH_KIND,
    KINDS,
    TASKS,
    USAGE,
    Kind,
    api_key,
    child,
    task,
    user,
    workflow,
)

CREATED = datetime(1999, 12, 31, 23, 59, 59, 1, tzinfo=UTC)
UPDATED = datetime(2061, 7, 28, tzinfo=UTC)
"""Before and after what the clock says, which a restored row has nothing to do with."""

STAMPS: dict[str, Any] = {"version": 41, "created_at": CREATED, "updated_at": UPDATED}

INCOMPLETE: dict[str, tuple[dict[str, Any], str]] = {
    "version 0": ({"version": 0}, "version"),
    "no created_at": ({"created_at": UNSAVED}, "created_at"),
    "no updated_at": ({"updated_at": UNSAVED}, "updated_at"),
    "updated before it was created": (
        {"updated_at": CREATED - timedelta(microseconds=1)},
        "updated_at",
    ),
    "a naive time": ({"created_at": datetime(1999, 12, 31)}, "created_at"),
}


def exported(kind: Kind, key: str = "x") -> Any:
    """A state of the kind, as another store returned it."""
    return attrs.evolve(kind.make(key), **STAMPS)


class RestoreCases(ContractCase):
    """Contract 2.9."""

    @clause("2.9")
    @EACH_KIND
    def test_a_state_is_stored_with_its_version_and_times(self, store: Store, kind: Kind) -> None:
        repository, given = kind.repository(store), exported(kind)
        assert_same(repository.restore(given), given)
        assert_same(repository.get("x"), given)
        assert given in getattr(store, kind.name).list().items
        assert given == exported(kind)

    @clause("2.9")
    @pytest.mark.parametrize("last_used", [None, UPDATED], ids=["never used", "used"])
    def test_a_key_is_stored_with_its_times(self, store: Store, last_used: datetime | None) -> None:
        store.users.create(user("ann"))
        given = api_key("key", created_at=CREATED, last_used=last_used)
        assert_same(store.api_keys.restore(given), given)
        assert_same(store.api_keys.get_by_prefix("p-key"), given)
        assert_same(store.api_keys.get_by_fingerprint(given.fingerprint), given)

    @clause("2.9", "1.3")
    @pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
    def test_documents_are_kept_to_the_type(self, store: Store, document: Any) -> None:
        given = workflow("w", input=document, output=document, **STAMPS)
        assert_same(store.workflows.restore(given), given)
        below = task("t", input=document, output=document, **STAMPS)
        assert_same(store.tasks.restore(below), below)
        assert_same(store.tasks.get("t"), below)

    @clause("2.9", "2.1", "1.5")
    @EACH_KIND
    def test_what_was_restored_is_a_row_like_any_other(
        self, store: Store, clock: ManualClock, kind: Kind
    ) -> None:
        repository = kind.repository(store)
        stored = repository.restore(exported(kind))
        changed = repository.update(kind.change(stored, 1))
        assert_same(changed, attrs.evolve(kind.change(stored, 1), version=42))  # never backwards
        clock.time = UPDATED
        now = clock.tick()
        assert_same(
            repository.update(kind.change(changed, 2)),
            attrs.evolve(kind.change(changed, 2), version=43, updated_at=now),
        )

    @clause("2.9", "1.6")
    def test_restored_rows_are_listed_by_the_times_they_came_with(self, store: Store) -> None:
        store.workflows.create(workflow("now"))
        store.workflows.restore(workflow("before", **STAMPS))
        store.workflows.restore(workflow("later", **{**STAMPS, "created_at": UPDATED}))
        found = [state.workflow_exec_id for state in store.workflows.list().items]
        assert found == ["later", "now", "before"]
        assert store.workflows.latest("report").workflow_exec_id == "later"

    @clause("2.9", "2.2")
    @EACH_KIND
    def test_a_taken_key_is_refused(self, store: Store, kind: Kind) -> None:
        repository = kind.repository(store)
        stored = repository.create(kind.make("x"))
        with raises(AlreadyExistsError(kind.entity, kind.key_field, "x")):
            repository.restore(exported(kind))
        assert_same(repository.get("x"), stored)

    @clause("2.9", "4.1")
    def test_a_taken_email_is_refused(self, store: Store) -> None:
        ann = store.users.create(user("ann", "ann@example.org"))
        with raises(EmailExistsError("user", "email", "ANN@example.org")):
            store.users.restore(user("bob", "ANN@example.org", **STAMPS))
        assert_same(store.users.list().items, (ann,))

    @clause("2.9", "4.3", "4.4")
    def test_a_key_is_refused_as_by_create(self, store: Store) -> None:
        store.users.create(user("ann"))
        stored = store.api_keys.create(api_key("key"))
        new = api_key("new", created_at=CREATED)
        for field, shown in [("key_id", "key"), ("fingerprint", MASK), ("prefix", "p-key")]:
            with raises(AlreadyExistsError("api key", field, shown)):
                store.api_keys.restore(attrs.evolve(new, **{field: getattr(stored, field)}))
        with raises(InvalidReferenceError("api key", "user_id", "bob")):
            store.api_keys.restore(attrs.evolve(new, user_id="bob"))
        assert_same(store.api_keys.list().items, (stored,))

    @clause("2.9", "6.1")
    def test_a_task_needs_its_workflow_and_its_parent(self, store: Store) -> None:
        given = child("t", "parent", **STAMPS)
        with raises(InvalidReferenceError("task execution", "workflow_exec_id", "w")):
            store.tasks.restore(given)
        store.workflows.create(workflow("w"))
        store.workflows.create(workflow("other"))
        store.tasks.create(task("elsewhere", "other"))
        for parent in ("parent", "elsewhere"):
            with raises(InvalidReferenceError("task execution", "parent_state_id", parent)):
                store.tasks.restore(attrs.evolve(given, parent_state_id=parent))
        with raises(InvalidReferenceError("task execution", "parent_state_id", "t")):
            store.tasks.restore(attrs.evolve(given, parent_state_id="t"))
        assert [state.task_exec_id for state in store.tasks.list().items] == ["elsewhere"]
        store.tasks.create(task("parent"))
        assert_same(store.tasks.restore(given), given)
        assert_same(store.tasks.children("parent"), (given,))

    @clause("2.9", "1.4")
    @EACH_KIND
    @pytest.mark.parametrize(("changes", "field"), INCOMPLETE.values(), ids=INCOMPLETE)
    def test_what_no_store_has_returned_is_refused(
        self, store: Store, kind: Kind, changes: dict[str, Any], field: str
    ) -> None:
        repository = kind.repository(store)
        with refuses(f"{kind.name.removesuffix('s')}.{field}"):
            repository.restore(attrs.evolve(exported(kind), **changes))
        with raises(kind.not_found("x")):
            repository.get("x")

    @clause("2.9", "1.4")
    def test_a_key_without_a_time_is_refused(self, store: Store) -> None:
        store.users.create(user("ann"))
        with refuses("key.created_at"):
            store.api_keys.restore(api_key("key"))
        assert store.api_keys.list().items == ()

    @clause("2.9", "1.4")
    @pytest.mark.parametrize(("document", "path"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
    def test_what_may_not_be_written_may_not_be_restored(
        self, store: Store, document: Any, path: str
    ) -> None:
        with refuses(f"workflow.output{path}"):
            store.workflows.restore(workflow(output=document, **STAMPS))
        with refuses(f"task.input{path}"):
            store.tasks.restore(task(input=document, **STAMPS))
        assert store.workflows.list().items == ()

    @clause("2.9", "5.1")
    def test_the_tasks_of_a_restored_workflow_are_not_written(self, store: Store) -> None:
        given = workflow("w", status=Status.RUNNING, usage=USAGE, **STAMPS)
        full = attrs.evolve(given, tasks={"t": task("t", **STAMPS)})
        assert_same(store.workflows.restore(full), given)
        assert store.tasks.list().items == ()

    @clause("2.9", "3.1", "3.3")
    def test_restoring_is_part_of_a_transaction_and_goes_on_after_an_error(
        self, store: Store
    ) -> None:
        with store.transaction() as tx:
            for kind in KINDS:
                kind.repository(tx).restore(exported(kind))
                with pytest.raises(AlreadyExistsError):
                    kind.repository(tx).restore(exported(kind))
            tx.api_keys.restore(api_key("key", "x", created_at=START))
        assert_same(store.tasks.get("x"), exported(TASKS))
        assert_same(store.api_keys.get("key"), api_key("key", "x", created_at=START))
