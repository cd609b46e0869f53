"""PostgreSQL: a schema of its own for each case."""

from collections.abc import Iterator

import pytest

from engine_store_contracts.contract import DriverContract
from engine_store_contracts.harness import Harness, UrlHarness


class TestPostgres(DriverContract):
    @pytest.fixture
    def harness(self, postgres_store_url: str) -> Iterator[Harness]:
        with UrlHarness(postgres_store_url) as harness:
            yield harness
