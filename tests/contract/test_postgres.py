"""PostgreSQL, with both faces: a schema of its own for each case."""

from collections.abc import Iterator

import pytest

from engine_store_contracts.harness import AsyncUrlHarness, Harness, UrlHarness
from engine_store_contracts.machine import MachineContract
from engine_store_contracts.suite import (
    AsyncContract,
    MigrationContract,
    ProcessContract,
    ReopenContract,
    StoreContract,
    SyncContract,
)


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
        with UrlHarness(postgres_store_url) as harness:
            yield harness


class TestPostgresAsync(
    StoreContract, MachineContract, ReopenContract, MigrationContract, AsyncContract
):
    examples = 20

    @pytest.fixture
    def harness(self, postgres_store_url: str) -> Iterator[Harness]:
        with AsyncUrlHarness(postgres_store_url) as harness:
            yield harness
