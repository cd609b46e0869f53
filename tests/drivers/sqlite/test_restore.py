"""Restoring a backup: the database is the old one or the new one, whatever happens in between."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import engine_store
from engine_store import DatabaseConfig, User
from engine_store.errors import (
    ConfigurationError,
    EngineStoreError,
    ForeignDatabaseError,
    ReadOnlyError,
    SchemaAheadError,
    UnavailableError,
)
from engine_store_sqlite.driver import DRIVER

Contents = dict[str, bytes]


def quiet(done: int, total: int) -> None:
    """Progress that nobody looks at."""


def restore(source: Path, path: Path) -> int:
    return DRIVER.restore(DatabaseConfig(f"sqlite:///{path}"), source, quiet)


def users(path: Path) -> list[str]:
    with engine_store.open(f"sqlite:///{path}?read_only=true") as store:
        return [user.user_id for user in store.users.list().items]


def fill(path: Path, *names: str) -> None:
    with engine_store.open(f"sqlite:///{path}") as store:
        for name in names:
            store.users.create(User(name, f"{name}@example.org"))


def contents(folder: Path) -> Contents:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A backup with one user."""
    source = tmp_path / "backup.db"
    fill(tmp_path / "of.db", "new")
    DRIVER.backup(DatabaseConfig(f"sqlite:///{tmp_path}/of.db"), source, quiet)
    return source


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with another user, alone in its folder."""
    path = tmp_path / "folder" / "engine.db"
    path.parent.mkdir()
    fill(path, "old")
    return path


def refused(expected: type[EngineStoreError], source: Path, path: Path) -> EngineStoreError:
    """Restore, which must be refused and leave everything as it was."""
    before = contents(path.parent)
    with pytest.raises(expected) as caught:
        restore(source, path)
    assert contents(path.parent) == before
    return caught.value


def test_the_backup_replaces_the_database_and_stays(source: Path, path: Path) -> None:
    path.chmod(0o640)
    backup = source.read_bytes()
    assert restore(source, path) == path.stat().st_size
    assert users(path) == ["new"]
    assert [file.name for file in path.parent.iterdir()] == ["engine.db"]
    assert path.stat().st_mode & 0o777 == 0o640
    assert source.read_bytes() == backup


def test_the_log_goes_with_the_database(source: Path, path: Path, tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    with engine_store.open(f"sqlite:///{path}") as store:
        store.users.create(User("late", "late@example.org"))
        shutil.copytree(path.parent, crashed)
    assert (crashed / "engine.db-wal").stat().st_size
    restore(source, crashed / "engine.db")
    assert users(crashed / "engine.db") == ["new"]


def test_a_database_is_made_where_there_is_none(source: Path, path: Path) -> None:
    path.unlink()
    path.with_name("engine.db-wal").write_bytes(b"of a database that was deleted")
    restore(source, path)
    assert [file.name for file in path.parent.iterdir()] == ["engine.db"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert users(path) == ["new"]


@pytest.fixture
def crashed(path: Path, tmp_path: Path) -> Path:
    """The folder of a store that ended without closing: its last user is in the log alone."""
    crashed = tmp_path / "crashed"
    with engine_store.open(f"sqlite:///{path}") as store:
        store.users.create(User("late", "late@example.org"))
        shutil.copytree(path.parent, crashed)
    return crashed


@pytest.mark.parametrize("damage", ["cut off", "zeros", "empty", "header"])
def test_a_damaged_database_is_replaced_with_its_log(
    damage: str, source: Path, crashed: Path
) -> None:
    path = crashed / "engine.db"
    data = path.read_bytes()
    path.write_bytes(
        {
            "cut off": data[: len(data) // 2],
            "zeros": data[:4096] + bytes(len(data) - 4096),
            "empty": b"",
            "header": data[:18] + b"\xff" * 90 + data[108:],
        }[damage]
    )
    restore(source, path)
    assert [file.name for file in crashed.iterdir()] == ["engine.db"]
    assert users(path) == ["new"]


def test_a_rename_that_fails_leaves_a_damaged_database_with_its_log(
    source: Path, crashed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = crashed / "engine.db"
    path.write_bytes(path.read_bytes()[:18] + b"\xff" * 90)
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target == path:
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    error = refused(ConfigurationError, source, path)
    assert str(error) == f"url: {path} cannot be used: Input/output error"


def test_it_is_refused_while_this_process_has_it_open(source: Path, path: Path) -> None:
    with engine_store.open(f"sqlite:///{path}") as store:
        before = contents(path.parent)
        with pytest.raises(UnavailableError) as caught:
            restore(source, path)
        assert caught.value.retriable
        assert contents(path.parent) == before
        store.users.create(User("goes on", "goes-on@example.org"))
    with engine_store.open(f"sqlite:///{path}?read_only=true"):
        refused(UnavailableError, source, path)
    restore(source, path)


@pytest.mark.parametrize("settings", ["", "?read_only=true"])
@pytest.mark.parametrize("is_damaged", [False, True])
def test_it_is_refused_while_another_process_has_it_open(
    settings: str, is_damaged: bool, source: Path, path: Path, start: Callable[..., Any]
) -> None:
    program = """
        import sys, engine_store
        store = engine_store.open(sys.argv[1])
        store.users.list()
        print("open", flush=True)
        sys.stdin.readline()
    """
    with start(program, f"sqlite:///{path}{settings}", measured=False) as process:
        assert process.says() == "open"
        if is_damaged:
            with path.open("r+b") as file:
                file.seek(18)
                file.write(b"\xff" * 90)
        refused(UnavailableError, source, path)
        process.kill()
    restore(source, path)
    assert users(path) == ["new"]


def test_it_is_refused_while_somebody_writes(
    source: Path, path: Path, writing: Callable[[Path], AbstractContextManager[Any]]
) -> None:
    with writing(path):
        refused(UnavailableError, source, path)


def test_a_damaged_backup_is_refused(source: Path, path: Path) -> None:
    with sqlite3.connect(source) as connection:
        roots = connection.execute("SELECT rootpage FROM sqlite_schema WHERE type = 'index'")
        (root,) = roots.fetchone()
    connection.close()
    data = bytearray(source.read_bytes())
    data[(root - 1) * 4096 : (root - 1) * 4096 + 40] = b"\xff" * 40
    source.write_bytes(data)
    with pytest.raises((ForeignDatabaseError, UnavailableError)):
        restore(source, path)
    assert users(path) == ["old"]
    assert [file.name for file in path.parent.iterdir()] == ["engine.db"]


def test_what_is_no_backup_of_ours_is_refused(source: Path, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    text = tmp_path / "text.db"
    text.write_text("no database at all")
    empty = tmp_path / "empty.db"
    empty.touch()
    for file in (other, text, empty):
        refused(ForeignDatabaseError, file, path)
    for wrong in (tmp_path / "none.db", tmp_path, path):
        refused(ConfigurationError, wrong, path)


def test_a_backup_of_a_newer_version_is_refused(source: Path, path: Path) -> None:
    with sqlite3.connect(source) as connection:
        connection.execute("INSERT INTO engine_store_migrations VALUES (99, 'x', 'y', 'z')")
        connection.execute(
            "UPDATE engine_store_migrations SET applied_at = '2026-01-31T12:00:00.000000+00:00'"
        )
    connection.close()
    refused(SchemaAheadError, source, path)


@pytest.mark.parametrize("what", ["text", "another program's"])
def test_what_is_no_database_of_ours_is_not_replaced(what: str, source: Path, path: Path) -> None:
    path.unlink()
    if what == "text":
        path.write_text("my notes" * 1000)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE mine (a)")
        connection.close()
    refused(ForeignDatabaseError, source, path)


def test_a_place_that_is_none_is_refused(source: Path) -> None:
    for url, error in (
        ("sqlite:///:memory:", ConfigurationError),
        (f"sqlite:///{source.parent}/none/engine.db", ConfigurationError),
        (f"sqlite:///{source.parent}/engine.db?read_only=true", ReadOnlyError),
    ):
        with pytest.raises(error):
            DRIVER.restore(DatabaseConfig(url), source, quiet)


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from engine_store import DatabaseConfig
from engine_store_sqlite import backup, files, restore
from engine_store_sqlite.driver import DRIVER

source, folder, work = map(Path, sys.argv[1:])
OURS = {module.__file__ for module in (backup, files, restore)}
config = DatabaseConfig(f"sqlite:///{work}/engine.db")

def child(last):
    seen = 0
    def line(frame, event, argument):
        nonlocal seen
        if event == "line":
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)
        return line
    sys.settrace(lambda frame, *_: line if frame.f_code.co_filename in OURS else None)
    DRIVER.restore(config, source, lambda *_: None)
    os._exit(0)

step, status = 0, -1
while status != 0:
    step += 1
    shutil.copytree(folder, work)
    pid = os.fork()
    if not pid:
        child(step)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL), status
    print(step, status, flush=True)
    sys.stdin.readline()
    shutil.rmtree(work)
"""


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_kill_at_any_line_leaves_the_old_database_or_the_new_one(
    is_damaged: bool, source: Path, path: Path, tmp_path: Path, start: Callable[..., Any]
) -> None:
    crashed, work = tmp_path / "crashed", tmp_path / "work"
    with engine_store.open(f"sqlite:///{path}") as store:
        store.users.create(User("late", "late@example.org"))
        shutil.copytree(path.parent, crashed)  # with a log that has the second user
    if is_damaged:
        with (crashed / "engine.db").open("r+b") as file:
            file.seek(18)
            file.write(b"\xff" * 90)
    found = []
    with start(KILLED, source, crashed, work, measured=False) as process:
        status = -1
        while status:
            _, status = map(int, process.says().split())
            try:
                found.append(tuple(users(work / "engine.db")))
            except (ForeignDatabaseError, UnavailableError):
                assert is_damaged
                found.append(("damaged",))
            if found[-1] != ("new",):  # and it can be restored again
                restore(source, work / "engine.db")
                assert users(work / "engine.db") == ["new"]
                assert [file.name for file in work.iterdir()] == ["engine.db"]
            process.tell()
        process.wait()
    old = ("damaged",) if is_damaged else ("late", "old")
    assert {tuple(sorted(each)) for each in found} == {old, ("new",)}
    assert found == sorted(found, key=lambda each: each == ("new",))  # first the old, then the new
    assert len(found) > 50
