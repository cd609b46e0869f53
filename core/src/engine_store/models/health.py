"""The answer of `store.health()` (contract 9.4)."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class Health:
    """The health of a store: whether it can be used, and the driver's own statistics in `details`.

    `read_only`: it was opened to be read only, so that it need not write.
    `problem` says what is wrong, in a sentence, and is None where nothing is.
    """

    driver: str
    can_read: bool
    can_write: bool
    schema_version: int
    problem: str | None = None
    details: Mapping[str, int | float | str] = field(factory=dict)
    read_only: bool = False

    @property
    def ok(self) -> bool:
        """Can read, and write unless it was opened to be read only."""
        return self.can_read and (self.can_write or self.read_only)
