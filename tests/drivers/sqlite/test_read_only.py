"""`read_only` where nothing may be written, and where nothing is to be changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import engine_store
from engine_store import User

READS = """
import sys, engine_store
from engine_store.errors import EngineStoreError
try:
    with engine_store.open(f"sqlite:///{sys.argv[1]}?read_only=true") as store:
        print(*(user.user_id for user in store.users.list().items))
        print(store.health().ok)
except EngineStoreError as error:
    print(error)
"""
AS_NOBODY = """
import os, engine_store
engine_store.open("sqlite:///:memory:").close()  # imports what nobody may read
if os.getuid() == 0:  # whom no permission stops
    os.setgid(65534)
    os.setuid(65534)
"""
MOUNTS = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a database with a user; no store has it open."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with engine_store.open(f"sqlite:///{folder}/engine.db") as store:
        store.users.create(User("ada", "ada@example.org"))
    return folder


@pytest.fixture
def read_mounted() -> Iterator[Callable[[Path], str]]:
    """What a program reads of the database in a folder that is mounted to be read only."""
    as_root = ["unshare", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*as_root, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount a folder")

    def read(folder: Path) -> str:
        program = [sys.executable, "-c", READS, f"{folder}/engine.db"]
        mounted = ["sh", "-c", MOUNTS, "mounts", str(folder), *program]
        ran = subprocess.run([*as_root, *mounted], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    yield read


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_read_only_mount_is_read(folder: Path, read_mounted: Callable[[Path], str]) -> None:
    assert read_mounted(folder) == "ada\nTrue"


def test_what_a_crash_left_in_the_log_is_read(
    folder: Path, tmp_path: Path, read_mounted: Callable[[Path], str]
) -> None:
    crashed = tmp_path / "crashed"
    with engine_store.open(f"sqlite:///{folder}/engine.db") as store:
        store.users.create(User("bob", "bob@example.org"))
        shutil.copytree(folder, crashed)
    before = contents(crashed)
    assert read_mounted(crashed) == "ada bob\nTrue"
    assert contents(crashed) == before
    (crashed / "engine.db-shm").unlink()
    assert read_mounted(crashed).startswith("SQLite: the database file cannot be opened")


@pytest.mark.usefixtures("unmeasured")
def test_a_folder_without_the_right_to_write_is_read(folder: Path) -> None:
    # Not below pytest's own folders: those of root are closed to everybody else.
    place = Path(tempfile.mkdtemp(prefix="engine-store-test-"))
    file = Path(shutil.copy(folder / "engine.db", place))
    file.chmod(0o444)
    place.chmod(0o555)
    program = AS_NOBODY + READS
    try:
        ran = subprocess.run(
            [sys.executable, "-c", program, file], capture_output=True, text=True, check=False
        )
    finally:
        place.chmod(0o755)
        shutil.rmtree(place)
    assert ran.stdout.strip() == "ada\nTrue", ran.stderr


def test_nothing_is_changed_and_nothing_left_behind(folder: Path) -> None:
    before = contents(folder)
    with engine_store.open(f"sqlite:///{folder}/engine.db?read_only=true") as store:
        assert store.users.get("ada").version == 1
    assert contents(folder) == before


def test_a_file_that_is_changed_elsewhere_is_opened_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a mount that is read only here, while the host writes."""
    access = os.access

    def only_read(path: Path, mode: int) -> bool:
        return mode != os.W_OK and access(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "access", only_read)
        with engine_store.open(f"sqlite:///{folder}/engine.db?read_only=true") as reader:
            assert [user.user_id for user in reader.users.list().items] == ["ada"]
            patch.undo()
            with engine_store.open(f"sqlite:///{folder}/engine.db") as store:
                store.users.create(User("bob", "bob@example.org"))
                patch.setattr(os, "access", only_read)
                assert [user.user_id for user in reader.users.list().items] == ["ada", "bob"]
            assert [user.user_id for user in reader.users.list().items] == ["ada", "bob"]


def test_a_reader_waits_for_nobody_who_writes(
    folder: Path, writing: Callable[[Path], AbstractContextManager[Any]]
) -> None:
    with (
        writing(folder / "engine.db"),
        engine_store.open(f"sqlite:///{folder}/engine.db?read_only=true") as store,
    ):
        assert store.users.get("ada").version == 1
