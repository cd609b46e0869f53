"""The sizes of the parts of a row, by which they are limited (contract 1.7)."""

from __future__ import annotations

from typing import Any

import orjson

from engine_store.models import ErrorInfo, UsageEntry, UsageSummary


def size_of(value: object) -> int:
    """Return the bytes of a checked document, error or usage summary as JSON in UTF-8, or of bytes.

    It is the JSON without blanks that SQL drivers write.
    """
    return len(value if isinstance(value, bytes) else orjson.dumps(value, default=_plain))


def _plain(value: object) -> Any:
    match value:
        case UsageSummary():
            return value.entries
        case UsageEntry():
            return {name: field for name, field in vars(value).items() if field is not None}
        case ErrorInfo():
            return {"message": value.message, "code": value.code, "details": value.details}
    raise TypeError(f"{type(value).__name__} has no size")
