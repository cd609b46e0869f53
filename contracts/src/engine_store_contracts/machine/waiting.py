"""Rules that wait for no time at all (contract 12): what waits finds is what is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from engine_store.models import Status
from engine_store_contracts import strategies as some
from engine_store_contracts.machine.base import SideBySide, limits


class WaitRules(SideBySide):
    """Waits of a store, and of a transaction, which refuses them."""

    @rule(
        workflow=some.workflow_exec_ids,
        how=st.fixed_dictionaries(
            {}, optional={"statuses": st.lists(some.statuses, min_size=1, max_size=3)}
        ),
    )
    def wait_for_status(self, workflow: str, how: Mapping[str, list[Status]]) -> None:
        self.both(lambda s: s.workflows.wait(workflow, timeout=0, **how))

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
    def wait_for_events(self, workflow: str, how: Mapping[str, Any]) -> None:
        self.both(lambda s: s.events.wait(workflow, timeout=0, **how))
