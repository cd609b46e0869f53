"""Interrupts the calls of a store at random moments, and looks whether it is as usable as before.

A program for `test_interrupts`: the URL of a store, how many interrupts, and a seed.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import sys
import threading
import warnings
from collections import deque

import engine_store
from engine_store import Status, WorkflowState

URL, COUNT, SEED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
LONGEST = 0.0007 if URL.startswith("sqlite") else 0.003
"""Seconds after which an interrupt comes, at most: as long as a call takes."""


class Interrupt(Exception):
    """An ordinary exception from a signal handler, as Celery's soft time limit is."""


class Interrupts:
    """One interrupt at a time, at a random moment."""

    def __init__(self) -> None:
        self.pending = False
        signal.signal(signal.SIGALRM, self._raise)

    def _raise(self, *_: object) -> None:
        if self.pending:
            self.pending = False
            raise Interrupt

    def begin(self) -> None:
        self.pending = True
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, LONGEST))


store = engine_store.open(URL)
acknowledged = store.workflows.upsert(WorkflowState("w", "x")).version


def read() -> None:
    store.workflows.get("w")
    store.workflows.list(limit=2)


def look() -> None:
    store.health()


def write() -> None:
    global acknowledged
    acknowledged = store.workflows.modify("w", lambda state: state.evolve(input={"n": 1})).version


def transact() -> None:
    global acknowledged
    with store.transaction() as tx:
        state = tx.workflows.get_for_update("w")
        with tx.transaction() as inner:
            state = inner.workflows.update(state.evolve(output={"n": 2}))
    acknowledged = state.version


def fail() -> None:
    try:
        with store.transaction() as tx:
            tx.workflows.set_status("w", Status.RUNNING)
            raise LookupError
    except LookupError:
        pass


def check() -> None:
    """Check that what was acknowledged is there, and that nobody is kept from writing."""
    global acknowledged
    if URL.startswith("sqlite"):  # another process is not refused for a moment
        with sqlite3.connect(URL.removeprefix("sqlite:///").partition("?")[0]) as other:
            other.execute("PRAGMA busy_timeout = 0")
            other.execute("BEGIN IMMEDIATE")
        other.close()
    stored = store.workflows.get("w")
    assert stored.version >= acknowledged, f"{stored.version} after {acknowledged}"
    assert stored.status is Status.PENDING, "a transaction that failed was committed"
    # On a server the end of an interrupted statement may still be under way.
    acknowledged = store.workflows.modify("w", lambda state: state.evolve(input={})).version
    assert acknowledged > stored.version


def check_others() -> None:
    """Another thread reads and writes."""
    found: list[int] = []
    thread = threading.Thread(
        target=lambda: found.append(store.workflows.set_status("w", Status.PENDING).version)
    )
    thread.start()
    thread.join()
    assert found, "another thread cannot write"
    assert store.health().ok


warnings.simplefilter("ignore")  # coroutines that were interrupted before they began
random.seed(SEED)
interrupts = Interrupts()
kept: deque[Exception] = deque(maxlen=5)
"""The last tracebacks, and with them what they refer to: a debugger keeps them, and pytest."""
for number in range(COUNT):
    work = random.choice((read, look, write, transact, fail))
    try:
        try:
            interrupts.begin()
            while interrupts.pending:
                work()
        finally:
            interrupts.pending = False
    except Interrupt as error:
        if random.random() < 0.5:
            kept.append(error)
    check()
    if number % 100 == 0:
        check_others()
check_others()
store.close()
sys.stdout.write("as usable as before\n")
