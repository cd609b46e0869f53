"""The cases of many at once, which have nothing to be compared with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import engine_store
from benchmarks.blocks import Block, Blocks, Prepare, each, new_tasks
from benchmarks.data import output_document
from benchmarks.databases import Bench
from engine_store import TaskState

T = TypeVar("T")

THREADS = 8
IN_FLIGHT = 100
"""Calls that one `asyncio.gather` awaits."""


def modify_by_threads(bench: Bench) -> Prepare:
    """Eight threads modify one row; each conflict is tried again until it succeeds."""
    pool = bench.stack.enter_context(ThreadPoolExecutor(THREADS))
    key = bench.dataset.wide_tasks[0]

    def revised(task: TaskState) -> TaskState:
        return task.evolve(output=output_document(task.version))

    def modify(key: str) -> TaskState:
        return bench.store.tasks.modify(key, revised)

    def prepare(count: int) -> Blocks:
        return Blocks(_by_threads(pool, modify, [key] * count))

    return prepare


def create_by_threads(bench: Bench) -> Prepare:
    """Eight threads create tasks."""
    pool = bench.stack.enter_context(ThreadPoolExecutor(THREADS))

    def prepare(count: int) -> Blocks:
        return Blocks(_by_threads(pool, bench.store.tasks.create, new_tasks(bench, count)))

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
        tasks = new_tasks(bench, count)
        return Blocks(lambda: runner.run(create_all(tasks)))

    return prepare


def _by_threads(pool: ThreadPoolExecutor, run: Callable[[T], object], items: Sequence[T]) -> Block:
    shares = [each(run, items[start::THREADS]) for start in range(THREADS)]
    return lambda: [done.result() for done in [pool.submit(share) for share in shares]]
