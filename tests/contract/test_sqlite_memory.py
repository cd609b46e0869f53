"""SQLite in memory, with both faces: one database for the life of a store."""

from collections.abc import Iterator

import pytest

import engine_store
from engine_store.clock import Clock, utc_now
from engine_store.protocols import AsyncStore, Store
from engine_store_contracts.harness import AsyncHarness, Harness
from engine_store_contracts.machine import MachineContract
from engine_store_contracts.suite import AsyncContract, StoreContract, SyncContract


class SqliteMemoryHarness(Harness):
    def open(self, *, clock: Clock = utc_now) -> Store:
        return engine_store.open("sqlite:///:memory:", clock=clock)


class SqliteMemoryAsyncHarness(AsyncHarness):
    async def open_async(self, *, clock: Clock = utc_now) -> AsyncStore:
        return await engine_store.open_async("sqlite:///:memory:", clock=clock)


class TestSqliteMemory(StoreContract, MachineContract, SyncContract):
    examples = 40

    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        with SqliteMemoryHarness() as harness:
            yield harness


class TestSqliteMemoryAsync(StoreContract, MachineContract, AsyncContract):
    examples = 10

    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        with SqliteMemoryAsyncHarness() as harness:
            yield harness
