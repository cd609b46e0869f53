"""What is measured, in a process of its own: `python probe.py WHAT PATH TASKS PAYLOAD SYNCHRONOUS`.

It prints its figures as a line of JSON, in seconds and bytes.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from attrs import frozen

import engine_store
from engine_store import (
    DatabaseConfig,
    Status,
    Store,
    TaskState,
    WorkflowState,
    new_id,
    utc_now,
)

Figures = dict[str, float]


def edge(path: str, synchronous: str = "normal") -> DatabaseConfig:
    """A configuration for a small machine; README.md says why."""
    options = {"path": path, "synchronous": synchronous, "readers": 1, "busy_timeout": 30}
    return DatabaseConfig(driver="sqlite", options=options)


@frozen
class Probe:
    """So many task executions with an input and an output of `payload` bytes each; 0: with none."""

    path: Path
    tasks: int
    payload: int
    synchronous: str

    def open(self) -> Store:
        """The store on the file."""
        return engine_store.open(edge(str(self.path), self.synchronous))

    def write(self) -> Figures:
        """Open the file, new or not, and write."""
        began = perf_counter()
        with self.open() as store:
            open_seconds = perf_counter() - began
            write_seconds = self.run_workflow(store)
            wal_bytes = self.path.with_name(f"{self.path.name}-wal").stat().st_size
        return {
            "open": open_seconds,
            "writes_per_second": 2 * self.tasks / write_seconds,
            "wal": wal_bytes,
            "disk": self.disk(),
        }

    def reopen(self) -> Figures:
        """Open the file that is there."""
        began = perf_counter()
        with self.open():
            return {"open": perf_counter() - began}

    def live(self) -> Figures:
        """Write, purge, write the same again, purge again, VACUUM; sizes along the way."""
        self.write()
        purged, free = self.purge()
        again = self.write()["disk"]
        self.purge()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("VACUUM")
        return {
            "purged": purged,
            "free": free,
            "again": again,
            "vacuumed": self.disk(),
        }

    def run_workflow(self, store: Store) -> float:
        """Create each task execution with its input, then finish it with its output; seconds."""
        document = {"text": "x" * (self.payload - len('{"text":""}'))} if self.payload else None
        workflow = WorkflowState(new_id(), "edge", Status.RUNNING)
        store.workflows.create(workflow)
        began = perf_counter()
        for number in range(self.tasks):
            task = TaskState(
                workflow.workflow_exec_id,
                new_id(),
                f"task-{number}",
                "edge",
                status=Status.RUNNING,
                input=document,
            )
            created = store.tasks.create(task)
            store.tasks.update(created.evolve(status=Status.SUCCESS, output=document))
        seconds = perf_counter() - began
        store.workflows.set_status(workflow.workflow_exec_id, Status.SUCCESS)
        return seconds

    def purge(self) -> tuple[int, int]:
        """Delete every workflow; the size of the file, and how much of it is free for new rows."""
        with self.open() as store:
            store.workflows.purge(utc_now() + timedelta(days=1))
        with closing(sqlite3.connect(self.path)) as connection:
            (pages,) = connection.execute("PRAGMA freelist_count").fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
        return self.disk(), pages * size

    def disk(self) -> int:
        """The file and, where they are there, the two beside it."""
        return sum(path.stat().st_size for path in self.path.parent.glob(f"{self.path.name}*"))


WHAT: dict[str, Callable[[Probe], Figures]] = {
    "write": Probe.write,
    "reopen": Probe.reopen,
    "live": Probe.live,
}

if __name__ == "__main__":
    what, path, tasks, payload, synchronous = sys.argv[1:]
    probe = Probe(Path(path), int(tasks), int(payload), synchronous)
    print(json.dumps(WHAT[what](probe)))
