"""What the tests of export, import and copy share."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import settings

import engine_store
from engine_store import transfer
from engine_store.models import Event
from engine_store.protocols import Store
from engine_store.rules.entities import BY_MODEL, Row
from engine_store.transfer import format as export_format
from engine_store_contracts.clock import START
from engine_store_contracts.suite import samples

settings.register_profile("transfer", deadline=None)
settings.load_profile("transfer")

STAMPS: dict[str, Any] = {
    "version": 7,
    "created_at": START,
    "updated_at": START + timedelta(days=1),
}


@pytest.fixture
def new_store() -> Iterator[Callable[[], Store]]:
    """Makes empty stores."""
    made: list[Store] = []

    def make() -> Store:
        made.append(engine_store.open("sqlite:///:memory:"))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def source(new_store: Callable[[], Store]) -> Store:
    """A store with a few rows of every kind."""
    return filled(new_store(), sample())


@pytest.fixture
def target(new_store: Callable[[], Store]) -> Store:
    """An empty store."""
    return new_store()


def sample() -> list[Row]:
    """Two users, a key of each, two workflows, and a tree in one of them; not in order."""
    workflow, task = samples.full_workflow, samples.full_task
    return [
        samples.user("ann", **STAMPS),
        samples.user("bob", **STAMPS),
        samples.api_key("k1", "ann", created_at=START, last_used=START),
        samples.api_key("k2", "bob", created_at=START),
        attrs.evolve(workflow("w1"), **STAMPS),
        attrs.evolve(workflow("w2"), **STAMPS),
        attrs.evolve(task("t1", "w1"), **STAMPS),
        attrs.evolve(task("t2", "w1"), parent_state_id="t1", **STAMPS),
        attrs.evolve(task("t3", "w2"), **STAMPS),
        Event("w1", 1, "started", {"n": 1}, created_at=START),
        Event("w1", 2, "said", None, "t1", "k", START),
    ]


def filled(store: Store, rows: Iterable[Row]) -> Store:
    """The store, with these rows restored."""
    for row in rows:
        BY_MODEL[type(row)].of(store).restore(row)
    return store


@pytest.fixture
def content(source: Store) -> bytes:
    """An export of `source`."""
    file = io.BytesIO()
    transfer.export(source, file)
    return file.getvalue()


@pytest.fixture
def summed() -> Callable[[list[bytes]], list[bytes]]:
    """Give lines a footer that fits: what nobody but a forger would have."""

    def summed(lines: list[bytes]) -> list[bytes]:
        counts = dict.fromkeys(("user", "api_key", "workflow", "task", "event"), 0)
        for line in lines[1:-1]:
            try:
                counts[json.loads(line)["kind"]] += 1
            except (ValueError, LookupError, TypeError, RecursionError):
                continue
        digest = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
        return [*lines[:-1], export_format.footer(counts, digest) + b"\n"]

    return summed
