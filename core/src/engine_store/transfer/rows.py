"""Every row of a store, in the one order in which rows are exported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Protocol, TypeAlias

from engine_store.models import ApiKeyFilter, Event, TaskFilter
from engine_store.models.pages import read_pages
from engine_store.protocols import Repositories
from engine_store.rules.entities import BY_MODEL, BY_NAME, Row

Numbered: TypeAlias = tuple[int, Row]
"""A row, and the line it is on, in a file or in what `export` would write."""

PAGE = 200
"""Rows read at a time, of owners and of what they own.

Documents may be large, so not many; a page of tasks reads all of their workflow, so not few.
"""

FIRST_ROW = 2
"""The line of the first row, after the header."""


def rows(store: Repositories) -> Iterator[Row]:
    """Yield each user, followed by its keys, then each workflow, with its tasks and its events.

    All in the order of the store's lists. A row comes after those it refers to, except a parent
    that sorts after its child. Reads pages: rows that exist throughout come once.
    """
    for user in read_pages(store.users.list, PAGE):
        yield user
        of_user = ApiKeyFilter(user_id=user.user_id)
        yield from read_pages(partial(store.api_keys.list, of_user), PAGE)
    for workflow in read_pages(store.workflows.list, PAGE):
        yield workflow
        of_workflow = TaskFilter(workflow_exec_id=workflow.workflow_exec_id)
        yield from read_pages(partial(store.tasks.list, of_workflow), PAGE)
        yield from _events(store, workflow.workflow_exec_id)


def _events(store: Repositories, workflow_exec_id: str) -> Iterator[Event]:
    """Yield the events of a workflow."""
    after = 0
    while page := store.events.list(workflow_exec_id, after=after, limit=PAGE):
        yield from page
        after = page[-1].number


def numbered(store: Repositories) -> Iterator[Numbered]:
    """Yield `rows`, each with the line it would be on."""
    return enumerate(rows(store), FIRST_ROW)


def named(row: Row) -> str:
    """Return how messages name a row, such as `user 'ann'`."""
    entity = BY_MODEL[type(row)]
    return f"{entity.name} {entity.key(row)!r}"


# --- progress ----------------------------------------------------------------------------------


class OnProgress(Protocol):
    """Called with a kind of row (`user`, `api_key`, `workflow`, `task`) and how many are done."""

    def __call__(self, kind: str, done: int, /) -> None: ...


class RowCounter:
    """Counts the rows that are done, by kind, and reports them."""

    def __init__(self, progress: OnProgress | None) -> None:
        self.done = dict.fromkeys(BY_NAME, 0)
        self._progress = progress
        self._reported = dict(self.done)

    def add(self, row: Row) -> None:
        """Count a row."""
        self.done[BY_MODEL[type(row)].name] += 1

    def through(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the same rows; count each when the next one is asked for, and report pages."""
        for number, row in enumerate(rows, 1):
            yield row
            self.add(row)
            if not number % PAGE:
                self.report()
        self.report()

    def report(self) -> None:
        """Report the counts that changed since the last report."""
        for kind, done in self.done.items():
            if self._progress is not None and done != self._reported[kind]:
                self._progress(kind, done)
        self._reported = dict(self.done)
