"""Time as the store sees it: aware UTC datetimes with microseconds from an injectable clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the time now, as an aware datetime. Tests inject their own."""

UNSAVED = datetime.min.replace(tzinfo=UTC)
"""`created_at` and `updated_at` of a state that no store has returned yet."""


def utc_now() -> datetime:
    """The system's clock, in UTC."""
    return datetime.now(UTC)
