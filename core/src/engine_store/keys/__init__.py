"""API keys: made, shown once, checked and revoked (contract 4).

    from engine_store import keys

    user, key, secret = keys.bootstrap(store, "ada@example.org")
    print(secret.reveal())  # the only time it is to be had
    with keys.KeyChecker(store) as checker:
        user, key = checker.check(presented)
    keys.revoke(store, key.key_id)

A key is 256 random bits behind a readable prefix. The store gets the prefix, a SHA-256 that finds
the key, and a salted hash that proves it; the plaintext is shown only once.
"""

from engine_store.keys.asynchronous import (
    AsyncKeyChecker,
    bootstrap_async,
    check_async,
    create_async,
    revoke_async,
)
from engine_store.keys.secret import SecretKey
from engine_store.keys.sync import KeyChecker, bootstrap, check, check_names, create, revoke

__all__ = [
    "AsyncKeyChecker",
    "KeyChecker",
    "SecretKey",
    "bootstrap",
    "bootstrap_async",
    "check",
    "check_async",
    "check_names",
    "create",
    "create_async",
    "revoke",
    "revoke_async",
]
