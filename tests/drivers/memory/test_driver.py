"""The driver as it is opened: names, settings, and what it declares."""

from __future__ import annotations

from uuid import uuid4

import pytest

import engine_store
from engine_store import User
from engine_store.config import DatabaseConfig
from engine_store.errors import ConfigurationError, UserNotFoundError
from engine_store_memory import DRIVER

ANN = User("ann", "ann@example.org")


@pytest.fixture
def url() -> str:
    """The URL of a named database that nothing has opened yet."""
    return f"memory://{uuid4().hex}"


def test_stores_of_one_name_share_a_database_that_outlives_them(url: str) -> None:
    with engine_store.open(url) as one, engine_store.open(url) as other:
        stored = one.users.create(ANN)
        assert other.users.get("ann") == stored
    with engine_store.open(url) as again:
        assert again.users.get("ann") == stored


def test_a_store_without_a_name_has_a_database_to_itself() -> None:
    with engine_store.open("memory://") as one, engine_store.open("memory://") as other:
        one.users.create(ANN)
        with pytest.raises(UserNotFoundError):
            other.users.get("ann")


def test_a_scratch_database_is_empty_and_forgotten_at_its_end(url: str) -> None:
    with engine_store.open(url) as store:
        store.users.create(ANN)
    with DRIVER.scratch(f"{url}?busy_timeout=1s") as scratch:
        assert scratch.startswith(f"{url}-")
        assert scratch.endswith("?busy_timeout=1s")
        with engine_store.open(scratch) as store:
            assert store.users.list().items == ()
            store.users.create(ANN)
    with engine_store.open(scratch) as store:
        assert store.users.list().items == ()
    with engine_store.open(url) as store:
        assert len(store.users.list().items) == 1


@pytest.mark.parametrize(
    ("name", "unsupported"),
    [
        ("", {"processes", "migrations", "concurrent_writers", "reopen"}),
        ("tests", {"processes", "migrations", "concurrent_writers"}),
    ],
)
def test_a_name_makes_a_database_that_can_be_opened_again(name: str, unsupported: set[str]) -> None:
    declared = DRIVER.capabilities(DatabaseConfig(url=f"memory://{name}"))
    assert {one.name for one in declared.values() if not one.supported} == unsupported


def test_a_setting_is_checked_with_the_rest_of_a_configuration() -> None:
    tree = {"database": {"url": "memory://", "busy_timeout": "5s"}}
    with engine_store.start(tree) as store:
        assert store.health().ok


def test_a_mistake_is_reported_with_its_place_and_what_was_expected() -> None:
    tree = {"database": {"driver": "memory", "busy_timeout": -1, "busy_timeuot": 3}}
    with pytest.raises(ConfigurationError) as caught:
        engine_store.load(environment={}, arguments=tree)
    unknown, wrong = caught.value.problems
    assert str(unknown) == (
        "database.busy_timeuot (arguments): no setting is called so; did you mean busy_timeout?"
    )
    assert wrong.message.startswith("expected 0 to ")
