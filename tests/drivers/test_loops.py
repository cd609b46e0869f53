"""An asynchronous store on another event loop than its own, as with `asyncio.run` for each task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

import engine_store
from engine_store.errors import StoreClosedError, UnavailableError
from engine_store_contracts.suite.samples import workflow


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/engine.db"
    made: str = request.getfixturevalue("make_schema")(application_name="loops")
    return made


async def opened(url: str) -> Any:
    store = await engine_store.open_async(url)
    await asyncio.gather(*(store.workflows.create(workflow(f"w{n}")) for n in range(4)))
    return store


async def transact(store: Any) -> None:
    async with store.transaction():
        pytest.fail("it began")


CALLS = {
    "read": lambda store: store.workflows.get("w1"),
    "list": lambda store: store.workflows.list(),
    "write": lambda store: store.workflows.create(workflow("late")),
    "modify": lambda store: store.workflows.modify("w1", lambda state: state),
    "transaction": transact,
    "health": lambda store: store.health(),
}


@pytest.mark.parametrize("name", CALLS)
def test_each_call_says_that_the_store_is_not_this_loops(url: str, name: str) -> None:
    store = asyncio.run(opened(url))

    async def call() -> None:
        with pytest.raises(UnavailableError, match="belongs to the event loop") as caught:
            await CALLS[name](store)
        assert not caught.value.retriable
        await store.close()

    asyncio.run(call())


def test_closing_it_there_works_once_its_own_loop_is_closed(
    url: str, postgres_admin: psycopg.Connection, wait_until: Callable[[Callable[[], object]], None]
) -> None:
    store = asyncio.run(opened(url))

    async def close() -> None:
        await store.close()
        await store.close()
        with pytest.raises((StoreClosedError, UnavailableError)):
            await store.workflows.get("w1")

    asyncio.run(close())
    # One may have been in the making as the loop ended: it ends with its object.
    query = b"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'loops'"
    wait_until(lambda: postgres_admin.execute(query).fetchone() in {(0,), (1,)})
    with engine_store.open(url) as again:
        assert len(again.workflows.list().items) == 4
