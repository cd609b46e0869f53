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


@pytest.fixture
def admin(run: Run, url: str) -> dict[str, str]:
    """The first admin and its key."""
    done = run("keys", "bootstrap", "ada@example.org", "--url", url, "--json")
    assert (done.code, done.err) == (0, "")
    validate(done.json, key={"type": "string", "pattern": PLAINTEXT.pattern})
    return done.json


def test_the_key_that_is_printed_is_the_first_admins(url: str, admin: dict[str, str]) -> None:
    with engine_store.open(url) as store:
        user, key = keys.check(store, admin["key"])
    assert (user.email, user.role.value) == ("ada@example.org", "admin")
    assert (key.key_id, key.prefix) == (admin["key_id"], admin["prefix"])


def test_there_is_one_first_admin(run: Run, url: str, admin: dict[str, str]) -> None:
    done = run("keys", "bootstrap", "bob@example.org", "--url", url)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "engine-store: an admin exists already; create further users as that admin\n"
    )


def test_a_further_key_is_printed_alone_on_its_line(
    run: Run, url: str, admin: dict[str, str]
) -> None:
    done = run("keys", "create", admin["user_id"], "--url", url)
    plaintext, about = done.out.splitlines()
    assert PLAINTEXT.fullmatch(plaintext)
    assert about.endswith("; the key is not to be had again")
    with engine_store.open(url) as store:
        assert keys.check(store, plaintext)[0].user_id == admin["user_id"]


def test_no_list_shows_a_key(run: Run, url: str, admin: dict[str, str]) -> None:
    table = run("keys", "list", "--url", url)
    answer = run("keys", "list", "--user", admin["user_id"], "--url", url, "--json")
    [found] = answer.json["items"]
    validate(found)
    assert admin["prefix"] in table.out
    for done in (table, answer):
        assert done.code == 0
        assert PLAINTEXT.search(done.out + done.err) is None


@pytest.mark.parametrize("name", ["key_id", "prefix"])
def test_a_revoked_key_is_refused(run: Run, url: str, admin: dict[str, str], name: str) -> None:
    looked = run("keys", "revoke", admin[name], "--dry-run", "--url", url, "--json")
    assert (looked.code, looked.json["dry_run"]) == (0, True)
    unsure = run("keys", "revoke", admin[name], "--url", url)
    assert unsure.code == 2
    assert "--yes" in unsure.err
    with engine_store.open(url) as store:
        keys.check(store, admin["key"])
        done = run("keys", "revoke", admin[name], "--yes", "--url", url)
        assert (done.code, done.out.split()[:2]) == (0, ["revoked", admin["prefix"]])
        with pytest.raises(InvalidKeyError):
            keys.check(store, admin["key"])


def test_a_whole_key_given_as_a_name_is_not_repeated(
    run: Run, url: str, admin: dict[str, str]
) -> None:
    done = run("keys", "revoke", admin["key"], "--yes", "--url", url)
    assert done.code == 2
    assert admin["key"] not in done.out + done.err


def test_a_key_for_nobody_is_refused(run: Run, url: str) -> None:
    done = run("keys", "create", "nobody", "--url", url)
    assert (done.code, done.out) == (1, "")
    assert "names 'nobody', which is not there" in done.err
