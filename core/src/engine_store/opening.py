"""`open` and `open_async`: from a URL or a configuration to a store."""

from __future__ import annotations

from collections.abc import Iterable

from engine_store.clock import Clock, utc_now
from engine_store.config import DatabaseConfig
from engine_store.drivers.discovery import load_driver
from engine_store.drivers.observed import observed, observed_async
from engine_store.errors import ConfigurationError
from engine_store.plugins import Plugins
from engine_store.protocols import AsyncStore, Driver, OpenContext, Store
from engine_store.secrecy import hidden


def open(  # noqa: A001 - the verb of the library: engine_store.open(url)
    target: str | DatabaseConfig, *, clock: Clock = utc_now, plugins: Iterable[object] = ()
) -> Store:
    """Open the store that a URL or a configuration names.

    The driver is found among the installed distributions; missing schema steps are applied
    unless the configuration says otherwise. `clock` gives every time the store sets; `plugins`
    listen (see `engine_store.plugins`).

    Raises `ConfigurationError`, `UnknownDriverError`, `DriverLoadError`,
    `ForeignDatabaseError`, `SchemaError` and `UnavailableError`, each before anything changed.
    """
    target = hidden(target)
    driver, config, listeners = _prepare(target, plugins)
    opened = driver.open(config, _context(config, clock, listeners))
    try:
        store = opened
        if listeners.observe_operations:
            store = observed(opened, driver.name, listeners)
        listeners.hook.engine_store_opened(driver=driver.name, store=store)
    except BaseException:
        opened.close()
        raise
    return store


async def open_async(
    target: str | DatabaseConfig, *, clock: Clock = utc_now, plugins: Iterable[object] = ()
) -> AsyncStore:
    """Open an asynchronous store, as `open` does; it belongs to the running event loop."""
    target = hidden(target)
    driver, config, listeners = _prepare(target, plugins)
    opened = await driver.open_async(config, _context(config, clock, listeners))
    try:
        store = opened
        if listeners.observe_operations:
            store = observed_async(opened, driver.name, listeners)
        listeners.hook.engine_store_opened(driver=driver.name, store=store)
    except BaseException:
        await opened.close()
        raise
    return store


def _prepare(
    target: str | DatabaseConfig, plugins: Iterable[object]
) -> tuple[Driver, DatabaseConfig, Plugins]:
    config = DatabaseConfig(url=target) if isinstance(target, str) else target
    if not isinstance(config, DatabaseConfig):
        raise ConfigurationError(
            "target", f"expected a URL or a DatabaseConfig, found {type(target).__name__}"
        )
    driver = load_driver(config.driver_name)
    listeners = Plugins.of(plugins)
    listeners.hook.engine_store_configured(config=config)
    return driver, config, listeners


def _context(config: DatabaseConfig, clock: Clock, listeners: Plugins) -> OpenContext:
    return OpenContext(clock, listeners, config.max_document_bytes)
