"""workflows: executions and the trees of their tasks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from engine_store.cli.run import PAGE, DryRun, Run, Yes, command, group, table, text
from engine_store.cli.streams import to_json
from engine_store.config import seconds
from engine_store.errors import ConfigurationError
from engine_store.models import Event, Status, TaskFilter, TaskState, WorkflowFilter, WorkflowState
from engine_store.models.pages import read_pages
from engine_store.protocols import Store
from engine_store.rules.checks import PURGED_BY_DEFAULT

app = group("workflows", "List, show, cancel and delete executions.")

_COLOURS = {
    Status.SUCCESS: "green",
    Status.FAILED: "red",
    Status.TIMED_OUT: "red",
    Status.CANCELED: "yellow",
    Status.RUNNING: "cyan",
}

_DAYS = re.compile(r"\d+(\.\d+)?d")


@command(app, "list")
def list_workflows(
    run: Run,
    status: Annotated[
        list[Status] | None,
        typer.Option(metavar="STATUS", help=f"Only these: {', '.join(Status)}; repeatable."),
    ] = None,
    workflow_id: Annotated[
        str | None, typer.Option("--workflow", metavar="ID", help="Only of this one.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="How many at most.")
    ] = 50,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Where the page before ended.")
    ] = None,
) -> None:
    """List executions, newest first."""
    filter = WorkflowFilter(workflow_id=workflow_id, statuses=status or None)
    with run.store() as store:
        page = store.workflows.list(filter, limit=limit, cursor=cursor)
    shown = table("execution", "workflow", "status", "version", "created")
    for state in page.items:
        shown.add_row(
            state.workflow_exec_id,
            state.workflow_id,
            text(_coloured(state.status)),
            str(state.version),
            state.created_at.isoformat(" ", "seconds"),
        )
    more = [] if page.next_cursor is None else [f"more: --cursor {page.next_cursor}"]
    run.answer(page, Group(shown, *more))


@command(app)
def show(
    run: Run, workflow_exec_id: Annotated[str, typer.Argument(help="The execution's id.")]
) -> None:
    """Show an execution and draw the tree of its tasks."""
    with run.store() as store:
        state = store.workflows.get(workflow_exec_id)
        tasks = list(_tasks(store, workflow_exec_id))
        history = list(_events(store, workflow_exec_id))
    run.answer({"workflow": state, "tasks": tasks, "events": history}, _tree(state, tasks))


@command(app)
def events(
    run: Run,
    workflow_exec_id: Annotated[str, typer.Argument(help="The execution's id.")],
    after: Annotated[
        int, typer.Option(min=0, metavar="NUMBER", help="Only events after this one.")
    ] = 0,
    kind: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="Only these; repeatable.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="How many at most.")
    ] = 50,
) -> None:
    """List the events of an execution, in their order."""
    with run.store() as store:
        store.workflows.get(workflow_exec_id)
        found = store.events.list(workflow_exec_id, after=after, kinds=kind or None, limit=limit)
    shown = table("number", "time", "kind", "task", "data")
    for event in found:
        shown.add_row(
            str(event.number),
            event.created_at.isoformat(" ", "seconds"),
            event.kind,
            event.task_exec_id or "",
            "" if event.data is None else to_json(event.data, indent=None),
        )
    run.answer(found, shown)


@command(app)
def cancel(
    run: Run,
    workflow_exec_id: Annotated[str, typer.Argument(help="The execution's id.")],
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The message of its error.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Cancel an execution with its unfinished tasks."""
    with run.store() as store:
        store.workflows.get(workflow_exec_id)
        run.confirm(f"Cancel {workflow_exec_id} and its tasks?", yes=yes)
        state = store.workflows.cancel(workflow_exec_id, reason=reason)
    run.answer(state, text(f"{workflow_exec_id}  ", _coloured(state.status)))


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
        run.remove(
            f"{workflow_exec_id} and its tasks",
            partial(store.workflows.delete, workflow_exec_id),
            {"workflow_exec_id": workflow_exec_id},
            yes=yes,
            dry_run=dry_run,
        )


@command(app)
def purge(
    run: Run,
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Last written so long ago: 30d, 12h, 5m.")
    ],
    status: Annotated[
        list[Status] | None,
        typer.Option(metavar="STATUS", help="Only these; the terminal ones by default."),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Executions in a transaction.")
    ] = 100,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete old executions with their tasks, in batches."""
    before, statuses = _before(older_than), status or PURGED_BY_DEFAULT
    with run.store() as store:
        doomed = store.workflows.purge(before, statuses=statuses, dry_run=True)
        what = f"{doomed.workflows} executions and {doomed.tasks} tasks"
        if dry_run:
            run.answer(doomed, f"would delete {what}")
            return
        if doomed.workflows:
            run.confirm(f"Delete {what}?", yes=yes)
        with run.progress() as bar:
            bar.add_task("purging", total=None)
            done = store.workflows.purge(before, statuses=statuses, batch_size=batch_size)
    run.answer(done, f"deleted {done.workflows} executions and {done.tasks} tasks")


def _before(age: str) -> datetime:
    """The moment that is so long ago."""
    try:
        if _DAYS.fullmatch(age):
            return datetime.now(UTC) - timedelta(days=float(age[:-1]))
        if not age[-1:].isalpha():  # a number alone: never delete by a guessed unit
            raise ValueError
        return datetime.now(UTC) - timedelta(seconds=seconds(age))
    except (ValueError, OverflowError):
        raise ConfigurationError("--older-than", "expected an age such as 30d or 12h") from None


def _tasks(store: Store, workflow_exec_id: str) -> Iterator[TaskState]:
    wanted = TaskFilter(workflow_exec_id=workflow_exec_id)
    return read_pages(partial(store.tasks.list, wanted), PAGE)


def _events(store: Store, workflow_exec_id: str) -> Iterator[Event]:
    after = 0
    while found := store.events.list(workflow_exec_id, after=after, limit=PAGE):
        yield from found
        after = found[-1].number


_INDENTED = 20
"""Levels that are indented; those below have their number instead."""


def _tree(state: WorkflowState, tasks: list[TaskState]) -> RenderableType:
    """Draw a line for each task, below its parent's; none is longer for being deep."""
    below: dict[str | None, list[TaskState]] = defaultdict(list)
    for task in tasks:
        below[task.parent_state_id].append(task)
    lines = [text(f"{state.workflow_exec_id}  {state.workflow_id}  ", _coloured(state.status))]
    waiting = [(task, "", 1) for task in reversed(below[None])]
    while waiting:
        task, indent, level = waiting.pop()
        children = below[task.task_exec_id]
        is_last = task is below[task.parent_state_id][-1]
        number = f"level {level}: " if level > _INDENTED else ""
        lines.append(
            text(
                f"{indent}{'└── ' if is_last else '├── '}{number}{task.task_id}  ",
                _coloured(task.status),
                "  ",
                (task.agent_id or task.tool_id or "", "dim"),
            )
        )
        if level < _INDENTED:
            indent += "    " if is_last else "│   "
        waiting += [(child, indent, level + 1) for child in reversed(children)]
    return Group(*lines)


def _coloured(status: Status) -> tuple[str, str]:
    return status.value, _COLOURS.get(status, "")
