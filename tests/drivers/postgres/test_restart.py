"""The server is killed and comes back under a running writer (contract 9.2 and 3.6)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import engine_store
from engine_store.errors import EngineStoreError, UnavailableError
from engine_store_contracts.suite.samples import task, workflow
from postgres_server import PostgresServer

PATIENCE = 60.0


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of its own, which may be killed. What it says is durable is durable."""
    with PostgresServer() as server:
        yield server


class Progress:
    """What a writer has done, for those who wait for it."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.errors: list[EngineStoreError] = []
        self._changed = threading.Condition()
        self.stopping = False

    def note(self, done: str | EngineStoreError) -> None:
        with self._changed:
            if isinstance(done, str):
                self.acknowledged.append(done)
            else:
                self.errors.append(done)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE)


def write_on_and_on(url: str, progress: Progress) -> None:
    """Write workflows, each with a task, by turns in a transaction and one by one."""
    with engine_store.open(url) as store:
        number = 0
        while not progress.stopping:
            key = f"key-{number}"
            number += 1
            try:
                with store.transaction() as tx:
                    tx.workflows.create(workflow(key))
                    tx.tasks.create(task(key, key))
                progress.note(key)
                store.workflows.create(workflow(f"{key}-alone"))
                progress.note(f"{key}-alone")
            except EngineStoreError as error:
                progress.note(error)


def write_on_and_on_async(url: str, progress: Progress) -> None:
    """The same with the asynchronous face."""

    async def main() -> None:
        async with await engine_store.open_async(url) as store:
            number = 0
            while not progress.stopping:
                key = f"key-{number}"
                number += 1
                try:
                    async with store.transaction() as tx:
                        await tx.workflows.create(workflow(key))
                        await tx.tasks.create(task(key, key))
                    progress.note(key)
                    await store.workflows.create(workflow(f"{key}-alone"))
                    progress.note(f"{key}-alone")
                except EngineStoreError as error:
                    progress.note(error)

    asyncio.run(main())


@pytest.mark.parametrize("write", [write_on_and_on, write_on_and_on_async])
def test_a_writer_goes_on_by_itself_after_the_server_was_killed_and_has_lost_nothing(
    server: PostgresServer, write: Callable[[str, Progress], None]
) -> None:
    progress = Progress()
    with ThreadPoolExecutor(1) as thread:
        writer = thread.submit(write, server.url(pool_timeout="0.2"), progress)
        try:
            for _ in range(2):
                enough = len(progress.acknowledged) + 20
                progress.wait_for(lambda enough=enough: len(progress.acknowledged) >= enough)
                failed = len(progress.errors)
                server.kill()
                # One lost in the middle, and one that found nobody there.
                progress.wait_for(lambda failed=failed: len(progress.errors) >= failed + 2)
                server.start()
            enough = len(progress.acknowledged) + 20
            progress.wait_for(lambda: len(progress.acknowledged) >= enough)
        finally:
            progress.stopping = True
        writer.result(PATIENCE)

    assert {type(error) for error in progress.errors} == {UnavailableError}
    assert {error.retriable for error in progress.errors} == {True}
    with engine_store.open(server.url()) as store:
        for key in progress.acknowledged:
            found = store.workflows.get(key, with_tasks=True)
            assert list(found.tasks) == ([] if key.endswith("alone") else [key])
        assert store.health().ok


def test_who_waits_for_a_server_that_is_away_is_told_when_the_time_is_over(
    server: PostgresServer,
) -> None:
    with engine_store.open(server.url(pool_timeout="0.2")) as store:
        store.workflows.create(workflow())
        server.stop()
        with pytest.raises(UnavailableError) as caught:
            store.workflows.get("w")
        assert caught.value.retriable is True
        assert "could not be reached for 0.2 s" in str(caught.value)
        server.start()
        while True:  # the next calls find it back: the pool connects beside them
            try:
                assert store.workflows.get("w").version == 1
                break
            except UnavailableError as error:
                assert error.retriable
