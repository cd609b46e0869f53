"""keys: a key is printed once, and nothing that is printed later gives it away."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import engine_store
from engine_store import keys
from engine_store.errors import InvalidKeyError
from engine_store.models import ApiKey

Run = Callable[..., Any]

PLAINTEXT = re.compile(r"es_[a-z0-9]{12}_[A-Za-z0-9]{43}")

KEY = {
    "key_id": {"type": "string"},
    "user_id": {"type": "string"},
    "prefix": {"type": "string", "pattern": "^es_[a-z0-9]{12}$"},
    "created_at": {"type": "string"},
    "last_used": {"type": ["string", "null"]},
}


def validate(found: object, **more: object) -> None:
    properties = {**KEY, **more}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    Draft202012Validator({**schema, "additionalProperties": False}).validate(found)


def printed(done: Any) -> str:
    """The new key in an answer in JSON, which has this form."""
    assert (done.code, done.err) == (0, "")
    validate(done.json, key={"type": "string", "pattern": PLAINTEXT.pattern})
    key: str = done.json["key"]
    return key


@pytest.fixture
def admin(url: str) -> tuple[ApiKey, str]:
    """The first admin's key: what is stored of it, and the plaintext."""
    with engine_store.open(url) as store:
        _, key, secret = keys.bootstrap(store, "ada@example.org")
    return key, secret.reveal()


def test_the_key_that_is_printed_is_the_first_admins(run: Run, url: str) -> None:
    done = run("keys", "bootstrap", "ada@example.org", "--url", url, "--json")
    with engine_store.open(url) as store:
        user, key = keys.check(store, printed(done))
    assert (user.email, user.role.value) == ("ada@example.org", "admin")
    assert (key.key_id, key.prefix) == (done.json["key_id"], done.json["prefix"])


def test_the_first_admins_key_is_printed_alone_on_its_line(here: Run, url: str) -> None:
    plaintext, about = here("keys", "bootstrap", "ada@example.org", "--url", url).out.splitlines()
    with engine_store.open(url) as store:
        user, _ = keys.check(store, plaintext)
    assert about == (
        f"the first admin is ada@example.org, id {user.user_id}; the key is not to be had again"
    )


def test_there_is_one_first_admin(here: Run, url: str, admin: object) -> None:
    done = here("keys", "bootstrap", "bob@example.org", "--url", url)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "engine-store: an admin exists already; create further users as that admin\n"
    )


def test_a_further_key_is_printed_alone_on_its_line(
    run: Run, here: Run, url: str, admin: tuple[ApiKey, str]
) -> None:
    user_id = admin[0].user_id
    answer = run("keys", "create", user_id, "--url", url, "--json")
    plaintext, about = here("keys", "create", user_id, "--url", url).out.splitlines()
    assert PLAINTEXT.fullmatch(plaintext)
    assert about.endswith("; the key is not to be had again")
    with engine_store.open(url) as store:
        for made in (printed(answer), plaintext):
            assert keys.check(store, made)[0].user_id == user_id


def test_no_list_shows_a_key(run: Run, here: Run, url: str, admin: tuple[ApiKey, str]) -> None:
    key, _ = admin
    table = here("keys", "list", "--url", url)
    answer = run("keys", "list", "--user", key.user_id, "--url", url, "--json")
    [found] = answer.json["items"]
    validate(found)
    assert key.prefix in table.out
    for done in (table, answer):
        assert (done.code, done.err) == (0, "")
        assert PLAINTEXT.search(done.out) is None


def test_a_revoked_key_is_refused(run: Run, url: str, admin: tuple[ApiKey, str]) -> None:
    key, plaintext = admin
    with engine_store.open(url) as store:
        keys.check(store, plaintext)
        done = run("keys", "revoke", key.key_id, "--yes", "--url", url, "--json")
        assert (done.code, done.err) == (0, "")
        validate(done.json, dry_run={"const": False})
        with pytest.raises(InvalidKeyError):
            keys.check(store, plaintext)


@pytest.mark.parametrize("name", ["key_id", "prefix"])
def test_a_key_is_revoked_only_where_that_is_said(
    here: Run, url: str, admin: tuple[ApiKey, str], name: str
) -> None:
    key, plaintext = admin
    revoke = ("keys", "revoke", getattr(key, name), "--url", url)
    looked = here(*revoke, "--dry-run", "--json")
    assert (looked.code, looked.json["dry_run"]) == (0, True)
    unsure = here(*revoke)
    assert unsure.code == 2
    assert "--yes" in unsure.err
    with engine_store.open(url) as store:
        keys.check(store, plaintext)
        done = here(*revoke, "--yes")
        assert (done.code, done.out.split()[:2]) == (0, ["revoked", key.prefix])
        with pytest.raises(InvalidKeyError):
            keys.check(store, plaintext)


def test_a_whole_key_given_as_a_name_is_not_repeated(
    here: Run, url: str, admin: tuple[ApiKey, str]
) -> None:
    _, plaintext = admin
    done = here("keys", "revoke", plaintext, "--yes", "--url", url)
    assert done.code == 2
    assert plaintext not in done.out + done.err


def test_a_key_for_nobody_is_refused(here: Run, url: str) -> None:
    done = here("keys", "create", "nobody", "--url", url)
    assert (done.code, done.out) == (1, "")
    assert "names 'nobody', which is not there" in done.err
