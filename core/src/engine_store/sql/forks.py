"""Forks: a child gets a copy of its parent's memory, but neither its threads nor its connections.

A pool that is watched here is notified of every fork, as long as it lives.
"""

from __future__ import annotations

import os
import threading
import weakref


class Forkable:
    """The base of what is notified of forks; a subclass defines what it does about them."""

    def before_fork(self) -> None:
        """Make ready, in the parent."""

    def after_fork_in_parent(self) -> None:
        """Go on, in the parent."""

    def after_fork_in_child(self) -> None:
        """Go on, or begin anew, in the child."""


_watched: weakref.WeakSet[Forkable] = weakref.WeakSet()
_forking: list[Forkable] = []
_lock = threading.RLock()


def watch(forkable: Forkable) -> None:
    """Notify `forkable` of every fork, as long as it lives."""
    with _lock:
        _watched.add(forkable)


def watched() -> list[Forkable]:
    """Return what is notified."""
    with _lock:
        return list(_watched)


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
