"""Running a function in a transaction, and again if others were faster (contract 3.7)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol, TypeVar

from engine_store.errors import EngineStoreError, VersionConflictError
from engine_store.values import check_int

T = TypeVar("T")
Tx_co = TypeVar("Tx_co", covariant=True)

ATTEMPTS = 10

FIRST_PAUSE, LONGEST_PAUSE = 0.002, 1.0


class _Begins(Protocol[Tx_co]):
    """A store whose methods return."""

    def transaction(self) -> AbstractContextManager[Tx_co]: ...


class _AsyncBegins(Protocol[Tx_co]):
    """A store whose methods are awaited."""

    def transaction(self) -> AbstractAsyncContextManager[Tx_co]: ...


def run(store: _Begins[Tx_co], fn: Callable[[Tx_co], T], attempts: int = ATTEMPTS) -> T:
    """Return what `fn` returns of a transaction that was committed."""
    for pause in _pauses(attempts):
        has_returned = False
        try:
            with store.transaction() as tx:
                result = fn(tx)
                has_returned = True
        except EngineStoreError as error:
            if has_returned or pause is None or not _may_succeed(error):
                raise
            time.sleep(pause)
        else:
            return result
    raise AssertionError("the last attempt returns or raises")


async def run_async(
    store: _AsyncBegins[Tx_co], fn: Callable[[Tx_co], Awaitable[T]], attempts: int = ATTEMPTS
) -> T:
    """Return what `fn` returns, awaited, of a transaction that was committed."""
    for pause in _pauses(attempts):
        has_returned = False
        try:
            async with store.transaction() as tx:
                result = await fn(tx)
                has_returned = True
        except EngineStoreError as error:
            if has_returned or pause is None or not _may_succeed(error):
                raise
            await asyncio.sleep(pause)
        else:
            return result
    raise AssertionError("the last attempt returns or raises")


def _may_succeed(error: EngineStoreError) -> bool:
    return error.retriable or isinstance(error, VersionConflictError)


def _pauses(attempts: object) -> Iterator[float | None]:
    """Yield for each attempt how long to wait after it, with jitter; None: it is the last one."""
    for number in range(1, check_int(attempts, "attempts", minimum=1)):
        bound = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(number, 32))
        yield random.uniform(0, bound)  # noqa: S311 - jitter, no secret
    yield None
