"""The configuration of a store, and the options of drivers."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import attrs
import pytest
from attrs import field, frozen, validators
from hypothesis import given
from hypothesis import strategies as st

from engine_store.config import DEFAULT_DRIVER, DatabaseConfig, structure
from engine_store.errors import ConfigurationError

SECRET_URL = "postgresql://ada:S3CRET@host/db?sslpassword=S3CRET"


# --- DatabaseConfig ----------------------------------------------------------------------------


def test_a_configuration_that_names_no_driver_means_postgres():
    assert DEFAULT_DRIVER == "postgres"
    assert DatabaseConfig().driver_name == "postgres"


def test_the_field_names_the_driver():
    assert DatabaseConfig(driver="sqlite").driver_name == "sqlite"


@pytest.mark.parametrize("driver", ["postgres", "sqlite", "other"])
def test_the_scheme_of_the_url_names_the_driver_before_the_field_does(driver):
    config = DatabaseConfig(url="SQLite:///engine.db", driver=driver)
    assert config.driver_name == "sqlite"


def test_a_url_without_scheme_is_refused():
    with pytest.raises(ConfigurationError) as caught:
        _ = DatabaseConfig(url="engine.db").driver_name
    assert caught.value.field == "url"


def test_options_win_over_those_of_the_url():
    config = DatabaseConfig(url="sqlite:///x?a=1&b=2", options={"b": 3, "c": None})
    assert config.driver_options() == {"a": "1", "b": 3, "c": None}


def test_without_a_url_the_options_are_the_options():
    config = DatabaseConfig(options={"a": 1})
    assert config.driver_options() == {"a": 1}
    config.driver_options()["a"] = 2
    assert config.options == {"a": 1}


def test_migrations_are_applied_unless_told_otherwise():
    assert DatabaseConfig().auto_migrate is True
    assert DatabaseConfig().migration_timeout == 60.0


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, "%s".__mod__])
def test_however_it_is_shown_a_configuration_keeps_its_secrets(show):
    config = DatabaseConfig(url=SECRET_URL, options={"password": "S3CRET", "S3CRET": 1})
    text = show(config)
    assert "S3CRET" not in text
    assert "postgresql://ada:***@host/db?sslpassword=***" in text
    assert "S3CRET" not in f"{config} {config!r} {config!s} {[config]}"


def test_a_configuration_without_url_and_options_says_so():
    assert repr(DatabaseConfig()) == (
        "DatabaseConfig(url=None, driver='postgres', options=<0>, auto_migrate=True, "
        "migration_timeout=60.0, max_document_bytes=67108864, history=False, "
        "vectors=False, poll_interval=1.0, check_schema=True)"
    )


@pytest.mark.parametrize("seconds", [-1, 86_401, float("inf"), float("nan")])
def test_nobody_waits_for_the_migration_lock_without_end(seconds):
    with pytest.raises(ConfigurationError) as caught:
        DatabaseConfig(migration_timeout=seconds)
    assert caught.value.field == "migration_timeout"
    assert caught.value.reason == "expected 0 to 86400 seconds"


def test_a_configuration_does_not_change():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        DatabaseConfig().driver = "sqlite"


# --- the driver's own settings -----------------------------------------------------------------


@attrs.frozen
class Pool:
    """A driver's settings."""

    size: int = 1


def test_settings_are_those_of_the_url_and_over_them_the_options() -> None:
    config = DatabaseConfig("x://place?size=2")
    assert config.settings(Pool) == Pool(2)
    assert config.settings(Pool) is config.settings(Pool)
    assert DatabaseConfig("x://place?size=2", options={"size": 3}).settings(Pool) == Pool(3)


def test_settings_follow_a_change_of_the_configuration() -> None:
    options = {"size": 2}
    config = DatabaseConfig("x://place", options=options)
    assert config.settings(Pool) == Pool(2)
    assert attrs.evolve(config, url="x://place?size=4", options={}).settings(Pool) == Pool(4)
    options["size"] = 3
    assert config.settings(Pool) == Pool(3)


def test_a_driver_may_make_out_itself_what_else_its_url_states() -> None:
    config = DatabaseConfig("x://place?size=2&colour=red")
    assert config.settings(Pool, more_in_url=True) == Pool(2)
    with pytest.raises(ConfigurationError) as caught:
        config.settings(Pool)
    assert [problem.path for problem in caught.value.problems] == ["options.colour"]
    config = DatabaseConfig("x://place", options={"colour": "red"})
    with pytest.raises(ConfigurationError):
        config.settings(Pool, more_in_url=True)


# --- structure -------------------------------------------------------------------------


class Mode(StrEnum):
    FAST = "fast"
    SAFE = "safe"


@frozen
class Options:
    path: str
    size: int = 5
    timeout: float = 1.0
    sync: bool = True
    mode: Mode = Mode.SAFE
    base: Path | None = None
    depth: int | None = None
    batch: int = field(default=1, validator=validators.ge(1))


def mistakes(options: dict[str, object], cls: type = Options) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        structure(options, cls)
    assert caught.value.field == "options"
    return caught.value


def test_options_become_the_drivers_own_class():
    assert structure({"path": "x"}, Options) == Options("x")
    given_all = {
        "path": "x",
        "size": 7,
        "timeout": 2,
        "sync": False,
        "mode": Mode.FAST,
        "base": Path("/data"),
        "depth": None,
        "batch": 3,
    }
    made = structure(given_all, Options)
    assert made == Options("x", 7, 2.0, False, Mode.FAST, Path("/data"), None, 3)
    assert type(made.timeout) is float


def test_options_may_come_as_text_from_a_url():
    config = DatabaseConfig(
        url="x:///?path=a&size=7&timeout=0.5&sync=false&mode=fast&base=%2Fdata&depth=-3&batch=2"
    )
    made = structure(config.driver_options(), Options)
    assert made == Options("a", 7, 0.5, False, Mode.FAST, Path("/data"), -3, 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, True) for text in ("true", "True", "TRUE", "1", "yes", "on")),
        *((text, False) for text in ("false", "False", "FALSE", "0", "no", "off")),
        (True, True),
        (False, False),
    ],
)
def test_a_truth_value_in_words(text, value):
    assert structure({"path": "x", "sync": text}, Options).sync is value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("path", value) for value in (None, 5, True, b"x", ["x"], Path("x"))),
        *(("size", value) for value in (None, "five", "", "1.5", 1.5, 2.0, True, [], float("inf"))),
        *(("depth", value) for value in ("none", 1.5, False)),
        *(("timeout", value) for value in (None, "soon", "", True, [], "nan", "inf", float("nan"))),
        *(("sync", value) for value in (None, "", "maybe", "2", 0, 1, 2, [])),
        *(("mode", value) for value in (None, "fastest", "FAST", 1)),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_name(name, value):
    [problem] = mistakes({"path": "x", name: value}).problems
    assert problem.path == f"options.{name}"
    assert problem.message.startswith("expected ")


def test_all_mistakes_are_reported_at_once():
    error = mistakes({"size": "five", "sync": "maybe", "mode": "fastest", "pth": "x", "siz": 1})
    assert set(map(str, error.problems)) == {
        "options.path: it is missing",
        "options.size: expected a whole number, found text",
        "options.sync: expected true or false, found text",
        "options.mode: expected one of fast, safe, found text",
        "options.pth: no setting is called so; did you mean path?",
        "options.siz: no setting is called so; did you mean size?",
    }
    assert str(error) == error.reason == "; ".join(map(str, error.problems))


def test_a_mistake_is_reported_under_the_name_of_its_place():
    with pytest.raises(ConfigurationError) as caught:
        structure({}, Options, "database.options")
    assert caught.value.field == "database.options"
    assert caught.value.reason == "database.options.path: it is missing"


def test_a_value_that_the_driver_itself_refuses_is_reported_in_its_words():
    error = mistakes({"path": "x", "batch": 0})
    assert error.reason == "options: 'batch' must be >= 1: 0"


def test_options_that_are_refused_are_not_shown():
    @frozen
    class Login:
        password: str
        port: int

    error = mistakes({"password": ["S3CRET"], "port": "S3CRET"}, Login)
    assert "S3CRET" not in f"{error} {error!r} {error.args}"


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.floats()))
def test_whatever_the_options_the_answer_is_the_class_or_a_configuration_error(options):
    try:
        made = structure(options, Options)
    except ConfigurationError as error:
        assert error.field == "options"
    else:
        assert type(made) is Options
