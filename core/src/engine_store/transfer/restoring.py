"""Restoring a stream of rows: in batches, over what is there already, children before parents."""

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
from engine_store.models import ApiKey, TaskState
from engine_store.protocols import Repositories, Store
from engine_store.transfer.lines import canonical
from engine_store.transfer.rows import KIND_NAMED, KIND_OF, Meter, Numbered, OnProgress, Row

Existing: TypeAlias = Literal["refuse", "skip"]

BATCH = 500
"""Rows of a transaction."""

EXAMPLES = 10
"""Rows that differ, named in a report; the others are counted."""

_GO_ON = 'What was committed stays; mend it and go on with existing="skip"'


class Restorer:
    """Restores rows into a store.

    A task whose parent is not there waits until it has come, at most until the rows of its
    workflow end: what is kept in memory is what is out of order.
    """

    def __init__(
        self, target: Store, existing: Existing, progress: OnProgress | None = None
    ) -> None:
        self.restored = dict.fromkeys(KIND_NAMED, 0)
        self.different = dict.fromkeys(KIND_NAMED, 0)
        self.examples: list[str] = []
        self._target = target
        self._existing = existing
        self._meter = Meter(progress)
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
            self._meter.tell()
        self._check_nobody_waits()

    def _put(self, tx: Repositories, number: int, row: Row) -> None:
        """A row, and those that have waited for it."""
        if not isinstance(row, TaskState | ApiKey):
            self._check_nobody_waits()
        ready: list[tuple[int, Row]] = [(number, row)]
        while ready:
            number, row = ready.pop()
            if not self._restore(tx, number, row):
                continue
            self._meter.done[KIND_OF[type(row)].name] += 1
            if isinstance(row, TaskState):
                ready += reversed(self._waiting.pop(row.task_exec_id, []))

    def _restore(self, tx: Repositories, number: int, row: Row) -> bool:
        """Whether the row is in the store now."""
        kind = KIND_OF[type(row)]
        if self._existing == "skip" and (stored := look_up(tx, row)) is not None:
            self._compare(stored, row)
            return True
        try:
            kind.of(tx).restore(row)
        except AlreadyExistsError as taken:
            raise _failed(number, row, taken) from taken
        except InvalidReferenceError as missing:
            if not isinstance(row, TaskState) or missing.field != "parent_state_id":
                raise _failed(number, row, missing) from missing
            self._waiting.setdefault(missing.key, []).append((number, row))
            return False
        self.restored[kind.name] += 1
        return True

    def _compare(self, stored: Row, row: Row) -> None:
        if canonical(stored) == canonical(row):
            return
        kind = KIND_OF[type(row)]
        self.different[kind.name] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{kind.name} {kind.key(row)}")

    def _check_nobody_waits(self) -> None:
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
    """What the store has under the id of `row`."""
    kind = KIND_OF[type(row)]
    try:
        stored: Row = kind.of(store).get(kind.key(row))
    except NotFoundError:
        return None
    return stored


def _failed(number: int, row: Row, error: EngineStoreError) -> TransferError:
    kind = KIND_OF[type(row)]
    return TransferError(number, f"to restore {kind.name} {kind.key(row)!r}", str(error), _GO_ON)
