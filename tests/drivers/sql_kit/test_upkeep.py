"""Work between the writers: once for each time it is needed, by whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine_store.sql import upkeep
from engine_store.sql.upkeep import Upkeep

PATIENCE = 30.0


@pytest.fixture(autouse=True)
def _other_thread() -> Iterator[None]:
    """Another thread, or the work would be done by who asks."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield
    end.set()
    thread.join()


def test_work_that_ends_before_asking_returns_can_be_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[float] = []
    kept = Upkeep(ran.append)

    class AtOnce(ThreadPoolExecutor):
        def submit(self, work, *args):  # type: ignore[no-untyped-def, override]
            work(*args)

    monkeypatch.setattr(upkeep, "ThreadPoolExecutor", AtOnce)
    for _ in range(3):
        kept.ask()
    kept.close()
    assert ran == [upkeep.PATIENCE] * 3


def test_threads_that_ask_at_once_share_one_thread_and_one_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[ThreadPoolExecutor] = []
    go_on, ran = threading.Event(), []
    asking = threading.Barrier(2)

    class Slow(ThreadPoolExecutor):
        def __init__(self, *args: object) -> None:
            made.append(self)
            if not made[1:]:  # the other one asks meanwhile
                asking.wait(PATIENCE)
                threading.Event().wait(0.05)
            super().__init__(1)

    def work(_: float) -> None:
        assert go_on.wait(PATIENCE)
        ran.append(True)

    monkeypatch.setattr(upkeep, "ThreadPoolExecutor", Slow)
    kept = Upkeep(work)
    first = threading.Thread(target=kept.ask)
    first.start()
    asking.wait(PATIENCE)
    kept.ask()
    first.join(PATIENCE)
    go_on.set()
    kept.close()
    assert (len(made), len(ran)) == (1, 1)


def test_nothing_is_done_after_the_end() -> None:
    ran: list[float] = []
    kept = Upkeep(ran.append)
    kept.close()
    kept.ask()
    assert ran == []
    assert not [one for one in threading.enumerate() if "upkeep" in one.name]
