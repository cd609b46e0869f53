"""Section 4: users."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
import pytest

from engine_store.errors import (
    AlreadyBootstrappedError,
    AlreadyExistsError,
    ApiKeyNotFoundError,
    EmailExistsError,
    ImmutableFieldError,
    UserNotFoundError,
    VersionConflictError,
)
from engine_store.models import ApiKeyFilter, Role, User, UserFilter
from engine_store.protocols import Store, UserRepository
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises, refuses
from engine_store_contracts.suite.paging import assert_lists
from engine_store_contracts.suite.samples import ADMIN, SAVED_FIELDS, USERS, api_key, user

SAME_EMAILS = {
    "ASCII case": ("ann@example.org", "ANN@Example.ORG"),
    "sharp s": ("stra\u00dfe@example.org", "STRASSE@example.org"),
    "final sigma": ("\u03bf\u03b4\u03bf\u03c2@example.org", "\u039f\u0394\u039f\u03a3@example.org"),
    "Kelvin sign": ("k@example.org", "\u212a@example.org"),
    "ligature": ("\ufb01@example.org", "FI@example.org"),
    "dotted capital I": ("\u0130@example.org", "i\u0307@example.org"),
    "Cherokee": ("\uab70@example.org", "\u13a0@example.org"),
    "Deseret, astral": ("\U00010400@example.org", "\U00010428@example.org"),
}

OTHER_EMAILS = {
    "dotless i": ("\u0131@example.org", "I@example.org"),
    "accent": ("\u00e9@example.org", "e@example.org"),
    "normalisation": ("\u00e9@example.org", "e\u0301@example.org"),
    "full width": ("\uff41@example.org", "a@example.org"),
    "dots": ("a.b@example.org", "ab@example.org"),
    "tag": ("a+b@example.org", "a@example.org"),
}

NEW = user("new", "ANN@example.org", **SAVED_FIELDS)

TAKING: dict[str, Callable[[UserRepository, User], object]] = {
    "create": lambda users, changed: users.create(NEW),
    "restore": lambda users, changed: users.restore(NEW),
    "upsert new": lambda users, changed: users.upsert(NEW),
    "update": lambda users, changed: users.update(changed),
    "upsert": lambda users, changed: users.upsert(changed),
    "modify": lambda users, changed: users.modify("bob", lambda bob: changed),
}
"""Writes of a user with the email of another: of a new one, or of bob, changed."""

BAD_EMAILS: dict[str, Any] = {
    "no at": "ann",
    "no name": "@example.org",
    "no domain": "ann@",
    "blank inside": "a nn@example.org",
    "blank behind": "ann@example.org ",
    "321 characters": "a" * 309 + "@example.org",
    "NUL": "a\0@example.org",
    "lone surrogate": "\ud800@example.org",
    "None": None,
}


class UserCases(ContractCase):
    """Contract 4.1 to 4.3, for users."""

    @clause("4.1")
    def test_a_user_is_found_by_its_email(self, store: Store) -> None:
        created = store.users.create(user("ann", "Ann@Example.org"))
        assert_same(store.users.get_by_email("Ann@Example.org"), created)
        with raises(UserNotFoundError("Bob@Example.org", "email")):
            store.users.get_by_email("Bob@Example.org")

    @clause("4.1")
    @pytest.mark.parametrize(("stored", "other"), SAME_EMAILS.values(), ids=SAME_EMAILS)
    def test_emails_are_found_and_taken_in_any_case(
        self, store: Store, stored: str, other: str
    ) -> None:
        ann = store.users.create(user("ann", stored))
        bob = store.users.create(user("bob"))
        assert_same(store.users.get_by_email(other), ann)
        with raises(EmailExistsError("user", "email", other)):
            store.users.create(user("new", other))
        with raises(EmailExistsError("user", "email", other)):
            store.users.update(attrs.evolve(bob, email=other))
        assert_same(store.users.list().items, (ann, bob))
        assert ann.email == stored

    @clause("4.1")
    @pytest.mark.parametrize(("one", "other"), OTHER_EMAILS.values(), ids=OTHER_EMAILS)
    def test_emails_that_only_look_alike_are_different(
        self, store: Store, one: str, other: str
    ) -> None:
        store.users.create(user("one", one))
        store.users.create(user("other", other))
        assert store.users.get_by_email(one).user_id == "one"
        assert store.users.get_by_email(other).user_id == "other"

    @clause("4.1", "2.9")
    @pytest.mark.parametrize("write", TAKING.values(), ids=TAKING)
    def test_no_write_takes_the_email_of_another(
        self, store: Store, write: Callable[[UserRepository, User], object]
    ) -> None:
        ann = store.users.create(user("ann"))
        bob = store.users.create(user("bob"))
        with raises(EmailExistsError("user", "email", "ANN@example.org")):
            write(store.users, bob.evolve(email="ANN@example.org", role=Role.ADMIN))
        assert_same(store.users.list().items, (ann, bob))

    @clause("4.1")
    def test_a_user_may_rewrite_its_own_email(self, store: Store) -> None:
        created = store.users.create(user("ann", "ann@example.org"))
        updated = store.users.update(attrs.evolve(created, email="ANN@EXAMPLE.ORG"))
        assert updated.email == "ANN@EXAMPLE.ORG"
        assert store.users.upsert(user("ann", "Ann@example.org")).email == "Ann@example.org"
        assert store.users.get_by_email("ann@example.org").version == 3

    @clause("4.1")
    def test_an_email_is_free_again_once_nobody_has_it(self, store: Store) -> None:
        store.users.create(user("ann", "one@example.org"))
        store.users.upsert(user("ann", "two@example.org"))
        store.users.create(user("bob", "ONE@example.org"))
        store.users.delete("ann")
        store.users.create(user("eve", "TWO@example.org"))
        assert store.users.get_by_email("two@example.org").user_id == "eve"
        with raises(UserNotFoundError("ann")):
            store.users.get("ann")

    @clause("4.1", "1.4")
    @pytest.mark.parametrize("bad", BAD_EMAILS.values(), ids=BAD_EMAILS)
    def test_what_is_no_email_is_refused(self, store: Store, bad: Any) -> None:
        for write in (store.users.create, store.users.update, store.users.upsert):
            with refuses("user.email"):
                write(User("ann", bad))
        with refuses("email"):
            store.users.get_by_email(bad)
        assert store.users.list().items == ()

    @clause("4.1", "1.4")
    def test_a_role_is_a_role(self, store: Store) -> None:
        with refuses("user.role"):
            store.users.create(user(role="admin"))
        assert store.users.list().items == ()

    @clause("4.1", "2.2")
    def test_a_taken_id_is_reported_before_a_taken_email(self, store: Store) -> None:
        store.users.create(user("ann"))
        with raises(AlreadyExistsError("user", "user_id", "ann")):
            store.users.create(user("ann"))

    @clause("4.1", "2.3", "2.8")
    def test_a_taken_email_is_reported_last(self, store: Store) -> None:
        store.users.create(user("ann"))
        bob = store.users.create(user("bob"))
        given = attrs.evolve(bob, email="ann@example.org", version=7)
        with raises(UserNotFoundError("eve")):
            store.users.update(attrs.evolve(given, user_id="eve"))
        with raises(ImmutableFieldError("user", "bob", "created_at")):
            store.users.upsert(attrs.evolve(given, created_at=START - timedelta(microseconds=1)))
        with raises(VersionConflictError("user", "bob", expected=7, actual=1)):
            store.users.update(given)
        with raises(EmailExistsError("user", "email", "ann@example.org")):
            store.users.update(attrs.evolve(given, version=1))

    @clause("4.2")
    def test_the_first_admin_is_made_if_there_is_none_and_has_the_role(self, store: Store) -> None:
        store.users.create(user("ann"))
        with refuses("user.role"):
            store.users.create_initial_admin_if_none(user(role=Role.USER))
        created = store.users.create_initial_admin_if_none(ADMIN)
        with refuses("user.role"):  # before anything is looked up
            store.users.create_initial_admin_if_none(user(role=Role.USER))
        assert_same(created, attrs.evolve(ADMIN, version=1, created_at=START, updated_at=START))
        assert_same(store.users.get("root"), created)

    @clause("4.2")
    def test_no_first_admin_is_made_if_there_is_one(self, store: Store) -> None:
        store.users.create(user("ann", role=Role.ADMIN))
        before = store.users.list().items
        with raises(AlreadyBootstrappedError()):
            store.users.create_initial_admin_if_none(ADMIN)
        with raises(AlreadyBootstrappedError()):  # also before a taken id and a taken email
            store.users.create_initial_admin_if_none(user("ann", role=Role.ADMIN))
        assert_same(store.users.list().items, before)

    @clause("4.2")
    def test_the_first_admin_needs_a_free_id_and_email(self, store: Store) -> None:
        ann = store.users.create(user("ann"))
        with raises(AlreadyExistsError("user", "user_id", "ann")):
            store.users.create_initial_admin_if_none(user("ann", role=Role.ADMIN))
        with raises(EmailExistsError("user", "email", "ANN@example.org")):
            store.users.create_initial_admin_if_none(
                user("root", "ANN@example.org", role=Role.ADMIN)
            )
        assert_same(store.users.list().items, (ann,))

    @clause("4.2")
    @pytest.mark.parametrize("end", ["deleted", "demoted"])
    def test_a_first_admin_is_made_again_once_there_is_none(self, store: Store, end: str) -> None:
        store.users.create_initial_admin_if_none(ADMIN)
        if end == "deleted":
            store.users.delete("root")
        else:
            store.users.upsert(attrs.evolve(ADMIN, role=Role.USER))
        assert store.users.create_initial_admin_if_none(user(role=Role.ADMIN)).version == 1

    @clause("4.3")
    def test_deleting_a_user_deletes_its_keys_only(self, store: Store) -> None:
        bob = store.users.create(user("bob"))
        store.users.create(user("ann"))
        kept = store.api_keys.create(api_key("kept", "bob"))
        for number in range(3):
            store.api_keys.create(api_key(f"key-{number}", "ann"))
        store.users.delete("ann")

        with raises(UserNotFoundError("ann")):
            store.users.get("ann")
        with raises(ApiKeyNotFoundError("key-0")):
            store.api_keys.get("key-0")
        assert_same(store.users.list().items, (bob,))
        assert_same(store.api_keys.list().items, (kept,))
        store.users.create(user("ann"))
        assert store.api_keys.list(ApiKeyFilter(user_id="ann")).items == ()

    @clause("4.1")
    def test_users_are_filtered_by_role(self, store: Store, clock: ManualClock) -> None:
        for number, role in enumerate([Role.USER, Role.ADMIN, Role.USER, Role.ADMIN]):
            store.users.create(user(str(number), role=role))
            clock.tick()
        assert_lists(store, USERS, UserFilter(role=Role.ADMIN), "13")
        assert_lists(store, USERS, UserFilter(), "0123")
        store.users.modify("1", lambda u: u.evolve(role=Role.USER))
        assert_lists(store, USERS, UserFilter(role=Role.USER), "012")
