"""Comparing to the type: what `==` takes for equal and the contract does not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import attrs

LONGEST = 400
"""Characters of a value that `exact_fields` shows; a longer one ends with its digest."""


def exact(value: object) -> object:
    """`value` in a form that is equal only for the same types and values (contract 1.3).

    Distinguishes 1 from 1.0 and True, 0.0 from -0.0, and None from {}. The order of a document's
    keys does not count; that of other mappings does.
    """
    match value:
        case float():
            return ("float", value.hex())
        case dict():
            return ("dict", sorted((key, exact(item)) for key, item in value.items()))
        case Mapping():
            return ("mapping", [(exact(key), exact(item)) for key, item in value.items()])
        case set() | frozenset():
            return ("set", sorted(value))
        case list() | tuple():
            return (type(value).__name__, [exact(item) for item in value])
        case datetime():
            return ("datetime", value.isoformat(timespec="microseconds"))
        case Enum() | None | bool() | int() | str() | bytes():
            return (type(value).__name__, value)
    cls = type(value)
    if attrs.has(cls):
        fields = [(field.name, getattr(value, field.name)) for field in attrs.fields(cls)]
        return (cls.__name__, [(name, exact(item)) for name, item in fields])
    raise TypeError(f"cannot compare {type(value).__name__} exactly")


def exact_fields(row: Any) -> dict[str, str]:
    """Return the fields of a model as texts, for another process: equal if `exact` is."""
    return {
        field.name: _short(repr(exact(getattr(row, field.name))))
        for field in attrs.fields(type(row))
    }


def _short(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}... (SHA-256 {hashlib.sha256(text.encode()).hexdigest()})"
