"""Users and their API keys (contract 4)."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict, Unpack

import attrs
from attrs import field, frozen

from engine_store.clock import UNSAVED
from engine_store.models.states import Role


class UserChanges(TypedDict, total=False):
    """The fields that `User.evolve` can change."""

    user_id: str
    email: str
    role: Role
    version: int
    created_at: datetime
    updated_at: datetime


@frozen
class User:
    """A user. `version`, `created_at` and `updated_at` are set by the store."""

    user_id: str
    email: str
    role: Role = Role.USER
    version: int = 0
    created_at: datetime = UNSAVED
    updated_at: datetime = UNSAVED

    def evolve(self, **changes: Unpack[UserChanges]) -> User:
        """Return a copy with these fields changed."""
        return attrs.evolve(self, **changes)


@frozen
class ApiKey:
    """An API key of a user: never the key itself, only what finds and checks it.

    `fingerprint` is the SHA-256 of the key (32 bytes), `hash` opaque bytes of a password hash;
    neither shows in the repr. `last_used` is None until `touch`.
    """

    key_id: str
    user_id: str
    prefix: str
    fingerprint: bytes = field(repr=False)
    hash: bytes = field(repr=False)
    created_at: datetime = UNSAVED
    last_used: datetime | None = None
