"""Section 2.9: a row that was exported is stored as it was."""

from __future__ import annotations

from datetime import datetime, timedelta
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
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises, refuses
from engine_store_contracts.suite.hostile import BAD_DOCUMENTS, DOCUMENTS
from engine_store_contracts.suite.samples import (
    CREATED,
    KINDS,
    SAVED_FIELDS,
    UPDATED,
    USAGE,
    VERSIONED,
    Kind,
    api_key,
    child,
    each,
    task,
    user,
    workflow,
)

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


REFUSED = {
    f"{kind.name}, {name}": (kind, changes, field)
    for kind in KINDS
    for name, (changes, field) in INCOMPLETE.items()
    if field in kind.entity.fields and changes.keys() <= set(kind.entity.fields)
}


class RestoreCases(ContractCase):
    """Contract 2.9."""

    @clause("2.9")
    @each(KINDS)
    def test_a_row_is_stored_with_its_version_and_times(self, store: Store, kind: Kind) -> None:
        repository, given = kind.repository(store), kind.exported()
        assert_same(repository.restore(given), given)
        assert_same(repository.get("x"), given)
        assert given in repository.list().items

    @clause("2.9")
    def test_a_key_is_found_as_it_was_restored(self, store: Store) -> None:
        store.users.create(user("ann"))
        given = api_key("key", created_at=CREATED)
        assert_same(store.api_keys.restore(given), given)
        assert_same(store.api_keys.get_by_prefix("p-key"), given)
        assert_same(store.api_keys.get_by_fingerprint(given.fingerprint), given)

    @clause("2.9", "1.3")
    @pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
    def test_documents_are_kept_to_the_type(self, store: Store, document: Any) -> None:
        given = workflow("w", input=document, output=document, **SAVED_FIELDS)
        assert_same(store.workflows.restore(given), given)
        below = task("t", input=document, output=document, **SAVED_FIELDS)
        assert_same(store.tasks.restore(below), below)
        assert_same(store.tasks.get("t"), below)

    @clause("2.9", "2.1", "1.5")
    @each(VERSIONED)
    def test_what_was_restored_is_a_row_like_any_other(
        self, store: Store, clock: ManualClock, kind: Kind
    ) -> None:
        repository = kind.repository(store)
        stored = repository.restore(kind.exported())
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
        store.workflows.restore(workflow("before", **SAVED_FIELDS))
        store.workflows.restore(workflow("later", **{**SAVED_FIELDS, "created_at": UPDATED}))
        found = [state.workflow_exec_id for state in store.workflows.list().items]
        assert found == ["later", "now", "before"]
        assert store.workflows.latest("report").workflow_exec_id == "later"

    @clause("2.9", "4.1")
    def test_a_taken_email_is_refused(self, store: Store) -> None:
        ann = store.users.create(user("ann", "ann@example.org"))
        with raises(EmailExistsError("user", "email", "ANN@example.org")):
            store.users.restore(user("bob", "ANN@example.org", **SAVED_FIELDS))
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
        given = child("t", "parent", **SAVED_FIELDS)
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
    @pytest.mark.parametrize(("kind", "changes", "field"), REFUSED.values(), ids=REFUSED)
    def test_what_no_store_has_returned_is_refused(
        self, store: Store, kind: Kind, changes: dict[str, Any], field: str
    ) -> None:
        repository = kind.repository(store)
        with refuses(f"{kind.entity.argument}.{field}"):
            repository.restore(attrs.evolve(kind.exported(), **changes))
        with raises(kind.missing()):
            repository.get("x")

    @clause("2.9", "1.4")
    @pytest.mark.parametrize(("document", "path"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
    def test_what_may_not_be_written_may_not_be_restored(
        self, store: Store, document: Any, path: str
    ) -> None:
        with refuses(f"workflow.output{path}"):
            store.workflows.restore(workflow(output=document, **SAVED_FIELDS))
        with refuses(f"task.input{path}"):
            store.tasks.restore(task(input=document, **SAVED_FIELDS))
        assert store.workflows.list().items == ()

    @clause("2.9", "5.1")
    def test_the_tasks_of_a_restored_workflow_are_not_written(self, store: Store) -> None:
        given = workflow("w", status=Status.RUNNING, usage=USAGE, **SAVED_FIELDS)
        full = attrs.evolve(given, tasks={"t": task("t", **SAVED_FIELDS)})
        assert_same(store.workflows.restore(full), given)
        assert store.tasks.list().items == ()

    @clause("2.9", "3.1", "3.3")
    def test_restoring_is_part_of_a_transaction_and_goes_on_after_an_error(
        self, store: Store
    ) -> None:
        with store.transaction() as tx:
            for kind in KINDS:
                kind.repository(tx).restore(kind.exported())
                with raises(kind.taken()):
                    kind.repository(tx).restore(kind.exported())
        for kind in KINDS:
            assert_same(kind.entity.of(store).get("x"), kind.exported())
