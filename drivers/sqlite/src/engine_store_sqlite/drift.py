"""What tells the schemas of two databases apart, in words of SQL."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils.db import Column, ForeignKey, Table, XIndex, XIndexColumn


def schema_differences(expected: sqlite3.Connection, found: sqlite3.Connection) -> tuple[str, ...]:
    """The differences, a sentence each. Constraints of CHECK are not compared."""
    # Imported here: it takes longer than opening a store, and only verifying needs it.
    from sqlite_utils import Database

    wanted, present = Database(expected), Database(found)
    differences = _missing("table", set(wanted.table_names()), set(present.table_names()))
    for name in sorted(set(wanted.table_names()) & set(present.table_names())):
        ours, theirs = wanted.table(name), present.table(name)
        differences += _missing(f"column of {name}", _columns(ours), _columns(theirs))
        differences += _missing(f"index of {name}", _indexes(ours), _indexes(theirs))
        differences += _missing(f"foreign key of {name}", _keys(ours), _keys(theirs))
        if ours.strict and not theirs.strict:
            differences.append(f"table {name} is not STRICT")
    differences += _missing("trigger", set(wanted.triggers_dict), set(present.triggers_dict))
    differences += _missing("view", set(wanted.view_names()), set(present.view_names()))
    return tuple(differences)


def _missing(kind: str, wanted: set[str], present: set[str]) -> list[str]:
    return [f"{kind} missing: {name}" for name in sorted(wanted - present)] + [
        f"{kind} not ours: {name}" for name in sorted(present - wanted)
    ]


def _columns(table: Table) -> set[str]:
    return set(map(_column, table.columns))


def _column(column: Column) -> str:
    default = "" if column.default_value is None else f" DEFAULT {column.default_value}"
    null, key = " NOT NULL" * bool(column.notnull), " PRIMARY KEY" * bool(column.is_pk)
    return f"{column.name} {column.type}{null}{default}{key}"


def _indexes(table: Table) -> set[str]:
    kinds = {
        index.name: " unique" * index.unique + " partial" * index.partial for index in table.indexes
    }
    return {f"{_index(index)}{kinds[index.name]}" for index in table.xindexes}


def _index(index: XIndex) -> str:
    return f"{index.name} ({', '.join(_part(part) for part in index.columns if part.key)})"


def _part(part: XIndexColumn) -> str:
    collation = "" if part.coll == "BINARY" else f" COLLATE {part.coll}"
    return f"{part.name or 'an expression'}{collation}{' DESC' * bool(part.desc)}"


def _keys(table: Table) -> set[str]:
    return set(map(_key, table.foreign_keys))


def _key(key: ForeignKey) -> str:
    ours, theirs = ", ".join(key.columns), ", ".join(key.other_columns)
    rules = f"ON DELETE {key.on_delete} ON UPDATE {key.on_update}"
    return f"({ours}) REFERENCES {key.other_table} ({theirs}) {rules}"
