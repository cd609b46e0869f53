"""The settings of this driver, configured as those of any other."""

from __future__ import annotations

import pytest

import engine_store
from engine_store.errors import ConfigurationError


def test_a_setting_is_checked_with_the_rest_of_a_configuration() -> None:
    tree = {"database": {"url": "memory://", "busy_timeout": "5s"}}
    with engine_store.start(tree) as store:
        assert store.health().ok


def test_a_mistake_is_told_with_its_place_and_what_was_expected() -> None:
    tree = {"database": {"driver": "memory", "busy_timeout": -1, "busy_timeuot": 3}}
    with pytest.raises(ConfigurationError) as caught:
        engine_store.load(environment={}, arguments=tree)
    unknown, wrong = caught.value.problems
    assert str(unknown) == (
        "database.busy_timeuot (arguments): no setting is called so; did you mean busy_timeout?"
    )
    assert wrong.message.startswith("expected 0 to ")
