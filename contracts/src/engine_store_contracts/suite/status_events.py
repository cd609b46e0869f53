"""Section 11.5: changes of a status as events, of a store with the setting `history`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import attrs
import pytest

from engine_store.errors import VersionConflictError
from engine_store.models import STATUS_CHANGED, ErrorInfo, Event, Status
from engine_store.protocols import Store, Transaction
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.hanging import Threads
from engine_store_contracts.harness import Database
from engine_store_contracts.suite.case import (
    ContractCase,
    all_at_once,
    assert_same,
    clause,
    failures,
)
from engine_store_contracts.suite.claims import claimed
from engine_store_contracts.suite.samples import child, task, workflow

ERROR = ErrorInfo("it broke", "BROKEN", {"at": [1, 2.0, "\x7f"]})

OF_WORKFLOWS: Mapping[str, Callable[[Store], object]] = {
    "update": lambda s: s.workflows.update(
        s.workflows.get("w").evolve(status=Status.FAILED, error=ERROR)
    ),
    "upsert": lambda s: s.workflows.upsert(workflow("w", status=Status.FAILED, error=ERROR)),
    "modify": lambda s: s.workflows.modify(
        "w", lambda w: w.evolve(status=Status.FAILED, error=ERROR)
    ),
    "set_status": lambda s: s.workflows.set_status("w", Status.PAUSED),
    "complete": lambda s: s.workflows.complete("w"),
    "cancel": lambda s: s.workflows.cancel("w"),
}

OF_TASKS: Mapping[str, Callable[[Store], object]] = {
    "update": lambda s: s.tasks.update(s.tasks.get("t").evolve(status=Status.FAILED, error=ERROR)),
    "upsert": lambda s: s.tasks.upsert(task("t", status=Status.FAILED, error=ERROR)),
    "modify": lambda s: s.tasks.modify("t", lambda t: t.evolve(status=Status.WAITING)),
    "claim": lambda s: s.tasks.claim("ann", lease=9),
    "cancel": lambda s: s.tasks.cancel("t"),
}

NO_CHANGES: Mapping[str, Callable[[Store], object]] = {
    "another field": lambda s: s.tasks.modify("t", lambda t: t.evolve(output={})),
    "another error": lambda s: s.tasks.modify("t", lambda t: t.evolve(error=ERROR)),
    "the same status": lambda s: s.workflows.set_status("w", Status.PENDING),
    "usage": lambda s: s.workflows.merge_usage("w", s.workflows.get("w").usage),
    "a new task": lambda s: s.tasks.create(task("u", status=Status.RUNNING)),
    "another workflow": lambda s: s.workflows.create(workflow("x", status=Status.RUNNING)),
}


def errors_of(events: tuple[Event, ...]) -> list[Any]:
    """The errors that came with changes of a status."""
    return [event.data["error"] for event in events if event.data is not None]


class StatusEventCases(ContractCase, needs=("reopen", "history")):
    """Contract 11.5: what is recorded with `history`, and what is not."""

    @pytest.fixture
    def recording(self, database: Database, clock: ManualClock) -> Iterator[Store]:
        """A store with the setting, and with the workflow w and its task t."""
        with database.open_with(clock=clock, history=True) as store:
            store.workflows.create(workflow("w"))
            store.tasks.create(task("t"))
            clock.tick(5)
            yield store

    @clause("11.5")
    @pytest.mark.parametrize("change", OF_WORKFLOWS)
    def test_a_change_of_a_workflow_is_an_event(self, recording: Store, change: str) -> None:
        recording.tasks.modify("t", lambda t: t.evolve(status=Status.SUCCESS))
        OF_WORKFLOWS[change](recording)
        state = recording.workflows.get("w")
        data = {
            "from": "PENDING",
            "to": state.status.value,
            "error": None if state.error is None else attrs.asdict(state.error),
        }
        event = Event("w", 2, STATUS_CHANGED, data, created_at=state.updated_at)
        assert_same(recording.events.list("w", after=1), (event,))

    @clause("11.5")
    @pytest.mark.parametrize("change", OF_TASKS)
    def test_a_change_of_a_task_is_an_event(self, recording: Store, change: str) -> None:
        OF_TASKS[change](recording)
        state = recording.tasks.get("t")
        data = {
            "from": "PENDING",
            "to": state.status.value,
            "attempt": state.attempt,
            "error": None if state.error is None else attrs.asdict(state.error),
        }
        event = Event("w", 1, STATUS_CHANGED, data, "t", created_at=state.updated_at)
        assert_same(recording.events.list("w"), (event,))

    @clause("11.5")
    @pytest.mark.parametrize("change", NO_CHANGES)
    def test_what_changes_no_status_is_no_event(self, recording: Store, change: str) -> None:
        NO_CHANGES[change](recording)
        assert recording.events.list("w") == recording.events.list("x") == ()

    @clause("11.5")
    def test_the_error_of_each_attempt_stays(self, recording: Store) -> None:
        for _ in range(2):
            recording.tasks.release(claimed(recording), error=ErrorInfo("busy"))
        recording.tasks.finish(claimed(recording), output={})
        events = recording.events.list("w")
        changes = [(e.data["to"], e.data["attempt"]) for e in events if e.data is not None]
        assert changes == [
            ("RUNNING", 1),
            ("PENDING", 1),
            ("RUNNING", 2),
            ("PENDING", 2),
            ("RUNNING", 3),
            ("SUCCESS", 3),
        ]
        messages = [error and error["message"] for error in errors_of(events)]
        assert messages == [None, "busy", None, "busy", None, None]

    @clause("11.5")
    def test_everything_that_is_canceled_is_recorded(self, recording: Store) -> None:
        recording.tasks.create(child("u", "t", status=Status.RUNNING))
        recording.tasks.create(child("v", "t", status=Status.SUCCESS))
        recording.workflows.cancel("w", reason="enough")
        events = recording.events.list("w")
        assert {e.task_exec_id for e in events} == {"t", "u", None}
        assert [e.number for e in events] == [1, 2, 3]
        canceled = {"message": "enough", "code": "CANCELED", "details": None}
        assert errors_of(events) == [canceled] * 3

    @clause("11.5")
    def test_a_change_that_did_not_happen_is_not_recorded(self, recording: Store) -> None:
        stale = recording.tasks.get("t")
        recording.tasks.modify("t", lambda t: t.evolve(output={}))
        with pytest.raises(VersionConflictError):
            recording.tasks.update(stale.evolve(status=Status.FAILED))

        def end(tx: Transaction) -> None:
            tx.workflows.set_status("w", Status.RUNNING)
            assert len(tx.events.list("w")) == 1
            tx.tasks.update(stale)

        with pytest.raises(VersionConflictError):
            recording.run(end, attempts=1)
        assert recording.events.list("w") == ()

    @clause("11.5")
    def test_changes_at_once_are_numbered_without_a_gap(self, recording: Store) -> None:
        for number in range(8):
            recording.tasks.create(task(f"t{number}"))
        calls: list[Callable[[], object]] = [
            partial(recording.tasks.modify, f"t{number}", lambda t: t.evolve(status=Status.FAILED))
            for number in range(8)
        ]
        calls += [partial(recording.events.append, "w", "own") for _ in range(4)]
        calls.append(lambda: recording.workflows.set_status("w", Status.RUNNING))
        assert failures(all_at_once(calls)) == []
        assert [e.number for e in recording.events.list("w")] == list(range(1, 14))

    @clause("11.5")
    def test_a_store_without_the_setting_records_nothing(
        self, recording: Store, database: Database
    ) -> None:
        with database.open() as plain:
            plain.workflows.set_status("w", Status.RUNNING)
            assert [task.attempt for task in (claimed(plain).task,)] == [1]
        recording.workflows.set_status("w", Status.PAUSED)
        [event] = recording.events.list("w")
        assert event.data == {"from": "RUNNING", "to": "PAUSED", "error": None}

    @clause("11.5")
    def test_changes_reach_who_follows(self, recording: Store) -> None:
        with Threads() as threads:
            wait = threads.submit(lambda: list(recording.events.follow("w")))
            recording.tasks.finish(claimed(recording))
            recording.workflows.complete("w")
        assert [e.data and e.data["to"] for e in wait.result()] == ["RUNNING", "SUCCESS", "SUCCESS"]
