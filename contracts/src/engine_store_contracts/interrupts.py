"""Interrupts calls at random moments, and looks whether the store is as usable as before."""

from __future__ import annotations

import random
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from engine_store.models import Status, WorkflowState
from engine_store.protocols import Store

KEY = "interrupted"
LONGEST_CALL = 0.005
"""Seconds that are taken as the longest a call takes, however many it took to measure them."""


class Interrupt(Exception):
    """An ordinary exception from a signal handler, as Celery's soft time limit is."""


class Interrupts:
    """One interrupt at a time, at a random moment; for the main thread of a process."""

    def __init__(self, chance: random.Random) -> None:
        self.pending = False
        self._chance = chance
        signal.signal(signal.SIGALRM, self._raise)

    def _raise(self, *_: object) -> None:
        if self.pending:
            self.pending = False
            raise Interrupt

    def begin(self, longest: float) -> None:
        """Have the next one come within `longest` seconds."""
        self.pending = True
        signal.setitimer(signal.ITIMER_REAL, self._chance.uniform(1e-5, longest))


class Interrupted:
    """A store whose calls are interrupted, with the last version that it acknowledged."""

    def __init__(self, store: Store, seed: int) -> None:
        self._store = store
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._interrupts = Interrupts(self._chance)
        self._acknowledged = store.workflows.upsert(WorkflowState(KEY, "x")).version
        self._kept: deque[Exception] = deque(maxlen=5)
        """The last tracebacks, with what they refer to: a debugger keeps them, and pytest."""

    def run(self, count: int, longest: float, check: Callable[[], None] = lambda: None) -> None:
        """Interrupt so many calls. Each time, `check` and a write have to succeed at once."""
        calls = (self._read, self._store.health, self._write, self._transact, self._fail)
        for number in range(count):
            call = self._chance.choice(calls)
            try:
                try:
                    self._interrupts.begin(longest)
                    while self._interrupts.pending:
                        call()
                finally:
                    self._interrupts.pending = False
            except Interrupt as error:
                if self._chance.random() < 0.5:
                    self._kept.append(error)
            check()
            self._check()
            if number % 100 == 99:
                self._check_other_threads()

    def _read(self) -> None:
        self._store.workflows.get(KEY)
        self._store.workflows.list(limit=2)

    def _write(self) -> None:
        stored = self._store.workflows.modify(KEY, lambda state: state.evolve(input={"n": 1}))
        self._acknowledged = stored.version

    def _transact(self) -> None:
        with self._store.transaction() as tx:
            state = tx.workflows.get_for_update(KEY)
            with tx.transaction() as inner:
                state = inner.workflows.update(state.evolve(output={"n": 2}))
        self._acknowledged = state.version

    def _fail(self) -> None:
        with suppress(LookupError), self._store.transaction() as tx:
            tx.workflows.set_status(KEY, Status.RUNNING)
            raise LookupError

    def _check(self) -> None:
        """Check that what was acknowledged is there, and that it can be written."""
        stored = self._store.workflows.get(KEY)
        assert stored.version >= self._acknowledged, f"{stored.version} after {self._acknowledged}"
        assert stored.status is Status.PENDING, "a transaction that failed was committed"
        self._write()
        assert self._acknowledged > stored.version

    def _check_other_threads(self) -> None:
        found: list[int] = []

        def write() -> None:
            found.append(self._store.workflows.set_status(KEY, Status.PENDING).version)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        assert found, "another thread cannot write"
        assert self._store.health().ok


def interrupt(
    store: Store,
    count: int,
    seed: int,
    longest: float = LONGEST_CALL,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Interrupt so many calls of `store`, each within `longest` seconds of its beginning."""
    warnings.simplefilter("ignore")  # coroutines that were interrupted before they began
    Interrupted(store, seed).run(count, longest, check)
