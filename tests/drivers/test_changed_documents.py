"""Documents that other threads change while they are saved: checked is what is stored (1.8)."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import engine_store
from engine_store.errors import InvalidValueError
from engine_store_contracts.suite.samples import workflow

SAVES = 150

BAD: list[Any] = [float("nan"), (None, 1.0), {1: 2}, 2**63, "a\0b", {"k": {1, 2}}]


@contextmanager
def changing(document: dict[str, Any]) -> Iterator[None]:
    """Change what is in a document, from another thread, until the block ends."""
    stop = threading.Event()

    def change() -> None:
        for bad in itertools.cycle(BAD):
            if stop.is_set():
                return
            document["items"][-1]["f"] = bad
            document[f"new-{len(document)}"] = 1
            document["items"].append(bad)
            document["items"].pop()
            document.popitem()
            document["items"][-1]["f"] = 1.0

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("driver", ["sqlite", "postgres", "memory"])
def test_what_a_thread_changes_is_stored_as_it_was_checked(
    request: pytest.FixtureRequest, driver: str
) -> None:
    urls = {"sqlite": "sqlite:///:memory:", "memory": "memory://"}
    url = urls.get(driver) or request.getfixturevalue("postgres_store_url")
    document: dict[str, Any] = {"items": [{"f": 1.0} for _ in range(500)]}
    stored = 0
    with engine_store.open(url) as store, changing(document):
        for number in range(SAVES):
            try:
                store.workflows.create(workflow(str(number), input=document))
            except InvalidValueError:
                continue
            stored += 1
            found = store.workflows.get(str(number)).input
            assert found is not None
            for item in found["items"]:
                assert type(item) is dict
                assert type(item["f"]) is float
                assert math.isfinite(item["f"])
    assert 0 < stored <= SAVES
