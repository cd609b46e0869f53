"""Where a URL or a path leads to, and the driver's options."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

import engine_store
from engine_store import DatabaseConfig
from engine_store.errors import ConfigurationError
from engine_store.protocols import Store
from engine_store_sqlite.driver import DRIVER
from engine_store_sqlite.options import Location, SqliteOptions, read_options


def located(**config: object) -> Path | None:
    """The path that a configuration leads to; None for memory."""
    location, _ = read_options(DatabaseConfig(**config))  # type: ignore[arg-type]
    return location.path


def refusal(**config: object) -> tuple[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        read_options(DatabaseConfig(**config))  # type: ignore[arg-type]
    return caught.value.field, caught.value.reason


def test_three_slashes_are_relative_to_where_the_process_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert located(url="sqlite:///engine.db") == tmp_path / "engine.db"
    assert located(url="sqlite:///data/engine.db") == tmp_path / "data" / "engine.db"


def test_a_relative_place_is_settled_at_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_store: Callable[..., Store]
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///engine.db")
    monkeypatch.chdir("/")
    assert store.health().ok
    assert (tmp_path / "engine.db").exists()


def test_four_slashes_are_absolute() -> None:
    assert located(url="sqlite:////var/lib/engine.db") == Path("/var/lib/engine.db")


@pytest.mark.parametrize("name", ["engine.db", "a b#c?d%e.db", "été.db", "日本.db", "'\";.db"])
def test_a_name_is_percent_decoded_and_reaches_the_file_system_as_it_is(
    name: str, tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    assert open_store(f"sqlite:///{tmp_path}/{quote(name)}").health().ok
    assert (tmp_path / name).exists()


def test_more_slashes_than_needed_lead_to_the_same_file(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    open_store(f"sqlite:////{tmp_path}/engine.db").close()
    assert (tmp_path / "engine.db").exists()


def test_a_name_of_bytes_that_are_no_text_is_opened(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    name = os.fsdecode(b"\xff.db")
    config = DatabaseConfig(driver="sqlite", options={"path": str(tmp_path / name)})
    with engine_store.open(config) as store:
        assert store.health().ok
    assert (tmp_path / name).exists()


def test_memory_is_no_file() -> None:
    assert located(url="sqlite:///:memory:") is None
    assert located(driver="sqlite", options={"path": ":memory:"}) is None
    assert str(Location(None)) == ":memory:"
    assert str(Location(Path("/a/b.db"))) == "/a/b.db"


def test_without_a_url_the_option_path_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert located(driver="sqlite", options={"path": "engine.db"}) == tmp_path / "engine.db"
    assert located(driver="sqlite", options={"path": "/a/b.db"}) == Path("/a/b.db")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///a%00b.db"])
def test_a_url_without_a_file_is_refused(url: str) -> None:
    assert refusal(url=url) == ("url", "expected a file: sqlite:///engine.db")


def test_a_configuration_without_a_place_is_refused() -> None:
    wanted = ("url", "expected sqlite:///file.db, or the option path")
    assert refusal(driver="sqlite") == wanted
    assert refusal(driver="sqlite", options={"path": ""}) == wanted


def test_two_places_are_refused() -> None:
    field, reason = refusal(url="sqlite:///a.db", options={"path": "b.db"})
    assert field == "options.path"
    assert "found both" in reason


@pytest.mark.parametrize("location", ["engine.db", "data/engine.db", ":memory:"])
def test_two_slashes_get_a_hint_of_how_a_file_is_written(location: str) -> None:
    field, reason = refusal(url=f"sqlite://{location}")
    assert field == "url"
    assert f"found sqlite://{location};" in reason
    assert "sqlite:///file.db" in reason
    assert "sqlite:////path/to/file.db" in reason


@pytest.mark.parametrize("name", ["\ud800.db", "a\udbff/b.db"])
def test_a_name_no_file_can_have_is_refused(name: str) -> None:
    field, _ = refusal(driver="sqlite", options={"path": name})
    assert field == "options.path"


# --- the base directory --------------------------------------------------------------------------


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base directory beside something it must not lead to."""
    (tmp_path / "outside").mkdir()
    base = tmp_path / "base"
    (base / "inner").mkdir(parents=True)
    return base


@pytest.mark.parametrize("name", ["engine.db", "inner/engine.db", "inner/../engine.db"])
def test_a_path_inside_the_base_directory_is_relative_to_it(base: Path, name: str) -> None:
    found = located(url=f"sqlite:///{name}", options={"base_dir": str(base)})
    assert found == (base / name).resolve()


def test_an_absolute_path_inside_the_base_directory_is_fine(base: Path) -> None:
    url = f"sqlite:///{base}/engine.db"
    assert located(url=url, options={"base_dir": str(base)}) == base / "engine.db"


def test_memory_is_inside_every_base_directory(base: Path) -> None:
    assert located(url="sqlite:///:memory:", options={"base_dir": str(base)}) is None


def test_a_base_directory_may_be_relative_or_a_link(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(base.parent)
    (base.parent / "link").symlink_to(base)
    for name in ("base", "link"):
        found = located(url="sqlite:///engine.db", options={"base_dir": name})
        assert found == base / "engine.db"


@pytest.mark.parametrize(
    "name",
    [
        "../engine.db",
        "inner/../../engine.db",
        "/etc/engine.db",
        "../base-of-another/engine.db",
        "%2e%2e/engine.db",
        "way-out/engine.db",
        "door.db",
    ],
)
def test_no_path_leads_out_of_the_base_directory(base: Path, name: str) -> None:
    (base / "way-out").symlink_to(base.parent / "outside")
    (base / "door.db").symlink_to(base.parent / "outside" / "engine.db")
    field, reason = refusal(url=f"sqlite:///{name}", options={"base_dir": str(base)})
    assert field == "url"
    assert reason.endswith(f"leads out of the base directory {str(base)!r}; name a file inside it")
    assert list((base.parent / "outside").iterdir()) == []


# --- options -------------------------------------------------------------------------------------


def test_options_have_defaults() -> None:
    _, options = read_options(DatabaseConfig(url="sqlite:///a.db"))
    assert options == SqliteOptions(
        path=None, busy_timeout=10.0, synchronous="full", readers=4, base_dir=None
    )


def test_options_come_from_the_url_and_over_it_from_the_configuration() -> None:
    url = "sqlite:///a.db?readers=2&busy_timeout=0.5&synchronous=normal"
    _, options = read_options(DatabaseConfig(url=url, options={"readers": 7}))
    assert (options.readers, options.busy_timeout, options.synchronous) == (7, 0.5, "normal")


def test_all_mistakes_are_said_at_once() -> None:
    url = "sqlite:///a.db?wal=off&readers=many&busy_timeout=soon&synchronous=maybe"
    field, reason = refusal(url=url)
    assert field == "options"
    for mistake in ("wal", "options.readers", "options.busy_timeout", "options.synchronous"):
        assert mistake in reason


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"busy_timeout": -1}, "busy_timeout"),
        ({"busy_timeout": -0.001}, "busy_timeout"),
        ({"busy_timeout": 1e12}, "busy_timeout"),
        ({"readers": 0}, "readers"),
        ({"readers": -4}, "readers"),
        ({"readers": 1.5}, "readers"),
        ({"readers": True}, "readers"),
        ({"busy_timeout": float("inf")}, "busy_timeout"),
        ({"busy_timeout": None}, "busy_timeout"),
        ({"synchronous": "FULL"}, "synchronous"),
        ({"synchronous": 2}, "synchronous"),
        ({"base_dir": 3}, "base_dir"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(
    options: dict[str, object], name: str
) -> None:
    field, reason = refusal(url="sqlite:///a.db", options=options)
    assert field == "options"
    assert reason.startswith(f"options.{name}: expected ")


def test_a_url_in_the_place_of_a_path_is_refused_and_not_shown() -> None:
    assert refusal(options={"path": "postgresql://ada:S3CRET@host"}) == (
        "options.path",
        "expected a file, found a URL; call it url",
    )


def test_opening_says_the_same_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError):
        engine_store.open("sqlite:///engine.db?readers=0")
    assert list(tmp_path.iterdir()) == []


# --- the driver ----------------------------------------------------------------------------------


def test_a_python_with_an_old_sqlite_is_told_which_one_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 37, 2))
    with pytest.raises(ConfigurationError) as caught:
        engine_store.open(f"sqlite:///{tmp_path}/engine.db")
    assert caught.value.field == "driver"
    assert "expected SQLite 3.38.0 or newer in this Python, found 3.37.2" in caught.value.reason
    assert list(tmp_path.iterdir()) == []


def test_what_it_cannot_do_it_declares_with_a_reason() -> None:
    assert DRIVER.name == "sqlite"
    on_a_file = DRIVER.capabilities(DatabaseConfig(url="sqlite:///engine.db"))
    in_memory = DRIVER.capabilities(DatabaseConfig(url="sqlite:///:memory:"))
    assert set(on_a_file) == {"concurrent_writers", "vectors"}
    assert set(in_memory) - set(on_a_file) == {"reopen", "processes", "migrations"}
    for name, capability in in_memory.items():
        assert (capability.name, capability.supported) == (name, False)
        assert capability.reason


def test_a_fragment_is_refused_and_not_made_part_of_the_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        engine_store.open(f"sqlite:///{tmp_path}/engine.db#copy")
    assert (caught.value.field, caught.value.reason) == (
        "url",
        "a # in the name of a file is written %23",
    )
    assert list(tmp_path.iterdir()) == []
