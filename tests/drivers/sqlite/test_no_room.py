"""Disks without room, by real ones: the database's, a backup's, and the temporary folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

MOUNT = 'size=$1; place=$2; shift 2; mount -t tmpfs -o size=$size none "$place" && exec "$@"'


@pytest.fixture
def on_a_disk_of(tmp_path: Path) -> Callable[..., str]:
    """What a program prints that has a small disk, whose folder is its first argument."""
    as_root = ["unshare", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*as_root, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    place = tmp_path / "disk"
    place.mkdir()

    def run(size: str, program: str, *arguments: object, **environment: str) -> str:
        python = [sys.executable, "-c", textwrap.dedent(program), place, *arguments]
        mounted = ["sh", "-c", MOUNT, "mount", size, place, *python]
        ran = subprocess.run(
            ["env", *(f"{name}={value}" for name, value in environment.items()), *as_root]
            + [str(each) for each in mounted],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    return run


FILL = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
import engine_store
from engine_store import Status, WorkflowState
from engine_store.errors import EngineStoreError
from engine_store.models import TaskState

disk = Path(sys.argv[1])

def fill(store, most):
    for n in range(most):
        with store.transaction() as tx:
            tx.workflows.create(WorkflowState(f"w{n}", "f", Status.SUCCESS))
            for t in range(20):
                data = {"text": os.urandom(1000).hex()}
                state = TaskState(f"w{n}", f"{n}-{t}", "t", "f", input=data)
                tx.tasks.create(state, allow_ended=True)
"""


@pytest.mark.usefixtures("unmeasured")
def test_with_the_room_that_is_asked_for_purge_makes_room(
    on_a_disk_of: Callable[..., str],
) -> None:
    program = """
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(20_000_000))
    url = f"sqlite:///{disk}/engine.db?synchronous=off"
    def purge():
        with engine_store.open(url) as store:
            store.workflows.purge(datetime(9999, 1, 1, tzinfo=UTC))
            return store.workflows.list().items
    try:
        with engine_store.open(url) as store:
            fill(store, 10_000)
    except EngineStoreError as error:
        print(error)
    try:
        purge()
    except EngineStoreError as error:
        print(error)
    ballast.unlink()
    print(purge())
    with engine_store.open(url) as store:
        fill(store, 100)
    """
    full = (
        "SQLite: the disk is full; free some 20 MB of it, with which `engine-store workflows "
        "purge` can make room inside of the file"
    )
    said = on_a_disk_of("70m", FILL + textwrap.dedent(program)).splitlines()
    assert said == [full, full, "()"]


@pytest.mark.usefixtures("unmeasured")
def test_a_backup_without_room_says_where_and_leaves_nothing(
    on_a_disk_of: Callable[..., str], tmp_path: Path
) -> None:
    program = """
    from engine_store import DatabaseConfig
    from engine_store_sqlite.driver import DRIVER
    config = DatabaseConfig(f"sqlite:///{sys.argv[2]}/engine.db")
    with engine_store.open(config) as store:
        fill(store, 40)
    try:
        DRIVER.backup(config, disk / "copy.db", lambda *_: None)
    except EngineStoreError as error:
        print(error)
    print(os.listdir(disk))
    """
    said = on_a_disk_of("1m", FILL + textwrap.dedent(program), tmp_path).splitlines()
    assert said == [
        f"SQLite: there is no room for {tmp_path}/disk/copy.db; a copy takes as much as the "
        "database",
        "[]",
    ]


@pytest.mark.usefixtures("unmeasured")
def test_a_full_temporary_folder_keeps_nobody_from_reading_writing_and_migrating(
    on_a_disk_of: Callable[..., str], tmp_path: Path
) -> None:
    program = """
    try:
        with open(disk / "ballast", "wb") as ballast:
            while ballast.write(bytes(1000)):
                ballast.flush()
    except OSError as error:
        print(error.strerror)
    with engine_store.open(f"sqlite:///{sys.argv[2]}/engine.db?synchronous=off") as store:
        with store.transaction() as tx:
            tx.workflows.create(WorkflowState("large", "f"))
            for t in range(4000):
                data = {"text": os.urandom(1000).hex()}
                with tx.transaction() as inner:
                    parent = f"t-{t // 2}" if t else None
                    state = TaskState("large", f"t-{t}", "t", "f", parent_state_id=parent)
                    inner.tasks.create(state.evolve(input=data))
                    inner.tasks.update(state.evolve(input=data, version=1))
        print(len(store.tasks.tree("t-0")), len(store.tasks.in_workflow("large")))
        store.migrator.down(3)
        store.migrator.up()
        store.migrator.verify()
        store.workflows.delete("large")
    """
    folder = tmp_path / "disk"
    said = on_a_disk_of("1m", FILL + textwrap.dedent(program), tmp_path, SQLITE_TMPDIR=str(folder))
    assert said.splitlines() == ["No space left on device", "4000 1"]
