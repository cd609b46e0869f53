"""Databases in memory: what is committed, and who may write."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define

from engine_store.errors import UnavailableError
from engine_store_memory.tables import Snapshot


@define
class Draft:
    """What a transaction has made so far: a snapshot of its own."""

    data: Snapshot


class Database:
    """One committed snapshot, which each transaction replaces as a whole.

    Nobody writes to a snapshot that is committed, so that readers need no lock. Writers take
    turns. The database belongs to the process that made it: what a forked child did to its copy
    would be seen by nobody, and so it is refused.
    """

    def __init__(self) -> None:
        self._committed = Snapshot()
        self._process = os.getpid()
        self._turn = threading.Lock()
        self._writer: int | None = None

    def check(self) -> None:
        """Raise `UnavailableError` in a forked child."""
        if os.getpid() != self._process:
            reason = "a database in memory stays with its process; this is a fork of that"
            raise UnavailableError(reason, retriable=False)

    def read(self) -> Snapshot:
        """What is committed."""
        self.check()
        return self._committed

    @contextmanager
    def writing(self, timeout: float) -> Iterator[Draft]:
        """A draft that is committed if the block ends without an error.

        Raises `UnavailableError` where the turn does not come within `timeout` seconds, and at
        once where the thread would wait for itself.
        """
        self.check()
        me = threading.get_ident()
        if self._writer == me:
            reason = "this thread has a transaction open here; write through it, or end it first"
            raise UnavailableError(reason, retriable=False)
        if not self._turn.acquire(timeout=timeout):
            raise UnavailableError(f"another thread's transaction was open for {timeout:g} s")
        self._writer = me
        try:
            draft = Draft(self._committed)
            yield draft
            self._committed = draft.data
        finally:
            self._writer = None
            self._turn.release()


_NAMED: dict[str, Database] = {}


def named(name: str) -> Database:
    """The database of this name, made where there is none; without a name, one of its own."""
    # `setdefault` is atomic. A lock here could be held by another thread when this one forks,
    # and would then be held in the child for ever.
    return _NAMED.setdefault(name, Database()) if name else Database()


def forget(name: str) -> None:
    """The next store of this name gets an empty database; open ones keep theirs."""
    _NAMED.pop(name, None)
