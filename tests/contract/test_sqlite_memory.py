"""SQLite in memory: one database for the life of a store."""

from collections.abc import Iterator

import pytest

from engine_store_contracts.contract import DriverContract
from engine_store_contracts.harness import Harness, UrlHarness


class TestSqliteMemory(DriverContract):
    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        with UrlHarness("sqlite:///:memory:") as harness:
            yield harness
