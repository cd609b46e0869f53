"""The report: the execution tree, what was found in the texts, and the checks.

80 columns without colour are enough for it, in plain ASCII where nothing better can be printed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine_store import Status, Store, TaskState, WorkflowState
from quickstart.checks import Check, total_tokens
from quickstart.workflow import FINISHED, file_tasks

TREE_ROWS = 40
"""Of more siblings, those that failed or ran again are shown, then the first ones."""

TEXT_ROWS = 10

_STYLES = {Status.SUCCESS: "green", Status.FAILED: "red"}

_Children = Mapping[str | None, Sequence[TaskState]]


def show(console: Console, store: Store, workflow: WorkflowState, checks: Sequence[Check]) -> None:
    """Print the report of a workflow that was read with its tasks."""
    files = file_tasks(workflow.tasks)
    _show_tree(console, store, workflow)
    _show_failures(console, files)
    _show_texts(console, files)
    _show_summary(console, workflow.output)
    _show_checks(console, checks)


# --- the execution tree ------------------------------------------------------------------------


def _show_tree(console: Console, store: Store, workflow: WorkflowState) -> None:
    table = _table("status")
    for name in ("attempts", "worker", "time", "tokens"):
        table.add_column(name, justify="right", no_wrap=True)
    room = console.width - 48  # what the other columns take
    _add_row(table, workflow.workflow_id, workflow)
    roots = [task for task in workflow.tasks.values() if task.parent_state_id is None]
    children: dict[str | None, list[TaskState]] = defaultdict(list)
    for root in roots:
        for task in store.tasks.tree(root.task_exec_id):
            children[task.parent_state_id].append(task)
    ends = _ends(store, workflow.workflow_exec_id)
    guides = ("|  ", "|- ", "`- ") if console.options.ascii_only else ("│  ", "├─ ", "└─ ")
    for guide, entry in _walk(children, None, "", guides):
        if isinstance(entry, str):
            table.add_row(guide + entry)
        else:
            name = _tail(name_of(entry), room - len(guide))
            _add_row(table, guide + name, entry, ends.get(entry.task_exec_id))
    _title(console, "Execution tree")
    console.print(table)


def _walk(
    children: _Children, parent: str | None, indent: str, guides: tuple[str, str, str]
) -> Iterator[tuple[str, TaskState | str]]:
    """Yield the tasks below `parent` in tree order, each after its guide; a text for the rest."""
    bar, fork, corner = guides
    siblings = children.get(parent, ())
    shown = _worth_showing(siblings)
    for task in shown:
        last = task is shown[-1] and len(shown) == len(siblings)
        yield indent + (corner if last else fork), task
        below = indent + ("   " if last else bar)
        yield from _walk(children, task.task_exec_id, below, guides)
    if len(shown) < len(siblings):
        yield indent + corner, f"... {len(siblings) - len(shown)} more"


def _worth_showing(siblings: Sequence[TaskState]) -> list[TaskState]:
    """Return at most `TREE_ROWS`, in their order; failures and second runs win over others."""

    def dull(task: TaskState) -> bool:
        return task.status is Status.SUCCESS and task.attempt < 2

    chosen = {task.task_exec_id for task in sorted(siblings, key=dull)[:TREE_ROWS]}
    return [task for task in siblings if task.task_exec_id in chosen]


def _ends(store: Store, workflow_exec_id: str) -> dict[str | None, Mapping[str, Any]]:
    """Return the worker that finished each task, and its time, as the workflow's events have it."""
    ends: dict[str | None, Mapping[str, Any]] = {}
    last = 0
    while events := store.events.list(workflow_exec_id, after=last, kinds=[FINISHED]):
        ends.update((event.task_exec_id, event.data or {}) for event in events)
        last = events[-1].number
    return ends


def _add_row(
    table: Table,
    name: str,
    state: TaskState | WorkflowState,
    end: Mapping[str, Any] | None = None,
) -> None:
    """Add a row. What no worker finished has the time since it was created."""
    time = end["seconds"] if end else (state.updated_at - state.created_at).total_seconds()
    table.add_row(
        Text(name),
        Text(state.status, _STYLES.get(state.status, "yellow")),
        str(state.attempt) if isinstance(state, TaskState) and end else "",
        end["worker"].rpartition("-")[2] if end else "",
        f"{time:.3f} s",
        f"{total_tokens(state.usage):,}",
    )


def name_of(task: TaskState) -> str:
    """Return what people call a task: its file's path, or else its id; fit to be printed."""
    name: str = (task.input or {}).get("path", task.task_id)
    return "".join(char if char.isprintable() else "?" for char in name)


def plural(count: int, noun: str) -> str:
    """Return the count and the noun, with its s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _tail(text: str, room: int) -> str:
    return text if len(text) <= room else "..." + text[3 - max(room, 8) :]


# --- what was found ----------------------------------------------------------------------------


def _show_failures(console: Console, files: Sequence[TaskState]) -> None:
    failed = [task for task in files if task.error]
    if not failed:
        return
    _title(console, "Files that could not be analysed")
    table = _table("code", "reason")
    for task in failed[:TEXT_ROWS]:
        assert task.error
        name = _tail(name_of(task), console.width - 44)
        table.add_row(Text(name), task.error.code, Text(task.error.message))
    if len(failed) > TEXT_ROWS:
        table.add_row(f"... {len(failed) - TEXT_ROWS} more")
    console.print(table)


def _show_texts(console: Console, files: Sequence[TaskState]) -> None:
    table = _table()
    for name in ("words", "sentences", "ease"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("top terms", no_wrap=True)
    found = [(task, task.output) for task in files if task.output]
    found.sort(key=lambda pair: -pair[1]["words"])
    room = console.width - 60
    for task, output in found[:TEXT_ROWS]:
        label = Text(_tail(name_of(task), room))
        table.add_row(label, *_counts(output), Text(_fitting(output["top_terms"], 30)))
    if found:
        _title(console, "Longest texts")
        console.print(table)


def _fitting(terms: Sequence[tuple[str, int]], room: int) -> str:
    """Return as many of the terms as fit, the first ones."""
    text = ""
    for term, _ in terms:
        longer = f"{text}, {term}" if text else term
        text = longer if len(longer) <= room else text
    return text


def _counts(output: Mapping[str, Any]) -> tuple[str, str, str]:
    ease = output["reading_ease"]
    return f"{output['words']:,}", f"{output['sentences']:,}", "-" if ease is None else str(ease)


def _show_summary(console: Console, output: Mapping[str, Any] | None) -> None:
    if not output:
        return
    words, sentences, ease = _counts(output)
    terms = ", ".join(f"{term} ({files})" for term, files in output["common_terms"])
    _title(console, "All texts")
    for line in (
        f"{plural(output['files'], 'file')}, {words} words, {sentences} sentences",
        f"Flesch reading ease {ease} (100 very easy, 60 plain, below 30 hard)",
        f"top terms of several files: {terms or 'none'}",
    ):
        console.print(line, markup=False, highlight=False)


# --- the checks --------------------------------------------------------------------------------


def _show_checks(console: Console, checks: Sequence[Check]) -> None:
    _title(console, "Checks")
    table = _table("")
    table.show_header = False
    for check in checks:
        mark = Text("ok  ", "green") if check.ok else Text("FAILED  ", "bold red")
        table.add_row(mark + Text(check.promise), Text(check.found))
    console.print(table)


def _title(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, "bold"))


def _table(*columns: str) -> Table:
    """A table without rules: a column for names, and those of short texts."""
    table = Table(box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table
