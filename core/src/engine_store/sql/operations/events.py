"""Events of workflow executions (contract 11)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine_store.errors import (
    AlreadyExistsError,
    EngineStoreError,
    InvalidReferenceError,
    WorkflowNotFoundError,
)
from engine_store.models import Event, NewEvent
from engine_store.rules.checks import check_new_event, check_new_events
from engine_store.rules.entities import EVENT
from engine_store.sql.operation import Last, LostRace, Op, read, transact, write
from engine_store.sql.operations.base import Operations
from engine_store.sql.rows import write_document
from engine_store.sql.statements import Call
from engine_store.values import Document, check_id, check_ids, check_int, check_limit


def _chosen(new: Sequence[NewEvent], known: Collection[str]) -> list[int]:
    """Return which of new events are appended: of those with one key the first, unless known."""
    seen = set(known)
    chosen = []
    for index, event in enumerate(new):
        if event.key is None or event.key not in seen:
            chosen.append(index)
            seen.update(() if event.key is None else (event.key,))
    return chosen


def _refused(event: NewEvent) -> Exception:
    """Return why an event was not appended, whose workflow is there and whose key is not."""
    if event.task_exec_id is None:
        return LostRace()
    return InvalidReferenceError("event", "task_exec_id", event.task_exec_id)


class EventOperations(Operations[Event]):
    """`engine_store.protocols.EventRepository`, as operations."""

    entity = EVENT

    @transact
    def append(
        self,
        workflow_exec_id: str,
        kind: str,
        data: Document | None = None,
        *,
        task_exec_id: str | None = None,
        key: str | None = None,
    ) -> Op[Event]:
        check_id(workflow_exec_id, "workflow_exec_id")
        event = check_new_event(kind, data, task_exec_id, key)
        of = {"workflow_exec_id": workflow_exec_id}
        earlier = () if key is None else (self._q.get_event_by_key(**of, key=key),)
        held, row, *found = yield Last(
            (self._q.lock_history(**of), self._appending(workflow_exec_id, event, "data"), *earlier)
        )
        if held is None:
            raise WorkflowNotFoundError(workflow_exec_id)
        if row is None:
            row = found[0] if found else None
        if row is None:
            raise _refused(event)
        return self._decode(row)

    @transact
    def append_many(
        self, workflow_exec_id: str, events: Sequence[NewEvent]
    ) -> Op[tuple[Event, ...]]:
        check_id(workflow_exec_id, "workflow_exec_id")
        new = check_new_events(events)
        calls = [
            self._appending(workflow_exec_id, event, f"events[{index}].data")
            for index, event in enumerate(new)
        ]
        if not calls:
            return ()
        lock = self._q.lock_history(workflow_exec_id=workflow_exec_id)
        if not any(event.key or event.task_exec_id for event in new):
            held, *rows = yield Last((lock, *calls))
            if held is None or None in rows:
                raise WorkflowNotFoundError(workflow_exec_id)
            return tuple(map(self._decode, rows))
        known = yield from self._known(workflow_exec_id, new, lock)
        chosen = _chosen(new, known)
        rows = (yield Last(tuple([calls[index] for index in chosen]))) if chosen else ()
        if None in rows:
            raise LostRace
        made = {index: self._decode(row) for index, row in zip(chosen, rows, strict=True)}
        known |= {event.key: event for event in made.values() if event.key is not None}
        return tuple([made.get(i) or known[str(event.key)] for i, event in enumerate(new)])

    @write
    def restore(self, event: Event) -> Op[Event]:
        event = EVENT.check_restored(event)
        row = yield self._q.restore_event(**self._parameters(event))
        if row is None:
            raise (yield from self._why_not_restored(event))
        return self._decode(row)

    @read
    def list(
        self,
        workflow_exec_id: str,
        *,
        after: int = 0,
        kinds: Collection[str] | None = None,
        limit: int = 100,
    ) -> Op[tuple[Event, ...]]:
        check_id(workflow_exec_id, "workflow_exec_id")
        check_int(after, "after", minimum=0)
        wanted = check_ids(kinds, "kinds")
        check_limit(limit)
        if wanted == ():
            return ()
        rows = yield self._q.list_events(
            workflow_exec_id=workflow_exec_id,
            after=after,
            kinds=self._rows.collection(wanted),
            limit=limit,
        )
        return tuple(map(self._decode, rows))

    def _appending(self, workflow_exec_id: str, event: NewEvent, path: str) -> Call:
        data = write_document(event.data)
        self._check_size(data, path)
        return self._q.append_event(
            workflow_exec_id=workflow_exec_id,
            kind=event.kind,
            data=data,
            task_exec_id=event.task_exec_id,
            key=event.key,
            created_at=self._now(),
        )

    def _known(
        self, workflow_exec_id: str, new: Sequence[NewEvent], lock: Call
    ) -> Op[dict[str, Event]]:
        """Hold a workflow, and return its events that have the keys of new ones.

        Raises if the workflow, or a task of an event that would be appended, is missing.
        """
        of = {"workflow_exec_id": workflow_exec_id}
        keys = {event.key for event in new if event.key is not None}
        tasks = {event.task_exec_id for event in new if event.task_exec_id is not None}
        held, events, found = yield (
            lock,
            self._q.find_events(**of, keys=self._rows.collection(keys or {""})),
            self._q.find_tasks(**of, task_exec_ids=self._rows.collection(tasks or {""})),
        )
        if held is None:
            raise WorkflowNotFoundError(workflow_exec_id)
        known = {str(event.key): event for event in map(self._decode, events)}
        there = {task_exec_id for (task_exec_id,) in found}
        for index in _chosen(new, known):
            task = new[index].task_exec_id
            if task is not None and task not in there:
                raise InvalidReferenceError("event", "task_exec_id", task)
        return known

    def _by_key(self, workflow_exec_id: str, key: str) -> Call:
        return self._q.get_event_by_key(workflow_exec_id=workflow_exec_id, key=key)

    def _why_not_restored(self, event: Event) -> Op[EngineStoreError]:
        """Return why an event was not restored. Raises `LostRace` if no reason is to be seen."""
        workflow_exec_id, key, task = event.workflow_exec_id, event.key, event.task_exec_id
        by_key = () if key is None else (self._by_key(workflow_exec_id, key),)
        of_task = (
            ()
            if task is None
            else (self._q.get_task(task_exec_id=task, workflow_exec_id=workflow_exec_id),)
        )
        workflow, by_number, *others = yield (
            self._q.get_workflow(workflow_exec_id=workflow_exec_id),
            self._q.get_event(workflow_exec_id=workflow_exec_id, number=event.number),
            *by_key,
            *of_task,
        )
        if workflow is None:
            return InvalidReferenceError("event", "workflow_exec_id", workflow_exec_id)
        if by_number is not None:
            return AlreadyExistsError("event", "number", str(event.number))
        if by_key and others[0] is not None:
            return AlreadyExistsError("event", "key", str(key))
        if of_task and others[-1] is None:
            return InvalidReferenceError("event", "task_exec_id", str(task))
        raise LostRace
