"""The reference store keeps the contract it is the oracle of, also through threads."""

from collections.abc import Iterator

import pytest

from engine_store.clock import Clock, utc_now
from engine_store.protocols import AsyncStore, Store
from engine_store.threads import threaded
from engine_store_contracts.harness import AsyncHarness, Harness
from engine_store_contracts.machine import MachineContract
from engine_store_contracts.reference import ReferenceStore
from engine_store_contracts.suite import (
    AsyncContract,
    SingleWriterContract,
    StoreContract,
    SyncContract,
)


class ReferenceHarness(Harness):
    def open(self, *, clock: Clock = utc_now) -> Store:
        return ReferenceStore(clock)


class ReferenceAsyncHarness(AsyncHarness):
    async def open_async(self, *, clock: Clock = utc_now) -> AsyncStore:
        return threaded(ReferenceStore(clock))


class TestReference(StoreContract, SyncContract, SingleWriterContract):
    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        with ReferenceHarness() as harness:
            yield harness


class TestReferenceAsync(StoreContract, MachineContract, AsyncContract):
    examples = 10

    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        with ReferenceAsyncHarness() as harness:
            yield harness
