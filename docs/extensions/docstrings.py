"""Docstrings of this project, written to be read in the code, as Sphinx reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

import engine_store.errors
import engine_store.models
import engine_store.protocols
from engine_store_contracts.clauses import CLAUSES

_CODE = re.compile(r"(?<![`:\w])`([^`]+)`(?![`_])")
_CLAUSE = re.compile(r"(?:(?<=\()|\b(?:[Cc]ontract|[Ss]ection) )(?P<number>\d(?:\.\d)?)(?=[),. ])")
_INDENT = " " * 4


def setup(app: Sphinx) -> dict[str, bool]:
    """Translate docstrings and signatures as autodoc finds them."""
    app.connect("autodoc-process-docstring", translate)
    app.connect("autodoc-process-signature", without_arguments)
    return {"parallel_read_safe": True}


def translate(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Links for names and clauses, and a block of code for what is indented below a line."""
    lines[:] = _translated(lines)


def _translated(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if line.startswith(_INDENT):
            yield line
            continue
        yield _CLAUSE.sub(_clause, _CODE.sub(_name, line))
        following = lines[number + 1 : number + 3]
        if line and following[:1] == [""] and following[-1].startswith(_INDENT):
            yield from ("", "::")


def without_arguments(
    app: Sphinx, what: str, name: str, obj: object, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """The arguments of a case are fixtures, and nobody makes a Protocol: they say nothing."""
    return ("", "") if ".test_" in name or getattr(obj, "_is_protocol", False) else None


def _name(found: re.Match[str]) -> str:
    """A public class by its name is a link, all other code is code."""
    for module in (engine_store.errors, engine_store.models, engine_store.protocols):
        named = getattr(module, found[1], None)
        if isinstance(named, type):
            return f":py:obj:`~{named.__module__}.{named.__qualname__}`"
    return f"``{found[1]}``"


def _clause(found: re.Match[str]) -> str:
    """A clause by its number is a link to it."""
    if found["number"] not in CLAUSES:
        return found[0]
    return f":ref:`{found[0]} <clause-{found['number']}>`"
