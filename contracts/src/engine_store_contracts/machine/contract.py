"""The state machine as a contract class."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from engine_store.models import Role, Status
from engine_store.protocols import Repositories, Store
from engine_store_contracts import strategies as some
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.faces import Face
from engine_store_contracts.machine.tasks import TaskRules
from engine_store_contracts.machine.users import UserRules
from engine_store_contracts.machine.workflows import WorkflowRules
from engine_store_contracts.profiles import Profile
from engine_store_contracts.suite import samples
from engine_store_contracts.suite.case import ContractCase, clause


class StoreMachine(UserRules, WorkflowRules, TaskRules):
    """Everything at once, beginning with a few rows so that most calls find something."""

    @initialize(
        first=st.sampled_from(Role), statuses=st.lists(some.statuses, min_size=7, max_size=7)
    )
    def populate(self, first: Role, statuses: list[Status]) -> None:
        """Two users, a key, two workflows, and a tree of tasks in one of them."""
        w, other, root, part, again, deep, lone = statuses
        rows: list[Callable[[Repositories], object]] = [
            lambda s: s.users.create(samples.user("ann", "ann@example.org", role=first)),
            lambda s: s.users.create(samples.user("b", "I@x")),
            lambda s: s.api_keys.create(samples.api_key("key", "ann", prefix="p1")),
            lambda s: s.workflows.create(samples.workflow("w", status=w)),
            lambda s: s.workflows.create(samples.workflow("W", status=other)),
            lambda s: s.tasks.create(samples.task("t1", task_id="draft", status=root, output={})),
            lambda s: s.tasks.create(
                samples.child("t2", "t1", task_id="check", status=part, output={})
            ),
            lambda s: s.tasks.create(samples.child("t3", "t1", task_id="check", status=again)),
            lambda s: s.tasks.create(samples.child("\uff5a", "t2", task_id="check", status=deep)),
            lambda s: s.tasks.create(
                samples.task("\U00010000", "W", task_id="draft", tool_id="search", status=lone)
            ),
        ]
        for create in rows:
            assert self.both(create).error is None


class MachineCases(ContractCase):
    """Sections 1 to 7, by random calls: the store does what the reference does."""

    @clause("1", "2", "3", "4", "5", "6", "7")
    def test_the_store_does_what_the_reference_does(
        self, store: Store, clock: ManualClock, face: Face, profile: Profile, seed: int
    ) -> None:
        @hypothesis.seed(seed)
        class Machine(StoreMachine):
            def __init__(self) -> None:
                super().__init__(store, clock)

        run_state_machine_as_test(
            Machine,
            settings=settings(  # over the profile that is active, such as hypothesis's own `ci`
                max_examples=profile.examples[face],
                stateful_step_count=profile.steps,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
