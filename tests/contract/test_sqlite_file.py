"""SQLite on a file, with both faces."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

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


class SqliteFileHarness(UrlHarness):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "engine.db"
        super().__init__(f"sqlite:///{self.path}")

    def check(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


class TestSqliteFile(
    StoreContract,
    MachineContract,
    ReopenContract,
    MigrationContract,
    SyncContract,
    ProcessContract,
):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        with SqliteFileHarness(tmp_path) as harness:
            yield harness


class TestSqliteFileAsync(
    StoreContract, MachineContract, ReopenContract, MigrationContract, AsyncContract
):
    examples = 20

    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        with AsyncUrlHarness(f"sqlite:///{tmp_path}/engine.db") as harness:
            yield harness
