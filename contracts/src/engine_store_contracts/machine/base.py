"""Making the same calls on two stores, and comparing everything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from attrs import frozen
from hypothesis import strategies as st
from hypothesis.stateful import (
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
)

from engine_store.errors import EngineStoreError
from engine_store.models import Page, Status
from engine_store.protocols import Repositories, Store, Transaction
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.exact import exact
from engine_store_contracts.reference import ReferenceStore

END_OF_TIME = datetime.max.replace(tzinfo=UTC)

DEEPEST = 3
"""Transactions and savepoints open at a time."""

limits = st.sampled_from([1, 2, 3, 100])


class Rollback(Exception):
    """Ends a transaction."""


@frozen
class Outcome:
    """What a call did: it returned `value`, or raised `error`."""

    value: Any = None
    error: EngineStoreError | None = None


@frozen
class _Level:
    """A transaction or savepoint, open on both stores."""

    managers: tuple[AbstractContextManager[Transaction], AbstractContextManager[Transaction]]
    tested: Transaction
    reference: Transaction


class SideBySide(RuleBasedStateMachine):
    """`store` beside a reference store, or another one; both empty, and on the same clock."""

    def __init__(self, store: Store, clock: ManualClock, reference: Store | None = None) -> None:
        super().__init__()
        self._store = store
        self._reference: Store = ReferenceStore(clock) if reference is None else reference
        self._levels: list[_Level] = []
        self._clock = clock
        self._clock.time = START

    def both(self, call: Callable[[Repositories], Any]) -> Outcome:
        """Make the call on both; what it did, which must be the same."""
        if self._levels:
            return self._compared(call, self._levels[-1].tested, self._levels[-1].reference)
        return self._compared(call, self._store, self._reference)

    def state(self, call: Callable[[Repositories], Any]) -> MultipleResults[Any]:
        """`both`, for a bundle: the state returned, or nothing where the call failed."""
        done = self.both(call)
        return multiple() if done.value is None else multiple(done.value)

    def pages(self, call: Callable[[Repositories, str | None], Page[Any]]) -> None:
        """Read both lists to their end, page by page, each with its own cursors."""
        level = self._levels[-1] if self._levels else None
        tested: Repositories = level.tested if level else self._store
        reference: Repositories = level.reference if level else self._reference
        ours: str | None = None
        theirs: str | None = None
        while True:
            found, expected = call(tested, ours), call(reference, theirs)
            assert exact(found.items) == exact(expected.items)
            ours, theirs = found.next_cursor, expected.next_cursor
            assert (ours is None) == (theirs is None)
            if ours is None:
                return

    @rule(microseconds=st.sampled_from([-5_000_000, -1, 1, 1_000_000]))
    def tick(self, microseconds: int) -> None:
        self._clock.tick(0, microseconds=microseconds)

    @precondition(lambda self: not self._levels)
    @rule(levels=st.integers(1, DEEPEST))
    def begin(self, levels: int) -> None:
        for _ in range(levels):
            self._begin()

    @precondition(lambda self: 0 < len(self._levels) < DEEPEST)
    @rule()
    def begin_savepoint(self) -> None:
        self._begin()

    @precondition(lambda self: self._levels)
    @rule()
    def commit(self) -> None:
        level = self._levels.pop()
        for manager in level.managers:
            assert not manager.__exit__(None, None, None)

    @precondition(lambda self: self._levels)
    @rule()
    def roll_back(self) -> None:
        level = self._levels.pop()
        error = Rollback()
        for manager in level.managers:
            assert not manager.__exit__(Rollback, error, None)

    @invariant()
    def every_row_is_the_same(self) -> None:
        self.both(_everything)
        if self._levels:  # and what the others see of it
            self._compared(_everything, self._store, self._reference)

    def teardown(self) -> None:
        """Leave the stores empty for the next example."""
        while self._levels:
            self.roll_back()
        for store in (self._store, self._reference):
            store.workflows.purge(END_OF_TIME, statuses=list(Status), batch_size=1000)
            for user in store.users.list().items:
                store.users.delete(user.user_id)

    def _begin(self) -> None:
        scopes: tuple[Repositories, Repositories] = (self._store, self._reference)
        if self._levels:
            scopes = (self._levels[-1].tested, self._levels[-1].reference)
        managers = scopes[0].transaction(), scopes[1].transaction()
        tested, reference = (manager.__enter__() for manager in managers)
        self._levels.append(_Level(managers, tested, reference))

    def _compared(
        self,
        call: Callable[[Repositories], Any],
        tested: Repositories,
        reference: Repositories,
    ) -> Outcome:
        found, expected = _outcome(partial(call, tested)), _outcome(partial(call, reference))
        if exact(found) != exact(expected):
            pytest.fail(f"the store: {found}\nthe reference: {expected}")
        return expected


def _outcome(call: Callable[[], Any]) -> Outcome:
    try:
        return Outcome(value=call())
    except EngineStoreError as exc:
        return Outcome(error=exc)


def _everything(repositories: Repositories) -> list[object]:
    return [
        repositories.users.list(limit=1000).items,
        repositories.api_keys.list(limit=1000).items,
        repositories.workflows.list(limit=1000).items,
        repositories.tasks.list(limit=1000).items,
    ]
