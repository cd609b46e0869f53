"""What a driver's plugin offers: opening a store from a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from attrs import frozen
from pluggy import HookRelay

from engine_store.clock import Clock
from engine_store.config import DatabaseConfig
from engine_store.protocols.asynchronous import AsyncStore
from engine_store.protocols.sync import Store


@frozen
class Capability:
    """Something a driver can or cannot do, and why (contract 9.5)."""

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


class Driver(Protocol):
    """Opens stores. Both ways to open check before they change anything.

    They raise `ConfigurationError`, `ForeignDatabaseError`, `SchemaError`, `UnavailableError`.
    """

    @property
    def name(self) -> str:
        """What configurations call it."""
        ...

    @property
    def capabilities(self) -> Mapping[str, Capability]:
        """By name, what it declares about itself."""
        ...

    def open(self, config: DatabaseConfig, context: OpenContext) -> Store:
        """A store, migrated or checked as `config.auto_migrate` says."""
        ...

    async def open_async(self, config: DatabaseConfig, context: OpenContext) -> AsyncStore:
        """The same with the asynchronous face, for the running event loop."""
        ...
