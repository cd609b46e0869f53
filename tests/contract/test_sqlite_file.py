"""SQLite on a file, with both faces."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import engine_store
from engine_store.clock import Clock, utc_now
from engine_store.protocols import AsyncStore, Store
from engine_store_contracts.harness import AsyncHarness, Harness
from engine_store_contracts.machine import MachineContract
from engine_store_contracts.suite import (
    AsyncContract,
    MigrationContract,
    ProcessContract,
    ReopenContract,
    StoreContract,
    SyncContract,
)


class SqliteFileHarness(Harness):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "engine.db"
        self.url = f"sqlite:///{self.path}"

    def open(self, *, clock: Clock = utc_now) -> Store:
        return engine_store.open(self.url, clock=clock)

    def check(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


class SqliteFileAsyncHarness(AsyncHarness):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.url = f"sqlite:///{folder}/engine.db"

    async def open_async(self, *, clock: Clock = utc_now) -> AsyncStore:
        return await engine_store.open_async(self.url, clock=clock)


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
        with SqliteFileAsyncHarness(tmp_path) as harness:
            yield harness
