"""Rules for users and API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, rule

from engine_store.clock import UNSAVED
from engine_store.models import ApiKey, ApiKeyFilter, Role, User, UserFilter
from engine_store_contracts import strategies as some
from engine_store_contracts.machine.base import SideBySide, limits
from engine_store_contracts.machine.script import change

changes = st.fixed_dictionaries(
    {},
    optional={
        "email": some.emails,
        "role": st.sampled_from(Role),
        "version": st.integers(0, 4),
        "created_at": st.just(UNSAVED) | some.times,
    },
)


class UserRules(SideBySide):
    """Users and API keys."""

    seen_users = Bundle("seen_users")
    """Users as they once were: live ones, stale ones, deleted ones."""

    @rule(
        target=seen_users,
        user=some.users,
        write=st.sampled_from(["create", "create_initial_admin_if_none", "update", "upsert"]),
    )
    def write_user(self, user: User, write: str) -> MultipleResults[Any]:
        return self.state(lambda s: getattr(s.users, write)(user))

    @rule(
        target=seen_users,
        user=seen_users,
        changes=changes,
        write=st.sampled_from(["create", "update", "upsert"]),
    )
    def rewrite_user(self, user: User, changes: dict[str, Any], write: str) -> MultipleResults[Any]:
        return self.state(lambda s: getattr(s.users, write)(attrs.evolve(user, **changes)))

    @rule(target=seen_users, user=some.users | seen_users, saved=some.saved_fields)
    def restore_user(self, user: User, saved: dict[str, Any]) -> MultipleResults[Any]:
        return self.state(lambda s: s.users.restore(attrs.evolve(user, **saved)))

    @rule(target=seen_users, user_id=some.user_ids, changes=st.none() | changes)
    def modify_user(self, user_id: str, changes: dict[str, Any] | None) -> MultipleResults[Any]:
        return self.state(lambda s: s.users.modify(user_id, change(changes)))

    @rule(target=seen_users, user_id=some.user_ids)
    def get_user(self, user_id: str) -> MultipleResults[Any]:
        return self.state(lambda s: s.users.get(user_id))

    @rule(user=seen_users)
    def delete_user(self, user: User) -> None:
        self.both(lambda s: s.users.delete(user.user_id))

    @rule(email=some.emails, role=st.none() | st.sampled_from(Role), limit=limits)
    def find_users(self, email: str, role: Role | None, limit: int) -> None:
        self.both(lambda s: s.users.get_by_email(email))
        self.pages(lambda s, cursor: s.users.list(UserFilter(role), limit=limit, cursor=cursor))

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

    @rule(key=some.api_keys, user_id=st.none() | some.user_ids, limit=limits)
    def find_keys(self, key: ApiKey, user_id: str | None, limit: int) -> None:
        self.both(lambda s: s.api_keys.get(key.key_id))
        self.both(lambda s: s.api_keys.get_by_prefix(key.prefix))
        self.both(lambda s: s.api_keys.get_by_fingerprint(key.fingerprint))
        self.pages(
            lambda s, cursor: s.api_keys.list(ApiKeyFilter(user_id), limit=limit, cursor=cursor)
        )
