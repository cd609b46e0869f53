"""Cancelling without leaving anything half done."""

from __future__ import annotations

import asyncio

import pytest

from engine_store.concurrency.cancellation import shield, shield_future, shield_stoppable


def test_what_need_not_wait_is_done_before_anything_else_runs() -> None:
    ran: list[str] = []

    async def work() -> int:
        ran.append("work")
        return 7

    async def main() -> int:
        asyncio.get_running_loop().call_soon(ran.append, "another")
        result = await shield(work())
        assert ran == ["work"]
        return result

    assert asyncio.run(main()) == 7


@pytest.mark.parametrize("turns", [1, 2, 5])
def test_what_has_to_wait_is_done_to_its_end_before_a_cancellation_comes_out(turns: int) -> None:
    ended: list[int] = []

    async def work(may_end: asyncio.Event) -> None:
        for turn in range(turns):
            await asyncio.sleep(0)
            ended.append(turn)
        await may_end.wait()
        ended.append(turns)

    async def main() -> None:
        may_end = asyncio.Event()
        running = asyncio.create_task(shield(work(may_end)))
        for _ in range(3):
            await asyncio.sleep(0)
            running.cancel()
        assert not running.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert ended == list(range(turns + 1))

    asyncio.run(asyncio.wait_for(main(), 5))


@pytest.mark.parametrize("waits", [False, True])
def test_what_the_work_returns_or_raises_comes_out(waits: bool) -> None:
    async def work(fails: bool) -> str:
        if waits:
            await asyncio.sleep(0.001)
        if fails:
            raise ZeroDivisionError
        return "done"

    async def main() -> None:
        assert await shield(work(fails=False)) == "done"
        with pytest.raises(ZeroDivisionError):
            await shield(work(fails=True))

    asyncio.run(main())


def test_the_work_may_catch_what_it_waits_for() -> None:
    async def work(failing: asyncio.Future[None]) -> str:
        try:
            await failing
        except ZeroDivisionError:
            await asyncio.sleep(0)
            return "caught"
        return "never"

    async def main() -> str:
        failing = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(failing.set_exception, ZeroDivisionError())
        return await shield(work(failing))

    assert asyncio.run(main()) == "caught"


def test_each_cancellation_may_hasten_the_end() -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        asked: list[str] = []

        def ask() -> None:
            asked.append("stop")
            if len(asked) == 2:
                future.set_exception(ZeroDivisionError())

        running = asyncio.create_task(shield_future(future, ask))
        while not running.done():
            await asyncio.sleep(0)
            running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asked == ["stop", "stop"]

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_future_that_was_cancelled_itself_says_so() -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(shield_future(future))
        await asyncio.sleep(0)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())


def test_a_cancellation_stops_what_is_shielded_once_and_comes_out_when_both_have_ended() -> None:
    events: list[str] = []

    async def main() -> None:
        stopped, ended, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def work() -> None:
            await stopped.wait()
            events.append("work ended")
            ended.set()

        async def stop() -> None:
            events.append("asked to stop")
            stopped.set()
            await may_end.wait()
            events.append("stop ended")
            raise OSError("of no account")

        task = asyncio.create_task(shield_stoppable(work(), stop))
        for _ in range(2):
            await asyncio.sleep(0)
            task.cancel()
        await ended.wait()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert events == ["asked to stop", "work ended", "stop ended"]


def test_what_is_not_cancelled_is_not_stopped() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    async def stop() -> None:
        raise AssertionError

    assert asyncio.run(shield_stoppable(work(), stop)) == 7


def test_a_timeout_of_what_is_shielded_is_its_own() -> None:
    async def work() -> str:
        try:
            await asyncio.wait_for(asyncio.sleep(60), 0.01)
        except TimeoutError:
            return "too late"
        return "in time"

    assert asyncio.run(shield(work())) == "too late"
