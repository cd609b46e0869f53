"""workflows: executions and the trees of their tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.progress import Progress
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from engine_store.checks import PURGED_UNLESS_TOLD
from engine_store.cli.run import NO, Run, command, confirmed, group
from engine_store.config import seconds
from engine_store.errors import ConfigurationError
from engine_store.models import Status, TaskFilter, TaskState, WorkflowFilter, WorkflowState
from engine_store.protocols import Store

app = group("Workflow executions and the trees of their tasks.")

_COLOURS = {
    Status.SUCCESS: "green",
    Status.FAILED: "red",
    Status.TIMED_OUT: "red",
    Status.CANCELED: "yellow",
    Status.RUNNING: "cyan",
}

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")]


@command(app, "list")
def list_workflows(
    run: Run,
    status: Annotated[list[Status] | None, typer.Option(help="Only these; repeatable.")] = None,
    workflow_id: Annotated[str | None, typer.Option("--workflow", help="Only of this one.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
) -> None:
    """List executions, newest first."""
    filter = WorkflowFilter(workflow_id=workflow_id, statuses=status or None)
    with run.store() as store:
        page = store.workflows.list(filter, limit=limit, cursor=cursor)
    table = Table("execution", "workflow", "status", "version", "created", box=None)
    for state in page.items:
        created = state.created_at.isoformat(" ", "seconds")
        status_ = _coloured(state.status)
        table.add_row(
            state.workflow_exec_id, state.workflow_id, status_, str(state.version), created
        )
    if page.next_cursor is not None:
        table.caption = f"more: --cursor {page.next_cursor}"
    run.answer(page, table)


@command(app)
def show(
    run: Run, workflow_exec_id: Annotated[str, typer.Argument(help="The execution's id.")]
) -> None:
    """Show an execution and draw the tree of its tasks."""
    with run.store() as store:
        state = store.workflows.get(workflow_exec_id)
        tasks = list(_tasks(store, workflow_exec_id))
    run.answer({"workflow": state, "tasks": tasks}, _tree(state, tasks))


@command(app)
def delete(
    run: Run,
    workflow_exec_id: Annotated[str, typer.Argument(help="The execution's id.")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete an execution with its tasks."""
    with run.store() as store:
        store.workflows.get(workflow_exec_id)
        tasks = sum(1 for _ in _tasks(store, workflow_exec_id))
        what = f"{workflow_exec_id} and {tasks} tasks"
        if not dry_run:
            if not confirmed(run, f"Delete {what}?", yes=yes):
                raise typer.Exit(NO)
            store.workflows.delete(workflow_exec_id)
    answer = {"workflow_exec_id": workflow_exec_id, "tasks": tasks, "dry_run": dry_run}
    run.answer(answer, f"{'would delete' if dry_run else 'deleted'} {what}")


@command(app)
def purge(
    run: Run,
    older_than: Annotated[str, typer.Option(help="Last written so long ago: 30d, 12h, 5m.")],
    status: Annotated[
        list[Status] | None, typer.Option(help="Only these; the terminal ones unless told.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Executions in a transaction.")] = 100,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete old executions with their tasks, in batches."""
    before, statuses = datetime.now(UTC) - _age(older_than), status or PURGED_UNLESS_TOLD
    with run.store() as store:
        doomed = store.workflows.purge(before, statuses=statuses, dry_run=True)
        what = f"{doomed.workflows} executions and {doomed.tasks} tasks"
        if dry_run:
            run.answer(doomed, f"would delete {what}")
            return
        if doomed.workflows and not confirmed(run, f"Delete {what}?", yes=yes):
            raise typer.Exit(NO)
        with Progress(console=run.errors, transient=True) as progress:
            progress.add_task("purging", total=None)
            done = store.workflows.purge(before, statuses=statuses, batch_size=batch_size)
    run.answer(done, f"deleted {done.workflows} executions and {done.tasks} tasks")


def _age(text: str) -> timedelta:
    try:
        if text.endswith("d"):
            return timedelta(days=float(text[:-1]))
        return timedelta(seconds=seconds(text))
    except (ValueError, OverflowError):
        raise ConfigurationError("--older-than", "expected an age such as 30d or 12h") from None


def _tasks(store: Store, workflow_exec_id: str) -> Iterator[TaskState]:
    cursor = None
    while True:
        filter = TaskFilter(workflow_exec_id=workflow_exec_id)
        page = store.tasks.list(filter, limit=1000, cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _tree(state: WorkflowState, tasks: list[TaskState]) -> RenderableType:
    drawn = Tree(
        Text.assemble(
            state.workflow_exec_id, "  ", state.workflow_id, "  ", _coloured(state.status)
        )
    )
    below: dict[str | None, list[TaskState]] = defaultdict(list)
    for task in tasks:
        below[task.parent_state_id].append(task)
    waiting: list[tuple[Tree, str | None]] = [(drawn, None)]
    while waiting:
        branch, parent = waiting.pop()
        for task in below[parent]:
            who = task.agent_id or task.tool_id or ""
            line = Text.assemble(task.task_id, "  ", _coloured(task.status), "  ", (who, "dim"))
            waiting.append((branch.add(line), task.task_exec_id))
    return drawn


def _coloured(status: Status) -> Text:
    return Text(status.value, style=_COLOURS.get(status, ""))
