"""A file that is deleted, moved or replaced while it is open: nothing goes into it any more."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import engine_store
from engine_store.errors import ConfigurationError, NotFoundError, UnavailableError
from engine_store_contracts.suite.samples import workflow


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def delete(path: Path) -> None:
    path.unlink()


def delete_all(path: Path) -> None:
    for file in path.parent.glob("engine.db*"):
        file.unlink()


def delete_the_log(path: Path) -> None:
    log_of(path).unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def move_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)


def make_anew(path: Path) -> None:
    """As a next process, after somebody has tidied up."""
    delete_all(path)
    engine_store.open(f"sqlite:///{path}").close()


CHANGES = [delete, delete_all, delete_the_log, move, move_the_folder, replace, make_anew]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database in a folder of its own."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "engine.db"


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_nothing_is_acknowledged_any_more(
    store: Any, path: Path, change: Callable[[Path], None]
) -> None:
    store.workflows.create(workflow("before"))
    change(path)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="was deleted, moved or replaced") as caught:
            store.workflows.create(workflow("after"))
        assert not caught.value.retriable
    with pytest.raises(UnavailableError), store.transaction() as tx:
        tx.workflows.create(workflow("after"))
    with pytest.raises(NotFoundError):
        store.workflows.get("after")
    health = store.health()
    assert not health.can_write
    assert "gone" in health.problem or "was deleted, moved or replaced" in health.problem


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_nor_on_an_event_loop(path: Path, change: Callable[[Path], None]) -> None:
    async def main() -> None:
        async with await engine_store.open_async(f"sqlite:///{path}") as store:
            await store.workflows.create(workflow("before"))
            change(path)
            calls = (store.workflows.create(workflow(f"w{number}")) for number in range(5))
            for answer in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(answer, UnavailableError)
                assert not answer.retriable

    asyncio.run(main())


def test_a_file_that_is_back_in_its_place_is_written_again(store: Any, path: Path) -> None:
    store.workflows.create(workflow("before"))
    move(path)
    with pytest.raises(UnavailableError):
        store.workflows.create(workflow("after"))
    path.with_name("moved.db").rename(path)
    store.workflows.create(workflow("after"))
    assert store.health().ok


def test_what_else_happens_in_the_folder_does_not_matter(store: Any, path: Path) -> None:
    for number in range(3):
        other = path.with_name("other.txt")
        other.write_text("x", encoding="utf-8")
        store.workflows.create(workflow(f"a{number}"))
        other.unlink()
        store.workflows.create(workflow(f"b{number}"))


def test_a_fork_may_open_the_file_anew(store: Any, path: Path) -> None:
    store.workflows.create(workflow("before"))
    if (child := os.fork()) == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    store.workflows.create(workflow("after"))


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file that is a mount point of its own, with a blank in its name."""
    outside, inside = tmp_path / "outside.db", tmp_path / "my engine.db"
    outside.touch(mode=0o600)
    inside.touch(mode=0o600)
    command = ["mount", "--bind", str(outside), str(inside)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield inside
    subprocess.run(["umount", str(inside)], check=True)


def test_a_file_that_is_mounted_without_its_folder_is_refused(mounted: Path) -> None:
    with pytest.raises(ConfigurationError, match="is mounted by itself") as caught:
        engine_store.open(f"sqlite:///{str(mounted).replace(' ', '%20')}")
    assert "mount its folder instead" in str(caught.value)
    assert not log_of(mounted).exists()
