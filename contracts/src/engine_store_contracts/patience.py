"""Patience: the suite waits longer for what must happen if machine or database are slow.

The measure is the opening of a store. Each case opens one, so that measuring costs nothing and
follows the load; and an opening does what calls do: it starts threads, connects, runs statements
and waits for the disk. A wait lasts as long as `OPENINGS` of the slowest of the last ones, but at
least `MINIMUM`, so that a pause of the machine fails no case, and at most `MAXIMUM`, so that a
case says what hangs before it has spent the time that a run allows it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

MINIMUM, MAXIMUM = 30.0, 120.0
OPENINGS = 100
RECENT = 20


class Patience:
    """Times openings, and says how long to wait."""

    def __init__(self) -> None:
        self._recent = deque([0.0], maxlen=RECENT)

    @property
    def seconds(self) -> float:
        """The seconds to wait for one thing."""
        return min(max(MINIMUM, OPENINGS * max(self._recent)), MAXIMUM)

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Time an opening."""
        begun = monotonic()
        yield
        self._recent.append(monotonic() - begun)


PATIENCE = Patience()
"""The patience of this process."""
