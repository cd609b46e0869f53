"""Fixtures to copy: a fresh store for each test, on a clock that only the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

import engine_store
from engine_store import AsyncStore, Store

MEMORY = "sqlite:///:memory:"

RunAsync = Callable[[Callable[[AsyncStore], Awaitable[None]]], None]


class ManualClock:
    """An `engine_store.Clock` that stands still until it is moved."""

    def __init__(self) -> None:
        """Noon on a day in June."""
        self.now = datetime(2026, 6, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time that the store sets."""
        return self.now

    def advance(self, time: timedelta) -> None:
        """Let so much time pass."""
        self.now += time


@pytest.fixture
def clock() -> ManualClock:
    """The clock of the test's store."""
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> Iterator[Store]:
    """An empty store, gone after the test."""
    with engine_store.open(MEMORY, clock=clock) as opened:
        yield opened


@pytest.fixture
def run_async(clock: ManualClock) -> RunAsync:
    """Run a test on an empty asynchronous store, in an event loop of its own: no plugin needed."""

    def run(test: Callable[[AsyncStore], Awaitable[None]]) -> None:
        async def on_a_store() -> None:
            async with await engine_store.open_async(MEMORY, clock=clock) as opened:
                await test(opened)

        asyncio.run(on_a_store())

    return run
