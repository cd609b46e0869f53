"""Shields against cancellation that leave nothing half done (contract 9.3).

Unlike that of `asyncio.shield`, a cancellation comes out only when what was shielded has ended: a
connection on its way back into a pool, or a thread in the middle of a statement.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


async def shield_future(
    future: asyncio.Future[T], on_cancel: Callable[[], object] = lambda: None
) -> T:
    """Return what `future` gives. A cancellation comes out too, but not before it is done.

    `on_cancel` is called for each cancellation, to hasten the end.
    """
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])  # waits without cancelling what it waits for
        except asyncio.CancelledError as exc:
            cancelled = exc
            on_cancel()
    if cancelled is not None:
        if not future.cancelled():
            future.exception()  # looked at, or asyncio would report it as forgotten
        raise cancelled
    return future.result()


async def shield_stoppable(
    work: Coroutine[Any, Any, T], stop: Callable[[], Coroutine[Any, Any, object]]
) -> T:
    """Return what `work` returns. A cancellation comes out too, but not before it is done.

    It runs `stop`, once, to hasten the end, and waits for the end of that too: it could stop what
    comes next. What `stop` raises is of no account.
    """
    stopping: list[asyncio.Future[Any]] = []

    def hasten() -> None:
        if not stopping:
            stopping.append(asyncio.ensure_future(stop()))

    try:
        return await shield_future(asyncio.ensure_future(work), hasten)
    finally:
        for future in stopping:
            await shield_future(asyncio.gather(future, return_exceptions=True))


async def shield(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what `coroutine` returns; a cancellation waits for its end.

    What does not have to wait is done at once: giving a connection back to a pool, at the end of
    every operation, takes 2 microseconds so, and 27 with a task that has to be scheduled.
    """
    if sys.version_info >= (3, 12):  # whose timeouts remember the task that they began in
        loop = asyncio.get_running_loop()
        return await shield_future(asyncio.Task(coroutine, loop=loop, eager_start=True))
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    return await shield_future(asyncio.ensure_future(_rest(coroutine, waits_for)))


@types.coroutine
def _rest(coroutine: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """The rest of a coroutine that has begun, and waits for a future, as a task of its own."""
    try:
        while True:
            try:
                answer = yield waits_for  # what a coroutine yields is for the task that runs it
            except BaseException as exc:  # noqa: BLE001 - it is for the coroutine
                waits_for = coroutine.throw(exc)
            else:
                waits_for = coroutine.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
