"""Copying a database while it is in use: one snapshot, private, and nothing left of a failure."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import engine_store
from engine_store import DatabaseConfig, User
from engine_store.errors import ConfigurationError, ForeignDatabaseError
from engine_store_sqlite import backup as module
from engine_store_sqlite.backup import backup
from engine_store_sqlite.driver import DRIVER


def config(path: Path) -> DatabaseConfig:
    return DatabaseConfig(f"sqlite:///{path}")


def quiet(done: int, total: int) -> None:
    """Progress that nobody looks at."""


def test_a_copy_is_one_snapshot_and_ends_although_others_write_on(
    path: Path, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGES", 1)
    store.users.create(User("before", "before@example.org"))
    steps: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        steps.append((done, total))
        store.users.create(User(f"during-{len(steps)}", f"{len(steps)}@example.org"))

    copy = tmp_path / "copy.db"
    assert backup(config(path), copy, progress) == copy.stat().st_size
    pages = steps[0][1]
    assert steps == [(done, pages) for done in range(1, pages + 1)]
    with engine_store.open(f"sqlite:///{copy}") as copied:
        assert [user.user_id for user in copied.users.list().items] == ["before"]
    assert len(store.users.list(limit=1000).items) == pages + 1


def test_a_copy_is_private_and_leaves_no_other_file(store: Any, path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    backup(config(path), folder / "copy.db", quiet)
    [copy] = folder.iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("there", [True, False])
def test_a_target_that_cannot_be_made_is_refused(
    there: bool, store: Any, path: Path, tmp_path: Path
) -> None:
    target = tmp_path / "taken.db" if there else tmp_path / "nowhere" / "copy.db"
    if there:
        target.write_text("mine")
    with pytest.raises(ConfigurationError) as caught:
        backup(config(path), target, quiet)
    assert caught.value.field == "target"
    assert not there or target.read_text() == "mine"


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite:///none.db"])
def test_where_there_is_no_file_there_is_nothing_to_copy(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        backup(DatabaseConfig(url), tmp_path / "copy.db", quiet)
    assert caught.value.field == "database.path"
    assert caught.value.reason.startswith("there is no file to copy: ")
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_is_interrupted_is_gone(store: Any, path: Path, tmp_path: Path) -> None:
    def progress(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(config(path), tmp_path / "copy.db", progress)
    assert not list(tmp_path.glob("copy.db*"))


def test_a_copy_that_is_damaged_is_gone(path: Path, tmp_path: Path) -> None:
    with engine_store.open(config(path)) as store:
        for number in range(200):
            store.users.create(User(f"u{number}", f"{number}@example.org"))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'users' LIMIT 1"
        ).fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096 + 8)
        file.write(b"\xff" * 2000)
    with pytest.raises(ForeignDatabaseError):
        backup(config(path), tmp_path / "copy.db", quiet)
    assert not list(tmp_path.glob("copy.db*"))


def test_the_driver_copies_nothing_that_is_not_ours(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    with pytest.raises(ForeignDatabaseError):
        DRIVER.backup(config(foreign), tmp_path / "copy.db", quiet)
    assert list(tmp_path.iterdir()) == [foreign]
