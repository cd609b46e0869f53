"""Section 4: API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from engine_store.errors import AlreadyExistsError, ApiKeyNotFoundError, InvalidReferenceError
from engine_store.models import ApiKey, ApiKeyFilter
from engine_store.protocols import Store
from engine_store.secrecy import MASK
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises, refuses
from engine_store_contracts.suite.samples import api_key, fingerprint, user

LATER = START + timedelta(days=1)

BAD_KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "short fingerprint": ({"fingerprint": b"x" * 31}, "key.fingerprint"),
    "long fingerprint": ({"fingerprint": b"x" * 33}, "key.fingerprint"),
    "fingerprint as text": ({"fingerprint": "x" * 32}, "key.fingerprint"),
    "empty hash": ({"hash": b""}, "key.hash"),
    "hash as text": ({"hash": "secret"}, "key.hash"),
    "hash as bytearray": ({"hash": bytearray(b"x")}, "key.hash"),
    "empty prefix": ({"prefix": ""}, "key.prefix"),
    "no user": ({"user_id": None}, "key.user_id"),
    "naive last_used": ({"last_used": datetime(2024, 1, 1)}, "key.last_used"),
}


class ApiKeyCases(ContractCase):
    """Contract 4.3 and 4.4."""

    @pytest.fixture
    def owners(self, store: Store) -> None:
        """Two users that may have keys."""
        store.users.create(user("ann"))
        store.users.create(user("bob"))

    @clause("4.4", "2.9")
    @pytest.mark.parametrize("write", ["create", "restore"])
    @pytest.mark.parametrize("last_used", [None, LATER], ids=["never used", "used"])
    def test_a_key_is_found_as_it_was_written(
        self, store: Store, owners: None, last_used: datetime | None, write: str
    ) -> None:
        every_byte = bytes(range(256))
        given = ApiKey("key", "ann", "es_live_1", every_byte[224:], every_byte, START, last_used)
        assert_same(getattr(store.api_keys, write)(given), given)
        assert_same(store.api_keys.get("key"), given)
        assert_same(store.api_keys.get_by_fingerprint(every_byte[224:]), given)
        assert_same(store.api_keys.get_by_prefix("es_live_1"), given)

    @clause("4.4")
    def test_a_missing_key_is_named_in_the_error(self, store: Store, owners: None) -> None:
        store.api_keys.create(api_key("key"))
        with raises(ApiKeyNotFoundError("P-key", "prefix")):
            store.api_keys.get_by_prefix("P-key")
        with raises(ApiKeyNotFoundError(MASK, "fingerprint")):
            store.api_keys.get_by_fingerprint(fingerprint("another"))

    @clause("4.3", "4.4", "2.9")
    @pytest.mark.parametrize("write", ["create", "restore"])
    def test_what_is_taken_or_missing_is_refused_in_its_order(
        self, store: Store, owners: None, write: str
    ) -> None:
        one = store.api_keys.create(api_key("one"))
        two = store.api_keys.create(api_key("two"))
        new = api_key("new", "bob", created_at=START)
        taken = given = attrs.evolve(one, user_id="nobody", prefix=two.prefix)
        for field, shown in (("key_id", "one"), ("fingerprint", MASK), ("prefix", two.prefix)):
            for refused in (attrs.evolve(new, **{field: getattr(taken, field)}), given):
                with raises(AlreadyExistsError("api key", field, shown)):
                    getattr(store.api_keys, write)(refused)
            given = attrs.evolve(given, **{field: getattr(new, field)})
        with raises(InvalidReferenceError("api key", "user_id", "nobody")):
            getattr(store.api_keys, write)(given)
        assert_same(store.api_keys.list().items, (one, two))

    @clause("1.4", "4.4")
    @pytest.mark.parametrize(("changes", "path"), BAD_KEYS.values(), ids=BAD_KEYS)
    def test_what_is_no_key_is_refused(
        self, store: Store, owners: None, changes: dict[str, Any], path: str
    ) -> None:
        with refuses(path):
            store.api_keys.create(attrs.evolve(api_key(), **changes))
        assert store.api_keys.list().items == ()

    @clause("4.4")
    @pytest.mark.parametrize("bad", [b"", b"x" * 31, "x" * 32, None], ids=repr)
    def test_what_is_no_fingerprint_is_not_looked_for(self, store: Store, bad: Any) -> None:
        with refuses("fingerprint"):
            store.api_keys.get_by_fingerprint(bad)

    @clause("4.4")
    def test_touch_sets_last_used_to_the_time_given_or_now(
        self, store: Store, clock: ManualClock, owners: None
    ) -> None:
        created = store.api_keys.create(api_key())
        early = datetime(1999, 1, 1, tzinfo=UTC)
        assert_same(store.api_keys.touch("key", early), attrs.evolve(created, last_used=early))
        now = clock.tick(microseconds=1)
        touched = store.api_keys.touch("key")
        assert_same(touched, attrs.evolve(created, last_used=now))
        assert_same(store.api_keys.get("key"), touched)
        assert_same(store.api_keys.touch("key", LATER), attrs.evolve(created, last_used=LATER))

    @clause("4.4")
    @pytest.mark.parametrize(
        "at", [None, START, LATER - timedelta(microseconds=1)], ids=["now", "then", "just before"]
    )
    def test_touch_never_sets_last_used_backwards_nor_to_a_naive_time(
        self, store: Store, owners: None, at: datetime | None
    ) -> None:
        created = store.api_keys.create(api_key(last_used=LATER))
        with refuses("at"):
            store.api_keys.touch("key", datetime(2099, 1, 1))
        assert_same(store.api_keys.touch("key", at), created)
        assert_same(store.api_keys.get("key"), created)

    @clause("4.4")
    def test_delete_frees_what_the_key_had(self, store: Store, owners: None) -> None:
        store.api_keys.create(api_key("key"))
        kept = store.api_keys.create(api_key("kept"))
        store.api_keys.delete("key")
        with raises(ApiKeyNotFoundError("key")):
            store.api_keys.get("key")
        with raises(ApiKeyNotFoundError("key")):
            store.api_keys.delete("key")
        again = store.api_keys.create(api_key("key", "bob"))
        assert store.api_keys.get_by_fingerprint(again.fingerprint).user_id == "bob"
        assert_same(store.api_keys.get("kept"), kept)

    @clause("4.4")
    def test_keys_are_filtered_by_user(self, store: Store, owners: None) -> None:
        for number in range(4):
            store.api_keys.create(api_key(str(number), "ann" if number % 2 else "bob"))
        found = store.api_keys.list(ApiKeyFilter(user_id="ann")).items
        assert [key.key_id for key in found] == ["1", "3"]
        assert store.api_keys.list(ApiKeyFilter(user_id="Ann")).items == ()
        assert len(store.api_keys.list().items) == 4

    @clause("2.1", "4.3")
    def test_writing_a_user_leaves_its_keys_alone(self, store: Store, owners: None) -> None:
        created = store.api_keys.create(api_key())
        store.users.upsert(user("ann", "new@example.org"))
        store.users.modify("ann", lambda u: attrs.evolve(u, email="newer@example.org"))
        assert_same(store.api_keys.get("key"), created)
        assert store.users.get("ann").version == 3
