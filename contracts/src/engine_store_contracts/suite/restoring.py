"""Section 2.9: a row that was exported is stored as it was."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from engine_store.clock import UNSAVED
from engine_store.protocols import Store
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises, refuses
from engine_store_contracts.suite.samples import (
    CREATED,
    KINDS,
    SAVED_FIELDS,
    UPDATED,
    VERSIONED,
    Kind,
    each,
    workflow,
)

INCOMPLETE: dict[str, tuple[dict[str, Any], str]] = {
    "version 0": ({"version": 0}, "version"),
    "a version near the end of 64 bits": ({"version": 2**62 + 1}, "version"),
    "a version beyond them": ({"version": 2**63}, "version"),
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

    @clause("2.9", "2.1", "1.5")
    @each(VERSIONED)
    def test_what_was_restored_is_a_row_like_any_other(
        self, repository: Any, clock: ManualClock, kind: Kind
    ) -> None:
        stored = repository.restore(kind.exported())
        changed = repository.update(kind.change(stored, 1))
        assert_same(changed, attrs.evolve(kind.change(stored, 1), version=42))  # never backwards
        clock.time = UPDATED
        now = clock.tick()
        assert_same(
            repository.update(kind.change(changed, 2)),
            attrs.evolve(kind.change(changed, 2), version=43, updated_at=now),
        )

    @clause("2.9", "2.1")
    @each(VERSIONED)
    def test_the_highest_version_that_is_restored_is_written_to(
        self, repository: Any, kind: Kind
    ) -> None:
        stored = repository.restore(attrs.evolve(kind.exported(), version=2**62))
        assert repository.update(kind.change(stored, 1)).version == 2**62 + 1

    @clause("2.9", "1.6")
    def test_restored_rows_are_listed_by_the_times_they_came_with(self, store: Store) -> None:
        store.workflows.create(workflow("now"))
        store.workflows.restore(workflow("before", **SAVED_FIELDS))
        store.workflows.restore(workflow("later", **{**SAVED_FIELDS, "created_at": UPDATED}))
        found = [state.workflow_exec_id for state in store.workflows.list().items]
        assert found == ["later", "now", "before"]
        assert store.workflows.latest("report").workflow_exec_id == "later"

    @clause("2.9", "1.4")
    @pytest.mark.parametrize(("kind", "changes", "field"), REFUSED.values(), ids=REFUSED)
    def test_what_no_store_has_returned_is_refused(
        self, repository: Any, kind: Kind, changes: dict[str, Any], field: str
    ) -> None:
        with refuses(f"{kind.entity.argument}.{field}"):
            repository.restore(attrs.evolve(kind.exported(), **changes))
        with raises(kind.missing()):
            repository.get("x")
