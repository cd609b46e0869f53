"""Events of workflow executions (contract 11)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from engine_store.errors import (
    AlreadyExistsError,
    EngineStoreError,
    InvalidReferenceError,
    WorkflowNotFoundError,
)
from engine_store.models import Event, NewEvent, Status
from engine_store.rules.checks import check_new_event, check_new_events
from engine_store.rules.entities import EVENT
from engine_store.sql.operation import Last, LostRace, Op, read, transact, write
from engine_store.sql.operations.base import Operations, read_status
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


_NONE = ("",)
"""A collection of no key and of no id: not every database can be asked for none."""


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
        lock = self._q.lock_history(**of)
        appending = self._appending(workflow_exec_id, event, "data")
        if key is None:
            held, row = yield Last((lock, appending))
        else:
            held, row, earlier = yield Last((lock, appending, self._with_keys(of, {key})))
            if row is None and earlier:
                [row] = earlier
        if held is None:
            raise WorkflowNotFoundError(workflow_exec_id)
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
        of = {"workflow_exec_id": workflow_exec_id}
        known: dict[str, Event] = {}
        chosen: Sequence[int] = range(len(new))
        if any(event.key or event.task_exec_id for event in new):
            known, chosen = yield from self._hold(of, new)
            rows = (yield Last(tuple([calls[index] for index in chosen]))) if chosen else []
        else:
            held, *rows = yield Last((self._q.lock_history(**of), *calls))
            if held is None:
                raise WorkflowNotFoundError(workflow_exec_id)
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
        listing = self._listing(workflow_exec_id, after, kinds, limit)
        if listing is None:
            return ()
        rows = yield listing
        return tuple(map(self._decode, rows))

    @read
    def history(
        self,
        workflow_exec_id: str,
        *,
        after: int = 0,
        kinds: Collection[str] | None = None,
        limit: int = 100,
    ) -> Op[tuple[Status, tuple[Event, ...]]]:
        """Read the workflow's status, then its events, for waiters.

        An event that is there before the workflow has ended is not missed by who sees its end.
        Raises `WorkflowNotFoundError`.
        """
        listing = self._listing(workflow_exec_id, after, kinds, limit)
        status = self._q.get_status(workflow_exec_id=workflow_exec_id)
        row, *rows = yield (status,) if listing is None else (status, listing)
        found = read_status(self._rows, workflow_exec_id, row)
        return found, tuple([self._decode(row) for many in rows for row in many])

    def _listing(
        self, workflow_exec_id: str, after: int, kinds: Collection[str] | None, limit: int
    ) -> Call | None:
        """Return the call that lists events; None if no kind is wanted."""
        check_id(workflow_exec_id, "workflow_exec_id")
        check_int(after, "after", minimum=0)
        wanted = check_ids(kinds, "kinds")
        check_limit(limit)
        if wanted == ():
            return None
        return self._q.list_events(
            workflow_exec_id=workflow_exec_id,
            after=after,
            kinds=self._rows.collection(wanted),
            limit=limit,
        )

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

    def _hold(
        self, of: Mapping[str, str], new: Sequence[NewEvent]
    ) -> Op[tuple[dict[str, Event], Sequence[int]]]:
        """Hold a workflow; return its events with keys of new ones, and which of these to append.

        Raises if the workflow, or a task of an event to append, is missing: nothing is written then
        that a transaction of the caller would keep.
        """
        keys = {event.key for event in new if event.key is not None}
        tasks = {event.task_exec_id for event in new if event.task_exec_id is not None}
        held, events, found = yield (
            self._q.lock_history(**of),
            self._with_keys(of, keys),
            self._of_tasks(of, tasks),
        )
        if held is None:
            raise WorkflowNotFoundError(of["workflow_exec_id"])
        known = {str(event.key): event for event in map(self._decode, events)}
        chosen = _chosen(new, known)
        missing = tasks - {task_exec_id for (task_exec_id,) in found}
        for index in chosen:
            if new[index].task_exec_id in missing:
                raise _refused(new[index])
        return known, chosen

    def _with_keys(self, of: Mapping[str, str], keys: Collection[str]) -> Call:
        return self._q.find_events(**of, keys=self._rows.collection(keys or _NONE))

    def _of_tasks(self, of: Mapping[str, str], tasks: Collection[str]) -> Call:
        return self._q.find_tasks(**of, task_exec_ids=self._rows.collection(tasks or _NONE))

    def _why_not_restored(self, event: Event) -> Op[EngineStoreError]:
        """Return why an event was not restored. Raises `LostRace` if no reason is to be seen."""
        of, key, task = {"workflow_exec_id": event.workflow_exec_id}, event.key, event.task_exec_id
        workflow, by_number, by_key, tasks = yield (
            self._q.get_workflow(**of),
            self._q.get_event(**of, number=event.number),
            self._with_keys(of, () if key is None else {key}),
            self._of_tasks(of, () if task is None else {task}),
        )
        if workflow is None:
            return InvalidReferenceError("event", "workflow_exec_id", event.workflow_exec_id)
        if by_number is not None:
            return AlreadyExistsError("event", "number", str(event.number))
        if by_key:
            return AlreadyExistsError("event", "key", str(key))
        if task is not None and not tasks:
            return InvalidReferenceError("event", "task_exec_id", task)
        raise LostRace
