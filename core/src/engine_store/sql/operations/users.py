"""Users (contract 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine_store.errors import (
    AlreadyBootstrappedError,
    EmailExistsError,
    EngineStoreError,
    InvalidValueError,
    UserNotFoundError,
)
from engine_store.models import Page, Role, User, UserFilter
from engine_store.rules.entities import USER
from engine_store.sql.operation import Op, Steps, read, steps, transact, unbounded, write
from engine_store.sql.operations.base import Action, StateOperations
from engine_store.sql.rows import Row
from engine_store.sql.statements import Call
from engine_store.values import check_email, check_id, fold_email


class UserOperations(StateOperations[User]):
    """`engine_store.protocols.UserRepository`, as operations."""

    entity = USER

    @read
    def get(self, user_id: str) -> Op[User]:
        check_id(user_id, "user_id")
        return self._one(self._stored(user_id), user_id)

    @read
    def get_by_email(self, email: str) -> Op[User]:
        check_email(email, "email")
        call = self._q.get_user_by_email(email_folded=fold_email(email))
        return self._one(call, email, "email")

    @read
    def list(
        self, filter: UserFilter = USER.everything, *, limit: int = 100, cursor: str | None = None
    ) -> Op[Page[User]]:
        return self._page(self._q.list_users, filter, limit, cursor)

    @write
    def create(self, user: User) -> Op[User]:
        return self._create(self._q.create_user, user)

    @write
    def restore(self, user: User) -> Op[User]:
        return self._restore(self._q.create_user, user)

    @transact
    def create_initial_admin_if_none(self, user: User) -> Op[User]:
        user = self.entity.check(user)
        if user.role is not Role.ADMIN:
            raise InvalidValueError("user.role", f"expected admin, found {user.role.value}")
        _, admin = yield self._q.lock_admins(), self._q.find_admin()
        if admin is not None:
            raise AlreadyBootstrappedError
        return (yield from self.create(user))

    @write
    def update(self, user: User) -> Op[User]:
        return self._update(self._q.update_user, user)

    @write
    def upsert(self, user: User) -> Op[User]:
        return self._upsert(self._q.upsert_user, user)

    @steps
    def modify(self, user_id: str, fn: Callable[[User], User]) -> Steps[User]:
        return self._modify(user_id, fn)

    @unbounded
    @write
    def delete(self, user_id: str) -> Op[None]:
        check_id(user_id, "user_id")
        if (yield self._q.delete_user(user_id=user_id)) is None:
            raise UserNotFoundError(user_id)

    def _held(self, key: str) -> Call:
        return self._q.lock_user(user_id=key)

    def _stored(self, key: str) -> Call:
        return self._q.get_user(user_id=key)

    def _others(self, given: User, action: Action) -> Sequence[Call]:
        return (self._q.get_user_by_email(email_folded=fold_email(given.email)),)

    def _obstacle(
        self,
        given: User,
        stored: User | None,
        others: Sequence[Row | None],
        parameters: Mapping[str, Any],
    ) -> EngineStoreError | None:
        (holder,) = others
        if holder is None or self._decode(holder).user_id == given.user_id:
            return None
        return EmailExistsError(USER.label, "email", given.email)
