"""Keys in a store: making, checking and revoking them. `asynchronous` is the same, awaited."""

from __future__ import annotations

import logging
import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Self

from engine_store.clock import Clock, utc_now
from engine_store.errors import (
    ApiKeyNotFoundError,
    InvalidKeyError,
    InvalidValueError,
    UserNotFoundError,
)
from engine_store.ids import new_id
from engine_store.keys.secret import SecretKey, check_no_plaintext, new_key, parse, proves
from engine_store.models import ApiKey, Role, User
from engine_store.protocols import Repositories

TOUCH_EVERY = 60.0
"""Seconds between two writes of `last_used`: as exact as anybody asks, and one write a minute."""

_log = logging.getLogger("engine_store")


def create(store: Repositories, user_id: str) -> tuple[ApiKey, SecretKey]:
    """A new key for a user: what is stored, and the plaintext, which is never to be had again.

    Raises `InvalidReferenceError` where there is no such user.
    """
    key, secret = new_key(user_id)
    return store.api_keys.create(key), secret


def bootstrap(store: Repositories, email: str) -> tuple[User, ApiKey, SecretKey]:
    """The first admin and its key, in one transaction, once for each database (4.2).

    Raises `AlreadyBootstrappedError` where there is an admin, so also for all but one of any
    number of concurrent callers; `EmailExistsError` where another user has the email.
    """
    admin = User(new_id(), email, Role.ADMIN)
    key, secret = new_key(admin.user_id)
    with store.transaction() as tx:
        return tx.users.create_initial_admin_if_none(admin), tx.api_keys.create(key), secret


def check(store: Repositories, plaintext: str) -> tuple[User, ApiKey]:
    """The user whose key this is, and the key. Nothing is written; see `KeyChecker`.

    Raises `InvalidKeyError` for anything else: malformed, unknown, revoked, or not proven by its
    hash. Neither the error nor the work done for it tells which, but that a key that is malformed
    is not looked up.
    """
    secret = parse(plaintext)
    del plaintext  # a report of an error may show the variables of each frame
    return _check(store, secret)


def revoke(store: Repositories, key_id: str | None = None, *, prefix: str | None = None) -> None:
    """Delete a key, named by its id or by its prefix: the next check refuses it.

    Raises `ApiKeyNotFoundError`; `InvalidValueError` unless there is one name, and for a whole
    key in the place of a name.
    """
    check_names(key_id, prefix)
    if prefix is not None:
        key_id = store.api_keys.get_by_prefix(prefix).key_id
    assert key_id is not None  # noqa: S101 - for the type checker; check_names has seen to it
    store.api_keys.delete(key_id)


def check_names(key_id: str | None, prefix: str | None) -> None:
    """Raise `InvalidValueError` unless one of them is given, and is no plaintext."""
    if (key_id is None) == (prefix is None):
        raise InvalidValueError("key_id", "expected either an id or a prefix")
    check_no_plaintext(key_id, "key_id")
    check_no_plaintext(prefix, "prefix")


def _check(store: Repositories, secret: SecretKey | None) -> tuple[User, ApiKey]:
    key = user = None
    if secret is not None:
        with suppress(ApiKeyNotFoundError):
            key = store.api_keys.get_by_fingerprint(secret.fingerprint)
    if proves(secret, key) and key is not None:
        with suppress(UserNotFoundError):  # deleted since the key was found
            user = store.users.get(key.user_id)
    if user is None or key is None:
        raise InvalidKeyError  # not inside of an `except`, whose error would say why
    return user, key


class TouchPolicy:
    """When `last_used` is due to be written."""

    def __init__(self, touch_every: float, clock: Clock) -> None:
        """Every `touch_every` seconds by `clock`. Raises `InvalidValueError`."""
        if not 0 <= touch_every < float("inf"):
            raise InvalidValueError("touch_every", "expected seconds, 0 or more")
        self._interval = touch_every
        self._clock = clock

    def due(self, key: ApiKey) -> datetime | None:
        """The time to write now, or None where what is stored is recent enough."""
        now = self._clock()
        if key.last_used is None or now - key.last_used >= timedelta(seconds=self._interval):
            return now
        return None


class KeyChecker:
    """Checks keys, and keeps `last_used` without making a check wait for a write.

    A check hands the time to one thread of the checker's own, at most one for each key at a time
    and only where `last_used` is older than `touch_every` seconds: what other processes wrote
    counts. What fails there is logged, and tried again by the next check. `close` waits for what
    is still to be written; close the checker before its store. Safe to share between threads; a
    child of a fork has a thread of its own. `clock` is what the store was opened with.
    """

    def __init__(
        self, store: Repositories, *, touch_every: float = TOUCH_EVERY, clock: Clock = utc_now
    ) -> None:
        """A checker of the keys in `store`. Raises `InvalidValueError`."""
        self._store = store
        self._policy = TouchPolicy(touch_every, clock)
        self.start_thread()
        _checkers.add(self)

    def start_thread(self) -> None:
        """Begin with nothing to write. For the checker itself, and for a fork's child."""
        self._pending: dict[str, object] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine-store-keys")

    def check(self, plaintext: str) -> tuple[User, ApiKey]:
        """`check`, and `last_used` is written soon. After `close` it is not written any more."""
        secret = parse(plaintext)
        del plaintext
        user, key = _check(self._store, secret)
        at = self._policy.due(key)
        if at is not None:
            self._touch_soon(key.key_id, at)
        return user, key

    def close(self) -> None:
        """Wait until all is written. Calling it twice is fine."""
        self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _touch_soon(self, key_id: str, at: datetime) -> None:
        mine = object()
        if self._pending.setdefault(key_id, mine) is not mine:
            return  # another check of the same key was first
        try:
            self._thread.submit(self._touch, key_id, at)
        except RuntimeError:  # closed
            del self._pending[key_id]

    def _touch(self, key_id: str, at: datetime) -> None:
        try:
            with suppress(ApiKeyNotFoundError):  # revoked meanwhile
                self._store.api_keys.touch(key_id, at)
        except Exception as error:  # noqa: BLE001 - no caller waits for this
            log_untouched(key_id, error)
        finally:
            del self._pending[key_id]


def log_untouched(key_id: str, error: Exception) -> None:
    """Log that `last_used` was not written: no caller waits for it."""
    _log.warning("last_used of api key %s was not written: %s", key_id, type(error).__name__)


_checkers: weakref.WeakSet[KeyChecker] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for checker in list(_checkers):
        checker.start_thread()  # the parent's is not here, and writes what was due itself


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
