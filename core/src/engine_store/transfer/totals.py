"""What rows add up to: counts and a checksum, by which the two ends of a transfer are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from attrs import frozen

from engine_store.protocols import Repositories
from engine_store.transfer.lines import canonical
from engine_store.transfer.rows import KIND_NAMED, KIND_OF, Numbered, numbered


@frozen
class Totals:
    """What the rows of a store add up to: equal for stores with equal rows.

    `counts` is by kind. `checksum` is a SHA-256 over all rows in order, as hexadecimal digits; the
    order of a document's keys does not count, as nowhere in the contract.
    """

    counts: Mapping[str, int]
    checksum: str

    def __str__(self) -> str:
        counts = ", ".join(f"{kind} {count}" for kind, count in self.counts.items())
        return f"{counts}, checksum {self.checksum[:12]}"


class Tally:
    """Adds up the rows that pass through it."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(KIND_NAMED, 0)
        self._digest = hashlib.sha256()

    def through(self, rows: Iterable[Numbered]) -> Iterator[Numbered]:
        """The same rows, each added before it is passed on."""
        for number, row in rows:
            self._counts[KIND_OF[type(row)].name] += 1
            self._digest.update(canonical(row) + b"\n")
            yield number, row

    @property
    def totals(self) -> Totals:
        """The sum so far."""
        return Totals(dict(self._counts), self._digest.hexdigest())


def totals_of(rows: Iterable[Numbered]) -> Totals:
    """What `rows` add up to."""
    tally = Tally()
    for _ in tally.through(rows):
        pass
    return tally.totals


def totals(store: Repositories) -> Totals:
    """What the rows of `store` add up to, read page by page.

    Compare two stores with it. It is of one moment only where nobody writes meanwhile.
    """
    return totals_of(numbered(store))
