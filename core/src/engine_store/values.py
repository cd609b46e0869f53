"""The value domain (contract 1): what may be stored, checked before any driver sees it.

Each check returns the value to go on with, or raises `InvalidValueError` with the path to it. What
the caller or another thread could change meanwhile is copied first, and the copy is checked: use
what a check returns. The checks ask for exact types: a subclass of `dict` or `str` would come back
as its base, and what is written must be what is read. Only a time may be of a subclass, which is
what libraries for times have; it comes back as a plain `datetime`, equal to what was given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from engine_store.clock import UNSAVED
from engine_store.errors import InvalidValueError, names

C = TypeVar("C", bound=StrEnum)
T = TypeVar("T")

Document: TypeAlias = dict[str, Any]
"""A JSON object: null, bool, 64-bit integers, finite floats, strings, arrays, objects."""

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
MAX_ID_LENGTH = 255
MAX_EMAIL_LENGTH = 320
MAX_DEPTH = 100
MAX_PAGE = 1000
MAX_DOCUMENT_BYTES = 64 * 2**20
"""The largest document, as JSON in UTF-8, unless the configuration says otherwise (1.7)."""
LARGEST_DOCUMENT_BYTES = 200 * 2**20
"""The most that the configuration may say: four of them are a row that every database takes."""
MAX_VERSION = 2**62
"""The highest version of a row that is restored (2.9): from there to 2^63 no writes ever lead."""


def check_id(value: object, path: str) -> str:
    """Return an id or name: an opaque, case-sensitive string of 1 to 255 characters (1.1)."""
    if (
        type(value) is str
        and value.isascii()
        and 0 < len(value) <= MAX_ID_LENGTH
        and "\0" not in value
    ):
        return value  # the usual id
    text = check_text(value, path)
    if not 1 <= len(text) <= MAX_ID_LENGTH:
        raise InvalidValueError(path, f"expected 1 to 255 characters, found {len(text)}")
    return text


def check_optional_id(value: object, path: str) -> str | None:
    """Return an id or name, or None."""
    return None if value is None else check_id(value, path)


def check_text(value: object, path: str) -> str:
    """Return a string without NUL and without lone surrogates."""
    if type(value) is not str:
        raise InvalidValueError(path, f"expected str, found {_kind(value)}")
    if "\0" in value:
        raise InvalidValueError(path, "a string may not hold NUL")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidValueError(path, "a string may not hold a lone surrogate") from None
    return value


def check_int(value: object, path: str, *, minimum: int = INT_MIN, maximum: int = INT_MAX) -> int:
    """Return an integer from `minimum` to `maximum`; bool is not one."""
    if type(value) is not int:
        raise InvalidValueError(path, f"expected int, found {_kind(value)}")
    if not minimum <= value <= maximum:
        last = {INT_MAX: "2^63-1", MAX_VERSION: "2^62"}.get(maximum, maximum)
        raise InvalidValueError(path, f"expected an integer from {minimum} to {last}")
    return value


def check_bytes(value: object, path: str, *, length: int | None = None) -> bytes:
    """Return non-empty bytes, of `length` where one is given."""
    if type(value) is not bytes:
        raise InvalidValueError(path, f"expected bytes, found {_kind(value)}")
    if length is not None and len(value) != length:
        raise InvalidValueError(path, f"expected {length} bytes, found {len(value)}")
    if not value:
        raise InvalidValueError(path, "expected bytes, found none")
    return value


def check_time(value: object, path: str) -> datetime:
    """Return an aware datetime in UTC (contract 1.5), as a plain one."""
    if type(value) is datetime and value.tzinfo is UTC:
        return value
    if not isinstance(value, datetime):
        raise InvalidValueError(path, f"expected a datetime, found {_kind(value)}")
    if value.utcoffset() != timedelta():
        raise InvalidValueError(path, "expected an aware datetime in UTC: datetime.now(UTC)")
    return plain_time(value)


def plain_time(value: datetime) -> datetime:
    """Return an aware time as a `datetime` in UTC, of no subclass."""
    if type(value) is type(UNSAVED) and value.tzinfo is UTC:
        return value
    if value.utcoffset() != timedelta():
        value = value.astimezone(UTC)
    # Of the class of UNSAVED: a library that freezes time puts another in the place of `datetime`.
    return UNSAVED.replace(
        value.year,
        value.month,
        value.day,
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
    )


def check_choice(value: object, choices: type[C], path: str) -> C:
    """Return a member of the enumeration `choices`."""
    if type(value) is not choices:
        known = names([choice.value for choice in choices])
        raise InvalidValueError(
            path, f"expected a {choices.__name__} ({known}), found {_kind(value)}"
        )
    return value


def check_choices(values: object, choices: type[C], path: str) -> tuple[C, ...] | None:
    """Return the members of the enumeration `choices` in a collection; None for None."""
    return _check_each(
        values, "collection", path, lambda value, path: check_choice(value, choices, path)
    )


def check_ids(values: object, path: str) -> tuple[str, ...] | None:
    """Return the ids in a collection; None for None."""
    return _check_each(values, "collection of ids", path, check_id)


def _check_each(
    values: object, expected: str, path: str, check: Callable[[object, str], T]
) -> tuple[T, ...] | None:
    if values is None:
        return None
    if isinstance(values, str | bytes) or not isinstance(values, Collection):
        raise InvalidValueError(path, f"expected a {expected}, found {_kind(values)}")
    return tuple([check(value, f"{path}[{index}]") for index, value in enumerate(tuple(values))])


def check_limit(limit: object, path: str = "limit") -> int:
    """Return a page size from 1 to 1,000."""
    size = check_int(limit, path)
    if not 1 <= size <= MAX_PAGE:
        raise InvalidValueError(path, f"expected 1 to {MAX_PAGE}, found {size}")
    return size


def check_email(value: object, path: str) -> str:
    """Return a string with something on both sides of an `@`: 3 to 320 characters, no blanks."""
    email = check_text(value, path)
    local, at, domain = email.rpartition("@")
    if not (local and at and domain) or len(email) > MAX_EMAIL_LENGTH or email.split() != [email]:
        raise InvalidValueError(
            path, f"expected name@domain without blanks, at most {MAX_EMAIL_LENGTH} characters"
        )
    return email


def fold_email(email: str) -> str:
    """What emails are compared by: Unicode case folding, for every driver alike (4.1)."""
    return email.casefold()


def check_document(value: object, path: str, *, around: int = 0) -> Document | None:
    """Return a copy of a document (contract 1.2): a JSON object of at most 100 levels, or None.

    `around` levels at its outside do not count.
    """
    if value is None:
        return None
    if type(value) is not dict:
        raise InvalidValueError(path, f"expected dict or None, found {_kind(value)}")
    try:
        return _check_object(value, 1 - around)
    except InvalidValueError as error:
        raise _below(path, error) from None


def check_size(size: int, path: str, maximum: int) -> None:
    """Refuse more than `maximum` bytes (contract 1.7)."""
    if size > maximum:
        raise InvalidValueError(
            path,
            f"expected at most {maximum} bytes as JSON, which is max_document_bytes, found {size}; "
            "keep it in a file or an object store, and its place here",
        )


def check_workflow_output(value: object, path: str) -> Document | None:
    """Return a copy of a document; what `complete` puts around outputs does not count (5.5)."""
    return check_document(value, path, around=2)


# These run for every value of every document written: the usual value is looked at without a call,
# and no path is built before one is needed. A copy of an exact dict or list is made in one step,
# which no thread can come between.


def _check_object(value: dict[Any, Any], depth: int) -> dict[Any, Any]:
    if depth > MAX_DEPTH:
        raise InvalidValueError("", f"nested deeper than {MAX_DEPTH} levels")
    copy = value.copy()
    for key, item in copy.items():
        if type(key) is not str:
            raise InvalidValueError("", f"expected string keys, found {_kind(key)}")
        if not key.isascii() or "\0" in key:
            check_text(key, f".{key!a}")
        kind = type(item)
        if kind is str and item.isascii() and "\0" not in item:
            continue
        if kind is dict or kind is list:
            try:
                nested = _check_object if kind is dict else _check_array
                copy[key] = nested(item, depth + 1)
            except InvalidValueError as error:
                raise _below(f".{key}", error) from None
        elif not (kind is int and INT_MIN <= item <= INT_MAX):
            _check_scalar(item, ".", key)
    return copy


def _check_array(value: list[Any], depth: int) -> list[Any]:
    if depth > MAX_DEPTH:
        raise InvalidValueError("", f"nested deeper than {MAX_DEPTH} levels")
    copy = value.copy()
    for index, item in enumerate(copy):
        kind = type(item)
        if kind is str and item.isascii() and "\0" not in item:
            continue
        if kind is dict or kind is list:
            try:
                nested = _check_object if kind is dict else _check_array
                copy[index] = nested(item, depth + 1)
            except InvalidValueError as error:
                raise _below(f"[{index}]", error) from None
        elif not (kind is int and INT_MIN <= item <= INT_MAX):
            _check_scalar(item, "[", index)
    return copy


def _check_scalar(value: object, sign: str, step: str | int) -> None:
    kind = type(value)
    if kind is bool or value is None or (kind is float and math.isfinite(value)):  # type: ignore[arg-type]
        return
    path = f".{step}" if sign == "." else f"[{step}]"
    if kind is str:
        check_text(value, path)
    elif kind is int:
        reason = "expected an integer from -2^63 to 2^63-1, found one beyond"
        raise InvalidValueError(path, reason)
    elif kind is float:
        raise InvalidValueError(path, f"expected a finite float, found {value}")
    else:
        raise InvalidValueError(path, f"expected a JSON value, found {_kind(value)}")


def _below(path: str, error: InvalidValueError) -> InvalidValueError:
    """Return the error with `path` before its own."""
    error.path = path + error.path
    return error


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
