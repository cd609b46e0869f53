"""What the contract classes share: the fixtures, the marker `clause`, and small helpers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TypeVar

import pytest

from engine_store.errors import EngineStoreError, InvalidValueError
from engine_store.protocols import Store
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.exact import exact
from engine_store_contracts.harness import Harness

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds after which something that must happen is taken as not happening."""


def clause(*numbers: str) -> pytest.MarkDecorator:
    """Mark a case, or a class of cases, with the clauses of the contract it proves."""
    return pytest.mark.clause(*numbers)


class ContractCase:
    """The base of every contract class. Whoever inherits provides the fixture `harness`."""

    def __init_subclass__(cls) -> None:
        """Refuse a class that would lose a case because another of its bases has the name."""
        owners: dict[str, type] = {}
        for base in reversed(cls.__mro__):
            for name in vars(base):
                known = owners.setdefault(name, base)
                if name.startswith("test_") and not issubclass(base, known):
                    raise TypeError(f"{base.__name__} and {known.__name__} both have {name}")

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The clock of `store`. It stands still until told otherwise."""
        return ManualClock()

    @pytest.fixture
    def store(self, harness: Harness, clock: ManualClock) -> Iterator[Store]:
        """A fresh, empty store on `clock`."""
        store = harness.open(clock=clock)
        yield store
        store.close()


@contextmanager
def raises(expected: EngineStoreError) -> Iterator[None]:
    """Check that the block raises an error of exactly the type and the fields of `expected`."""
    with pytest.raises(type(expected)) as caught:
        yield
    assert exact(caught.value) == exact(expected)


@contextmanager
def refuses(path: str) -> Iterator[None]:
    """Check that the block raises `InvalidValueError` for the value at `path`."""
    with pytest.raises(InvalidValueError) as caught:
        yield
    assert caught.value.path == path


def assert_same(found: object, expected: object) -> None:
    """Check that both are equal to the type (see `exact`)."""
    assert exact(found) == exact(expected)


def all_at_once(calls: Sequence[Callable[[], T]]) -> list[T | EngineStoreError]:
    """What each call returns or raises, all begun at the same moment in threads of their own."""
    start = Barrier(len(calls))

    def outcome(call: Callable[[], T]) -> T | EngineStoreError:
        start.wait(PATIENCE)
        try:
            return call()
        except EngineStoreError as exc:
            return exc

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(outcome, calls, timeout=2 * PATIENCE))


def successes(outcomes: Sequence[T | EngineStoreError]) -> list[T]:
    """What was returned."""
    return [outcome for outcome in outcomes if not isinstance(outcome, EngineStoreError)]


def failures(outcomes: Sequence[T | EngineStoreError]) -> list[EngineStoreError]:
    """What was raised."""
    return [outcome for outcome in outcomes if isinstance(outcome, EngineStoreError)]
