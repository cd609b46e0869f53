"""A schema in words of SQL, so that two can be told apart."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils.db import Column, ForeignKey, Table, XIndex, XIndexColumn


def describe(connection: sqlite3.Connection) -> set[str]:
    """Return a line for each part of the schema. Constraints of CHECK are left out."""
    # Imported here: it takes longer than opening a store, and only verifying needs it.
    from sqlite_utils import Database

    database = Database(connection)
    lines = {f"trigger of {one.table}: {' '.join(one.sql.split())}" for one in database.triggers}
    lines |= {f"view: {name}" for name in database.view_names()}
    # SQLite's own, such as those of ANALYZE, are no part of it.
    names = [name for name in database.table_names() if not name.startswith("sqlite_")]
    return lines.union(*map(_table, map(database.table, names)))


def _table(table: Table) -> Iterator[str]:
    yield f"table: {table.name}{' STRICT' * table.strict}"
    kinds = {
        index.name: " unique" * index.unique + " partial" * index.partial for index in table.indexes
    }
    for column in table.columns:
        yield f"column of {table.name}: {_column(column)}"
    for index in table.xindexes:
        yield f"index of {table.name}: {_index(index)}{kinds[index.name]}"
    for key in table.foreign_keys:
        yield f"foreign key of {table.name}: {_key(key)}"


def _column(column: Column) -> str:
    default = "" if column.default_value is None else f" DEFAULT {column.default_value}"
    null, key = " NOT NULL" * bool(column.notnull), " PRIMARY KEY" * bool(column.is_pk)
    return f"{column.name} {column.type}{null}{default}{key}"


def _index(index: XIndex) -> str:
    return f"{index.name} ({', '.join(_part(part) for part in index.columns if part.key)})"


def _part(part: XIndexColumn) -> str:
    collation = "" if part.coll == "BINARY" else f" COLLATE {part.coll}"
    return f"{part.name or 'an expression'}{collation}{' DESC' * bool(part.desc)}"


def _key(key: ForeignKey) -> str:
    ours, theirs = ", ".join(key.columns), ", ".join(key.other_columns)
    rules = f"ON DELETE {key.on_delete} ON UPDATE {key.on_update}"
    return f"({ours}) REFERENCES {key.other_table} ({theirs}) {rules}"
