"""Mutants of section 11, and of 3.7: events of workflows, and functions in transactions."""

from __future__ import annotations

from typing import Any

import attrs

from engine_store.rules.entities import WORKFLOW
from engine_store_broken.mutant import mutant, replace, rewrite

EVENTS = "engine_store_memory.events:Events"
ATTEMPTS = "engine_store.concurrency.attempts"


@mutant("11.1", base="sqlite")
def numbered_over_all_workflows() -> None:
    """One sequence gives all events their numbers, and each workflow has gaps."""
    rewrite(
        "append_event",
        "SELECT coalesce(max(number), 0) + 1\n    FROM main.events\n"
        "    WHERE workflow_exec_id = :workflow_exec_id",
        "SELECT coalesce(max(number), 0) + 1 FROM main.events",
    )


@mutant("11.4", base="sqlite")
def numbered_by_the_count() -> None:
    """The next number is how many events there are, and one more."""
    rewrite("append_event", "coalesce(max(number), 0) + 1", "count(*) + 1")


@mutant("11.1", base="memory")
def several_events_one_by_one() -> None:
    """`append_many` is a loop: what comes before one that is refused stays."""

    @replace(f"{EVENTS}.append_many")
    def append_many(original: Any, events: Any, workflow_exec_id: str, new: Any) -> Any:
        if len(new) < 2:
            return original(events, workflow_exec_id, new)
        made = [original(events, workflow_exec_id, [event]) for event in new]
        return tuple(event for [event] in made)


@mutant("11.1", base="sqlite")
def events_of_any_task() -> None:
    """Nobody asks whether the task is in the workflow."""
    rewrite(
        "append_event",
        "WHERE workflow_exec_id = :workflow_exec_id --? task_exec_id\n      AND task_exec_id",
        "WHERE task_exec_id",
    )


@mutant("11.1", base="memory")
def an_event_writes_its_workflow() -> None:
    """The workflow counts its events, and is written with each of them."""

    @replace(f"{EVENTS}._append")
    def append(original: Any, events: Any, workflow_exec_id: str, new: Any) -> Any:
        made = original(events, workflow_exec_id, new)
        with events._scope.write() as data:
            state = data[WORKFLOW][workflow_exec_id]
            counted = attrs.evolve(state, version=state.version + 1)
            data[WORKFLOW][workflow_exec_id] = counted
        return made


@mutant("11.2", base="memory")
def keys_are_for_show() -> None:
    """A key is stored, and nobody looks whether it is there already."""

    @replace(f"{EVENTS}._append")
    def append(original: Any, events: Any, workflow_exec_id: str, new: Any) -> Any:
        made = original(events, workflow_exec_id, [attrs.evolve(one, key=None) for one in new])
        return tuple(attrs.evolve(e, key=n.key) for e, n in zip(made, new, strict=True))


@mutant("11.2", base="memory")
def a_key_updates_the_event() -> None:
    """The second event with a key takes the place of the first one."""

    @replace(f"{EVENTS}._append")
    def append(original: Any, events: Any, workflow_exec_id: str, new: Any) -> Any:
        made = original(events, workflow_exec_id, new)
        changed = tuple(
            attrs.evolve(e, kind=n.kind, data=n.data) for e, n in zip(made, new, strict=True)
        )
        with events._scope.write() as data:
            by_number = {event.number: event for event in changed}
            stored = data.events.get(workflow_exec_id, ())
            data.events[workflow_exec_id] = tuple(by_number.get(e.number, e) for e in stored)
        return changed


@mutant("11.3", base="sqlite")
def listed_from_the_number_on() -> None:
    """The last event that was seen comes again."""
    rewrite("list_events", "number > :after", "number >= :after")


@mutant("11.3", base="sqlite")
def events_in_any_order() -> None:
    """The order is left to the index, which is most often the right one."""
    rewrite("list_events", "ORDER BY number", "ORDER BY kind, number")


@mutant("11.3", base="sqlite")
def every_kind_of_event() -> None:
    """The kinds that were asked for never got into the statement."""
    rewrite("list_events", "  AND kind IN (SELECT value FROM json_each(:kinds)) --? kinds\n", "")


@mutant("11.4", base="memory")
def events_outside_of_the_transaction() -> None:
    """Events are kept in a log of their own, and a rollback leaves them there."""

    @replace("engine_store_memory.database:Snapshot.copy")
    def copy(original: Any, snapshot: Any) -> Any:
        return attrs.evolve(original(snapshot), events=snapshot.events)


@mutant("11.4", base="memory")
def events_outlive_their_workflow() -> None:
    """A workflow is deleted, and the next one of its id goes on with its history."""

    @replace("engine_store_memory.workflows:_delete")
    def delete(original: Any, data: Any, keys: Any) -> Any:
        kept = {key: data.events[key] for key in keys if key in data.events}
        deleted = original(data, keys)
        data.events.update(kept)
        return deleted


@mutant("11.4", base="sqlite")
def restored_events_are_new() -> None:
    """An event is restored by appending it, and gets the next number."""
    rewrite(
        "restore_event",
        "SELECT :workflow_exec_id, :number,",
        "SELECT :workflow_exec_id, 0 * :number + (SELECT coalesce(max(number), 0) + 1"
        " FROM main.events WHERE workflow_exec_id = :workflow_exec_id),",
    )


@mutant("3.7", base="memory")
def run_does_not_try_again() -> None:
    """`run` is a `with` statement and no more."""

    @replace(f"{ATTEMPTS}:_may_succeed")
    def may_succeed(original: Any, error: Any) -> bool:
        return False


@mutant("3.7", base="memory")
def run_tries_whatever_failed() -> None:
    """Any error is taken for one that passes."""

    @replace(f"{ATTEMPTS}:_may_succeed")
    def may_succeed(original: Any, error: Any) -> bool:
        return True


@mutant("3.7", base="memory")
def run_tries_once_more() -> None:
    """`attempts` is taken for the number of further attempts."""

    @replace(f"{ATTEMPTS}:_pauses")
    def pauses(original: Any, attempts: int) -> Any:
        return original(attempts + 1 if type(attempts) is int and attempts > 0 else attempts)


RECORD = "engine_store_memory.repository:_record"


@mutant("11.5", base="memory")
def errors_are_not_recorded() -> None:
    """The status is recorded, and why it changed is overwritten by the next attempt."""

    @replace(RECORD)
    def record(original: Any, data: Any, before: Any, after: Any) -> None:
        original(data, before, attrs.evolve(after, error=None))


@mutant("11.5", base="sqlite")
def an_old_error_is_recorded_again() -> None:
    """What an attempt left is taken for an error of the next one."""
    rewrite("record_tasks", "CASE WHEN NEW.status <> 'RUNNING' THEN NEW.error END", "NEW.error")


@mutant("11.5", base="memory")
def the_same_error_is_recorded_once() -> None:
    """An error that is like the last one is taken for none."""

    @replace(RECORD)
    def record(original: Any, data: Any, before: Any, after: Any) -> None:
        same = before.error == after.error
        original(data, before, attrs.evolve(after, error=None) if same else after)


@mutant("11.5", base="sqlite")
def every_write_is_a_change() -> None:
    """The trigger asks whether the status was written, not whether it is another one."""
    rewrite("record_workflows", "WHEN OLD.status <> NEW.status\n", "")


@mutant("11.5", base="sqlite")
def the_attempt_before() -> None:
    """The attempt is that of the row before the change."""
    rewrite("record_tasks", "NEW.attempt", "OLD.attempt")
