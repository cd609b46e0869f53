"""The counts and the checksum of rows, by which the two ends of a transfer are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from attrs import frozen

from engine_store.protocols import Repositories
from engine_store.rules.entities import BY_MODEL, BY_NAME
from engine_store.transfer.codec import canonical
from engine_store.transfer.rows import Numbered, numbered


@frozen
class Checksum:
    """The sum of all rows of a store: equal for stores with equal rows.

    `counts` is by kind. `sha256` covers all rows in order, as hexadecimal digits; the order of a
    document's keys does not count, as nowhere in the contract.
    """

    counts: Mapping[str, int]
    sha256: str

    def __str__(self) -> str:
        counts = ", ".join(f"{kind} {count}" for kind, count in self.counts.items())
        return f"{counts}, checksum {self.sha256[:12]}"


class Summing:
    """Sums the rows that pass through it."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(BY_NAME, 0)
        self._digest = hashlib.sha256()

    def through(self, rows: Iterable[Numbered]) -> Iterator[Numbered]:
        """Yield the same rows, each added before it is passed on."""
        for number, row in rows:
            self._counts[BY_MODEL[type(row)].name] += 1
            self._digest.update(canonical(row) + b"\n")
            yield number, row

    @property
    def checksum(self) -> Checksum:
        """The sum so far."""
        return Checksum(dict(self._counts), self._digest.hexdigest())


def checksum_of(rows: Iterable[Numbered]) -> Checksum:
    """Return the sum of `rows`."""
    summing = Summing()
    for _ in summing.through(rows):
        pass
    return summing.checksum


def checksum(store: Repositories) -> Checksum:
    """Return the sum of the rows of `store`, read page by page.

    Compare two stores with it. It is of one moment only if no one writes meanwhile.
    """
    return checksum_of(numbered(store))
