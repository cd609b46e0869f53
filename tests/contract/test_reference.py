"""The reference store keeps the contract it is the oracle of, also through threads."""

from collections.abc import Iterator, Mapping

import pytest

from engine_store.clock import Clock, utc_now
from engine_store.protocols import AsyncStore, Capability, Store
from engine_store.threads import threaded
from engine_store_contracts.contract import DriverContract
from engine_store_contracts.harness import Harness
from engine_store_contracts.reference import ReferenceStore


class ReferenceHarness(Harness):
    def open(self, *, clock: Clock = utc_now) -> Store:
        return ReferenceStore(clock)

    async def open_async(self, *, clock: Clock = utc_now) -> AsyncStore:
        return threaded(ReferenceStore(clock))

    def capabilities(self) -> Mapping[str, Capability]:
        return {
            name: Capability(name, False, "it is an oracle, in memory and without a schema")
            for name in ("reopen", "processes", "migrations")
        }


class TestReference(DriverContract):
    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        with ReferenceHarness() as harness:
            yield harness
