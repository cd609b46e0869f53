"""The statements that every SQL driver has, read from the kit's own `.sql` files.

A driver's statements are held to them when they are loaded, and the page "Writing a SQL driver"
lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from attrs import frozen

from engine_store.sql.statements import PARAMETER, Result, Statement, blocks_of, parse_statements

_LABEL = re.compile(r"^(takes|gives|needed if): ", re.MULTILINE)
_COLUMNS = re.compile(r"(?:\ASELECT|RETURNING)\s+(.*?)(?:\s+FROM\b|\Z)", re.DOTALL)


@frozen
class Entry:
    """A statement as operations and the migrator know it."""

    name: str
    result: Result
    writes: bool
    purpose: str
    missing: str
    """The meaning of no row."""
    given: tuple[str, ...]
    """The parameters. One that ends in `?` is left out of the text if it is None."""
    columns: str
    needed_if: str
    """The fact of a dialect that needs it; empty: every driver does."""
    text: str
    """The default text; empty: each driver has its own."""

    @property
    def optional(self) -> frozenset[str]:
        """The parameters without which a part of the text is left out."""
        return frozenset(name[:-1] for name in self.given if name.endswith("?"))

    @property
    def parameters(self) -> frozenset[str]:
        """All parameters."""
        return frozenset(name.rstrip("?") for name in self.given)


def texts_in(folder: Traversable) -> dict[str, str]:
    """Return the text of each `.sql` file by its name."""
    found = sorted(folder.iterdir(), key=lambda one: one.name)
    return {one.name: one.read_text("utf-8") for one in found if one.name.endswith(".sql")}


_TEXTS = texts_in(files("engine_store.sql") / "queries")

DEFAULTS = "\n".join(_TEXTS.values())
"""The kit's files as one text."""


_STATEMENTS = {one.name: one for one in parse_statements(DEFAULTS, schema="schema")}
_FRAGMENTS = {block.name: block.body for block in blocks_of(DEFAULTS)}


def _declared(text: str) -> Iterator[Entry]:
    """Yield an entry for each statement of a file."""
    for name, result, writes, comment, _ in blocks_of(text):
        if result is not None:
            default = _STATEMENTS.get(name, Statement(name, result, ()))
            about, *labelled = (" ".join(part.split()) for part in _LABEL.split(comment))
            said = dict(zip(labelled[::2], labelled[1::2], strict=True))
            purpose, _, missing = about.partition(" No row: ")
            read = None if result is Result.NONE else _COLUMNS.search(default.whole)
            columns = said.get("gives", read[1] if read else "").format_map(_FRAGMENTS)
            yield Entry(
                name,
                result,
                writes,
                purpose,
                missing.rstrip("."),
                tuple(said["takes"].split(", ")) if "takes" in said else _given(default),
                " ".join(columns.replace('"', "").split()),
                said.get("needed if", ""),
                default.whole,
            )


def _given(statement: Statement) -> tuple[str, ...]:
    names = dict.fromkeys([*PARAMETER.findall(statement.whole), *statement.optional])
    return tuple(f"{name}?" if name in statement.optional else name for name in names)


BY_FILE: Mapping[str, tuple[Entry, ...]] = {
    name.removesuffix(".sql"): tuple(_declared(text)) for name, text in _TEXTS.items()
}
"""The statements of each file, in its order."""

STATEMENTS: Mapping[str, Entry] = {
    entry.name: entry for entries in BY_FILE.values() for entry in entries
}
"""Every statement by name. A driver may have others, for itself."""

MIGRATIONS = BY_FILE["migrations"]
"""The statements of the migrator."""
