"""Following a workflow: its events one by one, as they come (contract 12.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator
from typing import Protocol

from engine_store.models import Event
from engine_store.values import check_id, check_ids, check_int


class _Events(Protocol):
    """A repository whose methods return."""

    def wait(
        self, workflow_exec_id: str, *, after: int = 0, kinds: Collection[str] | None = None
    ) -> tuple[Event, ...]: ...


class _AsyncEvents(Protocol):
    """A repository whose methods are awaited."""

    async def wait(
        self, workflow_exec_id: str, *, after: int = 0, kinds: Collection[str] | None = None
    ) -> tuple[Event, ...]: ...


def follow(
    events: _Events, workflow_exec_id: str, after: int = 0, kinds: Collection[str] | None = None
) -> Iterator[Event]:
    """Return an iterator of the events after a number, which blocks until the next one comes."""
    return _follow(events, *_checked(workflow_exec_id, after, kinds))


def follow_async(
    events: _AsyncEvents,
    workflow_exec_id: str,
    after: int = 0,
    kinds: Collection[str] | None = None,
) -> AsyncIterator[Event]:
    """Return an asynchronous iterator of the events after a number."""
    return _follow_async(events, *_checked(workflow_exec_id, after, kinds))


def _checked(
    workflow_exec_id: str, after: int, kinds: Collection[str] | None
) -> tuple[str, int, Collection[str] | None]:
    check_id(workflow_exec_id, "workflow_exec_id")
    return workflow_exec_id, check_int(after, "after", minimum=0), check_ids(kinds, "kinds")


def _follow(
    events: _Events, workflow_exec_id: str, after: int, kinds: Collection[str] | None
) -> Iterator[Event]:
    while found := events.wait(workflow_exec_id, after=after, kinds=kinds):
        yield from found
        after = found[-1].number


async def _follow_async(
    events: _AsyncEvents, workflow_exec_id: str, after: int, kinds: Collection[str] | None
) -> AsyncIterator[Event]:
    while found := await events.wait(workflow_exec_id, after=after, kinds=kinds):
        for event in found:
            yield event
        after = found[-1].number
