"""Users and their API keys (contract 4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import attrs

from engine_store import values
from engine_store.errors import (
    AlreadyBootstrappedError,
    AlreadyExistsError,
    ApiKeyNotFoundError,
    EmailExistsError,
    InvalidReferenceError,
    InvalidValueError,
    UserNotFoundError,
)
from engine_store.models import ApiKey, ApiKeyFilter, Role, User, UserFilter
from engine_store.protocols import ApiKeyRepository, UserRepository
from engine_store.rules import checks
from engine_store.rules.entities import API_KEY, USER
from engine_store.secrecy import MASK
from engine_store_memory.database import Data
from engine_store_memory.repository import Repository, Versioned
from engine_store_memory.rows import where


class Users(Versioned[User, UserFilter], UserRepository):
    """Users in memory."""

    entity = USER

    def get(self, user_id: str) -> User:
        return self._get(user_id)

    def get_by_email(self, email: str) -> User:
        values.check_email(email, "email")
        for user in with_email(self._scope.read(), email):
            return user
        raise UserNotFoundError(email, "email")

    def create(self, user: User) -> User:
        return self._create(user)

    def restore(self, user: User) -> User:
        return self._restore(user)

    def create_initial_admin_if_none(self, user: User) -> User:
        user = self._checked(user)
        if user.role is not Role.ADMIN:
            raise InvalidValueError("user.role", f"expected admin, found {user.role.value}")
        with self._scope.write() as data:
            if where(data[USER].values(), role=Role.ADMIN):
                raise AlreadyBootstrappedError
            return self._insert(data, user)

    def update(self, user: User) -> User:
        return self._update(user)

    def upsert(self, user: User) -> User:
        return self._upsert(user)

    def modify(self, user_id: str, fn: Callable[[User], User]) -> User:
        return self._modify(user_id, fn)

    def delete(self, user_id: str) -> None:
        values.check_id(user_id, "user_id")
        with self._scope.write() as data:
            self._stored(data, user_id)
            for key in where(data[API_KEY].values(), user_id=user_id):
                del data[API_KEY][key.key_id]
            del data[USER][user_id]

    def _admit(self, data: Data, state: User, before: User | None) -> None:
        if any(user.user_id != state.user_id for user in with_email(data, state.email)):
            raise EmailExistsError("user", "email", state.email)


def with_email(data: Data, email: str) -> list[User]:
    """Return the users with this email in any case (contract 4.1)."""
    folded = values.fold_email(email)
    return [user for user in data[USER].values() if values.fold_email(user.email) == folded]


class ApiKeys(Repository[ApiKey, ApiKeyFilter], ApiKeyRepository):
    """API keys in memory."""

    entity = API_KEY

    def get(self, key_id: str) -> ApiKey:
        return self._get(key_id)

    def get_by_fingerprint(self, fingerprint: bytes) -> ApiKey:
        values.check_bytes(fingerprint, "fingerprint", length=checks.FINGERPRINT_BYTES)
        for key in where(self._scope.read()[API_KEY].values(), fingerprint=fingerprint):
            return key
        raise ApiKeyNotFoundError(MASK, "fingerprint")

    def get_by_prefix(self, prefix: str) -> ApiKey:
        values.check_id(prefix, "prefix")
        for key in where(self._scope.read()[API_KEY].values(), prefix=prefix):
            return key
        raise ApiKeyNotFoundError(prefix, "prefix")

    def create(self, key: ApiKey) -> ApiKey:
        key = self._checked(key)
        return self._add(attrs.evolve(key, created_at=self._scope.now()))

    def restore(self, key: ApiKey) -> ApiKey:
        return self._add(self._checked(key, restored=True))

    def _add(self, key: ApiKey) -> ApiKey:
        with self._scope.write() as data:
            for field in ("key_id", "fingerprint", "prefix"):
                value = getattr(key, field)
                if where(data[API_KEY].values(), **{field: value}):
                    shown = MASK if field == "fingerprint" else value
                    raise AlreadyExistsError("api key", field, shown)
            if key.user_id not in data[USER]:
                raise InvalidReferenceError("api key", "user_id", key.user_id)
            return self._put(data, key)

    def touch(self, key_id: str, at: datetime | None = None) -> ApiKey:
        values.check_id(key_id, "key_id")
        if at is not None:
            at = values.check_time(at, "at")
        with self._scope.write() as data:
            key = self._stored(data, key_id)
            used = self._scope.now() if at is None else at
            return self._put(data, attrs.evolve(key, last_used=max(key.last_used or used, used)))

    def delete(self, key_id: str) -> None:
        values.check_id(key_id, "key_id")
        with self._scope.write() as data:
            self._stored(data, key_id)
            del data[API_KEY][key_id]
