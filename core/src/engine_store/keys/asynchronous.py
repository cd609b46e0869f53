"""The same for an `AsyncStore`. Each function promises what its namesake in `sync` does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Self

from engine_store.clock import Clock, utc_now
from engine_store.errors import ApiKeyNotFoundError, InvalidKeyError, UserNotFoundError
from engine_store.ids import new_id
from engine_store.keys.secret import SecretKey, new_key, parse, proves
from engine_store.keys.sync import TOUCH_EVERY, TouchPolicy, check_names, log_untouched
from engine_store.models import ApiKey, Role, User
from engine_store.protocols import AsyncRepositories


async def create_async(store: AsyncRepositories, user_id: str) -> tuple[ApiKey, SecretKey]:
    """`create`, awaited."""
    key, secret = new_key(user_id)
    return await store.api_keys.create(key), secret


async def bootstrap_async(store: AsyncRepositories, email: str) -> tuple[User, ApiKey, SecretKey]:
    """`bootstrap`, awaited."""
    admin = User(new_id(), email, Role.ADMIN)
    key, secret = new_key(admin.user_id)
    async with store.transaction() as tx:
        user = await tx.users.create_initial_admin_if_none(admin)
        return user, await tx.api_keys.create(key), secret


async def check_async(store: AsyncRepositories, plaintext: str) -> tuple[User, ApiKey]:
    """`check`, awaited."""
    secret = parse(plaintext)
    del plaintext  # a report of an error may show the variables of each frame
    return await _check(store, secret)


async def revoke_async(
    store: AsyncRepositories, key_id: str | None = None, *, prefix: str | None = None
) -> None:
    """`revoke`, awaited."""
    check_names(key_id, prefix)
    if prefix is not None:
        key_id = (await store.api_keys.get_by_prefix(prefix)).key_id
    assert key_id is not None  # noqa: S101 - for the type checker; check_names has seen to it
    await store.api_keys.delete(key_id)


async def _check(store: AsyncRepositories, secret: SecretKey | None) -> tuple[User, ApiKey]:
    key = user = None
    if secret is not None:
        with suppress(ApiKeyNotFoundError):
            key = await store.api_keys.get_by_fingerprint(secret.fingerprint)
    # In a thread: a millisecond is long for an event loop.
    if await asyncio.to_thread(proves, secret, key) and key is not None:
        with suppress(UserNotFoundError):  # deleted since the key was found
            user = await store.users.get(key.user_id)
    if user is None or key is None:
        raise InvalidKeyError  # not inside of an `except`, whose error would say why
    return user, key


class AsyncKeyChecker:
    """`KeyChecker` for an `AsyncStore`: what it writes, it writes in tasks of the event loop."""

    def __init__(
        self, store: AsyncRepositories, *, touch_every: float = TOUCH_EVERY, clock: Clock = utc_now
    ) -> None:
        """A checker of the keys in `store`. Raises `InvalidValueError`."""
        self._store = store
        self._policy = TouchPolicy(touch_every, clock)
        self._pending: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    async def check(self, plaintext: str) -> tuple[User, ApiKey]:
        """`check_async`, and `last_used` is written soon. After `close` it is not any more."""
        secret = parse(plaintext)
        del plaintext
        user, key = await _check(self._store, secret)
        at = self._policy.due(key)
        if at is not None and key.key_id not in self._pending and not self._closed:
            self._pending[key.key_id] = asyncio.create_task(self._touch(key.key_id, at))
        return user, key

    async def close(self) -> None:
        """Wait until all is written. Calling it twice is fine."""
        self._closed = True
        await asyncio.gather(*self._pending.values())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def _touch(self, key_id: str, at: datetime) -> None:
        try:
            with suppress(ApiKeyNotFoundError):  # revoked meanwhile
                await self._store.api_keys.touch(key_id, at)
        except Exception as error:  # noqa: BLE001 - no caller waits for this
            log_untouched(key_id, error)
        finally:
            del self._pending[key_id]
