"""Mutants of section 4: users and API keys."""

from __future__ import annotations

from typing import Any

from engine_store.errors import AlreadyBootstrappedError, ApiKeyNotFoundError
from engine_store.models import Role
from engine_store.rules.entities import USER
from engine_store.values import check_id, fold_email
from engine_store_broken.mutant import mutant, replace, rewrite, rewrite_step
from engine_store_memory.rows import where


def compare_emails_by(fold: Any) -> None:
    """Let the SQL kit compare emails by `fold`, which gets the proper function first."""
    for module in ("engine_store.sql.rows", "engine_store.sql.operations.users"):
        replace(f"{module}:fold_email")(fold)


@mutant("4.1", base="sqlite")
def emails_in_lower_case() -> None:
    """`lower()` is taken for case folding: STRASSE and straße are two."""
    compare_emails_by(lambda original, email: email.lower())


@mutant("4.1", base="sqlite")
def emails_with_their_case() -> None:
    """Emails are compared as they are."""
    compare_emails_by(lambda original, email: email)


@mutant("4.1", base="sqlite")
def emails_stored_folded() -> None:
    """What an email is compared by is stored in the place of the email."""

    @replace("engine_store.sql.rows:Rows.encoder")
    def encoder(original: Any, rows: Any, entity: Any) -> Any:
        encode = original(rows, entity)
        if entity is not USER:
            return encode
        return lambda user: encode(user) | {"email": fold_email(user.email)}


@mutant("4.1", base="memory")
def email_checked_of_new_users_only() -> None:
    """An existing user may take the email of another one."""

    @replace("engine_store_memory.users:Users._admit")
    def admit(original: Any, users: Any, data: Any, state: Any, before: Any) -> None:
        if before is None:
            original(users, data, state, before)


@mutant("4.2", base="memory")
def first_admin_looked_for_before() -> None:
    """Whether there is an admin is asked before the transaction that makes one."""

    @replace("engine_store_memory.users:Users.create_initial_admin_if_none")
    def create(original: Any, users: Any, user: Any) -> Any:
        if user.role is not Role.ADMIN:
            return original(users, user)
        if where(users._scope.read()[users.entity].values(), role=Role.ADMIN):
            raise AlreadyBootstrappedError
        return users.create(user)


@mutant("4.3", base="sqlite")
def foreign_keys_are_off() -> None:
    """The pragma has to be set on each connection, and is not: keys outlive their user."""

    @replace("engine_store_sqlite.pool:connect")
    def connect(original: Any, *args: Any, **kwargs: Any) -> Any:
        connection = original(*args, **kwargs)
        connection.execute("PRAGMA foreign_keys = OFF")
        return connection


@mutant("4.3", base="sqlite")
def a_missing_user_is_a_database_error() -> None:
    """The foreign key is left to refuse it, with an error of the database's own."""
    rewrite(
        "create_api_key",
        "WHERE EXISTS (SELECT 1 FROM main.users WHERE user_id = :user_id)",
        "WHERE true",
    )


@mutant("4.4", base="sqlite")
def prefixes_may_repeat() -> None:
    """Of the two unique columns only the one that is looked up got its index."""
    rewrite_step(1, "prefix TEXT NOT NULL UNIQUE", "prefix TEXT NOT NULL")


@mutant("4.4", base="sqlite")
def touch_goes_back() -> None:
    """The last to write wins, also with an earlier time."""
    rewrite("touch_api_key", "max(coalesce(last_used, :used), :used)", ":used")


@mutant("4.4", base="sqlite")
def a_read_that_writes() -> None:
    """Reading a key notes its use, by a statement that the kit runs among reads."""

    @replace("engine_store.sql.operations:ApiKeyOperations.get")
    def get(original: Any, keys: Any, key_id: str) -> Any:
        check_id(key_id, "key_id")
        return keys._one(keys._q.touch_api_key(key_id=key_id, used=keys._now()), key_id)


@mutant("4.4", base="memory")
def the_error_shows_the_fingerprint() -> None:
    """An error quotes what was looked for, and so it gets into the logs."""

    @replace("engine_store_memory.users:ApiKeys.get_by_fingerprint")
    def get(original: Any, keys: Any, fingerprint: bytes) -> Any:
        try:
            return original(keys, fingerprint)
        except ApiKeyNotFoundError:
            raise ApiKeyNotFoundError(fingerprint.hex(), "fingerprint") from None
