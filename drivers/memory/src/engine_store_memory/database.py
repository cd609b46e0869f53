"""Databases in memory: what is committed, and who may write."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias, cast

from attrs import define, field, frozen

from engine_store.errors import UnavailableError
from engine_store.models import Event
from engine_store.rules.entities import ENTITIES, Entity, F, R
from engine_store.waiting.notifier import Notifier


def _empty() -> dict[Entity[Any, Any], dict[str, Any]]:
    return {entity: {} for entity in ENTITIES}


@frozen
class Lease:
    """A worker's hold on a task, and its end."""

    worker: str
    token: str
    expires_at: datetime


@frozen(eq=False)
class Snapshot:
    """The rows of every entity by their ids, at one moment."""

    _tables: dict[Entity[Any, Any], dict[str, Any]] = field(factory=_empty)
    leases: dict[str, Lease] = field(factory=dict)
    """The leases of claimed tasks, by the tasks' ids."""
    events: dict[str, tuple[Event, ...]] = field(factory=dict)
    """The events of each workflow, in their order."""

    def __getitem__(self, entity: Entity[R, F]) -> dict[str, R]:
        """Return the rows of an entity."""
        return cast("dict[str, R]", self._tables[entity])

    def copy(self) -> Snapshot:
        """Return another snapshot of the same rows. The rows themselves are never changed."""
        tables = {entity: dict(rows) for entity, rows in self._tables.items()}
        return Snapshot(tables, dict(self.leases), dict(self.events))


@define
class Draft:
    """The work of a transaction so far. Savepoints put one snapshot in the place of another."""

    data: Snapshot
    history: bool = False
    """True if changes of a status are events."""
    topics: set[str] = field(factory=set)
    """What it may have changed for waiters."""

    def __getitem__(self, entity: Entity[R, F]) -> dict[str, R]:
        """Return the rows of an entity."""
        return self.data[entity]

    @property
    def leases(self) -> dict[str, Lease]:
        """The leases of claimed tasks, by the tasks' ids."""
        return self.data.leases

    @property
    def events(self) -> dict[str, tuple[Event, ...]]:
        """The events of each workflow, in their order."""
        return self.data.events


Data: TypeAlias = Snapshot | Draft
"""The data that a repository reads from."""


class Database:
    """One committed snapshot, which each transaction replaces as a whole.

    A committed snapshot is never changed, so that readers need no lock. One transaction writes at
    a time. The database belongs to the process that made it: a forked child has a copy that
    nothing else would see, and so it is refused.
    """

    def __init__(self) -> None:
        self._committed = Snapshot()
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._writer: int | None = None
        self.notifiers: list[Notifier] = []
        """Those of the open stores."""

    def check(self) -> None:
        """Raise `UnavailableError` in a forked child."""
        if os.getpid() != self._process:
            reason = "a database in memory stays with its process; this is a fork of that"
            raise UnavailableError(reason, retriable=False)

    def read(self) -> Snapshot:
        """Return what is committed."""
        self.check()
        return self._committed

    @contextmanager
    def writing(self, timeout: float, *, history: bool = False) -> Iterator[Draft]:
        """Give a draft of what is committed, and commit it if the block ends without an error.

        Raises `UnavailableError` if another thread writes for longer than `timeout` seconds, and
        at once if the thread would wait for itself.
        """
        self.check()
        thread = threading.get_ident()
        if self._writer == thread:
            reason = "this thread has a transaction open here; write through it, or end it first"
            raise UnavailableError(reason, retriable=False)
        if not self._lock.acquire(timeout=timeout):
            raise UnavailableError(f"another thread's transaction was open for {timeout:g} s")
        self._writer = thread
        try:
            draft = Draft(self._committed, history)
            yield draft
            self._committed = draft.data
        finally:
            self._writer = None
            self._lock.release()
        for notifier in list(self.notifiers):
            notifier.hint(draft.topics)


_NAMED: dict[str, Database] = {}


def named(name: str) -> Database:
    """Return the database of this name, a new one if there is none or `name` is empty."""
    # `setdefault` is atomic. A lock here could be held by another thread when this one forks,
    # and would then be held in the child for ever.
    return _NAMED.setdefault(name, Database()) if name else Database()


def forget(name: str) -> None:
    """Let the next store of this name get an empty database; open ones keep theirs."""
    _NAMED.pop(name, None)
