"""Users and API keys of the reference store (contract 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import attrs

from engine_store import checks, values
from engine_store.errors import (
    AlreadyBootstrappedError,
    AlreadyExistsError,
    ApiKeyNotFoundError,
    EmailExistsError,
    InvalidReferenceError,
    InvalidValueError,
    UserNotFoundError,
)
from engine_store.models import ApiKey, ApiKeyFilter, Page, Role, User, UserFilter
from engine_store.urls import MASK
from engine_store_contracts.reference.data import (
    Data,
    Scope,
    check_created_at,
    check_version,
    modified,
    page,
)

ANY_USER = UserFilter()
ANY_KEY = ApiKeyFilter()


class Users:
    """`engine_store.protocols.UserRepository`."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def get(self, user_id: str) -> User:
        values.check_id(user_id, "user_id")
        return _stored(self._scope.read(), user_id)

    def get_by_email(self, email: str) -> User:
        values.check_email(email, "email")
        found = _with_email(self._scope.read().users.values(), email)
        if found is None:
            raise UserNotFoundError(email, "email")
        return found

    def list(
        self,
        filter: UserFilter = ANY_USER,
        *,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[User]:
        checks.check_user_filter(filter)
        values.check_limit(limit)
        checks.decode_cursor("users", cursor)
        matches = (
            user for user in self._scope.read().users.values() if filter.role in (None, user.role)
        )
        return page("users", matches, _position, limit, cursor)

    def create(self, user: User) -> User:
        checks.check_user(user)
        with self._scope.write() as data:
            return self._create(data, user)

    def restore(self, user: User) -> User:
        checks.check_user(user)
        checks.check_restored(user, "user")
        with self._scope.write() as data:
            return self._insert(data, user)

    def create_initial_admin_if_none(self, user: User) -> User:
        checks.check_user(user)
        if user.role is not Role.ADMIN:
            raise InvalidValueError("user.role", f"expected admin, found {user.role.value}")
        with self._scope.write() as data:
            if any(known.role is Role.ADMIN for known in data.users.values()):
                raise AlreadyBootstrappedError
            return self._create(data, user)

    def update(self, user: User) -> User:
        checks.check_user(user)
        with self._scope.write() as data:
            stored = _stored(data, user.user_id)
            check_created_at("user", user.user_id, user.created_at, stored.created_at)
            check_version("user", user.user_id, user.version, stored.version)
            return self._replace(data, stored, user)

    def upsert(self, user: User) -> User:
        checks.check_user(user)
        with self._scope.write() as data:
            stored = data.users.get(user.user_id)
            if stored is None:
                return self._create(data, user)
            check_created_at("user", user.user_id, user.created_at, stored.created_at)
            return self._replace(data, stored, user)

    def modify(self, user_id: str, fn: Callable[[User], User]) -> User:
        return modified(self.get, self.update, user_id, fn)

    def delete(self, user_id: str) -> None:
        values.check_id(user_id, "user_id")
        with self._scope.write() as data:
            _stored(data, user_id)
            del data.users[user_id]
            data.api_keys = {
                key_id: key for key_id, key in data.api_keys.items() if key.user_id != user_id
            }

    def _create(self, data: Data, user: User) -> User:
        now = self._scope.now()
        return self._insert(data, attrs.evolve(user, version=1, created_at=now, updated_at=now))

    def _insert(self, data: Data, user: User) -> User:
        if user.user_id in data.users:
            raise AlreadyExistsError("user", "user_id", user.user_id)
        _check_email_is_free(data, user)
        data.users[user.user_id] = user
        return user

    def _replace(self, data: Data, stored: User, user: User) -> User:
        _check_email_is_free(data, user)
        replaced = attrs.evolve(
            user,
            version=stored.version + 1,
            created_at=stored.created_at,
            updated_at=max(stored.updated_at, self._scope.now()),
        )
        data.users[user.user_id] = replaced
        return replaced


class ApiKeys:
    """`engine_store.protocols.ApiKeyRepository`."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def get(self, key_id: str) -> ApiKey:
        values.check_id(key_id, "key_id")
        return _stored_key(self._scope.read(), key_id)

    def get_by_fingerprint(self, fingerprint: bytes) -> ApiKey:
        values.check_bytes(fingerprint, "fingerprint", length=checks.FINGERPRINT_BYTES)
        for key in self._scope.read().api_keys.values():
            if key.fingerprint == fingerprint:
                return key
        raise ApiKeyNotFoundError(MASK, "fingerprint")

    def get_by_prefix(self, prefix: str) -> ApiKey:
        values.check_id(prefix, "prefix")
        for key in self._scope.read().api_keys.values():
            if key.prefix == prefix:
                return key
        raise ApiKeyNotFoundError(prefix, "prefix")

    def list(
        self,
        filter: ApiKeyFilter = ANY_KEY,
        *,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[ApiKey]:
        checks.check_api_key_filter(filter)
        values.check_limit(limit)
        checks.decode_cursor("api_keys", cursor)
        matches = (
            key
            for key in self._scope.read().api_keys.values()
            if filter.user_id in (None, key.user_id)
        )
        return page("api_keys", matches, _key_position, limit, cursor)

    def create(self, key: ApiKey) -> ApiKey:
        checks.check_api_key(key)
        return self._insert(attrs.evolve(key, created_at=self._scope.now()))

    def restore(self, key: ApiKey) -> ApiKey:
        checks.check_api_key(key)
        checks.check_restored(key, "key")
        return self._insert(key)

    def _insert(self, key: ApiKey) -> ApiKey:
        with self._scope.write() as data:
            for field in ("key_id", "fingerprint", "prefix"):
                taken = {getattr(known, field) for known in data.api_keys.values()}
                if (value := getattr(key, field)) in taken:
                    shown = MASK if isinstance(value, bytes) else value
                    raise AlreadyExistsError("api key", field, shown)
            if key.user_id not in data.users:
                raise InvalidReferenceError("api key", "user_id", key.user_id)
            data.api_keys[key.key_id] = key
            return key

    def touch(self, key_id: str, at: datetime | None = None) -> ApiKey:
        values.check_id(key_id, "key_id")
        if at is not None:
            values.check_time(at, "at")
        with self._scope.write() as data:
            stored = _stored_key(data, key_id)
            used = self._scope.now() if at is None else at
            if stored.last_used is not None:
                used = max(stored.last_used, used)
            touched = attrs.evolve(stored, last_used=used)
            data.api_keys[key_id] = touched
            return touched

    def delete(self, key_id: str) -> None:
        values.check_id(key_id, "key_id")
        with self._scope.write() as data:
            _stored_key(data, key_id)
            del data.api_keys[key_id]


def _position(user: User) -> tuple[datetime, str]:
    return (user.created_at, user.user_id)


def _key_position(key: ApiKey) -> tuple[datetime, str]:
    return (key.created_at, key.key_id)


def _stored(data: Data, user_id: str) -> User:
    if user_id not in data.users:
        raise UserNotFoundError(user_id)
    return data.users[user_id]


def _stored_key(data: Data, key_id: str) -> ApiKey:
    if key_id not in data.api_keys:
        raise ApiKeyNotFoundError(key_id)
    return data.api_keys[key_id]


def _with_email(users: Iterable[User], email: str) -> User | None:
    folded = values.fold_email(email)
    return next((user for user in users if values.fold_email(user.email) == folded), None)


def _check_email_is_free(data: Data, user: User) -> None:
    others = (known for known in data.users.values() if known.user_id != user.user_id)
    if _with_email(others, user.email) is not None:
        raise EmailExistsError("user", "email", user.email)
