"""A database that cases use one after the other, emptied in between.

To make a database takes most of the time of a case where DDL is slow. The suite uses one again if
it can be sure of it: its last case passed, it was emptied, and a look shows nothing in it. If not,
the next case gets a fresh one, so that no case finds what another one has left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeAlias

import pytest
from attrs import evolve, frozen

from engine_store.protocols import Store
from engine_store.rules.entities import ENTITIES
from engine_store_contracts import recording
from engine_store_contracts.harness import Harness

MakeHarness: TypeAlias = Callable[[], AbstractContextManager[Harness]]
"""Makes an empty database, which is removed at the end."""

Reused: TypeAlias = Callable[[MakeHarness], Harness]
"""The harness of a case: one that was used before, or one that `MakeHarness` makes."""


@frozen
class _Kept:
    """A database between two cases."""

    harness: Harness
    removal: ExitStack
    last: pytest.Item

    def is_clean(self) -> bool:
        """Empty the database, and return whether another case may use it."""
        return not recording.has_failed(self.last) and _is_emptied(self.harness)


class Reuse:
    """The database of the cases of a class."""

    def __init__(self) -> None:
        self._kept: _Kept | None = None

    @contextmanager
    def harness(self, make: MakeHarness, item: pytest.Item, *, fresh: bool) -> Iterator[Harness]:
        """Lend a harness to the case; with `fresh` a new one that no other case will see."""
        database = None if fresh else self._take()
        if database is None:
            removal = ExitStack()
            database = _Kept(removal.enter_context(make()), removal, item)
        try:
            yield database.harness
        except BaseException:
            database.removal.close()
            raise
        if fresh or recording.has_failed(item) or not _outlives_its_stores(database.harness):
            database.removal.close()
        else:
            self._kept = evolve(database, last=item)

    def close(self) -> None:
        """Remove the database."""
        if self._kept is not None:
            self._kept.removal.close()
            self._kept = None

    def _take(self) -> _Kept | None:
        kept, self._kept = self._kept, None
        if kept is None or kept.is_clean():
            return kept
        kept.removal.close()
        return None


def _outlives_its_stores(harness: Harness) -> bool:
    declared = harness.capabilities().get("reopen")
    return declared is None or declared.supported


def _is_emptied(harness: Harness) -> bool:
    """Empty the database, and look whether it is. An error means that it is not."""
    try:
        with harness.open() as store:
            if _is_empty(store):  # as many cases leave it
                return True
            harness.empty(store)
            return _is_empty(store)
    except Exception:  # noqa: BLE001 - the cases of what failed here say what is wrong with it
        return False


def _is_empty(store: Store) -> bool:
    return not any(entity.of(store).list(limit=1).items for entity in ENTITIES)
