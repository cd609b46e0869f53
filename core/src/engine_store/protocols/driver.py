"""Drivers: what each one has, what one may have besides, and what it gets to open a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from attrs import frozen

from engine_store.clock import Clock
from engine_store.config import Config, DatabaseConfig, Finding
from engine_store.migrations import Direction, Migration
from engine_store.protocols.asynchronous import AsyncStore
from engine_store.protocols.sync import Store
from engine_store.values import MAX_DOCUMENT_BYTES


@frozen
class Capability:
    """Something a driver can or cannot do, and why (contract 9.5).

    The contract suite asks for four, and leaves out what a driver says it cannot do: `reopen`, the
    database outlives its store; `processes`, several processes may open it; `history`, it appends
    an event for each change of a status if it is asked to; `migrations`, it has a
    schema that is migrated. A `reason` is needed where one is not supported.
    """

    name: str
    supported: bool
    reason: str = ""


class Listeners(Protocol):
    """The listeners of a store that is being opened."""

    def migration_applied(self, driver: str, migration: Migration, direction: Direction) -> None:
        """Tell them that the driver of this name committed a step of the schema."""


@frozen
class OpenContext:
    """The clock, the listeners and the limit of a store, for its driver.

    `max_document_bytes` limits what is written (contract 1.7), whichever driver writes it.
    """

    clock: Clock
    listeners: Listeners
    max_document_bytes: int = MAX_DOCUMENT_BYTES


@frozen
class Endpoint:
    """The database of a store, for reports; never a secret.

    `system` is the product as OpenTelemetry's conventions call it, `namespace` the database, from
    the general to the particular with `|` between, such as `engine|public`.
    """

    system: str
    namespace: str | None = None
    address: str | None = None
    port: int | None = None


@runtime_checkable
class Observable(Protocol):
    """A store, synchronous or asynchronous, with an endpoint and statistics. Optional."""

    @property
    def endpoint(self) -> Endpoint: ...

    def stats(self) -> Mapping[str, int | float | str]:
        """Return the `details` of its health that change, from memory or a file's size.

        Called from any thread. Asks no server and waits for no lock to write, so that it answers
        while the pool is full. Raises `StoreClosedError`, `UnavailableError`.
        """


@runtime_checkable
class Driver(Protocol):
    """An object that opens stores. The entry point of a driver names it.

    Both ways to open check before they change anything. They raise `ConfigurationError`,
    `ForeignDatabaseError`, `SchemaError`, `UnavailableError`. A driver may also be `Configurable`,
    `Checkable`, `BackupCapable` and `RestoreCapable`: an attribute or a method each, found by
    `isinstance`.
    """

    @property
    def name(self) -> str:
        """The name in configurations and reports."""

    def capabilities(self, config: DatabaseConfig) -> Mapping[str, Capability]:
        """Return, by name, what it can do with the database of `config`, without opening it.

        What is not named, it can do.
        """

    def scratch(self, url: str) -> AbstractContextManager[str]:
        """Make an empty database next to that of `url`, yield its URL, and remove it at the end.

        For tests, and for proving the driver: nothing that is there is touched. Raises
        `ConfigurationError` and `UnavailableError`.
        """

    def open(self, config: DatabaseConfig, context: OpenContext) -> Store:
        """Open a store, migrated or checked as `config.auto_migrate` says."""

    async def open_async(self, config: DatabaseConfig, context: OpenContext) -> AsyncStore:
        """Open an asynchronous store, for the running event loop."""


@runtime_checkable
class Configurable(Protocol):
    """A driver that describes its settings.

    They are then checked with the rest of a configuration, and described in its schema.
    """

    @property
    def settings(self) -> type[Any]:
        """The attrs class of the settings, made of `engine_store.config.setting`.

        `DatabaseConfig.settings` gives an instance of it.
        """


@runtime_checkable
class Checkable(Protocol):
    """A driver with rules for configurations."""

    def check(self, config: Config) -> Iterable[Finding]:
        """Return what a start with `config` would come across; nothing is opened yet.

        Raises `ConfigurationError` for settings that it cannot use.
        """


@runtime_checkable
class BackupCapable(Protocol):
    """A driver that copies its databases, or names the tool that does."""

    def backup(
        self, config: DatabaseConfig, target: Path, progress: Callable[[int, int], None]
    ) -> int:
        """Copy the database into the new file `target` while it is in use; return its size.

        `progress` gets what is done and the total, in the driver's own unit. Raises
        `ConfigurationError` with the name of the right tool if that is not this driver.
        """


@runtime_checkable
class RestoreCapable(Protocol):
    """A driver that replaces its databases by backups, or names the tool that does."""

    def restore(
        self, config: DatabaseConfig, source: Path, progress: Callable[[int, int], None]
    ) -> int:
        """Replace the database by the backup in `source`, which stays; return its size.

        The backup is checked first. `progress` is that of `BackupCapable`. Raises
        `UnavailableError` while anybody has the database open, and `ConfigurationError` with the
        name of the right tool if that is not this driver. After any error, and after a kill at any
        moment, the database is the old one or the new one.
        """
