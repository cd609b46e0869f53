"""The directive `statements`: every statement of a SQL driver, from the kit's catalogue."""

from __future__ import annotations

from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from engine_store.sql.catalogue import BY_FILE, Entry

SECTIONS = {
    "Users": "users",
    "API keys": "api_keys",
    "Workflows": "workflows",
    "Tasks": "tasks",
    "Migrations": "migrations",
}
"""The headings of the kit's files."""


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
    lines: list[str] = []
    for heading, file in SECTIONS.items():
        lines += [f"### {heading}", ""]
        for entry in BY_FILE[file]:
            lines += [f"**`{entry.name}{'!' * entry.writes} :{entry.result.value}`**", ""]
            lines += [*_facts(entry), ""]
    return "\n".join(lines)


def _facts(entry: Entry) -> Iterator[str]:
    yield f"- {entry.purpose}"
    if entry.given:
        yield f"- Takes {', '.join(f'`{name}`' for name in entry.given)}."
    if entry.columns:
        yield f"- Gives {entry.columns}."
    if entry.missing:
        yield f"- No row: {entry.missing}."
    if entry.needed_if:
        yield f"- Needed only if {entry.needed_if}."
    if entry.text:
        yield "- The kit has a text."
