"""Forks: a child gets a copy of its parent's memory, but none of its locks.

SQLite notes in memory which locks the process has on a file, for all connections to it. In a
forked child the note is untrue. A connection of the parent's, and even a new one of its own, would
take locks for held that are not: the child would write to a log that the parent, when it closes the
last connection it knows of, takes away
(https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_across_a_fork_). So before a
fork every connection is closed; parent and child open new ones as they need them.
"""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path
from typing import Protocol

from engine_store.errors import UnavailableError

PATIENCE = 1.0
"""Seconds that a fork waits for other threads to give their connections back."""


class Forkable(Protocol):
    """What wants to know of forks."""

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


lost_files: set[Path] = set()
"""In a forked child: files to which there was a connection when it was forked."""

_watched: weakref.WeakSet[Forkable] = weakref.WeakSet()
_forking: list[Forkable] = []
_lock = threading.RLock()


def watch(forkable: Forkable) -> None:
    """Tell `forkable` of every fork, as long as it lives."""
    with _lock:
        _watched.add(forkable)


def check_not_lost(path: Path) -> None:
    """Raise `UnavailableError` where this process cannot use `path` safely."""
    if path in lost_files:
        raise UnavailableError(
            f"this process was forked in the middle of a transaction, and SQLite cannot use {path} "
            "here; fork outside of transactions, or start the process anew",
            retriable=False,
        )


def keep_forever(*objects: object) -> None:
    """Take a reference that is never given back, so that no finalizer runs in this process."""
    import ctypes  # only a forked child needs it

    for item in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(item))


def _before() -> None:
    _lock.acquire()
    _forking[:] = _watched
    for forkable in _forking:
        forkable.before_fork()


def _after_in_parent() -> None:
    try:
        for forkable in _forking:
            forkable.after_fork_in_parent()
    finally:
        _forking.clear()
        _lock.release()


def _after_in_child() -> None:
    global _lock
    try:
        for forkable in _forking:
            forkable.after_fork_in_child()
    finally:
        _forking.clear()
        _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
