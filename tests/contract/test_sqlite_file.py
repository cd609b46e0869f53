"""SQLite on a file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine_store_contracts.contract import DriverContract
from engine_store_contracts.harness import Harness, UrlHarness


class SqliteFileHarness(UrlHarness):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "engine.db"
        super().__init__(f"sqlite:///{self.path}")

    def check(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


class TestSqliteFile(DriverContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        with SqliteFileHarness(tmp_path) as harness:
            yield harness
