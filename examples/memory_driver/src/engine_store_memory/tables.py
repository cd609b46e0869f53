"""Copy-on-write tables, and the snapshot of all of them that a reader sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, cast

import attrs
from attrs import define, field, frozen

from engine_store.values import fold_email
from engine_store_memory.kinds import KINDS, Filter, Kind, Row

_MEMBERS = {
    "statuses": "status",
    "workflow_exec_ids": "workflow_exec_id",
    "task_exec_ids": "task_exec_id",
}
"""The collections of filters, and the field whose value each must hold."""


@define(eq=False)
class Table(Generic[Row]):
    """The rows of one kind by key, with the keys of the rows that share an indexed value.

    A branch shares all of it with its origin until its first write, which copies both maps. Nobody
    writes to the origin while the branch is in use. The rows themselves are never changed.
    """

    _kind: Kind[Row, Any]
    _rows: dict[str, Row] = field(factory=dict)
    _index: dict[tuple[str, object], frozenset[str]] = field(factory=dict)
    _shared: bool = False

    def branch(self) -> Table[Row]:
        """A table with the same rows, to be written to instead of this one."""
        return Table(self._kind, self._rows, self._index, shared=True)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> Row | None:
        """The row with this key."""
        return self._rows.get(key)

    def where(self, **fields: object) -> list[Row]:
        """The rows with these values, in `created_at`, then key order. None is any value."""
        wanted = {
            name: _comparable(name, value) for name, value in fields.items() if value is not None
        }
        indexed = next((name for name in self._kind.indexed if name in wanted), None)
        keys = self._rows if indexed is None else self._index.get((indexed, wanted[indexed]), ())
        found = [
            row
            for row in map(self._rows.__getitem__, keys)
            if all(_comparable(name, getattr(row, name)) == wanted[name] for name in wanted)
        ]
        return sorted(found, key=self._kind.position)

    def matching(self, filter: Filter) -> list[Row]:
        """The rows that match every field of `filter` given, in order."""
        given = attrs.asdict(filter, recurse=False)
        begin, end = given.pop("created_from", None), given.pop("created_before", None)
        members = {
            _MEMBERS[name]: frozenset(given.pop(name))
            for name in _MEMBERS
            if given.get(name) is not None
        }
        return [
            row
            for row in self.where(**given)
            if all(getattr(row, name) in values for name, values in members.items())
            and (begin is None or begin <= row.created_at)
            and (end is None or row.created_at < end)
        ]

    def put(self, row: Row) -> None:
        """Store `row`, instead of one with the same key."""
        self._change(self._kind.key(row), row)

    def remove(self, key: str) -> None:
        """Remove the row with this key."""
        self._change(key, None)

    def _change(self, key: str, row: Row | None) -> None:
        if self._shared:
            self._rows, self._index, self._shared = dict(self._rows), dict(self._index), False
        before, after = self._entries(self._rows.pop(key, None)), self._entries(row)
        if row is not None:
            self._rows[key] = row
        for entry in before - after:
            keys = self._index.pop(entry) - {key}
            if keys:
                self._index[entry] = keys
        for entry in after - before:
            self._index[entry] = self._index.get(entry, frozenset()) | {key}

    def _entries(self, row: Row | None) -> set[tuple[str, object]]:
        if row is None:
            return set()
        values = ((name, getattr(row, name)) for name in self._kind.indexed)
        return {(name, _comparable(name, value)) for name, value in values if value is not None}


def _comparable(field: str, value: Any) -> object:
    """What the values of a field are compared by: emails have no case (contract 4.1)."""
    return fold_email(value) if field == "email" else value


def _empty() -> dict[Kind[Any, Any], Table[Any]]:
    return {kind: Table(kind) for kind in KINDS}


@frozen
class Snapshot:
    """A table of each kind, at one moment."""

    _tables: Mapping[Kind[Any, Any], Table[Any]] = field(factory=_empty)

    def __getitem__(self, kind: Kind[Row, Filter]) -> Table[Row]:
        """The table of a kind."""
        return cast("Table[Row]", self._tables[kind])

    def branch(self) -> Snapshot:
        """The same rows, to be written to instead of this one."""
        return Snapshot({kind: table.branch() for kind, table in self._tables.items()})

    def counts(self) -> dict[str, int]:
        """How many rows there are of each kind."""
        return {kind.name: len(table) for kind, table in self._tables.items()}
