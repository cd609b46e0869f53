"""The cases: for each a function that makes a round of operations ready, on both sides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import NamedTuple, TypeAlias, TypeVar

from attrs import evolve, frozen

import engine_store
from benchmarks.data import PAGE, TREE_SIZE, WIDE, new_task, output_document, with_result
from benchmarks.databases import Bench
from engine_store import TaskFilter, TaskState

T = TypeVar("T")

THREADS = 8
IN_FLIGHT = 100
"""Calls that one `asyncio.gather` awaits."""
BATCH = 10
"""Tasks that one transaction creates."""

DURABLE_AIM = {"sqlite": 0.7, "postgres": 0.85}
READ_AIM = {"sqlite": 0.5, "postgres": 0.75}
"""The share of the bare module's throughput that the store is to reach, on each database."""
NO_AIM = {"sqlite": None, "postgres": None}
SQLITE_ALONE = {"sqlite": None}

Block: TypeAlias = Callable[[], object]
"""Runs the operations of one round that were made ready for it."""


class Blocks(NamedTuple):
    """The same operations for the store and, where that is compared, for the bare module."""

    store: Block
    bare: Block | None = None


Prepare: TypeAlias = Callable[[int], Blocks]
"""Makes so many operations ready."""


@frozen
class Case:
    """A case, measured by the drivers that `aims` names."""

    name: str
    title: str
    set_up: Callable[[Bench], Prepare]
    aims: Mapping[str, float | None] = NO_AIM
    """The share of the bare throughput to reach; None where none is set."""
    durable: bool = True
    """Whether a commit waits for the disk."""
    concurrent: bool = False


def _each(run: Callable[[T], object], items: Sequence[T]) -> Block:
    def block() -> None:
        for item in items:
            run(item)

    return block


def _rotating(items: Sequence[T]) -> Callable[[int], list[T]]:
    """Takes so many of `items`, going on where the last round ended."""
    forever = cycle(random.Random(1).sample(items, len(items)))
    return lambda count: list(islice(forever, count))


# --- writes ------------------------------------------------------------------------------------


def _new_tasks(bench: Bench, count: int) -> list[TaskState]:
    data = bench.dataset
    return [new_task(data.wide, number, data.wide_root) for number in range(count)]


def create(bench: Bench) -> Prepare:
    """Create a task below a root task."""

    def prepare(count: int) -> Blocks:
        tasks = _new_tasks(bench, count)
        ready = [bench.ready(bench.operations.tasks.create(task)) for task in tasks]
        return Blocks(_each(bench.store.tasks.create, tasks), _each(bench.bare.write, ready))

    return prepare


def update(bench: Bench) -> Prepare:
    """Compare-and-set updates of status, output and usage, over a thousand tasks."""
    chosen = TaskFilter(parent_state_id=bench.dataset.wide_root)
    states = list(bench.store.tasks.list(chosen, limit=WIDE).items)

    def prepare(count: int) -> Blocks:
        tasks = []
        for number in range(count):
            position = number % len(states)
            task = with_result(states[position], number)
            tasks.append(task)
            states[position] = evolve(task, version=task.version + 1)  # as the store will have it
        ready = [bench.ready(bench.operations.tasks.update(task)) for task in tasks]
        return Blocks(_each(bench.store.tasks.update, tasks), _each(bench.bare.write, ready))

    return prepare


def transaction(bench: Bench) -> Prepare:
    """Create ten tasks in one transaction."""

    def create_all(tasks: Iterable[TaskState]) -> None:
        with bench.store.transaction() as tx:
            for task in tasks:
                tx.tasks.create(task)

    def prepare(count: int) -> Blocks:
        batches = [_new_tasks(bench, BATCH) for _ in range(count)]
        ready = [
            [bench.ready(bench.operations.tasks.create(task)) for task in tasks]
            for tasks in batches
        ]
        return Blocks(_each(create_all, batches), _each(bench.bare.transact, ready))

    return prepare


# --- reads -------------------------------------------------------------------------------------


def get(bench: Bench) -> Prepare:
    """Get tasks by id."""
    take = _rotating(bench.dataset.wide_tasks)

    def prepare(count: int) -> Blocks:
        ids = take(count)
        ready = [bench.ready(bench.operations.tasks.get(key)) for key in ids]
        return Blocks(_each(bench.store.tasks.get, ids), _each(bench.bare.read, ready))

    return prepare


def workflow(bench: Bench) -> Prepare:
    """Get workflows, each with the latest execution of its ten tasks."""
    take = _rotating(bench.dataset.small)

    def prepare(count: int) -> Blocks:
        ids = take(count)
        ready = [bench.ready(bench.operations.workflows.get(key, with_tasks=True)) for key in ids]
        return Blocks(
            _each(lambda key: bench.store.workflows.get(key, with_tasks=True), ids),
            _each(bench.bare.read, ready),
        )

    return prepare


def tree(bench: Bench) -> Prepare:
    """Get a tree of tasks, three levels below its root."""
    root = bench.dataset.tree_root

    def prepare(count: int) -> Blocks:
        ready = bench.ready(bench.operations.tasks.tree(root))
        return Blocks(
            _each(bench.store.tasks.tree, [root] * count), _each(bench.bare.read, [ready] * count)
        )

    return prepare


def page(bench: Bench) -> Prepare:
    """List tasks in creation order, a page from somewhere in the middle."""
    cursors = []
    cursor = bench.store.tasks.list(limit=PAGE).next_cursor
    while cursor is not None:
        cursors.append(cursor)
        cursor = bench.store.tasks.list(limit=PAGE, cursor=cursor).next_cursor
    take = _rotating(cursors[:-1])  # the last page is shorter

    def prepare(count: int) -> Blocks:
        places = take(count)
        ready = [
            bench.ready(bench.operations.tasks.list(limit=PAGE, cursor=place)) for place in places
        ]
        return Blocks(
            _each(lambda place: bench.store.tasks.list(limit=PAGE, cursor=place), places),
            _each(bench.bare.read, ready),
        )

    return prepare


# --- many at once ------------------------------------------------------------------------------


def modify_by_threads(bench: Bench) -> Prepare:
    """Eight threads modify one row; each conflict is tried again until it succeeds."""
    pool = bench.stack.enter_context(ThreadPoolExecutor(THREADS))
    key = bench.dataset.wide_tasks[0]

    def revised(task: TaskState) -> TaskState:
        return evolve(task, output=output_document(task.version))

    def modify(key: str) -> TaskState:
        return bench.store.tasks.modify(key, revised)

    def prepare(count: int) -> Blocks:
        return Blocks(_by_threads(pool, modify, [key] * count))

    return prepare


def create_by_threads(bench: Bench) -> Prepare:
    """Eight threads create tasks."""
    pool = bench.stack.enter_context(ThreadPoolExecutor(THREADS))

    def prepare(count: int) -> Blocks:
        return Blocks(_by_threads(pool, bench.store.tasks.create, _new_tasks(bench, count)))

    return prepare


def create_by_gather(bench: Bench) -> Prepare:
    """One event loop creates tasks, a hundred calls at a time."""
    runner = bench.stack.enter_context(asyncio.Runner())
    store = runner.run(engine_store.open_async(bench.url))
    bench.stack.callback(lambda: runner.run(store.close()))

    async def create_all(tasks: Sequence[TaskState]) -> None:
        for start in range(0, len(tasks), IN_FLIGHT):
            await asyncio.gather(*map(store.tasks.create, tasks[start : start + IN_FLIGHT]))

    def prepare(count: int) -> Blocks:
        tasks = _new_tasks(bench, count)
        return Blocks(lambda: runner.run(create_all(tasks)))

    return prepare


def _by_threads(pool: ThreadPoolExecutor, run: Callable[[T], object], items: Sequence[T]) -> Block:
    shares = [_each(run, items[start::THREADS]) for start in range(THREADS)]
    return lambda: [done.result() for done in [pool.submit(share) for share in shares]]


_CASES = (
    Case("create", "create a task", create, DURABLE_AIM),
    Case("update", "compare-and-set update", update, DURABLE_AIM),
    Case("get", "get a task", get, READ_AIM),
    Case("workflow", "workflow with 10 tasks", workflow, READ_AIM),
    Case("tree", f"tree of {TREE_SIZE:,} tasks", tree, READ_AIM),
    Case("page", f"list page of {PAGE} tasks", page, READ_AIM),
    Case("transaction", f"transaction of {BATCH} creates", transaction),
    Case("create-normal", "create, synchronous=normal", create, SQLITE_ALONE, durable=False),
    Case("update-normal", "update, synchronous=normal", update, SQLITE_ALONE, durable=False),
    Case(
        "modify-threads", f"modify one row, {THREADS} threads", modify_by_threads, concurrent=True
    ),
    Case("create-threads", f"create, {THREADS} threads", create_by_threads, concurrent=True),
    Case("create-gather", "create, one event loop", create_by_gather, concurrent=True),
)

CASES = {case.name: case for case in _CASES}
