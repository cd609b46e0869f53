"""The directive `statements`: every statement of a SQL driver, from the kit's catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from engine_store.sql import catalogue
from engine_store.sql.catalogue import Entry

SECTIONS = {
    "Users": catalogue.USERS,
    "API keys": catalogue.API_KEYS,
    "Workflows": catalogue.WORKFLOWS,
    "Tasks": catalogue.TASKS,
    "Turns": catalogue.OTHERS,
    "Migrations": catalogue.MIGRATIONS,
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("statements", Statements)
    return {"parallel_read_safe": True}


class Statements(SphinxDirective):
    """All statements, by what they are about."""

    def run(self) -> list[nodes.Node]:
        """Read the catalogue."""
        return self.parse_text_to_nodes(reference(), allow_section_headings=True)


def reference() -> str:
    """Return the statements in Markdown, a level below the headings of the page."""
    have_text = names_with_text()
    lines: list[str] = []
    for heading, entries in SECTIONS.items():
        lines += [f"### {heading}", ""]
        for entry in entries:
            lines += [f"**`{entry.name}{'!' * entry.writes} :{entry.result.value}`**", ""]
            lines += [*_facts(entry, has_text=entry.name in have_text), ""]
    return "\n".join(lines)


def names_with_text() -> set[str]:
    """Return the names of the statements that have a text in the kit."""
    sources = (
        one for one in files("engine_store.sql.queries").iterdir() if one.name.endswith(".sql")
    )
    lines = "\n".join(source.read_text("utf-8") for source in sources).splitlines()
    return {line.split()[2].rstrip("!") for line in lines if line.startswith("-- name:")}


def _facts(entry: Entry, *, has_text: bool) -> Iterator[str]:
    yield f"- {entry.purpose.strip()}"
    if entry.given:
        yield f"- Given: {', '.join(f'`{name}`' for name in entry.given.split())}."
    if entry.columns:
        yield f"- Gives {entry.columns}."
    if entry.missing:
        yield f"- No row: {entry.missing}."
    if entry.needed_if:
        yield f"- Needed only if {entry.needed_if}."
    if has_text:
        yield "- The kit has a text."
