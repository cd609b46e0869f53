"""Docstrings of this project, written to be read in the code, as Sphinx reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

import attrs
from sphinx.application import Sphinx

import engine_store.errors
import engine_store.models
import engine_store.protocols
from engine_store.clock import UNSAVED
from engine_store_contracts.clauses import CLAUSES

_CODE = re.compile(r"(?<![`:\w])`([^`]+)`(?![`_])")
_CLAUSE = re.compile(r"(?:(?<=\()|\b(?:[Cc]ontract|[Ss]ection) )(?P<number>\d(?:\.\d)?)(?=[),. ])")
_DEFAULT = re.compile(r"attr_dict\['(\w+)'\]\.default")
_INDENT = " " * 4


def setup(app: Sphinx) -> dict[str, bool]:
    """Translate docstrings and signatures as autodoc finds them."""
    app.connect("autodoc-process-docstring", translate)
    app.connect("autodoc-process-signature", signature_for_readers)
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


def signature_for_readers(
    app: Sphinx, what: str, name: str, obj: object, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """The defaults of attrs classes; nothing where arguments say nothing.

    Those of a case are fixtures, and nobody makes a Protocol.
    """
    if ".test_" in name or getattr(obj, "_is_protocol", False):
        return "", ""
    if name.endswith(".evolve"):  # the fields of the class, which stand above
        return "(**changes)", returns
    if isinstance(obj, type) and attrs.has(obj) and signature:
        defaults = {field.name: field.default for field in attrs.fields(obj)}
        return _DEFAULT.sub(lambda found: _shown(defaults[found[1]]), signature), returns
    return None


def _shown(default: object) -> str:
    """A default as one would type it."""
    if default is UNSAVED:
        return "UNSAVED"
    if isinstance(default, Enum):
        return f"{type(default).__name__}.{default.name}"
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a function, its stubs say
        return "..."
    return f"{type(default).__name__}()" if attrs.has(type(default)) else repr(default)


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
