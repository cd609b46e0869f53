"""The memory driver, which is also what the random calls of the suite are compared with."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from engine_store_contracts.contract import DriverContract
from engine_store_contracts.harness import Harness, UrlHarness


class TestMemory(DriverContract):
    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        with UrlHarness(f"memory://{uuid4().hex}") as harness:
            yield harness
