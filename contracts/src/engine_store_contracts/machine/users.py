"""Rules for users and API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, rule

from engine_store.clock import UNSAVED
from engine_store.entities import API_KEY, USER
from engine_store.models import ApiKey, User
from engine_store_contracts import strategies as some
from engine_store_contracts.machine.base import SideBySide
from engine_store_contracts.machine.rows import listing, writing

seen = Bundle("seen_users")


class UserRules(SideBySide):
    """Users and API keys."""

    write_user, rewrite_user, restore_user, modify_user = writing(
        USER,
        seen,
        some.users,
        some.user_ids,
        ["email", "role"],
        ["create", "create_initial_admin_if_none", "update", "upsert"],
    )
    list_users = listing(USER)
    list_keys = listing(API_KEY)

    @rule(target=seen, user_id=some.user_ids)
    def get_user(self, user_id: str) -> MultipleResults[Any]:
        return self.state(lambda s: s.users.get(user_id))

    @rule(user=seen)
    def delete_user(self, user: User) -> None:
        self.both(lambda s: s.users.delete(user.user_id))

    @rule(email=some.emails)
    def find_user(self, email: str) -> None:
        self.both(lambda s: s.users.get_by_email(email))

    @rule(key=some.api_keys)
    def create_key(self, key: ApiKey) -> None:
        self.both(lambda s: s.api_keys.create(key))

    @rule(key=some.api_keys, created_at=st.just(UNSAVED) | some.times)
    def restore_key(self, key: ApiKey, created_at: datetime) -> None:
        self.both(lambda s: s.api_keys.restore(attrs.evolve(key, created_at=created_at)))

    @rule(key_id=some.key_ids, at=st.none() | some.times)
    def touch_key(self, key_id: str, at: datetime | None) -> None:
        self.both(lambda s: s.api_keys.touch(key_id, at))

    @rule(key_id=some.key_ids)
    def delete_key(self, key_id: str) -> None:
        self.both(lambda s: s.api_keys.delete(key_id))

    @rule(key=some.api_keys)
    def find_key(self, key: ApiKey) -> None:
        self.both(lambda s: s.api_keys.get(key.key_id))
        self.both(lambda s: s.api_keys.get_by_prefix(key.prefix))
        self.both(lambda s: s.api_keys.get_by_fingerprint(key.fingerprint))
