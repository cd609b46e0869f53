"""Single rows are read on the event loop, a little in each of its turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from engine_store.sql.loop_reads import LONGEST, LoopReads


def on_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run an asynchronous test on an event loop of its own."""
    return wraps(test)(lambda: asyncio.run(asyncio.wait_for(test(), 10)))


@on_a_loop
async def test_many_reads_at_once_leave_the_loop_to_others_in_between() -> None:
    reads = LoopReads()
    done: list[int] = []

    def read(number: int) -> None:
        time.sleep(LONGEST)  # a row of 1 MB takes as long
        done.append(number)

    tasks = [asyncio.create_task(reads.run(lambda n=n: read(n))) for n in range(5)]
    seen = []
    while len(done) < 5:
        await asyncio.sleep(0)
        seen.append(len(done))
    await asyncio.gather(*tasks)
    assert done == [0, 1, 2, 3, 4]
    assert set(seen) == {1, 2, 3, 4, 5}


@on_a_loop
async def test_short_reads_share_a_turn_of_the_loop() -> None:
    reads = LoopReads()
    done: list[int] = []
    tasks = [asyncio.create_task(reads.run(lambda n=n: done.append(n))) for n in range(4)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert done == [0, 1, 2, 3]
    await asyncio.gather(*tasks)


@on_a_loop
async def test_a_task_that_only_reads_lets_others_run() -> None:
    reads = LoopReads()
    turns = []

    async def other() -> None:
        while True:
            turns.append(None)
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for n in range(5):
        assert await reads.run(lambda n=n: n) == n
    task.cancel()
    assert len(turns) >= 5


@on_a_loop
async def test_each_caller_gets_its_own_error_and_the_others_their_rows() -> None:
    reads = LoopReads()
    answers = await asyncio.gather(
        reads.run(lambda: 1 / 0),
        reads.run(lambda: 2),
        reads.run(lambda: {}["missing"]),
        reads.run(lambda: 4),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [ZeroDivisionError, int, KeyError, int]
    assert await reads.run(lambda: 5) == 5


@on_a_loop
async def test_a_read_whose_task_was_cancelled_does_not_run() -> None:
    reads = LoopReads()
    done: list[str] = []
    first, second = (
        asyncio.create_task(reads.run(lambda name=name: done.append(name)))
        for name in ("first", "second")
    )
    asyncio.get_running_loop().call_soon(second.cancel)
    await first
    with pytest.raises(asyncio.CancelledError):
        await second
    assert done == ["first"]


def test_an_interrupt_ends_the_loop_and_forgets_no_task() -> None:
    reads = LoopReads()

    def interrupted() -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        await asyncio.gather(reads.run(lambda: 1), reads.run(interrupted))

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
