"""Events of workflow executions (contract 11)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import attrs

from engine_store import values
from engine_store.errors import AlreadyExistsError, InvalidReferenceError, WorkflowNotFoundError
from engine_store.models import Event, NewEvent, Status
from engine_store.protocols import EventRepository
from engine_store.rules import checks
from engine_store.rules.entities import EVENT, TASK, WORKFLOW
from engine_store.rules.sizes import size_of
from engine_store.values import Document
from engine_store.waiting.following import follow
from engine_store.waiting.notifier import events_topic
from engine_store.waiting.waits import wait_for_events
from engine_store_memory.database import Data
from engine_store_memory.repository import Scope
from engine_store_memory.rows import detached


class Events(EventRepository):
    """Events in memory: for each workflow in their order."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def append(
        self,
        workflow_exec_id: str,
        kind: str,
        data: Document | None = None,
        *,
        task_exec_id: str | None = None,
        key: str | None = None,
    ) -> Event:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        new = checks.check_new_event(kind, data, task_exec_id, key)
        self._check_size(new, "data")
        return self._append(workflow_exec_id, [new])[0]

    def append_many(self, workflow_exec_id: str, events: Sequence[NewEvent]) -> tuple[Event, ...]:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        new = checks.check_new_events(events)
        for index, event in enumerate(new):
            self._check_size(event, f"events[{index}].data")
        return self._append(workflow_exec_id, new)

    def restore(self, event: Event) -> Event:
        event = EVENT.check_sizes(EVENT.check_restored(event), self._scope.max_document_bytes)
        with self._scope.write() as data:
            if event.workflow_exec_id not in data[WORKFLOW]:
                raise InvalidReferenceError("event", "workflow_exec_id", event.workflow_exec_id)
            stored = data.events.get(event.workflow_exec_id, ())
            if any(other.number == event.number for other in stored):
                raise AlreadyExistsError("event", "number", str(event.number))
            if event.key is not None and any(other.key == event.key for other in stored):
                raise AlreadyExistsError("event", "key", event.key)
            _check_task(data, event.workflow_exec_id, event.task_exec_id)
            restored = sorted([*stored, event], key=lambda one: one.number)
            data.events[event.workflow_exec_id] = tuple(restored)
            return detached(event)

    def list(
        self,
        workflow_exec_id: str,
        *,
        after: int = 0,
        kinds: Collection[str] | None = None,
        limit: int = 100,
    ) -> tuple[Event, ...]:
        values.check_id(workflow_exec_id, "workflow_exec_id")
        values.check_int(after, "after", minimum=0)
        wanted = values.check_ids(kinds, "kinds")
        values.check_limit(limit)
        found = [
            event
            for event in self._scope.read().events.get(workflow_exec_id, ())
            if event.number > after and (wanted is None or event.kind in wanted)
        ]
        return tuple(map(detached, found[:limit]))

    def wait(
        self,
        workflow_exec_id: str,
        *,
        after: int = 0,
        kinds: Collection[str] | None = None,
        limit: int = 100,
        timeout: float | None = None,
    ) -> tuple[Event, ...]:
        def history() -> tuple[Status, tuple[Event, ...]]:
            # The status first: no event is missed that was there when the workflow ended.
            workflow = self._scope.read()[WORKFLOW].get(workflow_exec_id)
            found = self.list(workflow_exec_id, after=after, kinds=kinds, limit=limit)
            if workflow is None:
                raise WorkflowNotFoundError(workflow_exec_id)
            return workflow.status, found

        return wait_for_events(self._scope.notifier, workflow_exec_id, timeout, history).run()

    def follow(
        self, workflow_exec_id: str, *, after: int = 0, kinds: Collection[str] | None = None
    ) -> Iterator[Event]:
        return follow(self, workflow_exec_id, after, kinds)

    def _append(self, workflow_exec_id: str, events: Sequence[NewEvent]) -> tuple[Event, ...]:
        if not events:
            return ()
        with self._scope.write() as data:
            if workflow_exec_id not in data[WORKFLOW]:
                raise WorkflowNotFoundError(workflow_exec_id)
            stored = list(data.events.get(workflow_exec_id, ()))
            by_key = {event.key: event for event in stored if event.key is not None}
            found = []
            for new in events:
                event = by_key.get(new.key) if new.key is not None else None
                if event is None:
                    _check_task(data, workflow_exec_id, new.task_exec_id)
                    number = stored[-1].number + 1 if stored else 1
                    fields = attrs.asdict(new, recurse=False)
                    event = Event(workflow_exec_id, number, **fields, created_at=self._scope.now())
                    stored.append(event)
                    if event.key is not None:
                        by_key[event.key] = event
                found.append(event)
            data.events[workflow_exec_id] = tuple(stored)
            data.topics.add(events_topic(workflow_exec_id))
            return tuple(map(detached, found))

    def _check_size(self, event: NewEvent, path: str) -> None:
        if event.data is not None:
            values.check_size(size_of(event.data), path, self._scope.max_document_bytes)


def _check_task(data: Data, workflow_exec_id: str, task_exec_id: str | None) -> None:
    task = data[TASK].get(task_exec_id) if task_exec_id is not None else None
    missing = task is None or task.workflow_exec_id != workflow_exec_id
    if task_exec_id is not None and missing:
        raise InvalidReferenceError("event", "task_exec_id", task_exec_id)
