"""A row as a line of JSON, and back: the same row to the type.

Every field is there, in the order of the model. JSON is that of the SQL drivers: text as UTF-8,
floats with a point or an exponent, integers without. Times are ISO 8601 with microseconds, bytes
are base64.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import attrs
import orjson

from engine_store.models import (
    Component,
    ErrorInfo,
    ExecutionType,
    Role,
    Status,
    UsageEntry,
    UsageSummary,
)
from engine_store.transfer.rows import KIND_NAMED, KIND_OF, Row

_WRITE = orjson.OPT_PASSTHROUGH_DATETIME


def encode(row: Row) -> bytes:
    """The line of a row, without its end."""
    return orjson.dumps(_fields(row), default=_plain, option=_WRITE)


def canonical(row: Row) -> bytes:
    """What rows are compared by: the line with all keys sorted, also those of documents.

    The contract leaves the order of a document's keys open (1.3).
    """
    return orjson.dumps(_fields(row), default=_plain, option=_WRITE | orjson.OPT_SORT_KEYS)


def decode(line: bytes) -> Row:
    """The row of a line that `encode` wrote.

    Raises `ValueError` or one of its kin for any other line, and `EngineStoreError` for what no
    store would restore. No error quotes the line.
    """
    fields = orjson.loads(line)
    kind = KIND_NAMED[fields.pop("kind")]
    row: Row = kind.model(**{name: _read(name, value) for name, value in fields.items()})
    kind.check(row)
    if encode(row) != line:  # a field that is missing, a number too large, a blank
        raise ValueError("not as an export writes it")
    return row


def _fields(row: Row) -> dict[str, Any]:
    kind = KIND_OF[type(row)]
    return {"kind": kind.name, **{name: getattr(row, name) for name in kind.fields}}


def _plain(value: object) -> object:
    """What JSON has no type for."""
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


def _read(name: str, value: Any) -> Any:
    """A field of a model from what JSON has for it."""
    return value if value is None or name not in _READ else _READ[name](value)


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _usage(entries: list[dict[str, Any]]) -> UsageSummary:
    return UsageSummary(
        tuple(
            UsageEntry(**{name: _read(name, value) for name, value in entry.items()})
            for entry in entries
        )
    )


_READ: Mapping[str, Callable[[Any], Any]] = {
    "agent_ids": tuple,
    "captured_at": datetime.fromisoformat,
    "component": Component,
    "created_at": datetime.fromisoformat,
    "error": lambda fields: ErrorInfo(**fields),
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
