"""Plugins: objects that listen to what a store does, by pluggy's hooks.

They are passed to `engine_store.open(..., plugins=[...])` and implement any of the hooks here,
marked with `hookimpl`. Operations pay for listeners only if a plugin listens to operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Self, cast

import pluggy

from engine_store.config import Config, DatabaseConfig, Finding
from engine_store.errors import VersionConflictError
from engine_store.migrations import Direction, Migration
from engine_store.protocols import AsyncStore, Store

PROJECT = "engine_store"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The hooks that a plugin may implement, each with any subset of its arguments.

    A plugin need not inherit from this class. If it does, a type checker compares its
    implementations with these signatures; they then take all arguments.
    """

    @hookspec
    def engine_store_check(self, config: Config) -> Iterable[Finding] | None:
        """Return what a start with this configuration would come across.

        Called before anything is opened.
        """

    @hookspec
    def engine_store_configured(self, config: DatabaseConfig) -> None:
        """Called when a validated configuration is about to be opened. Raise to refuse it."""

    @hookspec
    def engine_store_opened(self, driver: str, store: Store | AsyncStore) -> None:
        """Called after a store is opened.

        Keep only a weak reference to it: there is no matching close hook.
        """

    @hookspec
    def engine_store_operation(
        self, driver: str, operation: str
    ) -> AbstractContextManager[object] | None:
        """Return a context manager to run an operation such as `tasks.update` in.

        It is entered before the operation and left after it, with what the operation raises; it
        cannot suppress that.
        """

    @hookspec
    def engine_store_operation_finished(
        self, driver: str, operation: str, seconds: float, error: BaseException | None
    ) -> None:
        """Called after an operation; `error` is what it raised."""

    @hookspec
    def engine_store_conflict(
        self, driver: str, operation: str, conflict: VersionConflictError
    ) -> None:
        """Called for each lost compare-and-set, also for those that `modify` retries."""

    @hookspec
    def engine_store_retried(self, driver: str, operation: str) -> None:
        """Called when an operation lost to concurrent ones, before it waits and is retried."""

    @hookspec
    def engine_store_migration_applied(
        self, driver: str, migration: Migration, direction: Direction
    ) -> None:
        """Called after a migration step is committed."""


_OF_OPERATIONS = (
    "engine_store_operation",
    "engine_store_operation_finished",
    "engine_store_conflict",
    "engine_store_retried",
)


class Plugins:
    """The plugins of one store."""

    def __init__(self, plugins: Iterable[object] = ()) -> None:
        """Register `plugins`. Raises pluggy's errors for hooks that do not exist."""
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        for plugin in plugins:
            self._manager.register(plugin)
        self._manager.check_pending()
        self.hook = cast("Hooks", self._manager.hook)
        """Calls a hook of every plugin; its arguments go by name."""

    @classmethod
    def of(cls, plugins: Iterable[object]) -> Self:
        """Return `plugins` registered; they may be already."""
        return plugins if isinstance(plugins, cls) else cls(plugins)

    def __iter__(self) -> Iterator[object]:
        """Iterate over the plugins: they stand for themselves where plugins are asked for."""
        return iter(self._manager.get_plugins())

    @property
    def observe_operations(self) -> bool:
        """True if any of them implements a hook of operations."""
        return any(getattr(self._manager.hook, name).get_hookimpls() for name in _OF_OPERATIONS)

    @cached_property
    def wrap_operations(self) -> bool:
        """True if any of them has context managers to run operations in."""
        return bool(self._manager.hook.engine_store_operation.get_hookimpls())

    def check(self, config: Config) -> Iterator[Finding]:
        """Yield what they find in a configuration."""
        for found in self._manager.hook.engine_store_check(config=config):
            yield from found

    def operation(self, driver: str, operation: str) -> list[AbstractContextManager[object]]:
        """Return the context managers to run an operation in."""
        managers: list[AbstractContextManager[object]] = self._manager.hook.engine_store_operation(
            driver=driver, operation=operation
        )
        return managers

    def migration_applied(self, driver: str, migration: Migration, direction: Direction) -> None:
        """Tell them that a migration step is committed, as `protocols.Listeners`."""
        self.hook.engine_store_migration_applied(
            driver=driver, migration=migration, direction=direction
        )
