"""Restores a stream of rows: in batches, over existing rows, with children before parents."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Literal, TypeAlias

from engine_store.errors import (
    AlreadyExistsError,
    EngineStoreError,
    InvalidReferenceError,
    NotFoundError,
    TransferError,
)
from engine_store.models import ApiKey, Event, TaskState
from engine_store.protocols import Repositories, Store
from engine_store.rules.entities import BY_MODEL, BY_NAME, Row
from engine_store.transfer.codec import canonical
from engine_store.transfer.rows import Numbered, OnProgress, RowCounter, named

Existing: TypeAlias = Literal["refuse", "skip"]

BATCH = 500
"""Rows of a transaction."""

EXAMPLES = 10
"""Rows that differ, named in a report; the others are counted."""

_GO_ON = 'What was committed stays; mend it and go on with existing="skip"'


class Importer:
    """Restores rows into a store.

    A task whose parent is missing waits for it, at most until the rows of its workflow end. Only
    rows that are out of order are kept in memory.
    """

    def __init__(
        self, target: Store, existing: Existing, progress: OnProgress | None = None
    ) -> None:
        self.restored = dict.fromkeys(BY_NAME, 0)
        self.different = dict.fromkeys(BY_NAME, 0)
        self.examples: list[str] = []
        self._target = target
        self._existing = existing
        self._counter = RowCounter(progress)
        self._waiting: dict[str, list[tuple[int, TaskState]]] = {}

    def run(self, rows: Iterable[Numbered]) -> None:
        """Restore all of them, in transactions of `BATCH`. Raises `TransferError`."""
        rest = iter(rows)
        taken = BATCH
        while taken == BATCH:
            taken = 0
            with self._target.transaction() as tx:
                for number, row in islice(rest, BATCH):
                    self._put(tx, number, row)
                    taken += 1
                if taken < BATCH:
                    self._check_none_waits()
            self._counter.report()

    def _put(self, tx: Repositories, number: int, row: Row) -> None:
        """Restore a row, and those that have waited for it."""
        if not isinstance(row, TaskState | ApiKey):  # the tasks of a workflow have ended
            self._check_none_waits()
        ready: list[tuple[int, Row]] = [(number, row)]
        while ready:
            number, row = ready.pop()
            if not self._restore(tx, number, row):
                continue
            self._counter.add(row)
            if isinstance(row, TaskState):
                ready += reversed(self._waiting.pop(row.task_exec_id, []))

    def _restore(self, tx: Repositories, number: int, row: Row) -> bool:
        """Restore a row; return whether it is in the store now."""
        entity = BY_MODEL[type(row)]
        if self._existing == "skip" and (stored := look_up(tx, row)) is not None:
            self._compare(stored, row)
            return True
        try:
            entity.of(tx).restore(row)
        except AlreadyExistsError as taken:
            raise _failed(number, row, taken) from taken
        except InvalidReferenceError as missing:
            if not isinstance(row, TaskState) or missing.field != "parent_state_id":
                raise _failed(number, row, missing) from missing
            self._waiting.setdefault(missing.key, []).append((number, row))
            return False
        self.restored[entity.name] += 1
        return True

    def _compare(self, stored: Row, row: Row) -> None:
        if canonical(stored) == canonical(row):
            return
        entity = BY_MODEL[type(row)]
        self.different[entity.name] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{entity.name} {entity.key(row)}")

    def _check_none_waits(self) -> None:
        if not self._waiting:
            return
        children = {task.task_exec_id for tasks in self._waiting.values() for _, task in tasks}
        # The one that all wait for in the end; none where tasks are ancestors of each other.
        missing = next((key for key in self._waiting if key not in children), None)
        parent = missing or next(iter(self._waiting))
        number, child = self._waiting[parent][0]
        expected = f"the parent {parent!r} of task {child.task_exec_id!r} in the same workflow"
        found = "a ring of tasks" if missing is None else "no such task"
        remedy = "It was not there when its workflow was read: were there writers? " + _GO_ON
        raise TransferError(number, expected, found, remedy)


def look_up(store: Repositories, row: Row) -> Row | None:
    """Return the row that the store has under the id of `row`."""
    if isinstance(row, Event):
        before = row.number - 1
        found = store.events.list(row.workflow_exec_id, after=before, limit=1)
        return found[0] if found and found[0].number == row.number else None
    entity = BY_MODEL[type(row)]
    try:
        stored: Row = entity.of(store).get(entity.key(row))
    except NotFoundError:
        return None
    return stored


def _failed(number: int, row: Row, error: EngineStoreError) -> TransferError:
    return TransferError(number, f"to restore {named(row)}", str(error), _GO_ON)
