"""The contract as pytest classes, to be inherited by a driver's tests.

from engine_store_contracts.suite import StoreContract

class TestMyDriver(StoreContract):
    @pytest.fixture
    def harness(self, tmp_path):
        with MyHarness(tmp_path) as harness:
            yield harness
"""

import pytest

pytest.register_assert_rewrite("engine_store_contracts.suite")

from engine_store_contracts.suite.asynchronous import AsyncContract  # noqa: E402
from engine_store_contracts.suite.contracts import StoreContract  # noqa: E402
from engine_store_contracts.suite.migrations import MigrationContract  # noqa: E402
from engine_store_contracts.suite.processes import ProcessContract  # noqa: E402
from engine_store_contracts.suite.reopening import ReopenContract  # noqa: E402
from engine_store_contracts.suite.synchronous import (  # noqa: E402
    SingleWriterContract,
    SyncContract,
)

__all__ = [
    "AsyncContract",
    "MigrationContract",
    "ProcessContract",
    "ReopenContract",
    "SingleWriterContract",
    "StoreContract",
    "SyncContract",
]
