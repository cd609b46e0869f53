"""Comparing to the type: what `==` takes for equal and the contract does not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

import attrs


def exact(value: object) -> object:
    """`value` in a form that is equal only for the same types and values (contract 1.3).

    Tells 1 from 1.0 and True, 0.0 from -0.0, and None from {}. The order of a document's keys
    does not count; that of other mappings does.
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
