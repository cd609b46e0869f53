"""The size of batches: work on many rows, in transactions that others need not wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import Factory, define, field


@define
class BatchSize:
    """The number of rows for the next batch: twice as many after a short one, half after a long."""

    SMALLEST = 50
    FIRST = 500
    LARGEST = 4_000
    SHORT = 0.05
    """Seconds below which a batch might be larger; twice as many are long."""

    rows: int = field(init=False, default=Factory(lambda self: self.FIRST, takes_self=True))
    last: float = field(init=False, default=0.0)
    """The seconds that the last batch took, with the wait for its locks."""
    _clock: Callable[[], float] = field(default=time.perf_counter, kw_only=True)

    @contextmanager
    def measured(self) -> Iterator[int]:
        """Measure the batch of the block, whose number of rows it is given."""
        begun = self._clock()
        yield self.rows
        self.last = self._clock() - begun
        if self.last < self.SHORT:
            self.rows = min(2 * self.rows, self.LARGEST)
        elif self.last > 2 * self.SHORT:
            self.rows = max(self.rows // 2, self.SMALLEST)
