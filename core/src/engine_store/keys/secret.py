"""The plaintext of a key: how it is made, carried, found and proven. No store is needed here."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
from typing import NoReturn

from engine_store.ids import new_id
from engine_store.models import ApiKey
from engine_store.secrecy import API_KEY, KEY_PREFIX_LENGTH, KEY_SECRET_LENGTH, MASK

_IN_PREFIX = string.ascii_lowercase + string.digits
_IN_SECRET = string.ascii_letters + string.digits

# The cost of a guess is for passwords, of which people choose one in a billion. A key is one in
# 2^256, so that no cost would matter: a small one keeps a check at about a millisecond. A hash
# begins with what it was made by, so that another cost or function would be another beginning.
_MADE_BY = b"scrypt ln=8 r=8 p=1:"
_SALT_BYTES, _DIGEST_BYTES = 16, 32
_DUMMY = _MADE_BY + bytes(_SALT_BYTES + _DIGEST_BYTES)


class SecretKey:
    """The plaintext of an API key, to be shown once.

    `reveal` gives it. Nothing else does: `repr`, `str` and `format` show the prefix and a mask,
    and it can be neither pickled nor copied.
    """

    __slots__ = ("_plaintext", "prefix")

    def __init__(self, plaintext: str, prefix: str) -> None:
        """`plaintext`, which begins with `prefix`."""
        self._plaintext = plaintext
        self.prefix = prefix

    def reveal(self) -> str:
        """The plaintext. Show it to its owner; keep and log it nowhere."""
        return self._plaintext

    def __repr__(self) -> str:
        return f"SecretKey({self})"

    def __str__(self) -> str:
        return f"{self.prefix}_{MASK}"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret key is not to be stored; reveal() gives the plaintext")

    @property
    def fingerprint(self) -> bytes:
        """The SHA-256 by which the store finds the key (4.4)."""
        return hashlib.sha256(self._plaintext.encode()).digest()


def new_key(user_id: str) -> tuple[ApiKey, SecretKey]:
    """A key for a user, not stored yet, and its plaintext."""
    prefix = "es_" + _random(_IN_PREFIX, KEY_PREFIX_LENGTH)
    secret = SecretKey(f"{prefix}_{_random(_IN_SECRET, KEY_SECRET_LENGTH)}", prefix)
    return ApiKey(new_id(), user_id, prefix, secret.fingerprint, hash_of(secret)), secret


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def parse(plaintext: object) -> SecretKey | None:
    """Return a presented text as a key, or None if it cannot be one."""
    form = API_KEY.fullmatch(plaintext) if isinstance(plaintext, str) else None
    return None if form is None else SecretKey(form[0], form[1])


def hash_of(secret: SecretKey) -> bytes:
    """A salted hash of `secret`, by scrypt."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return _MADE_BY + salt + _scrypt(secret, salt)


def proves(secret: SecretKey | None, key: ApiKey | None) -> bool:
    """Whether `secret` is the plaintext of `key`, compared in constant time.

    Takes as long where one of them is missing, or the hash is of another kind, as where it is
    wrong: what is compared then is a dummy that nothing matches.
    """
    known = key is not None and key.hash.startswith(_MADE_BY)
    stored = (key.hash if key is not None and known else _DUMMY).removeprefix(_MADE_BY)
    salt, digest = stored[:_SALT_BYTES], stored[_SALT_BYTES:]
    matches = hmac.compare_digest(_scrypt(secret, salt), digest)
    return matches and known and secret is not None


def _scrypt(secret: SecretKey | None, salt: bytes) -> bytes:
    plaintext = b"" if secret is None else secret.reveal().encode()
    return hashlib.scrypt(plaintext, salt=salt, n=1 << 8, r=8, p=1, dklen=_DIGEST_BYTES)
