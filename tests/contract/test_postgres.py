"""PostgreSQL: a schema that the cases share, and one of its own for each case that needs it."""

from functools import partial

import pytest

from engine_store_contracts.contract import DriverContract
from engine_store_contracts.harness import Harness, scratch_harness
from engine_store_contracts.reuse import Reused


class TestPostgres(DriverContract):
    @pytest.fixture
    def harness(self, postgres_url: str, reused: Reused) -> Harness:
        return reused(partial(scratch_harness, postgres_url))
