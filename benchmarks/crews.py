"""Crews of workers that take tasks from one database: threads, processes, or one event loop."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from functools import reduce
from multiprocessing.synchronize import Barrier
from operator import add
from typing import Protocol

from attrs import frozen

from benchmarks.children import PATIENCE, Pipe, answers, child, gate
from benchmarks.databases import Databases

THREADS, PROCESSES, LOOP = "threads", "processes", "coroutines"
"""Kinds of workers; coroutines are all of one event loop."""


@frozen
class Crew:
    """So many workers: threads or coroutines of one process, or processes of one worker each."""

    kind: str
    workers: int

    @property
    def title(self) -> str:
        """The crew, for people."""
        return f"{self.workers} {self.kind if self.workers > 1 else self.kind.removesuffix('s')}"

    @property
    def processes(self) -> int:
        """The number of processes."""
        return self.workers if self.kind == PROCESSES else 1

    @property
    def of_process(self) -> int:
        """The number of workers in each process."""
        return self.workers // self.processes


@frozen
class Done:
    """So many tasks, finished from one moment to another, by a clock that all processes share."""

    tasks: int
    began: float
    ended: float

    def __add__(self, other: Done) -> Done:
        """Both, from the first beginning to the last end."""
        return Done(
            self.tasks + other.tasks, min(self.began, other.began), max(self.ended, other.ended)
        )

    @property
    def per_second(self) -> float:
        """The rate."""
        return self.tasks / (self.ended - self.began)


NOTHING = Done(0, math.inf, -math.inf)
"""The work of a process whose work another one counts."""


class Shift:
    """The time for which one process of a crew works."""

    def __init__(self, seconds: float, gate: Barrier) -> None:
        """A shift that begins when all processes are at the gate."""
        self.seconds = seconds
        self._gate = gate
        self._began = 0.0

    def begin(self) -> int:
        """Wait for the others, and begin. Return the number of this process, from 0."""
        number = self._gate.wait(PATIENCE)
        self._began = time.monotonic()
        return number

    def is_over(self) -> bool:
        """Return whether no task is begun any more."""
        return time.monotonic() - self._began >= self.seconds

    def done(self, tasks: int) -> Done:
        """Return what was done from the beginning until now."""
        return Done(tasks, self._began, time.monotonic())


class Work(Protocol):
    """The work of one process of a crew, which begins its shift when it is ready."""

    def __call__(self, crew: Crew, shift: Shift) -> Done: ...


class Contestant(Protocol):
    """A queue in a database, with workers for it."""

    @property
    def name(self) -> str:
        """The name of its package."""
        ...

    @property
    def title(self) -> str: ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of crews that it can have."""
        ...

    def fill(self, databases: Databases, url: str, tasks: int) -> None:
        """Make so many waiting tasks, in an empty database."""
        ...

    def work(self, url: str, batch: int) -> Work:
        """Return the work on that database; up to `batch` tasks are taken at a time."""
        ...

    def check(self, databases: Databases, url: str, tasks: int, done: Done) -> None:
        """Check that each task that was done is stored as done, once. Raises `LostWorkError`."""
        ...


class LostWorkError(Exception):
    """Raised if what is stored is not what the workers did."""


def run(work: Work, crew: Crew, seconds: float) -> Done:
    """Return what a crew did in so many seconds."""
    shift = Shift(seconds, gate(crew.processes))
    with ExitStack() as stack:
        pipes = [
            stack.enter_context(child(_work, work, crew, shift)) for _ in range(crew.processes)
        ]
        done: list[Done] = answers(pipes)
        return reduce(add, done)


def _work(pipe: Pipe, work: Work, crew: Crew, shift: Shift) -> None:
    pipe.send(work(crew, shift))
