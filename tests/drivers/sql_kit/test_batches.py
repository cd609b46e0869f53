"""Batches: as many rows as others may wait for."""

from __future__ import annotations

from itertools import accumulate

from engine_store.sql.batches import BatchSize


def sizes(*seconds: float) -> list[int]:
    """The size of each batch, if they take these seconds."""
    times = iter(accumulate(second for each in seconds for second in (0, each)))
    size = BatchSize(clock=lambda: next(times))
    found = []
    for _ in seconds:
        with size.measured() as rows:
            found.append(rows)
    return found


def test_a_batch_is_twice_as_large_after_a_short_one_and_half_after_a_long_one() -> None:
    assert sizes(0.01, 0.01, 0.06, 0.11, 0.2, 0.01) == [500, 1000, 2000, 2000, 1000, 500]


def test_a_batch_has_at_least_fifty_rows_and_at_most_four_thousand() -> None:
    assert sizes(9, 9, 9, 9, 9)[-1] == 50
    assert sizes(0, 0, 0, 0, 0)[-1] == 4_000
