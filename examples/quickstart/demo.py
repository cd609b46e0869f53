"""The demo: run the workflow, kill its worker half-way, let another finish, check the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen
from rich.console import Console

from engine_store import TERMINAL, Status, Store
from engine_store.urls import mask_url
from quickstart import report
from quickstart.checks import check
from quickstart.events import Event, Kind
from quickstart.sources import Source
from quickstart.supervisor import WorkerProcess
from quickstart.workflow import file_tasks, find_unfinished, plan


@frozen
class Demo:
    """One run. Workers open the store anew by its `url`; with `kill` the first one is killed."""

    console: Console
    store: Store
    url: str
    kill: bool

    def run(self, source: Source) -> bool:
        """Run the workflow of `source`, resumed or new.

        Return whether it succeeded and every check held.
        """
        exec_id = self._begin(source)
        before = self.store.tasks.in_workflow(exec_id)
        events: list[Event] = []
        if self.kill:
            events += self._run_and_kill(exec_id)
        events += self._run_to_the_end(exec_id)
        workflow = self.store.workflows.get(exec_id, with_tasks=True)
        checks = check(workflow, before, events)
        report.show(self.console, self.store, workflow, checks)
        return workflow.status is Status.SUCCESS and all(found.ok for found in checks)

    def interrupted(self, source: Source) -> str:
        """Return what to say after Ctrl-C, in one line."""
        workflow = find_unfinished(self.store, source)
        if workflow is None:
            return "Interrupted; no unfinished workflow is left behind."
        statuses = self._file_statuses(workflow.workflow_exec_id)
        done = sum(status in TERMINAL for status in statuses)
        return (
            f"Interrupted: {done} of {len(statuses)} files are done and kept in "
            f"{mask_url(self.url)}; the same command resumes."
        )

    def _begin(self, source: Source) -> str:
        """Return the workflow to run: the one that an earlier run left unfinished, or a new one."""
        unfinished = find_unfinished(self.store, source)
        exec_id = (unfinished or plan(self.store, source)).workflow_exec_id
        self._say(f"Analysing {source.name}")
        self._say(f"  {'resumed' if unfinished else 'new'} workflow {exec_id}")
        self._say(f"  in {mask_url(self.url)}: {self._counts(exec_id)}")
        return exec_id

    def _run_and_kill(self, exec_id: str) -> list[Event]:
        """Run a worker, and kill it when it has done a third of the files and has one in hand."""
        unfinished = [s for s in self._file_statuses(exec_id) if s not in TERMINAL]
        hold_after = len(unfinished) // 3
        with self._worker(exec_id, 1, hold_after) as worker:
            finished = 0
            for event in worker.listen():
                finished += event.kind is Kind.FINISHED
                if event.kind is Kind.CLAIMED and finished == hold_after:
                    worker.kill()
                    self._say(
                        f"  killed with SIGKILL: {finished} done, {self._name(event)} in hand"
                    )
        self._say(f"  in the store: {self._counts(exec_id)}")
        return worker.events

    def _run_to_the_end(self, exec_id: str) -> list[Event]:
        """Run a worker until the workflow has ended."""
        with self._worker(exec_id, 2 if self.kill else 1) as worker:
            finished = 0
            for event in worker.listen():
                finished += event.kind is Kind.FINISHED
                if event.kind is Kind.CLAIMED and event.attempt > 1:
                    self._say(f"  took {self._name(event)} over: attempt {event.attempt}")
            self._say(f"  ended the workflow: {finished} done, the summary among them")
        return worker.events

    @contextmanager
    def _worker(
        self, exec_id: str, number: int, hold_after: int | None = None
    ) -> Iterator[WorkerProcess]:
        """Start a worker process, and say so."""
        name = f"worker-{number}"
        with WorkerProcess(self.url, exec_id, name, hold_after) as worker:
            self._say(f"{name} started, process {worker.pid}")
            yield worker

    def _name(self, event: Event) -> str:
        return report.name_of(self.store.tasks.get(event.task_exec_id))

    def _file_statuses(self, exec_id: str) -> list[Status]:
        return [task.status for task in file_tasks(self.store.tasks.in_workflow(exec_id))]

    def _counts(self, exec_id: str) -> str:
        """Return the files by status."""
        statuses = self._file_statuses(exec_id)
        shown = ", ".join(f"{statuses.count(s)} {s}" for s in Status if s in statuses)
        return f"{report.plural(len(statuses), 'file')}, {shown}"

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
