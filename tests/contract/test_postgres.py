"""PostgreSQL, with both faces: a schema of its own for each case."""

from collections.abc import Iterator

import pytest

import engine_store
from engine_store.clock import Clock, utc_now
from engine_store.protocols import AsyncStore, Store
from engine_store_contracts.harness import AsyncHarness, Harness
from engine_store_contracts.machine import MachineContract
from engine_store_contracts.suite import (
    AsyncContract,
    MigrationContract,
    ProcessContract,
    ReopenContract,
    StoreContract,
    SyncContract,
)


class PostgresHarness(Harness):
    def __init__(self, url: str) -> None:
        self.url: str = url

    def open(self, *, clock: Clock = utc_now) -> Store:
        return engine_store.open(self.url, clock=clock)


class PostgresAsyncHarness(AsyncHarness):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.url: str = url

    async def open_async(self, *, clock: Clock = utc_now) -> AsyncStore:
        return await engine_store.open_async(self.url, clock=clock)


class TestPostgres(
    StoreContract,
    MachineContract,
    ReopenContract,
    MigrationContract,
    SyncContract,
    ProcessContract,
):
    processes = 16

    @pytest.fixture
    def harness(self, postgres_store_url: str) -> Iterator[Harness]:
        with PostgresHarness(postgres_store_url) as harness:
            yield harness


class TestPostgresAsync(
    StoreContract, MachineContract, ReopenContract, MigrationContract, AsyncContract
):
    examples = 20

    @pytest.fixture
    def harness(self, postgres_store_url: str) -> Iterator[Harness]:
        with PostgresAsyncHarness(postgres_store_url) as harness:
            yield harness
