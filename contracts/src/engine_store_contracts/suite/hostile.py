"""Ids, documents and times as hostile as the contract allows, and those it does not allow."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from engine_store.models import ErrorInfo
from engine_store.values import Document
from engine_store_contracts.clock import START


class _Text(str):
    """A string that would come back as its base."""

    __slots__ = ()


class _Object(dict[str, Any]):
    """An object that would come back as its base."""


class _Int(int):
    """An integer that would come back as its base."""


class _Float(float):
    """A number that would come back as its base."""


class _Array(list[Any]):
    """An array that would come back as its base."""


class _Number(IntEnum):
    ONE = 1


class _Word(StrEnum):
    WORD = "word"


_Pair = namedtuple("_Pair", "a b")


IDS = {
    "one character": "x",
    "255 characters": "x" * 255,
    "255 astral characters": "\U0001f600" * 255,
    "blanks": " ",
    "outer blanks": " a\t\n",
    "SQL": "'; DROP TABLE users; --",
    "LIKE pattern": "%_\\",
    "a number": "007",
    "null": "null",
    "control characters": "\x01\x1b\x7f\x85",
    "combining character": "e\u0301",
    "right-to-left override": "\u202etxt.exe",
    "byte order mark": "\ufeffid",
    "noncharacter": "\uffff",
}

TWINS = {
    "case": ("Ann", "ann"),
    "case beyond ASCII": ("Émile", "émile"),
    "dotless i": ("\u0131d", "id"),
    "normalisation": ("\u00e9", "e\u0301"),
    "trailing blank": ("a", "a "),
    "ligature": ("\ufb01", "fi"),
    "leading zero": ("7", "07"),
}

BAD_IDS = {
    "empty": "",
    "256 characters": "x" * 256,
    "NUL": "a\0b",
    "NUL among others": "é\0",
    "lone surrogate": "\ud800",
    "None": None,
    "an integer": 7,
    "bytes": b"id",
    "a subclass of str": _Text("id"),
    "a member of an enumeration": _Word.WORD,
}

BAD_INTS = {"a bool": True, "a subclass of int": _Int(1), "a member of an enumeration": _Number.ONE}
"""Values that are 1, and no int."""


def nested(levels: int) -> Document:
    """A document of so many levels, objects and arrays in turn."""
    value: Any = 1
    for level in range(levels, 0, -1):
        value = {"k": value} if level % 2 else [value]
    return dict(value)


DOCUMENTS: dict[str, Document] = {
    "empty": {},
    "null": {"a": None},
    "bools": {"t": True, "f": False},
    "int 1": {"a": 1},
    "float 1.0": {"a": 1.0},
    "1e17": {"a": 1e17},
    "negative zero": {"a": -0.0},
    "largest int": {"a": 2**63 - 1},
    "smallest int": {"a": -(2**63)},
    "2^53 + 1": {"a": 2**53 + 1},
    "largest float": {"a": 1.7976931348623157e308},
    "smallest float": {"a": 5e-324},
    "17 digits": {"a": 0.1 + 0.2},
    "float of 2^63": {"a": 2.0**63},
    "empty containers": {"a": {}, "b": [], "c": ""},
    "arrays in order": {"a": [3, 1, 2, [1, 1.0, True, None, "1"]]},
    "nested objects": {"a": {"b": {"c": [{"d": {}}]}}},
    "100 levels": nested(100),
    "every ASCII but NUL": {"a": "".join(map(chr, range(1, 128)))},
    "escapes": {"a": '"\\/\b\f\n\r\t\u2028\u2029', '"\\': "</script>"},
    "combining and composed": {"a": "e\u0301", "b": "\u00e9", "e\u0301": 1, "\u00e9": 2},
    "astral plane": {"\U0001f600": "\U0010ffff\U00010000"},
    "empty key": {"": 1},
    "keys that look alike": {"a": 1, "A": 2, "a ": 3, "1": 4, "null": 5, "__proto__": 6},
    "text that looks like JSON": {"a": '{"b": 1}', "c": "null", "d": "1.0"},
    "a megabyte": {"a": "é" * 500_000},
    "10,000 numbers": {"a": list(range(10_000))},
}

TIMES = [
    datetime(1900, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2024, 2, 29, 12, 30, 30, 1, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]

BAD_DOCUMENTS: dict[str, tuple[Any, str]] = {
    "NaN": ({"a": float("nan")}, ".a"),
    "infinity": ({"a": [0, float("inf")]}, ".a[1]"),
    "minus infinity": ({"a": -float("inf")}, ".a"),
    "2^63": ({"a": {"b": 2**63}}, ".a.b"),
    "below -2^63": ({"a": -(2**63) - 1}, ".a"),
    "NUL in a string": ({"a": ["ok", "a\0b"]}, ".a[1]"),
    "lone surrogate in a string": ({"a": "\udfff"}, ".a"),
    "a surrogate pair in two": ({"a": "\ud83d\ude00"}, ".a"),
    "NUL in a key": ({"a\0": 1}, ".'a\\x00'"),
    "lone surrogate in a key": ({"a": {"\ud800": 1}}, ".a.'\\ud800'"),
    "an integer as key": ({"a": {1: 2}}, ".a"),
    "None as key": ({None: 2}, ""),
    "a tuple": ({"a": (1, 2)}, ".a"),
    "a set": ({"a": {1}}, ".a"),
    "bytes": ({"a": b"1"}, ".a"),
    "a datetime": ({"a": START}, ".a"),
    "a subclass of str": ({"a": _Text("x")}, ".a"),
    "a subclass of dict inside": ({"a": _Object()}, ".a"),
    "a subclass of dict": (_Object(), ""),
    "a subclass of str as a key": ({"a": {_Text("x"): 1}}, ".a"),
    "a subclass of int": ({"a": _Int(1)}, ".a"),
    "a subclass of float": ({"a": [_Float(1)]}, ".a[0]"),
    "a subclass of list": ({"a": _Array()}, ".a"),
    "an ordered dict": (OrderedDict(a=1), ""),
    "a dict with a default": ({"a": [defaultdict(list)]}, ".a[0]"),
    "a mapping that is no dict": ({"a": MappingProxyType({})}, ".a"),
    "a named tuple": ({"a": _Pair(1, 2)}, ".a"),
    "a member of an enumeration of int": ({"a": _Number.ONE}, ".a"),
    "a member of an enumeration of str": ({"a": _Word.WORD}, ".a"),
    "a key of an enumeration": ({_Word.WORD: 1}, ""),
    "a decimal": ({"a": Decimal(1)}, ".a"),
    "a UUID": ({"a": UUID(int=1)}, ".a"),
    "an array": ([1], ""),
    "text": ("{}", ""),
    "101 levels": ({"a": nested(100)}, ".a" + ".k[0]" * 49 + ".k"),
}


def in_every_field(document: Document | None) -> dict[str, Any]:
    """Return the fields that hold documents, with this one in each."""
    return {
        "input": document,
        "output": document,
        "error": ErrorInfo("it broke", details=document),
    }
