"""The cases, and those of one operation at a time; `parallel` has those of many at once."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.blocks import Blocks, Case, Prepare, each, new_tasks, rotating
from benchmarks.data import PAGE, TREE_SIZE, WIDE, with_result
from benchmarks.databases import Bench
from benchmarks.parallel import THREADS, create_by_gather, create_by_threads, modify_by_threads
from engine_store import TaskFilter, TaskState

BATCH = 10
"""Tasks that one transaction creates."""

DURABLE_AIM = {"sqlite": 0.7, "postgres": 0.85}
READ_AIM = {"sqlite": 0.5, "postgres": 0.75}
"""The share of the bare module's throughput that the store is to reach, on each database."""
SQLITE_ALONE = {"sqlite": None}


# --- writes ------------------------------------------------------------------------------------


def create(bench: Bench) -> Prepare:
    """Create a task below a root task."""

    def prepare(count: int) -> Blocks:
        tasks = new_tasks(bench, count)
        ready = [bench.ready(bench.operations.tasks.create(task)) for task in tasks]
        return Blocks(each(bench.store.tasks.create, tasks), each(bench.bare.write, ready))

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
            states[position] = task.evolve(version=task.version + 1)  # as the store will have it
        ready = [bench.ready(bench.operations.tasks.update(task)) for task in tasks]
        return Blocks(each(bench.store.tasks.update, tasks), each(bench.bare.write, ready))

    return prepare


def transaction(bench: Bench) -> Prepare:
    """Create ten tasks in one transaction."""

    def create_all(tasks: Iterable[TaskState]) -> None:
        with bench.store.transaction() as tx:
            for task in tasks:
                tx.tasks.create(task)

    def prepare(count: int) -> Blocks:
        batches = [new_tasks(bench, BATCH) for _ in range(count)]
        ready = [
            [bench.ready(bench.operations.tasks.create(task)) for task in tasks]
            for tasks in batches
        ]
        return Blocks(each(create_all, batches), each(bench.bare.transact, ready))

    return prepare


# --- reads -------------------------------------------------------------------------------------


def get(bench: Bench) -> Prepare:
    """Get tasks by id."""
    take = rotating(bench.dataset.wide_tasks)

    def prepare(count: int) -> Blocks:
        ids = take(count)
        ready = [bench.ready(bench.operations.tasks.get(key)) for key in ids]
        return Blocks(each(bench.store.tasks.get, ids), each(bench.bare.read, ready))

    return prepare


def workflow(bench: Bench) -> Prepare:
    """Get workflows, each with the latest execution of its ten tasks."""
    take = rotating(bench.dataset.small)

    def prepare(count: int) -> Blocks:
        ids = take(count)
        ready = [bench.ready(bench.operations.workflows.get(key, with_tasks=True)) for key in ids]
        return Blocks(
            each(lambda key: bench.store.workflows.get(key, with_tasks=True), ids),
            each(bench.bare.read, ready),
        )

    return prepare


def tree(bench: Bench) -> Prepare:
    """Get a tree of tasks, three levels below its root."""
    root = bench.dataset.tree_root

    def prepare(count: int) -> Blocks:
        ready = bench.ready(bench.operations.tasks.tree(root))
        return Blocks(
            each(bench.store.tasks.tree, [root] * count), each(bench.bare.read, [ready] * count)
        )

    return prepare


def page(bench: Bench) -> Prepare:
    """List tasks in creation order, a page from somewhere in the middle."""
    cursors = []
    cursor = bench.store.tasks.list(limit=PAGE).next_cursor
    while cursor is not None:
        cursors.append(cursor)
        cursor = bench.store.tasks.list(limit=PAGE, cursor=cursor).next_cursor
    take = rotating(cursors[:-1])  # the last page is shorter

    def prepare(count: int) -> Blocks:
        places = take(count)
        ready = [
            bench.ready(bench.operations.tasks.list(limit=PAGE, cursor=place)) for place in places
        ]
        return Blocks(
            each(lambda place: bench.store.tasks.list(limit=PAGE, cursor=place), places),
            each(bench.bare.read, ready),
        )

    return prepare


_CASES = (
    Case("create", "create a task", create, DURABLE_AIM),
    Case("update", "compare-and-set update", update, DURABLE_AIM),
    Case("get", "get a task", get, READ_AIM),
    Case("workflow", "workflow with 10 tasks", workflow, READ_AIM),
    Case("tree", f"tree of {TREE_SIZE:,} tasks", tree, READ_AIM),
    Case("page", f"list page of {PAGE} tasks", page, READ_AIM),
    Case("transaction", f"transaction of {BATCH} creates", transaction),
    Case("create-normal", "create, synchronous normal", create, SQLITE_ALONE, durable=False),
    Case("update-normal", "update, synchronous normal", update, SQLITE_ALONE, durable=False),
    Case(
        "modify-threads", f"modify one row, {THREADS} threads", modify_by_threads, concurrent=True
    ),
    Case("create-threads", f"create, {THREADS} threads", create_by_threads, concurrent=True),
    Case("create-gather", "create, one event loop", create_by_gather, concurrent=True),
)

CASES = {case.name: case for case in _CASES}
