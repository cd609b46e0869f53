"""`open` and `open_async`: from a URL or a configuration to a store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from pluggy import PluginValidationError

import engine_store
from engine_store import DatabaseConfig
from engine_store.clock import utc_now
from engine_store.errors import ConfigurationError, UnknownDriverError
from engine_store.migrations import Direction, Migration
from engine_store.plugins import hookimpl

FAKE = """
    class FakeStore:
        closed = False

        def close(self):
            self.closed = True

    class FakeAsyncStore:
        closed = False

        async def close(self):
            self.closed = True

    class FakeDriver:
        name = "fake"

        def __init__(self):
            self.opened = []

        def capabilities(self, config): ...
        def scratch(self, url): ...

        def open(self, config, context):
            self.opened.append((config, context, FakeStore()))
            return self.opened[-1][2]

        async def open_async(self, config, context):
            self.opened.append((config, context, FakeAsyncStore()))
            return self.opened[-1][2]

    DRIVER = FakeDriver()
"""


def open_async(*arguments, **named):
    return asyncio.run(engine_store.open_async(*arguments, **named))


@pytest.fixture(params=[engine_store.open, open_async], ids=["sync", "async"])
def open_store(request):
    """Both ways to open a store, called alike."""
    return request.param


@pytest.fixture
def opened(distributions):
    """What the driver called `fake` was asked to open: configuration, context, store."""
    distributions(
        "x-fake", "[engine_store.drivers]\nfake = fake_driver:DRIVER", {"fake_driver": FAKE}
    )
    import fake_driver

    return fake_driver.DRIVER.opened


class Listener:
    """Notes its calls; raises `refuse` and `fail`."""

    def __init__(self, opened, *, refuse=None, fail=None):
        self.opened = opened
        self.refuse = refuse
        self.fail = fail
        self.calls = []

    @hookimpl
    def engine_store_configured(self, config):
        self.calls.append(("configured", config, len(self.opened)))
        if self.refuse:
            raise self.refuse

    @hookimpl
    def engine_store_opened(self, driver):
        self.calls.append(("opened", driver, len(self.opened)))
        if self.fail:
            raise self.fail


def test_a_url_is_a_configuration_of_its_own(opened, open_store):
    store = open_store("fake://place?a=1")
    ((config, context, made),) = opened
    assert store is made
    assert config == DatabaseConfig(url="fake://place?a=1")
    assert context.clock is utc_now


def test_a_configuration_reaches_the_driver_as_it_is(opened, open_store):
    config = DatabaseConfig(driver="fake", options={"a": 1}, auto_migrate=False)
    open_store(config)
    assert opened[0][0] is config


def test_the_driver_gets_the_clock(opened, open_store):
    def clock():
        return datetime(2024, 1, 1, tzinfo=UTC)

    open_store("fake://", clock=clock)
    assert opened[0][1].clock is clock


def test_listeners_hear_of_the_configuration_before_and_of_the_store_after(opened, open_store):
    listeners = [Listener(opened), Listener(opened)]
    config = DatabaseConfig(url="fake://")
    open_store(config, plugins=iter(listeners))
    for listener in listeners:
        assert listener.calls == [("configured", config, 0), ("opened", "fake", 1)]


def test_the_driver_reaches_the_same_listeners(opened, open_store):
    steps = []

    class Steps:
        @hookimpl
        def engine_store_migration_applied(self, driver, migration, direction):
            steps.append((driver, migration, direction))

    open_store("fake://", plugins=[Steps()])
    migration = Migration(1, "first", "up", "down")
    opened[0][1].listeners.migration_applied("fake", migration, Direction.UP)
    assert steps == [("fake", migration, Direction.UP)]


def test_stores_have_listeners_of_their_own(opened, open_store):
    listener = Listener(opened)
    open_store("fake://", plugins=[listener])
    open_store("fake://")
    assert listener.calls == [("configured", DatabaseConfig("fake://"), 0), ("opened", "fake", 1)]


def test_the_drivers_own_store_is_returned_unless_a_plugin_listens_to_operations(
    opened, open_store
):
    class Operations:
        @hookimpl
        def engine_store_retried(self): ...

    for plugins in ([], [Listener(opened)]):
        assert open_store("fake://", plugins=plugins) is opened[-1][2]
    assert open_store("fake://", plugins=[Operations()]) is not opened[-1][2]


def test_a_hook_that_does_not_exist_opens_nothing(opened, open_store):
    class Mistaken:
        @hookimpl
        def engine_store_closed(self): ...

    with pytest.raises(PluginValidationError, match="engine_store_closed"):
        open_store("fake://", plugins=[Mistaken()])
    assert opened == []


def test_a_listener_that_raises_refuses_the_configuration(opened, open_store):
    refusal = PermissionError("not this database")
    with pytest.raises(PermissionError) as caught:
        open_store("fake://", plugins=[Listener(opened, refuse=refusal)])
    assert caught.value is refusal
    assert opened == []


def test_a_store_whose_opening_a_listener_fails_is_closed_again(opened, open_store):
    failure = RuntimeError("cannot write the log")
    with pytest.raises(RuntimeError) as caught:
        open_store("fake://", plugins=[Listener(opened, fail=failure)])
    assert caught.value is failure
    assert opened[0][2].closed


def test_a_store_that_was_opened_stays_open(opened, open_store):
    assert not open_store("fake://", plugins=[Listener(opened)]).closed


def test_a_url_without_scheme_opens_nothing(opened, open_store):
    with pytest.raises(ConfigurationError) as caught:
        open_store("engine.db")
    assert caught.value.field == "url"


def test_an_unknown_scheme_opens_nothing(opened, open_store):
    with pytest.raises(UnknownDriverError) as caught:
        open_store("oracle://host/db")
    assert (caught.value.driver, caught.value.installed) == ("oracle", ("fake",))


def test_a_configuration_that_names_no_driver_asks_for_postgres(opened, open_store):
    with pytest.raises(UnknownDriverError) as caught:
        open_store(DatabaseConfig())
    assert caught.value.driver == "postgres"
    assert 'pip install "engine-store[postgres]"' in str(caught.value)


def test_what_is_neither_a_url_nor_a_configuration_is_refused(open_store, tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        open_store(tmp_path / "engine.db")
    assert refused.value.field == "target"
    assert refused.value.reason == "expected a URL or a DatabaseConfig, found PosixPath"
