"""Filters, pages and reports: what lists take and give."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from engine_store.models.states import ExecutionType, Role, Status

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@frozen
class Page(Generic[T_co]):
    """One page of a list. `next_cursor` asks for the next one; None: this is the last."""

    items: tuple[T_co, ...]
    next_cursor: str | None = None


class _ReadPage(Protocol[T_co]):
    """The `list` of a repository, with its filter."""

    def __call__(self, *, limit: int, cursor: str | None) -> Page[T_co]: ...


def read_pages(read: _ReadPage[T], limit: int) -> Iterator[T]:
    """Everything of a list, reading `limit` at a time."""
    cursor = None
    while True:
        page = read(limit=limit, cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


@frozen
class UserFilter:
    """Users that match every field given; None matches all."""

    role: Role | None = None


@frozen
class ApiKeyFilter:
    """API keys that match every field given; None matches all."""

    user_id: str | None = None


@frozen
class WorkflowFilter:
    """Workflow executions that match every field given; None matches all.

    A collection matches any of its members, an empty one matches nothing.
    `created_from` is inclusive, `created_before` exclusive.
    """

    workflow_id: str | None = None
    statuses: Collection[Status] | None = None
    workflow_exec_ids: Collection[str] | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


@frozen
class TaskFilter:
    """Task executions that match every field given; None matches all.

    A collection matches any of its members, an empty one matches nothing.
    """

    workflow_exec_id: str | None = None
    statuses: Collection[Status] | None = None
    task_exec_ids: Collection[str] | None = None
    task_id: str | None = None
    parent_state_id: str | None = None
    agent_id: str | None = None
    action_id: str | None = None
    tool_id: str | None = None
    execution_type: ExecutionType | None = None


@frozen
class PurgeReport:
    """What `purge` deleted, or with `dry_run` would have deleted."""

    workflows: int
    tasks: int
    dry_run: bool
