"""Finding drivers, and telling listeners what happens: pluggy and entry points.

A distribution offers a driver by an entry point in the group `engine_store.drivers`, named as
configurations and URL schemes name the driver. The entry point is a module (or object) with a
hook implementation of `engine_store_driver`. Only the one entry point asked for is loaded.

Listeners are plugins passed to `engine_store.open(..., plugins=[...])`, with implementations of
any of the other hooks here. Where nobody implements a hook of operations, operations do not pay
for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pluggy

from engine_store.config import Config, DatabaseConfig, Finding
from engine_store.errors import DriverLoadError, UnknownDriverError, VersionConflictError
from engine_store.migrations import Direction, Migration
from engine_store.protocols import AsyncStore, Driver, Store
from engine_store.urls import mask_url

GROUP = "engine_store.drivers"
PROJECT = "engine_store"

SHIPPED = {
    "memory": "memory",
    "sqlite": "sqlite",
    "postgres": "postgres",
    "postgresql": "postgres",
}
"""The extra of `engine-store` that brings the driver of a name."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The hooks a plugin may implement, each with any subset of its arguments."""

    @hookspec(firstresult=True)
    def engine_store_driver(self) -> Driver | None:
        """The driver of this plugin. Implemented by drivers only."""

    @hookspec(firstresult=True)
    def engine_store_settings(self) -> type[Any] | None:
        """The attrs class of the driver's own settings, made of `engine_store.config.setting`.

        With it they are checked with the rest of a configuration, and described in its schema.
        """

    @hookspec(firstresult=True)
    def engine_store_backup(
        self, config: DatabaseConfig, target: Path, progress: Callable[[int, int], None]
    ) -> int | None:
        """Copy the database into the new file `target` while it is in use; its size in bytes.

        `progress` is told what is done of what, in the driver's own unit. A driver that cannot,
        raises `ConfigurationError` and names the tool that can.
        """

    @hookspec
    def engine_store_check(self, config: Config) -> Iterable[Finding] | None:
        """What a start with this configuration would come across: errors and warnings.

        Asked before anything is opened, of the driver and of every listener.
        """

    @hookspec
    def engine_store_configured(self, config: DatabaseConfig) -> None:
        """A configuration was validated and is about to be opened. Raise to refuse it."""

    @hookspec
    def engine_store_opened(self, driver: str, store: Store | AsyncStore) -> None:
        """A store was opened. Who keeps it should do so weakly: nobody tells of its end."""

    @hookspec
    def engine_store_operation_finished(
        self, driver: str, operation: str, seconds: float, error: BaseException | None
    ) -> None:
        """An operation such as `tasks.update` ended; `error` is what it raised."""

    @hookspec
    def engine_store_conflict(
        self, driver: str, operation: str, conflict: VersionConflictError
    ) -> None:
        """A compare-and-set lost, also where `modify` tries it again."""

    @hookspec
    def engine_store_retried(self, driver: str, operation: str) -> None:
        """An operation lost to concurrent ones, and waits a moment before it is tried again."""

    @hookspec
    def engine_store_migration_applied(
        self, driver: str, migration: Migration, direction: Direction
    ) -> None:
        """A migration step was committed."""


def installed_drivers() -> tuple[str, ...]:
    """The names of every driver installed, sorted; nothing is loaded."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def driver_distribution(name: str) -> tuple[str | None, str | None]:
    """The distribution that offers the driver of this name, and its version; nothing is loaded."""
    for point in entry_points(group=GROUP):
        if point.name == name and point.dist is not None:
            return point.dist.name, point.dist.version
    return None, None


def load_driver(name: str, plugins: Iterable[object] = ()) -> tuple[Driver, pluggy.PluginManager]:
    """The driver called `name`, and a plugin manager with it and `plugins` registered.

    Raises `UnknownDriverError` where none is installed, `DriverLoadError` where it cannot be
    imported or offers no driver; both name the remedy.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    point = _entry_point(name)
    distribution = point.dist.name if point.dist else "an unknown distribution"
    # What a shipped driver needs beside itself comes with the extra.
    extra = SHIPPED.get(name)
    again = f'"engine-store[{extra}]"' if distribution == f"engine-store-{extra}" else distribution
    remedy = f"Install it again: pip install --force-reinstall {again}"
    try:
        manager.register(point.load(), name=name)
        manager.check_pending()
        driver: Driver | None = manager.hook.engine_store_driver()
    except Exception as exc:
        reason = f"{type(exc).__name__}: {' '.join(str(exc).split())}"
        raise DriverLoadError(name, distribution, reason, remedy) from exc
    if driver is None:
        reason = f"{point.value} implements no engine_store_driver hook"
        raise DriverLoadError(name, distribution, reason, "Ask its author")
    for plugin in plugins:
        manager.register(plugin)
    manager.check_pending()
    return driver, manager


def is_same_driver(one: str, other: str) -> bool:
    """Whether two names are of one driver, such as `postgres` and the scheme `postgresql`."""
    values = {
        name: {point.value for point in entry_points(group=GROUP) if point.name == name}
        for name in (one, other)
    }
    return one == other or bool(values[one] & values[other])


def driver_settings(name: str) -> type[Any] | None:
    """The class of a driver's settings; None where it does not say. Raises as `load_driver`."""
    _, manager = load_driver(name)
    settings: type[Any] | None = manager.hook.engine_store_settings()
    return settings


@cache
def _entry_point(name: str) -> EntryPoint:
    """Found once: to look through all that is installed is a third of the work of `open`."""
    found = [point for point in entry_points(group=GROUP) if point.name == name]
    if not found:
        extra = SHIPPED.get(name)
        remedy = (
            f'Install it: pip install "engine-store[{extra}]"'
            if extra
            else "Check the URL's scheme, or install the distribution that offers this driver"
        )
        known = installed_drivers()
        close = "" if extra else "".join(get_close_matches(name.lower(), known, n=1))
        remedy = f"Did you mean {close}? {remedy}" if close else remedy
        raise UnknownDriverError(mask_url(name), known, remedy)
    return found[0]
