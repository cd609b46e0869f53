"""A row as a line of JSON, and back: the same row to the type.

Every field is there, in the order of the model. Floats have a point or an exponent, integers have
neither. Times are ISO 8601 with microseconds, bytes are base64.

The standard library's JSON, and not a faster one: the digits of a float are then the same whatever
is installed, and an integer beyond 64 bits stays one, to be refused.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import attrs

from engine_store.models import (
    Component,
    ErrorInfo,
    ExecutionType,
    Role,
    Status,
    UsageEntry,
    UsageSummary,
)
from engine_store.rules.entities import BY_MODEL, BY_NAME, Row
from engine_store.values import MAX_DOCUMENT_BYTES

VERSION = 2
"""The version of the format that is written; earlier ones are read."""

_SINCE = {"queue": 2, "priority": 2, "due_at": 2, "attempt": 2, "event": 2}
"""The version in which a field, or a kind of row, came."""


_NAMES = {"event": {"kind": "event_kind"}}
"""Fields that have another name in a line."""


@cache
def _names(kind: str, version: int) -> tuple[str, ...]:
    """Return the fields that rows of a kind have in a version of the format."""
    fields = BY_NAME[kind].fields
    return tuple([name for name in fields if _SINCE.get(name, 1) <= version])


def kinds(version: int) -> list[str]:
    """Return the kinds of rows that a version of the format has."""
    return [name for name in BY_NAME if _SINCE.get(name, 1) <= version]


def encode(row: Row) -> bytes:
    """Return the line of a row, without its end."""
    return _WRITER.encode(_fields(row)).encode()


def canonical(row: Row) -> bytes:
    """Return what rows are compared by: the line with all keys sorted, also those of documents.

    The contract leaves the order of a document's keys open (1.3).
    """
    return _SORTED_WRITER.encode(_fields(row)).encode()


def decode(
    line: bytes, *, max_document_bytes: int = MAX_DOCUMENT_BYTES, version: int = VERSION
) -> Row:
    """Return the row of a line that `encode` wrote, or of one that means the same.

    Fields that an earlier version of the format did not have get their defaults. Raises one of
    `DECODE_ERRORS` for a line that is no row, or does not have exactly the fields of its kind, and
    `EngineStoreError` for a row that no store would restore. No error quotes the line.
    """
    fields = json.loads(line.decode())
    kind = fields.pop("kind")
    if _SINCE.get(kind, 1) > version:
        raise ValueError("a kind of row that came later")
    entity = BY_NAME[kind]
    for name, written in _NAMES.get(kind, {}).items():
        fields[name] = fields.pop(written)
    row: Row = _made(entity.model, _names(kind, version), fields)
    checked: Row = entity.check_sizes(entity.check_restored(row), max_document_bytes)
    return checked


DECODE_ERRORS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""The errors that `decode` raises for a line that is no row."""


def _fields(row: Row) -> dict[str, Any]:
    entity = BY_MODEL[type(row)]
    names = _NAMES.get(entity.name, {})
    fields = {names.get(name, name): getattr(row, name) for name in entity.fields}
    return {"kind": entity.name, **fields}


def _plain(value: object) -> object:
    """Return what JSON has a type for."""
    match value:
        case datetime():
            return value.isoformat(timespec="microseconds")
        case bytes():
            return base64.b64encode(value).decode()
        case UsageSummary():
            return value.entries
        case UsageEntry() | ErrorInfo():
            return attrs.asdict(value, recurse=False)
    raise TypeError(f"cannot write {type(value).__name__}")


def _writer(*, sort_keys: bool) -> json.JSONEncoder:
    return json.JSONEncoder(
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
        sort_keys=sort_keys,
        default=_plain,
    )


_WRITER, _SORTED_WRITER = _writer(sort_keys=False), _writer(sort_keys=True)


def _made(model: type[Any], names: Iterable[str], fields: dict[str, Any]) -> Any:
    """Return a model, made of what JSON has for each of its fields."""
    if fields.keys() != set(names):
        raise ValueError("a field is missing, or unknown")
    return model(
        **{
            name: value if value is None or name not in _READ else _READ[name](value)
            for name, value in fields.items()
        }
    )


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _usage(entries: list[dict[str, Any]]) -> UsageSummary:
    return UsageSummary(tuple([_made(UsageEntry, _ENTRY, entry) for entry in entries]))


_ENTRY = tuple(attrs.fields_dict(UsageEntry))
_ERROR = tuple(attrs.fields_dict(ErrorInfo))

_READ: Mapping[str, Callable[[Any], Any]] = {
    "agent_ids": tuple,
    "captured_at": datetime.fromisoformat,
    "component": Component,
    "created_at": datetime.fromisoformat,
    "due_at": datetime.fromisoformat,
    "error": lambda fields: _made(ErrorInfo, _ERROR, fields),
    "execution_type": ExecutionType,
    "fingerprint": _bytes,
    "hash": _bytes,
    "last_used": datetime.fromisoformat,
    "role": Role,
    "status": Status,
    "updated_at": datetime.fromisoformat,
    "usage": _usage,
}
"""How each field that JSON has no type for is read; no name means two things."""
