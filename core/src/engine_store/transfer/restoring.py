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
        try:
            kind.of(tx).restore(row)
        except AlreadyExistsError as taken:
            if self._existing != "skip" or taken.field != kind.key_field:
                raise _failed(number, row, taken) from taken
            self._compare(tx, row)
        except InvalidReferenceError as missing:
            if not isinstance(row, TaskState) or missing.field != "parent_state_id":
                raise _failed(number, row, missing) from missing
            self._waiting.setdefault(missing.key, []).append((number, row))
            return False
        else:
            self.restored[kind.name] += 1
        return True

    def _compare(self, tx: Repositories, row: Row) -> None:
        if is_stored(tx, row):
            return
        kind = KIND_OF[type(row)]
        self.different[kind.name] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{kind.name} {kind.key(row)}")

    def _check_nobody_waits(self) -> None:
        for parent, children in self._waiting.items():
            number, child = children[0]
            raise TransferError(
                number,
                f"the parent {parent!r} of task {child.task_exec_id!r} in the same workflow",
                "no such task",
                "It was not exported, or not copied: were there writers? " + _GO_ON,
            )


def is_stored(store: Repositories, row: Row) -> bool:
    """Whether the store has exactly this row under its id."""
    kind = KIND_OF[type(row)]
    try:
        stored = kind.of(store).get(kind.key(row))
    except NotFoundError:
        return False
    return canonical(stored) == canonical(row)


def _failed(number: int, row: Row, error: EngineStoreError) -> TransferError:
    kind = KIND_OF[type(row)]
    return TransferError(number, f"to restore {kind.name} {kind.key(row)!r}", str(error), _GO_ON)
