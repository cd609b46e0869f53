"""The two faces of a store."""

from __future__ import annotations

from enum import StrEnum


class Face(StrEnum):
    """How a store is called."""

    SYNC = "sync"
    ASYNC = "async"
