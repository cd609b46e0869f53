"""MariaDB, by the example of a driver: a database that the cases share, as PostgreSQL's."""

from functools import partial

import pytest

from engine_store_contracts.contract import DriverContract
from engine_store_contracts.harness import Harness, scratch_harness
from engine_store_contracts.reuse import Reused


class TestMariadb(DriverContract):
    @pytest.fixture
    def harness(self, mariadb_url: str, reused: Reused) -> Harness:
        return reused(partial(scratch_harness, mariadb_url))
