"""The reports of a running operation to its observer.

`engine_store.open` observes the operations of any driver if a plugin listens to them. What
happens inside an operation, such as a lost race that is retried, only the driver sees: it calls
these functions. They do nothing while no operation is observed.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

from engine_store.errors import VersionConflictError


class Observed(Protocol):
    """An operation that is being observed."""

    def conflicted(self, conflict: VersionConflictError) -> None: ...

    def retried(self) -> None: ...


CURRENT: ContextVar[Observed | None] = ContextVar("engine_store_observed", default=None)
"""The observed operation that runs in this context."""


def conflicted(conflict: VersionConflictError) -> None:
    """Report a lost compare-and-set, in particular one that is retried."""
    if (operation := CURRENT.get()) is not None:
        operation.conflicted(conflict)


def retried() -> None:
    """Report that an operation lost to concurrent ones and is about to wait before a retry."""
    if (operation := CURRENT.get()) is not None:
        operation.retried()
