"""Making the same calls on two stores, and comparing everything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, cast

import attrs
import pytest
from attrs import define, frozen
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from engine_store.entities import ENTITIES, Entity
from engine_store.errors import EngineStoreError
from engine_store.models import Page
from engine_store.protocols import Repositories, Store, Transaction
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.exact import exact
from engine_store_contracts.harness import delete_everything
from engine_store_contracts.machine.script import Recorded, Script
from engine_store_contracts.suite.case import outcome
from engine_store_memory.store import MemoryStore

DEEPEST = 3
"""Transactions and savepoints open at a time."""

limits = st.sampled_from([1, 2, 3, 100])


class Rollback(Exception):
    """Ends a transaction."""


@frozen
class _Level:
    """A transaction or savepoint, open on both stores, and its name in the script."""

    managers: tuple[AbstractContextManager[Transaction], AbstractContextManager[Transaction]]
    tested: Transaction
    reference: Transaction
    name: str


@define
class Subject:
    """The store that is tested. With `reopen` it can be closed and opened again.

    `elsewhere` says what another process reads otherwise than the store it is given has it.
    """

    store: Store
    reopen: Callable[[Store], Store] | None = None
    elsewhere: Callable[[Store], list[str]] | None = None
    calls: int = 0
    """How many calls were compared."""


@frozen
class Paging:
    """Two lists that are being read, up to the same page."""

    call: Callable[[Repositories, str | None], Page[Any]]
    found: str | None = None
    expected: str | None = None


class SideBySide(RuleBasedStateMachine):
    """A store next to its reference, by default one in memory; both empty, on the same clock.

    `script` is what it did so far.
    """

    pagings = Bundle("pagings")
    """Lists whose reading has begun, to go on after whatever else happens."""

    def __init__(
        self, subject: Subject, clock: ManualClock, reference: Store | None = None
    ) -> None:
        super().__init__()
        self.script = Script()
        self._subject = subject
        self._reference: Store = MemoryStore(clock) if reference is None else reference
        self._levels: list[_Level] = []
        self._clock = clock
        self._clock.time = START

    def both(self, call: Callable[[Repositories], Any]) -> Any:
        """Make the call on both, and return the outcome, which must be the same."""
        name, tested, reference = self._scope
        return self._compared(call, Recorded(tested, self.script, name), reference)

    def state(self, call: Callable[[Repositories], Any]) -> MultipleResults[Any]:
        """Make the call on both, for a bundle: with the state returned, if there is one."""
        done = self.both(call)
        return multiple() if isinstance(done, EngineStoreError) else multiple(done)

    def pages(self, call: Callable[[Repositories, str | None], Page[Any]]) -> None:
        """Read both lists to their end, page by page, each with its own cursors."""
        paging: Paging | None = Paging(call)
        while paging is not None:
            paging = self._next_page(paging)

    @rule(
        target=pagings,
        entity=st.sampled_from(ENTITIES),
        limit=st.integers(1, 2),
    )
    def begin_paging(self, entity: Entity[Any, Any], limit: int) -> MultipleResults[Paging]:
        """Read the first page; the others follow after other writes."""
        return self.go_on_paging(
            Paging(lambda s, cursor: entity.of(s).list(limit=limit, cursor=cursor))
        )

    @rule(target=pagings, paging=consumes(pagings))
    def go_on_paging(self, paging: Paging) -> MultipleResults[Paging]:
        following = self._next_page(paging)
        return multiple() if following is None else multiple(following)

    @rule(microseconds=st.sampled_from([-5_000_000, -1, 1, 1_000_000]))
    def tick(self, microseconds: int) -> None:
        self.script.add(f"clock.tick(0, microseconds={microseconds})")
        self._clock.tick(0, microseconds=microseconds)

    @precondition(lambda self: self._subject.reopen is not None and not self._levels)
    @rule()
    def reopen(self) -> None:
        """Close the store and open it again: nothing is different."""
        assert self._subject.reopen is not None
        self.script.add("store.close()")
        self.script.add("store = engine_store.open(sys.argv[1], clock=clock)")
        self._subject.store = self._subject.reopen(self._subject.store)

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
        self.script.add(f"{level.name}_manager.__exit__(None, None, None)")
        for manager in level.managers:
            assert not manager.__exit__(None, None, None)

    @precondition(lambda self: self._levels)
    @rule()
    def roll_back(self) -> None:
        level = self._levels.pop()
        self.script.add(f"{level.name}_manager.__exit__(LookupError, LookupError(), None)")
        error = Rollback()
        for manager in level.managers:
            assert not manager.__exit__(Rollback, error, None)

    @invariant()
    def every_row_is_the_same(self) -> None:
        name, tested, reference = self._scope
        self._compared(_everything, tested, reference, f"show(lambda: everything({name}))")
        if self._levels:  # and what the others see of it
            shown = "show(lambda: everything(store))"
            self._compared(_everything, self._subject.store, self._reference, shown)

    def teardown(self) -> None:
        """Leave the stores empty for the next example."""
        self.script.end()
        while self._levels:
            self.roll_back()
        for store in (self._subject.store, self._reference):
            delete_everything(store)

    @property
    def _scope(self) -> tuple[str, Repositories, Repositories]:
        """Where calls are made, the innermost transaction or the stores; its name in the script."""
        if not self._levels:
            return "store", self._subject.store, self._reference
        return self._levels[-1].name, self._levels[-1].tested, self._levels[-1].reference

    def _begin(self) -> None:
        outer, *scopes = self._scope
        name = f"tx{len(self._levels) + 1}"
        self.script.add(f"{name}_manager = {outer}.transaction()")
        self.script.add(f"{name} = {name}_manager.__enter__()")
        managers = scopes[0].transaction(), scopes[1].transaction()
        tested, reference = (manager.__enter__() for manager in managers)
        self._levels.append(_Level(managers, tested, reference, name))

    def _next_page(self, paging: Paging) -> Paging | None:
        """Read a page of both lists; the rest, if any."""
        name, tested, reference = self._scope
        recorded = cast("Repositories", Recorded(tested, self.script, name))
        found = paging.call(recorded, paging.found)
        expected = paging.call(reference, paging.expected)
        self._check_same(found.items, expected.items)
        following = attrs.evolve(paging, found=found.next_cursor, expected=expected.next_cursor)
        self._check_same(following.found is None, following.expected is None)
        return None if following.found is None else following

    def _compared(
        self,
        call: Callable[[Repositories], Any],
        tested: Repositories | Recorded,
        reference: Repositories,
        shown: str | None = None,
    ) -> Any:
        self._subject.calls += 1
        found = outcome(partial(call, cast("Repositories", tested)))
        expected = outcome(partial(call, reference))
        self._check_same(found, expected, shown)
        return expected

    def _check_same(self, found: object, expected: object, shown: str | None = None) -> None:
        if exact(found) == exact(expected):
            return
        if shown is not None:
            self.script.add(shown)
        self.script.end(f"the store:     {found!r}", f"the reference: {expected!r}")
        pytest.fail(f"the store: {found!r}\nthe reference: {expected!r}")


def _everything(repositories: Repositories) -> list[object]:
    return [entity.of(repositories).list(limit=1000).items for entity in ENTITIES]
