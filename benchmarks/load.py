"""Loads on one store: writers that never pause, and workflows that think between two updates."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from attrs import field, frozen

import engine_store
from benchmarks.data import add_running, with_result
from benchmarks.databases import Databases
from engine_store import TaskState
from engine_store.errors import EngineStoreError
from engine_store.protocols import Store
from engine_store.sql.statements import Call


@frozen
class Load:
    """So many workflows, each with one task, that update it for some seconds.

    Between two updates a workflow thinks for half of `pause` to one and a half, drawn anew.
    """

    workflows: int
    seconds: float
    pause: float = 0.0

    def first(self) -> float:
        """The seconds until a workflow's first update: they do not begin all at once."""
        return random.uniform(0, self.pause)

    def think(self) -> float:
        """The seconds until the next update."""
        return self.pause * random.uniform(0.5, 1.5)


@frozen
class Found:
    """The milliseconds of each update, what failed, and the seconds until the last one's end."""

    times: list[float] = field(factory=list)
    errors: list[EngineStoreError] = field(factory=list)
    seconds: float = 0.0

    def __add__(self, other: Found) -> Found:
        """Both together."""
        return Found(
            self.times + other.times, self.errors + other.errors, self.seconds + other.seconds
        )


class Clock:
    """The times of a load that runs, from its beginning on."""

    def __init__(self, load: Load) -> None:
        """A clock that starts now."""
        self._began = self._ended = time.perf_counter()
        self._until = self._began + load.seconds
        self.times: list[float] = []
        self.errors: list[EngineStoreError] = []

    def is_over(self) -> bool:
        """Return whether no update begins any more."""
        return time.perf_counter() >= self._until

    def done(self, started: float) -> None:
        """Note an update that ends now."""
        self._ended = time.perf_counter()
        self.times.append((self._ended - started) * 1000)

    def found(self) -> Found:
        """Return what was measured."""
        return Found(self.times, self.errors, self._ended - self._began)


def by_threads(databases: Databases, load: Load) -> Found:
    """Each workflow is a thread, on a synchronous store."""
    clocks: list[Clock] = []
    ready = threading.Barrier(load.workflows, lambda: clocks.append(Clock(load)))

    def workflow(task: TaskState) -> TaskState:
        ready.wait()
        (clock,) = clocks
        time.sleep(load.first())
        while not clock.is_over() or task.version == 1:
            changed = with_result(task, task.version)
            started = time.perf_counter()
            try:
                task = store.tasks.update(changed)
                clock.done(started)
            except EngineStoreError as error:
                clock.errors.append(error)
            if load.pause:
                time.sleep(load.think())
        return task

    with ExitStack() as stack:
        store = stack.enter_context(engine_store.open(stack.enter_context(databases.new())))
        tasks = _tasks(store, load.workflows)
        with ThreadPoolExecutor(load.workflows) as pool:
            tasks = list(pool.map(workflow, tasks))
        found = clocks[0].found()
        _check(store, tasks, found)
        return found


def by_tasks(databases: Databases, load: Load) -> Found:
    """Each workflow is a task of one event loop, on an asynchronous store."""
    with databases.new() as url:
        with engine_store.open(url) as store:
            tasks = _tasks(store, load.workflows)
        tasks, found = asyncio.run(_on_a_loop(url, tasks, load))
        with engine_store.open(url) as store:
            _check(store, tasks, found)
        return found


async def _on_a_loop(url: str, tasks: list[TaskState], load: Load) -> tuple[list[TaskState], Found]:
    async with await engine_store.open_async(url) as store:
        clock = Clock(load)

        async def workflow(task: TaskState) -> TaskState:
            await asyncio.sleep(load.first())
            while not clock.is_over() or task.version == 1:
                changed = with_result(task, task.version)
                started = time.perf_counter()
                try:
                    task = await store.tasks.update(changed)
                    clock.done(started)
                except EngineStoreError as error:
                    clock.errors.append(error)
                await asyncio.sleep(load.think())
            return task

        return list(await asyncio.gather(*map(workflow, tasks))), clock.found()


KINDS: dict[str, Callable[[Databases, Load], Found]] = {"async": by_tasks, "threads": by_threads}


def by_the_bare_module(databases: Databases, seconds: float) -> Found:
    """One connection, and a commit for each update. What is made ready before is not timed."""
    with databases.new() as url:
        with engine_store.open(url) as store:
            (task,) = _tasks(store, 1)
        times: list[float] = []
        spent = 0.0
        with databases.connect(url) as bare:
            while spent < seconds:
                call = next(databases.operations.tasks.update(with_result(task, task.version)))
                assert isinstance(call, Call)
                ready = bare.ready(call)
                started = time.perf_counter()
                bare.write(ready)
                took = time.perf_counter() - started
                times.append(took * 1000)
                spent += took
                task = task.evolve(version=task.version + 1)
        found = Found(times, [], spent)
        with engine_store.open(url) as store:
            _check(store, [task], found)
        return found


def _tasks(store: Store, workflows: int) -> list[TaskState]:
    """The only task of each of so many new workflows."""
    with store.transaction() as tx:
        return [add_running(tx) for _ in range(workflows)]


def _check(store: Store, tasks: list[TaskState], found: Found) -> None:
    """Check that what is stored is what was acknowledged, no more and no less."""
    stored = [store.tasks.get(task.task_exec_id).version for task in tasks]
    if stored != [task.version for task in tasks] or sum(stored) - len(tasks) != len(found.times):
        raise RuntimeError("the stored versions are not what was acknowledged")
