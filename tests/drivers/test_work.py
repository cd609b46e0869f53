"""Many workers in many processes work off a queue, and processes are killed all the time.

`WORK` in the environment is how many tasks 40 workers in 8 processes work off; the usual run is a
small one.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeAlias

import pytest
from attrs import define, field

import engine_store
from engine_store.models import Status, TaskState, WorkflowState
from engine_store.models.pages import read_pages
from engine_store.protocols import Store

LARGE = "WORK" in os.environ
TASKS = int(os.environ.get("WORK", "1500"))
PROCESSES, THREADS = (8, 5) if LARGE else (3, 4)
WORKFLOWS = 10

GROWTH_BEFORE_KILL = 3000
"""By how many bytes the lines of a process grow before it is killed, at most."""

ENDED = {"SUCCESS", "FAILED"}

Line: TypeAlias = tuple[str, str, int]
"""What happened, the task, and its attempt."""

PROGRAM = Path(__file__).with_name("work.py")

pytestmark = [
    pytest.mark.usefixtures("unmeasured"),
    pytest.mark.timeout(3600 if LARGE else 300),
]


@define
class Crew:
    """The processes that work, each with the file that it writes to."""

    url: str
    folder: Path
    running: list[tuple[subprocess.Popen[bytes], Path]] = field(factory=list)
    killed: int = 0

    def __enter__(self) -> Self:
        for _ in range(PROCESSES):
            self.start()
        return self

    def __exit__(self, *error: object) -> None:
        for process, _ in self.running:
            process.kill()
            process.wait()

    def start(self) -> None:
        """Start a process."""
        path = self.folder / f"{self.killed + len(self.running)}.lines"
        path.touch()
        command = [sys.executable, PROGRAM, self.url, path, str(THREADS)]
        self.running.append((subprocess.Popen(command), path))

    def kill_one(self, wait_until: Callable[[Callable[[], object]], None]) -> bool:
        """Put another process in the place of one; False: all tasks have ended before."""
        process, path = victim = random.choice(self.running)
        size = path.stat().st_size + random.randrange(GROWTH_BEFORE_KILL)
        wait_until(lambda: path.stat().st_size > size or process.poll() is not None)
        process.kill()
        if process.wait() != -signal.SIGKILL:
            return False
        self.running.remove(victim)
        self.killed += 1
        self.start()
        return True

    def lines(self) -> list[Line]:
        """What they have written."""
        texts = [path.read_text("utf-8") for path in self.folder.glob("*.lines")]
        return [
            (what, task, int(n))
            for text in texts
            for what, task, n in map(str.split, text.splitlines())
        ]


def fill(store: Store) -> None:
    """Create the tasks."""
    with store.transaction() as tx:
        for number in range(WORKFLOWS):
            tx.workflows.create(WorkflowState(f"w{number}", "work"))
        for number in range(TASKS):
            workflow = f"w{number % WORKFLOWS}"
            tx.tasks.create(TaskState(workflow, f"t{number}", "t", "work", priority=number % 3))


def check_tasks(tasks: Mapping[str, TaskState], lines: Sequence[Line], killed: int) -> None:
    """Check that lines and tasks agree; a thread that was killed left one answer unsaid at most."""
    assert [line for line, times in Counter(lines).items() if times > 1] == []
    assert all(attempt <= tasks[task].attempt for _, task, attempt in lines)
    endings = [(task, (what, attempt)) for what, task, attempt in lines if what in ENDED]
    assert [task for task, n in Counter(task for task, _ in endings).items() if n > 1] == []
    ended = dict(endings)
    claims = Counter(task for what, task, _ in lines if what == "began")
    releases = Counter(task for what, task, _ in lines if what == "PENDING")
    unsaid = 0
    for key, task in tasks.items():
        assert task.status in ENDED
        assert ended.get(key, (task.status, task.attempt)) == (task.status, task.attempt)
        released = task.version - 1 - task.attempt - 1  # each write is a version
        missing = (task.attempt - claims[key], released - releases[key], key not in ended)
        assert min(missing) >= 0
        unsaid += sum(missing)
    assert unsaid <= killed * THREADS


def check_usage(store: Store, tasks: Mapping[str, TaskState]) -> None:
    """Check that each success was counted once, with its task and its workflow."""
    for state in store.workflows.list().items:
        of_it = [task for task in tasks.values() if task.workflow_exec_id == state.workflow_exec_id]
        counts = [task.status is Status.SUCCESS for task in of_it]
        assert [tokens(task) for task in of_it] == counts
        assert tokens(state) == sum(counts)


def tokens(state: TaskState | WorkflowState) -> int:
    """The tokens that a state has used."""
    return sum(entry.prompt_tokens for entry in state.usage.entries)


def test_every_task_ends_once_whoever_is_killed(
    url: str, tmp_path: Path, wait_until: Callable[[Callable[[], object]], None]
) -> None:
    with engine_store.open(url) as store:
        fill(store)
        begun = time.monotonic()
        with Crew(url, tmp_path) as crew:
            while crew.kill_one(wait_until):
                pass
            assert [process.wait(60) for process, _ in crew.running] == [0] * PROCESSES
        seconds, lines = time.monotonic() - begun, crew.lines()
        tasks = {task.task_exec_id: task for task in read_pages(store.tasks.list, 1000)}
        assert len(tasks) == TASKS
        assert crew.killed
        check_tasks(tasks, lines, crew.killed)
        check_usage(store, tasks)
        assert (store.tasks.queues(), store.tasks.next_due()) == ({}, None)
    said = Counter(what for what, *_ in lines)
    sys.stdout.write(f"{dict(said)}, {crew.killed} processes killed, {seconds:.1f} s\n")
