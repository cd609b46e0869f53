"""Making the same calls on two stores, and comparing everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

from engine_store.errors import EngineStoreError
from engine_store.models import Page
from engine_store.protocols import Repositories, Store, Transaction
from engine_store.rules.entities import ENTITIES, WORKFLOW, Entity
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
class _Scope:
    """Both stores, or a transaction or savepoint open on both, and its name in the script."""

    name: str
    tested: Repositories
    reference: Repositories
    managers: Sequence[AbstractContextManager[Transaction]] = ()


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
        self._levels: list[_Scope] = []
        self._clock = clock
        self._clock.time = START

    def both(self, call: Callable[[Repositories], Any]) -> Any:
        """Make the call on both, and return the outcome, which must be the same."""
        return self._compared(call, self._recorded, self._scope.reference)

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
        self._end("None, None, None", None, None)

    @precondition(lambda self: self._levels)
    @rule()
    def roll_back(self) -> None:
        self._end("LookupError, LookupError(), None", Rollback, Rollback())

    @invariant()
    def every_row_is_the_same(self) -> None:
        # Of a transaction, and of what others see of it.
        for scope in (*self._levels[-1:], self._outside):
            shown = f"show(lambda: everything({scope.name}))"
            self._compared(_everything, scope.tested, scope.reference, shown)

    def teardown(self) -> None:
        """Leave the stores empty for the next example."""
        self.script.end()
        while self._levels:
            self.roll_back()
        for store in (self._subject.store, self._reference):
            delete_everything(store)

    @property
    def _outside(self) -> _Scope:
        return _Scope("store", self._subject.store, self._reference)

    @property
    def _scope(self) -> _Scope:
        """The innermost transaction, or the stores: calls are made there."""
        return self._levels[-1] if self._levels else self._outside

    @property
    def _recorded(self) -> Repositories:
        """The tested side, with every call noted in the script."""
        return cast("Repositories", Recorded(self._scope.tested, self.script, self._scope.name))

    def _begin(self) -> None:
        outer, name = self._scope, f"tx{len(self._levels) + 1}"
        self.script.add(f"{name}_manager = {outer.name}.transaction()")
        self.script.add(f"{name} = {name}_manager.__enter__()")
        managers = outer.tested.transaction(), outer.reference.transaction()
        tested, reference = (manager.__enter__() for manager in managers)
        self._levels.append(_Scope(name, tested, reference, managers))

    def _end(self, shown: str, kind: type[Rollback] | None, error: Rollback | None) -> None:
        level = self._levels.pop()
        self.script.add(f"{level.name}_manager.__exit__({shown})")
        for manager in level.managers:
            assert not manager.__exit__(kind, error, None)

    def _next_page(self, paging: Paging) -> Paging | None:
        """Read a page of both lists; the rest, if any."""
        found = paging.call(self._recorded, paging.found)
        expected = paging.call(self._scope.reference, paging.expected)
        self._check_same(found.items, expected.items)
        following = attrs.evolve(paging, found=found.next_cursor, expected=expected.next_cursor)
        self._check_same(following.found is None, following.expected is None)
        return None if following.found is None else following

    def _compared(
        self,
        call: Callable[[Repositories], Any],
        tested: Repositories,
        reference: Repositories,
        shown: str | None = None,
    ) -> Any:
        self._subject.calls += 1
        found = outcome(partial(call, tested))
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
    rows: list[Any] = [entity.of(repositories).list(limit=1000).items for entity in ENTITIES]
    workflows = sorted(state.workflow_exec_id for state in rows[ENTITIES.index(WORKFLOW)])
    return [*rows, *(repositories.events.list(key, limit=1000) for key in workflows)]
