"""Starting: from a configuration to a store that can be used, or a clear error and nothing open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

from engine_store.clock import Clock, utc_now
from engine_store.config import Config, Severity
from engine_store.errors import UnavailableError
from engine_store.models import Health
from engine_store.opening import open, open_async  # noqa: A004 - as in `engine_store.open`
from engine_store.plugins import Plugins
from engine_store.protocols import AsyncStore, Store
from engine_store.run_context import current
from engine_store.startup.loading import load
from engine_store.startup.logs import listeners
from engine_store.startup.validation import check

Given: TypeAlias = Config | Path | str | Mapping[str, Any] | None
"""A configuration, the path of a file, a tree as a file has it, or nothing: the environment."""


def start(given: Given = None, *, clock: Clock = utc_now, plugins: Iterable[object] = ()) -> Store:
    """Read and validate a configuration, open its store, migrate it if asked, check its health.

    Logs a line for each warning, one for each step of the schema, and one that says what was
    started, to the logger of the context; with the level DEBUG, also each operation of the store.
    Raises `ConfigurationError` with every problem, and what `engine_store.open` does; what was
    opened is closed then.
    """
    starting = _Starting(given, plugins)
    store = open(starting.config.database, clock=clock, plugins=starting.plugins)
    try:
        starting.check(store.health())
    except BaseException:
        store.close()
        raise
    return store


async def start_async(
    given: Given = None, *, clock: Clock = utc_now, plugins: Iterable[object] = ()
) -> AsyncStore:
    """Start an asynchronous store, as `start` does; it belongs to the running event loop."""
    starting = _Starting(given, plugins)
    store = await open_async(starting.config.database, clock=clock, plugins=starting.plugins)
    try:
        starting.check(await store.health())
    except BaseException:
        await store.close()
        raise
    return store


def configuration(given: Given) -> Config:
    """Return the configuration itself, or the one that is read."""
    if isinstance(given, Config):
        return given
    if isinstance(given, Mapping):
        return load(arguments=given)
    return load(given)


class _Starting:
    """A start: what is checked and logged before the store is opened, and after."""

    def __init__(self, given: Given, plugins: Iterable[object]) -> None:
        self._began, self._context = perf_counter(), current()
        self.config = configuration(given)
        self.plugins = Plugins((*plugins, *listeners(self._context)))
        for finding in check(self.config, self.plugins):
            log = self._context.bound(field=finding.field)
            (log.info if finding.severity is Severity.NOTE else log.warning)(finding.message)

    def check(self, health: Health) -> None:
        """Raise `UnavailableError` if the store cannot be used, else log that it can."""
        if not health.ok:
            raise UnavailableError(health.problem or "the database cannot be written")
        self._context.bound(
            driver=health.driver,
            mode="auto-migrate" if self.config.database.auto_migrate else "no migration",
            schema_version=health.schema_version,
            seconds=round(perf_counter() - self._began, 3),
        ).info("store started")
