"""The directive `commands`: each command of `engine-store` with its options, in its own words."""

from __future__ import annotations

import re

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.cli import get_docs_for_click

from engine_store.cli.app import command_line


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}


class Commands(SphinxDirective):
    """All commands, a heading each."""

    def run(self) -> list[nodes.Node]:
        """Read them."""
        return self.parse_text_to_nodes(reference(), allow_section_headings=True)


def reference() -> str:
    """The commands in Markdown, a level below the headings of the page."""
    command = typer.main.get_command(command_line())
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="engine-store")
    commands = text[text.index("\n## ") :]
    return re.sub(r"^#", "##", commands, flags=re.MULTILINE)
