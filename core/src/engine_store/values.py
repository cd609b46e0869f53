"""The value domain (contract 1): what may be stored, checked before any driver sees it.

Each check raises `InvalidValueError` with the path to the offending value and returns nothing.
The checks ask for exact types: a subclass of `dict` or `str` would come back as its base, and
what is written must be what is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from engine_store.errors import InvalidValueError, names

Document: TypeAlias = dict[str, Any]
"""A JSON object: null, bool, 64-bit integers, finite floats, strings, arrays, objects."""

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
MAX_ID_LENGTH = 255
MAX_EMAIL_LENGTH = 320
MAX_DEPTH = 100
MAX_PAGE = 1000


def check_id(value: object, path: str) -> None:
    """An id or name: an opaque, case-sensitive string of 1 to 255 characters (contract 1.1)."""
    if (
        type(value) is str
        and value.isascii()
        and 0 < len(value) <= MAX_ID_LENGTH
        and "\0" not in value
    ):
        return  # the usual id
    check_text(value, path)
    assert isinstance(value, str)  # noqa: S101 - for the type checker; check_text has seen to it
    if not 1 <= len(value) <= MAX_ID_LENGTH:
        raise InvalidValueError(path, f"expected 1 to 255 characters, found {len(value)}")


def check_optional_id(value: object, path: str) -> None:
    """An id or name, or None."""
    if value is not None:
        check_id(value, path)


def check_text(value: object, path: str) -> None:
    """A string without NUL and without lone surrogates."""
    if type(value) is not str:
        raise InvalidValueError(path, f"expected str, found {_kind(value)}")
    if "\0" in value:
        raise InvalidValueError(path, "a string may not hold NUL")
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidValueError(path, "a string may not hold a lone surrogate") from None


def check_int(value: object, path: str, *, minimum: int = INT_MIN) -> None:
    """An integer from `minimum` to 2^63-1; bool is not one."""
    if type(value) is not int:
        raise InvalidValueError(path, f"expected int, found {_kind(value)}")
    if not minimum <= value <= INT_MAX:
        raise InvalidValueError(path, f"expected an integer from {minimum} to 2^63-1")


def check_bytes(value: object, path: str, *, length: int | None = None) -> None:
    """Non-empty bytes, of `length` where one is given."""
    if type(value) is not bytes:
        raise InvalidValueError(path, f"expected bytes, found {_kind(value)}")
    if length is not None and len(value) != length:
        raise InvalidValueError(path, f"expected {length} bytes, found {len(value)}")
    if not value:
        raise InvalidValueError(path, "expected bytes, found none")


def check_time(value: object, path: str) -> None:
    """An aware datetime in UTC (contract 1.5)."""
    if type(value) is datetime and value.tzinfo is UTC:
        return
    if not isinstance(value, datetime):
        raise InvalidValueError(path, f"expected a datetime, found {_kind(value)}")
    if value.utcoffset() != timedelta():
        raise InvalidValueError(path, "expected an aware datetime in UTC: datetime.now(UTC)")


def check_choice(value: object, choices: type[Any], path: str) -> None:
    """A member of the enumeration `choices`."""
    if type(value) is not choices:
        known = names([choice.value for choice in choices])
        raise InvalidValueError(
            path, f"expected a {choices.__name__} ({known}), found {_kind(value)}"
        )


def check_choices(values: object, choices: type[Any], path: str) -> None:
    """A collection of members of the enumeration `choices`, or None."""
    _check_each(values, "collection", path, lambda value, path: check_choice(value, choices, path))


def check_ids(values: object, path: str) -> None:
    """A collection of ids, or None."""
    _check_each(values, "collection of ids", path, check_id)


def _check_each(
    values: object, expected: str, path: str, check: Callable[[object, str], None]
) -> None:
    if values is None:
        return
    if isinstance(values, str | bytes) or not isinstance(values, Collection):
        raise InvalidValueError(path, f"expected a {expected}, found {_kind(values)}")
    for index, value in enumerate(values):
        check(value, f"{path}[{index}]")


def check_limit(limit: object, path: str = "limit") -> None:
    """A page size from 1 to 1,000."""
    check_int(limit, path)
    if not 1 <= limit <= MAX_PAGE:  # type: ignore[operator]
        raise InvalidValueError(path, f"expected 1 to {MAX_PAGE}, found {limit}")


def check_email(value: object, path: str) -> None:
    """A string with something on both sides of an `@`, at most 320 characters, no blanks."""
    check_text(value, path)
    assert isinstance(value, str)  # noqa: S101
    local, at, domain = value.rpartition("@")
    if not (local and at and domain) or len(value) > MAX_EMAIL_LENGTH or value.split() != [value]:
        raise InvalidValueError(
            path, f"expected name@domain without blanks, at most {MAX_EMAIL_LENGTH} characters"
        )


def fold_email(email: str) -> str:
    """What emails are compared by: Unicode case folding, for every driver alike (4.1)."""
    return email.casefold()


def check_document(value: object, path: str, *, around: int = 0) -> None:
    """A document (contract 1.2): a JSON object nested to at most 100 levels, or None.

    `around` levels at its outside do not count.
    """
    if value is None:
        return
    if type(value) is not dict:
        raise InvalidValueError(path, f"expected dict or None, found {_kind(value)}")
    _check_object(value, path, 1 - around)


def check_workflow_output(value: object, path: str) -> None:
    """A document; what `complete` puts around the outputs of tasks does not count (5.5)."""
    check_document(value, path, around=2)


def _check_object(value: dict[Any, Any], path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidValueError(path, f"nested deeper than {MAX_DEPTH} levels")
    for key, item in value.items():
        if type(key) is not str:
            raise InvalidValueError(path, f"expected string keys, found {_kind(key)}")
        if not key.isascii() or "\0" in key:
            check_text(key, f"{path}.{key!a}")
        if type(item) is str and item.isascii() and "\0" not in item:
            continue  # the usual text, without a call for it
        _check_json(item, path, key, depth)


def _check_array(value: list[Any], path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidValueError(path, f"nested deeper than {MAX_DEPTH} levels")
    for index, item in enumerate(value):
        if type(item) is str and item.isascii() and "\0" not in item:
            continue
        _check_json(item, path, index, depth)


def _check_json(value: object, parent: str, step: str | int, depth: int) -> None:
    # The commonest types first, and no path is built before one is needed: this runs for every
    # value of every document written.
    kind = type(value)
    if kind is str:
        if not value.isascii() or "\0" in value:  # type: ignore[attr-defined, operator]
            check_text(value, _join(parent, step))
    elif kind is int:
        if not INT_MIN <= value <= INT_MAX:  # type: ignore[operator]
            raise InvalidValueError(
                _join(parent, step), "expected an integer from -2^63 to 2^63-1, found one beyond"
            )
    elif kind is bool or value is None:
        pass
    elif kind is float:
        if not math.isfinite(value):  # type: ignore[arg-type]
            raise InvalidValueError(_join(parent, step), f"expected a finite float, found {value}")
    elif kind is dict:
        _check_object(value, _join(parent, step), depth + 1)  # type: ignore[arg-type]
    elif kind is list:
        _check_array(value, _join(parent, step), depth + 1)  # type: ignore[arg-type]
    else:
        raise InvalidValueError(_join(parent, step), f"expected a JSON value, found {_kind(value)}")


def _join(parent: str, step: str | int) -> str:
    return f"{parent}[{step}]" if isinstance(step, int) else f"{parent}.{step}"


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
