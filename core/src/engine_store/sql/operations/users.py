"""Users (contract 4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from engine_store.checks import check_restored, check_user, check_user_filter, decode_cursor
from engine_store.errors import (
    AlreadyBootstrappedError,
    AlreadyExistsError,
    EmailExistsError,
    EngineStoreError,
    ImmutableFieldError,
    InvalidValueError,
    UserNotFoundError,
    VersionConflictError,
)
from engine_store.models import Page, Role, User, UserFilter
from engine_store.sql.operation import (
    Contended,
    Op,
    Procedure,
    procedure,
    read,
    transact,
    write,
)
from engine_store.sql.operations.base import Operations, changed_field, page
from engine_store.values import check_email, check_id, check_limit, fold_email

_ENTITY = UserNotFoundError.entity
_ALL = UserFilter()


class UserOperations(Operations):
    """`engine_store.protocols.UserRepository`, as operations."""

    @read
    def get(self, user_id: str) -> Op[User]:
        check_id(user_id, "user_id")
        row = yield self._q.get_user(user_id=user_id)
        if row is None:
            raise UserNotFoundError(user_id)
        return self._rows.user(row)

    @read
    def get_by_email(self, email: str) -> Op[User]:
        check_email(email, "email")
        row = yield self._q.get_user_by_email(email_folded=fold_email(email))
        if row is None:
            raise UserNotFoundError(email, "email")
        return self._rows.user(row)

    @read
    def list(
        self, filter: UserFilter = _ALL, *, limit: int = 100, cursor: str | None = None
    ) -> Op[Page[User]]:
        check_user_filter(filter)
        check_limit(limit)
        after, after_id = decode_cursor("users", cursor) or (None, None)
        rows = yield self._q.list_users(
            role=filter.role and filter.role.value,
            after_created_at=self._rows.time(after),
            after_id=after_id,
            limit=limit + 1,
        )
        return page(rows, limit, self._rows.user, _position)

    @write
    def create(self, user: User) -> Op[User]:
        check_user(user)
        return (yield from self._insert(user, self._new()))

    @write
    def restore(self, user: User) -> Op[User]:
        check_user(user)
        check_restored(user, "user")
        return (yield from self._insert(user, self._rows.stamps(user)))

    @transact
    def create_initial_admin_if_none(self, user: User) -> Op[User]:
        check_user(user)
        if user.role is not Role.ADMIN:
            raise InvalidValueError("user.role", f"expected admin, found {user.role.value}")
        _, admin = yield self._q.lock_admins(), self._q.find_admin()
        if admin is not None:
            raise AlreadyBootstrappedError
        return (yield from self.create(user))

    @write
    def update(self, user: User) -> Op[User]:
        check_user(user)
        row = yield self._q.update_user(**self._rows.user_parameters(user), now=self._now())
        if row is None:
            raise (yield from self._why_not_updated(user))
        return self._rows.user(row)

    @write
    def upsert(self, user: User) -> Op[User]:
        check_user(user)
        row = yield self._q.upsert_user(**self._rows.user_parameters(user), now=self._now())
        if row is None:
            raise (yield from self._why_not_replaced(user))
        return self._rows.user(row)

    @procedure
    def modify(self, user_id: str, fn: Callable[[User], User]) -> Procedure[User]:
        return self._modify(self.get, self.update, user_id, fn)

    @write
    def delete(self, user_id: str) -> Op[None]:
        check_id(user_id, "user_id")
        if (yield self._q.delete_user(user_id=user_id)) is None:
            raise UserNotFoundError(user_id)

    def _insert(self, user: User, stamps: dict[str, Any]) -> Op[User]:
        row = yield self._q.create_user(**self._rows.user_parameters(user) | stamps)
        if row is None:
            raise (yield from self._why_not_created(user))
        return self._rows.user(row)

    def _why_not_created(self, user: User) -> Op[EngineStoreError]:
        stored, rival = yield from self._stored_and_rival(user)
        if stored is not None:
            return AlreadyExistsError(_ENTITY, "user_id", user.user_id)
        if rival is not None:
            return EmailExistsError(_ENTITY, "email", user.email)
        raise Contended

    def _why_not_updated(self, user: User) -> Op[EngineStoreError]:
        stored, rival = yield from self._stored_and_rival(user)
        if stored is None:
            return UserNotFoundError(user.user_id)
        if (field := changed_field(stored, user)) is not None:
            return ImmutableFieldError(_ENTITY, user.user_id, field)
        if stored.version != user.version:
            return VersionConflictError(_ENTITY, user.user_id, user.version, stored.version)
        if rival is not None:
            return EmailExistsError(_ENTITY, "email", user.email)
        raise Contended

    def _why_not_replaced(self, user: User) -> Op[EngineStoreError]:
        stored, rival = yield from self._stored_and_rival(user)
        if stored is not None and (field := changed_field(stored, user)) is not None:
            return ImmutableFieldError(_ENTITY, user.user_id, field)
        if rival is not None:
            return EmailExistsError(_ENTITY, "email", user.email)
        raise Contended

    def _stored_and_rival(self, user: User) -> Op[tuple[User | None, User | None]]:
        """The stored user of this id, and another one that has its email."""
        stored, holder = yield (
            self._q.get_user(user_id=user.user_id),
            self._q.get_user_by_email(email_folded=fold_email(user.email)),
        )
        found = None if stored is None else self._rows.user(stored)
        rival = None if holder is None else self._rows.user(holder)
        return found, None if rival is None or rival.user_id == user.user_id else rival


def _position(user: User) -> tuple[str, datetime, str]:
    return "users", user.created_at, user.user_id
