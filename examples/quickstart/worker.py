"""A worker: claims tasks of one workflow and runs them, until the workflow has ended.

Start as many as you like, one process each, with the folder above this one on `PYTHONPATH`:

    python -m quickstart.worker --store sqlite:////path/engine.db --workflow ID --name worker-7

After each commit it prints an event, a line of JSON: the acknowledgement that the store has it for
good. It stops after the task in hand when its standard input ends. So it never outlives a parent by
more than a task, however the parent died.
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
    Claim,
    EngineStoreError,
    ExecutionType,
    Store,
    TaskState,
    WorkflowState,
)
from engine_store.errors import ClaimLostError, UnavailableError
from quickstart.events import Event, Kind
from quickstart.steps import Result, analyse_file, summarise
from quickstart.workflow import finish, path_of

STORE_VARIABLE = "QUICKSTART_STORE"
"""The environment variable that names the store if `--store` does not."""

LEASE = 30.0
"""Seconds that a worker has a task for. If it dies, another one takes the task over after them."""

PATIENCE = 1.0
"""Seconds for which a claim waits, before the worker looks whether it is to stop."""

Announce = Callable[[Kind, TaskState], None]
"""Called after each commit."""


@frozen
class Worker:
    """Runs the tasks of one workflow.

    `stopping` returns whether the worker is to stop.
    """

    store: Store
    workflow_exec_id: str
    name: str
    announce: Announce
    stopping: Callable[[], bool]
    lease: float = LEASE

    def run(self) -> None:
        """Work until the workflow has ended, or until asked to stop."""
        queues = [self.workflow_exec_id]
        while not self.stopping():
            workflow = self.store.workflows.get(self.workflow_exec_id)
            if workflow.status in TERMINAL:
                return
            for claim in self.store.tasks.claim(
                self.name, lease=self.lease, queues=queues, wait=PATIENCE
            ):
                self._run(workflow, claim)

    def _run(self, workflow: WorkflowState, claim: Claim) -> None:
        self.announce(Kind.CLAIMED, claim.task)
        try:
            task = finish(self.store, claim, self._execute(workflow, claim.task))
        except ClaimLostError:  # another worker took the task over, or it was canceled
            self.announce(Kind.LOST, claim.task)
        else:
            self.announce(Kind.FINISHED, task)

    def _execute(self, workflow: WorkflowState, task: TaskState) -> Result:
        if task.execution_type is ExecutionType.AGGREGATE:
            return summarise(self.store.tasks.children_outputs((task.input or {})["of"]))
        return analyse_file(path_of(workflow, task))


# --- the process -------------------------------------------------------------------------------


class Voice:
    """Prints events. With `hold_after`, it makes the worker pause in the middle of a task.

    After that many results and one more claim it waits for a line on standard input, or its end,
    as if the task were a long call to a model. So a parent can kill a worker that has finished
    some tasks and has one in hand, every time, with no sleep that might be too short.
    """

    def __init__(self, hold_after: int | None) -> None:
        self._hold_after = hold_after
        self._finished = 0

    def announce(self, kind: Kind, task: TaskState) -> None:
        """Print the event of a commit."""
        say(Event.of(kind, task))
        self._finished += kind is Kind.FINISHED
        if kind is Kind.CLAIMED and self._finished == self._hold_after:
            sys.stdin.readline()


def say(event: Event) -> None:
    """Print an event at once."""
    sys.stdout.write(event.line())
    sys.stdout.flush()


def parent_is_gone() -> bool:
    """Return whether standard input has ended. Only a pause is written to."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def exit_code(error: EngineStoreError) -> int:
    """Return 3 if the database could not serve, 2 if something must be put right first."""
    return 3 if error.retriable or isinstance(error, UnavailableError) else 2


def main() -> int:
    """Run a worker as a process."""
    options = _parser().parse_args()
    try:
        with engine_store.open(options.store) as store:
            voice = Voice(options.hold_after)
            Worker(
                store,
                options.workflow,
                options.name,
                voice.announce,
                parent_is_gone,
                lease=options.lease,
            ).run()
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
    parser.add_argument("--name", required=True, help="the worker of its claims")
    parser.add_argument(
        "--lease", metavar="SECONDS", type=float, default=LEASE, help="how long it has a task for"
    )
    parser.add_argument("--hold-after", metavar="N", type=int, help="pause in the next task")
    return parser


if __name__ == "__main__":
    sys.exit(main())
