"""What a driver's plugin offers: opening stores, and saying what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from attrs import frozen
from pluggy import HookRelay

from engine_store.clock import Clock
from engine_store.config import DatabaseConfig
from engine_store.protocols.asynchronous import AsyncStore
from engine_store.protocols.sync import Store


@frozen
class Capability:
    """Something a driver can or cannot do, and why (contract 9.5).

    The contract suite asks for three, and leaves out what a driver says it cannot do: `reopen`, the
    database outlives its store; `processes`, several processes may open it; `migrations`, it has a
    schema that is migrated. A `reason` is needed where one is not supported.
    """

    name: str
    supported: bool
    reason: str = ""


@frozen
class OpenContext:
    """What a driver gets beside its configuration.

    `hooks` calls whoever listens (see `engine_store.plugins`).
    """

    clock: Clock
    hooks: HookRelay


@frozen
class Place:
    """Which database a store is on, for reports; never a secret.

    `system` is the product as OpenTelemetry's conventions call it, `namespace` the database, from
    the general to the particular with `|` between, such as `engine|public`.
    """

    system: str
    namespace: str | None = None
    address: str | None = None
    port: int | None = None


@runtime_checkable
class Observable(Protocol):
    """A store, of either face, that tells what it is and how it does. No driver has to."""

    @property
    def place(self) -> Place: ...

    def figures(self) -> Mapping[str, int | float | str]:
        """Those in the `details` of its health that change, from memory or a file beside.

        Called from any thread. It asks no server and waits for no lock to write, so that it
        answers where the pool is full. Raises `StoreClosedError`, `UnavailableError`.
        """
        ...


class Driver(Protocol):
    """Opens stores. Both ways to open check before they change anything.

    They raise `ConfigurationError`, `ForeignDatabaseError`, `SchemaError`, `UnavailableError`.
    """

    @property
    def name(self) -> str:
        """What configurations call it."""
        ...

    def capabilities(self, config: DatabaseConfig) -> Mapping[str, Capability]:
        """By name, what it can do with the database of `config`, without opening it.

        What is not named, it can do.
        """
        ...

    def scratch(self, url: str) -> AbstractContextManager[str]:
        """The URL of an empty database of its own beside that of `url`, removed at the end.

        For tests, and for proving the driver: nothing that is there is touched. Raises
        `ConfigurationError` and `UnavailableError`.
        """
        ...

    def open(self, config: DatabaseConfig, context: OpenContext) -> Store:
        """A store, migrated or checked as `config.auto_migrate` says."""
        ...

    async def open_async(self, config: DatabaseConfig, context: OpenContext) -> AsyncStore:
        """The same with the asynchronous face, for the running event loop."""
        ...
