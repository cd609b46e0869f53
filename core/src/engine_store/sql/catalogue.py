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

from engine_store.sql.statements import Result, Statement, blocks_of, parse_statements

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
    """What no row means."""
    parameters: frozenset[str]
    optional: frozenset[str]
    """The parameters without which a part of the text is left out."""
    columns: str
    needed_if: str
    """What a dialect says that needs it; empty: every driver does."""
    text: str
    """The default text; empty: each driver has its own."""


def texts_in(folder: Traversable) -> dict[str, str]:
    """Return the text of each `.sql` file by its name."""
    found = sorted(folder.iterdir(), key=lambda one: one.name)
    return {one.name: one.read_text("utf-8") for one in found if one.name.endswith(".sql")}


_TEXTS = texts_in(files("engine_store.sql") / "queries")

DEFAULTS = "\n".join(_TEXTS.values())
"""The kit's files as one text."""


def _declared() -> Iterator[Entry]:
    defaults = {one.name: one for one in parse_statements(DEFAULTS, schema="schema")}
    blocks = list(blocks_of(DEFAULTS))
    fragments = {one.name: one.body for one in blocks if one.result is None}
    for name, result, writes, comment, _ in blocks:
        if result is not None:
            text = defaults.get(name, Statement(name, result, ()))
            about, *labelled = (" ".join(part.split()) for part in _LABEL.split(comment))
            said = dict(zip(labelled[::2], labelled[1::2], strict=True))
            purpose, _, missing = about.partition(" No row: ")
            takes = re.findall(r"(\w+)(\??)", said.get("takes", ""))
            read = None if result is Result.NONE else _COLUMNS.search(text.whole)
            columns = said.get("gives", read[1] if read else "").format_map(fragments)
            yield Entry(
                name,
                result,
                writes,
                purpose,
                missing.rstrip("."),
                text.parameters | {*text.optional, *(one for one, _ in takes)},
                frozenset(text.optional) | {one for one, mark in takes if mark},
                " ".join(columns.replace('"', "").split()),
                said.get("needed if", ""),
                text.whole,
            )


STATEMENTS: Mapping[str, Entry] = {entry.name: entry for entry in _declared()}
"""Every statement by name. A driver may have others, for itself."""

SECTIONS: Mapping[str, tuple[Entry, ...]] = {
    name.removesuffix(".sql"): tuple(
        STATEMENTS[block.name] for block in blocks_of(text) if block.result is not None
    )
    for name, text in _TEXTS.items()
}
"""The statements by what they are about, such as `tasks`."""

MIGRATIONS = SECTIONS["migrations"]
"""The statements of the migrator."""
