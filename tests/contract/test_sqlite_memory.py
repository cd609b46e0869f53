"""SQLite in memory: one database for the life of a store. Its stores are observed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest

import engine_store
from engine_store.clock import Clock, utc_now
from engine_store.plugins import hookimpl
from engine_store.protocols import AsyncStore, Store
from engine_store_contracts.contract import DriverContract
from engine_store_contracts.harness import Harness, UrlHarness


class Observer:
    """A plugin for whose sake every operation is observed."""

    @hookimpl
    def engine_store_operation(self) -> AbstractContextManager[None]:
        return nullcontext()


class ObservedHarness(UrlHarness):
    """Opens stores as `UrlHarness` does, with operations that a plugin listens to."""

    def open(self, *, clock: Clock = utc_now) -> Store:
        return engine_store.open(self.url, clock=clock, plugins=[Observer()])

    async def open_async(self, *, clock: Clock = utc_now) -> AsyncStore:
        return await engine_store.open_async(self.url, clock=clock, plugins=[Observer()])


class TestSqliteMemory(DriverContract):
    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        with ObservedHarness("sqlite:///:memory:") as harness:
            yield harness
