"""The work, written once against the store's interface: what an engine asks of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import TypeVar

from attrs import field, frozen

from engine_store import (
    TERMINAL,
    UNSAVED,
    ExecutionType,
    Status,
    Store,
    TaskFilter,
    TaskState,
    UsageEntry,
    UsageSummary,
    WorkflowState,
)
from engine_store.errors import VersionConflictError

S = TypeVar("S", WorkflowState, TaskState)

KINDS = ("plan", "list", "claim", "merge usage", "finish", "tree")
"""The operations that are timed, in the order in which a task meets them."""

PAGE = 20
"""Pending tasks that a worker looks at, to claim one of them."""

DOCUMENT = {"prompt": "Summarise what follows. " * 20, "limit": 400}
USAGE = UsageSummary.of([UsageEntry("anyone", "a-model", 900, 100)])


@frozen
class Size:
    """How much work there is, and how many threads do it side by side."""

    workflows: int
    tasks: int
    """Of each workflow."""
    workers: int


@frozen
class Timings:
    """The seconds that each call took, by its kind, and how many claims another worker had won."""

    seconds: dict[str, list[float]] = field(factory=lambda: defaultdict(list))
    lost_claims: list[str] = field(factory=list)

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Time the block; one that raises is not counted."""
        began = time.perf_counter()
        yield
        self.seconds[kind].append(time.perf_counter() - began)


@frozen
class Worker:
    """One of the threads. All share the store, as the threads of an engine do."""

    store: Store
    number: int
    stopping: Event
    timings: Timings = field(factory=Timings)

    def plan(self, name: str, tasks: int) -> TaskState:
        """A workflow with a root task and so many below it, in one transaction; the root.

        Ids are made of `name`, so that they are the same on both drivers; an engine's are
        `new_id()`.
        """
        workflow = WorkflowState(name, "comparison", Status.RUNNING, input=DOCUMENT)
        root = TaskState(
            name,
            f"{name}-root",
            "root",
            workflow.workflow_id,
            execution_type=ExecutionType.COLLECTION,
            status=Status.RUNNING,
        )
        with self.timings.timed("plan"), self.store.transaction() as tx:
            tx.workflows.create(workflow)
            tx.tasks.create(root)
            for number in range(tasks):
                tx.tasks.create(
                    TaskState(
                        name,
                        f"{name}-{number:04}",
                        f"task-{number:04}",
                        workflow.workflow_id,
                        parent_state_id=root.task_exec_id,
                        input=DOCUMENT,
                    )
                )
        return root

    def run(self, root: TaskState) -> None:
        """Do tasks of this workflow until none is pending."""
        pending = TaskFilter(root.workflow_exec_id, [Status.PENDING])
        while not self.stopping.is_set():
            with self.timings.timed("list"):
                tasks = self.store.tasks.list(pending, limit=PAGE).items
            if not tasks:
                return
            # Each worker begins at another task, so that few claims are lost.
            claimed = self._claim(tasks[self.number % len(tasks)])
            if claimed is not None:
                self._work(claimed, root)

    def _claim(self, task: TaskState) -> TaskState | None:
        try:
            with self.timings.timed("claim"):
                return self.store.tasks.update(task.evolve(status=Status.RUNNING))
        except VersionConflictError:
            self.timings.lost_claims.append(task.task_id)
            return None

    def _work(self, task: TaskState, root: TaskState) -> None:
        """What a task asks of the store; the work itself, which takes most of the time, is none."""
        with self.timings.timed("merge usage"):
            task = self.store.tasks.merge_usage(task.task_exec_id, USAGE)
        with self.timings.timed("finish"), self.store.transaction() as tx:
            tx.tasks.update(task.evolve(status=Status.SUCCESS, output=DOCUMENT))
            tx.workflows.merge_usage(task.workflow_exec_id, USAGE)
        with self.timings.timed("tree"):
            _, *tasks = self.store.tasks.tree(root.task_exec_id)
        if all(task.status in TERMINAL for task in tasks):
            self.store.tasks.modify(root.task_exec_id, _ended)
            self.store.workflows.complete(root.workflow_exec_id)


def _ended(root: TaskState) -> TaskState:
    """Of several workers that see the last task end, one ends the root."""
    return root if root.status in TERMINAL else root.evolve(status=Status.SUCCESS)


def run_workers(store: Store, size: Size) -> tuple[list[Timings], list[WorkflowState]]:
    """All of the work; what each worker timed, and the workflows that were left."""
    stopping = Event()
    workers = [Worker(store, number, stopping) for number in range(size.workers)]

    def plan(worker: Worker) -> list[TaskState]:
        numbers = range(worker.number, size.workflows, size.workers)
        return [worker.plan(f"w-{number:04}", size.tasks) for number in numbers]

    with ThreadPoolExecutor(size.workers) as threads:
        try:
            planned = [root for roots in threads.map(plan, workers) for root in roots]
            roots = sorted(planned, key=lambda root: root.task_exec_id)
            list(threads.map(lambda worker: [worker.run(root) for root in roots], workers))
        except BaseException:  # Ctrl-C among others: the threads are waited for
            stopping.set()
            raise
    return [worker.timings for worker in workers], _left(store, roots)


def _left(store: Store, roots: Sequence[TaskState]) -> list[WorkflowState]:
    """The workflows of these tasks with all of their tasks, without times: they always differ."""

    def timeless(state: S) -> S:
        return state.evolve(created_at=UNSAVED, updated_at=UNSAVED)

    found = (store.workflows.get(root.workflow_exec_id, with_tasks=True) for root in roots)
    return [
        timeless(state).evolve(tasks={key: timeless(task) for key, task in state.tasks.items()})
        for state in found
    ]
