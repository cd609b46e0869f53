"""Rules that append events and read them (contract 11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from engine_store.models import Event, NewEvent
from engine_store_contracts import strategies as some
from engine_store_contracts.machine.base import SideBySide, limits

_OPTIONAL: Mapping[str, st.SearchStrategy[Any]] = {
    "data": some.optional_documents,
    "task_exec_id": some.task_exec_ids,
    "key": some.event_keys,
}


class EventRules(SideBySide):
    """Events of any workflow, of which few are there."""

    @rule(
        workflow=some.workflow_exec_ids,
        kind=some.event_kinds,
        how=st.fixed_dictionaries({}, optional=_OPTIONAL),
    )
    def append_event(self, workflow: str, kind: str, how: Mapping[str, Any]) -> None:
        self.both(lambda s: s.events.append(workflow, kind, **how))

    @rule(
        workflow=some.workflow_exec_ids,
        events=st.lists(st.builds(NewEvent, some.event_kinds, **_OPTIONAL), max_size=4),
    )
    def append_events(self, workflow: str, events: list[NewEvent]) -> None:
        self.both(lambda s: s.events.append_many(workflow, events))

    @rule(
        event=st.builds(
            Event,
            some.workflow_exec_ids,
            st.integers(1, 6),
            some.event_kinds,
            **_OPTIONAL,
            created_at=some.times,
        )
    )
    def restore_event(self, event: Event) -> None:
        self.both(lambda s: s.events.restore(event))

    @rule(
        workflow=some.workflow_exec_ids,
        how=st.fixed_dictionaries(
            {},
            optional={
                "after": st.integers(0, 5),
                "kinds": st.lists(some.event_kinds, max_size=2),
                "limit": limits,
            },
        ),
    )
    def list_events(self, workflow: str, how: Mapping[str, Any]) -> None:
        self.both(lambda s: s.events.list(workflow, **how))
