"""A clock for tests: it stands still until it is moved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
"""Where clocks begin: one microsecond before a day, a month and a full second begin."""


class ManualClock:
    """A `Clock` that stands still, and goes forwards and backwards by `tick`.

    `when_asked` is called first, whenever it is asked: what happens in the middle of a call.
    """

    def __init__(self, start: datetime = START) -> None:
        self.time = start
        self.when_asked: Callable[[], object] | None = None

    def __call__(self) -> datetime:
        if self.when_asked is not None:
            self.when_asked()
        return self.time

    def tick(self, seconds: float = 1, *, microseconds: int = 0) -> datetime:
        """Move by `seconds` and `microseconds`, backwards where negative; the new time."""
        self.time += timedelta(seconds=seconds, microseconds=microseconds)
        return self.time
