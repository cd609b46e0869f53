"""A worker: claims tasks of one workflow and runs them, until the workflow has ended.

Start as many as you like, one process each, with the folder above this one on `PYTHONPATH`:

    python -m quickstart.worker --store sqlite:////path/engine.db --workflow ID --name worker-7

After each commit it writes a line of JSON to standard output, an event: the acknowledgement that
the store has it for good. It stops after the task in hand when its standard input ends, so it
never outlives a parent by more than a task, however the parent died.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
from collections.abc import Callable

from attrs import frozen

import engine_store
from engine_store import (
    TERMINAL,
    EngineStoreError,
    ExecutionType,
    Store,
    TaskState,
    WorkflowState,
)
from engine_store.errors import UnavailableError
from quickstart.events import Event, Kind
from quickstart.steps import Result, analyse_file, summarise
from quickstart.workflow import (
    FILES,
    Claimant,
    claim,
    claimable,
    finish,
    path_of,
    settle,
)

STORE_VARIABLE = "QUICKSTART_STORE"
"""The environment variable that names the store where `--store` does not."""

POLL = 0.05
"""Seconds between looks into the store while other workers hold all that is left."""

Announce = Callable[[Kind, TaskState], None]
"""Told of each commit, after it."""


@frozen
class Worker:
    """Runs the tasks of one workflow.

    `stopping(seconds)` waits at most that long, and says whether the worker is asked to stop.
    """

    store: Store
    workflow_exec_id: str
    claimant: Claimant
    announce: Announce
    stopping: Callable[[float], bool]

    def run(self) -> None:
        """Work until the workflow has ended, or until asked to stop."""
        while not self.stopping(0):
            workflow = self.store.workflows.get(self.workflow_exec_id, with_tasks=True)
            if workflow.status in TERMINAL:
                return
            if tasks := claimable(workflow):
                self._run_tasks(workflow, tasks)
            elif not settle(self.store, workflow):
                self.stopping(POLL)

    def _run_tasks(self, workflow: WorkflowState, tasks: list[TaskState]) -> None:
        for task in tasks:
            if self.stopping(0):
                return
            claimed = claim(self.store, task, self.claimant)
            if claimed is None:  # another worker was first; the next task may be free
                continue
            self.announce(Kind.CLAIMED, claimed)
            finished = finish(self.store, claimed, self._execute(workflow, claimed))
            self.announce(Kind.FINISHED if finished else Kind.LOST, finished or claimed)

    def _execute(self, workflow: WorkflowState, task: TaskState) -> Result:
        if task.execution_type is ExecutionType.AGGREGATE:
            files = workflow.tasks[FILES]
            return summarise(self.store.tasks.children_outputs(files.task_exec_id))
        return analyse_file(path_of(workflow, task))


# --- the process -------------------------------------------------------------------------------


class Voice:
    """Prints events. With `hold_after`, it makes the worker pause in the middle of a task.

    After that many results and one more claim it waits for a line on standard input, or its end,
    as if the task were a long call to a model. So a parent can kill a worker that has work behind
    it and one task in hand, every time, with no sleep that might be too short.
    """

    def __init__(self, hold_after: int | None) -> None:
        self._hold_after = hold_after
        self._finished = 0

    def announce(self, kind: Kind, task: TaskState) -> None:
        """Tell the parent of a commit."""
        say(Event.of(kind, task))
        self._finished += kind is Kind.FINISHED
        if kind is Kind.CLAIMED and self._finished == self._hold_after:
            sys.stdin.readline()


def say(event: Event) -> None:
    """Print an event at once."""
    sys.stdout.write(event.line())
    sys.stdout.flush()


def parent_is_gone(seconds: float) -> bool:
    """Whether standard input ends within `seconds`; nothing is written to it but in a pause."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def exit_code(error: EngineStoreError) -> int:
    """3 where the database could not serve, 2 where something must be put right first."""
    return 3 if error.retriable or isinstance(error, UnavailableError) else 2


def main() -> int:
    """Run a worker as a process."""
    options = _parser().parse_args()
    try:
        with engine_store.open(options.store) as store:
            voice = Voice(options.hold_after)
            claimant = Claimant(options.name)
            Worker(store, options.workflow, claimant, voice.announce, parent_is_gone).run()
    except EngineStoreError as exc:
        say(Event(Kind.FAILED, reason=str(exc), exit_code=exit_code(exc)))
        return exit_code(exc)
    except BrokenPipeError:  # the parent died between two looks at standard input
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("quickstart.worker", description="Run tasks of a workflow.")
    url = os.environ.get(STORE_VARIABLE)
    parser.add_argument("--store", metavar="URL", default=url, required=url is None)
    parser.add_argument("--workflow", metavar="ID", required=True, help="its execution id")
    parser.add_argument("--name", required=True, help="unique among all workers, past ones too")
    parser.add_argument("--hold-after", metavar="N", type=int, help="pause in the next task")
    return parser


if __name__ == "__main__":
    sys.exit(main())
