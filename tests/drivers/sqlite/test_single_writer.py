"""One writer at a time: who waits for itself is told so at once, and who waits for another waits.

Beside the contract, which promises it of no database: on PostgreSQL both would write.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_store_contracts.harness import Harness, UrlHarness
from engine_store_contracts.suite import SingleWriterContract


class TestSqliteFile(SingleWriterContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        with UrlHarness(f"sqlite:///{tmp_path}/engine.db") as harness:
            yield harness


class TestSqliteMemory(SingleWriterContract):
    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        with UrlHarness("sqlite:///:memory:") as harness:
            yield harness
