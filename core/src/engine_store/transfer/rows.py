"""Every row of a store, in the one order in which rows are moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol, TypeAlias

import attrs
from attrs import frozen

from engine_store.checks import (
    check_api_key,
    check_restored,
    check_task,
    check_user,
    check_workflow,
)
from engine_store.models import (
    ApiKey,
    ApiKeyFilter,
    TaskFilter,
    TaskState,
    User,
    WorkflowState,
)
from engine_store.models.pages import read_pages
from engine_store.protocols import Repositories

Row: TypeAlias = User | ApiKey | WorkflowState | TaskState
Numbered: TypeAlias = tuple[int, Row]
"""A row, and the line it is on, in a file or in what `export` would write."""

PAGE = 200
"""Rows read at a time, of owners and of what they own.

Documents may be large, so not many; a page of tasks reads all of their workflow, so not few.
"""

FIRST_ROW = 2
"""The line of the first row, behind the header."""


@frozen
class Kind:
    """A kind of rows: what lines call it, and where a store has it."""

    name: str
    model: type[Any]
    key_field: str
    repository: str
    check_state: Callable[[Any, str], None]
    fields: tuple[str, ...]

    def key(self, row: Row) -> str:
        """Its id."""
        key: str = getattr(row, self.key_field)
        return key

    def of(self, store: Repositories) -> Any:
        """The repository of a store that has it."""
        return getattr(store, self.repository)

    def check(self, row: Row) -> None:
        """Raise `InvalidValueError` or `InvalidReferenceError` for what no store restores."""
        self.check_state(row, self.name)
        check_restored(row, self.name)


def _kind(name: str, model: type[Any], key_field: str, repository: str, check: Any) -> Kind:
    fields = tuple(field for field in attrs.fields_dict(model) if field != "tasks")
    return Kind(name, model, key_field, repository, check, fields)


KINDS = (
    _kind("user", User, "user_id", "users", check_user),
    _kind("api_key", ApiKey, "key_id", "api_keys", check_api_key),
    _kind("workflow", WorkflowState, "workflow_exec_id", "workflows", check_workflow),
    _kind("task", TaskState, "task_exec_id", "tasks", check_task),
)
KIND_OF: Mapping[type[Any], Kind] = {kind.model: kind for kind in KINDS}
KIND_NAMED: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}


def rows(store: Repositories) -> Iterator[Row]:
    """Each user with its keys behind it, then each workflow with its tasks behind it.

    All in the order of the store's lists. What a row refers to is before it, but for a parent that
    sorts behind its child. Reads pages: rows that exist throughout come once.
    """
    for user in read_pages(store.users.list, PAGE):
        yield user
        of_user = ApiKeyFilter(user_id=user.user_id)
        yield from read_pages(partial(store.api_keys.list, of_user), PAGE)
    for workflow in read_pages(store.workflows.list, PAGE):
        yield workflow
        of_workflow = TaskFilter(workflow_exec_id=workflow.workflow_exec_id)
        yield from read_pages(partial(store.tasks.list, of_workflow), PAGE)


def numbered(store: Repositories) -> Iterator[Numbered]:
    """`rows`, each with the line it would be on."""
    return enumerate(rows(store), FIRST_ROW)


# --- how far it is -----------------------------------------------------------------------------


class OnProgress(Protocol):
    """Is told how many rows of a kind (`user`, `api_key`, `workflow`, `task`) are done so far."""

    def __call__(self, kind: str, done: int, /) -> None: ...


class Meter:
    """Counts rows that are done, and tells somebody."""

    def __init__(self, progress: OnProgress | None) -> None:
        self.done = dict.fromkeys(KIND_NAMED, 0)
        self._progress = progress
        self._told = dict(self.done)

    def tell(self) -> None:
        """Tell what has changed."""
        for kind, done in self.done.items():
            if self._progress is not None and done != self._told[kind]:
                self._progress(kind, done)
        self._told = dict(self.done)
