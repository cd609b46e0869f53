"""The state machine as a contract class."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import count
from time import monotonic
from typing import Any, cast

import attrs
import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    MultipleResults,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine_store.errors import EngineStoreError
from engine_store.models import Role, Status, TaskState, WorkflowState
from engine_store.protocols import Repositories
from engine_store.rules.entities import BY_MODEL, ENTITIES, TASK, Row
from engine_store_contracts import recording
from engine_store_contracts import strategies as some
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.harness import Database
from engine_store_contracts.machine.base import SideBySide, Subject
from engine_store_contracts.machine.claims import ClaimRules
from engine_store_contracts.machine.events import EventRules
from engine_store_contracts.machine.rules import SEEN, with_rules
from engine_store_contracts.machine.waiting import WaitRules
from engine_store_contracts.profiles import Profile
from engine_store_contracts.suite import samples
from engine_store_contracts.suite.case import ContractCase, clause
from engine_store_contracts.suite.elsewhere import differences, reader_of


@with_rules(*ENTITIES)
class StoreMachine(ClaimRules, EventRules, WaitRules):
    """Everything at once, beginning with a few rows so that most calls find something."""

    @initialize(
        first=st.sampled_from(Role), statuses=st.lists(some.statuses, min_size=7, max_size=7)
    )
    def populate(self, first: Role, statuses: list[Status]) -> None:
        """Two users, a key, two workflows, and a tree of tasks in one of them."""
        w, other, root, part, again, deep, lone = statuses
        rows: list[Row] = [
            samples.user("ann", "ann@example.org", role=first),
            samples.user("b", "I@x"),
            samples.api_key("key", "ann", prefix="p1"),
            samples.workflow("w", status=w),
            samples.workflow("W", status=other),
            samples.task("t1", task_id="draft", status=root, output={}),
            samples.child("t2", "t1", task_id="check", status=part, output={}),
            samples.child("t3", "t1", task_id="check", status=again),
            samples.child("\uff5a", "t2", task_id="check", status=deep),
            samples.task("\U00010000", "W", task_id="draft", tool_id="search", status=lone),
        ]
        for row in rows:
            stored = self.both(partial(_create, row))
            assert isinstance(stored, type(row))

    @rule(target=SEEN[TASK], parent=SEEN[TASK], state=some.tasks)
    def create_child(self, parent: TaskState, state: TaskState) -> MultipleResults[Any]:
        """Below a task that was there once; without actors, so that most can be stored."""
        child = attrs.evolve(
            state,
            workflow_exec_id=parent.workflow_exec_id,
            parent_state_id=parent.task_exec_id,
            agent_id=None,
            action_id=None,
            tool_id=None,
        )
        return self.state(lambda s: s.tasks.create(child, allow_ended=True))

    @rule(state=some.workflows, bad=some.illegal_documents(), field=st.sampled_from(["in", "out"]))
    def write_illegal_document(self, state: WorkflowState, bad: Any, field: str) -> None:
        illegal = attrs.evolve(state, **{f"{field}put": bad})
        written = self.both(lambda s: s.workflows.upsert(illegal))
        assert isinstance(written, EngineStoreError)

    @rule(key=some.illegal_ids)
    def use_an_illegal_id(self, key: Any) -> None:
        for call in (
            lambda s: s.users.get(key),
            lambda s: s.workflows.delete(key),
            lambda s: s.tasks.tree(key),
        ):
            assert isinstance(self.both(call), EngineStoreError)

    @precondition(lambda self: self._subject.elsewhere is not None and not self._levels)
    @rule()
    def read_elsewhere(self) -> None:
        """Read every row in another process: nothing is different."""
        assert self._subject.elsewhere is not None
        self.script.add("# here another process, which writes nothing, reads every row")
        self._check_same(self._subject.elsewhere(self._reference), [])


def _create(row: Row, repositories: Repositories) -> object:
    options = {"allow_ended": True} if isinstance(row, TaskState) else {}
    return BY_MODEL[type(row)].of(repositories).create(row, **options)


def run_machine(
    make: Callable[[], SideBySide],
    *,
    examples: int,
    steps: int,
    seed: int,
    on_failure: Callable[[str], object] = print,
) -> None:
    """Try so many sequences of so many calls.

    `on_failure` gets a script of the shortest one that fails.
    """
    machine: SideBySide | None = None

    @hypothesis.seed(seed)
    def made() -> SideBySide:
        nonlocal machine
        machine = make()
        return machine

    try:
        run_state_machine_as_test(
            cast("type[SideBySide]", made),
            settings=settings(  # over the profile that is active, such as hypothesis's own `ci`
                max_examples=examples,
                stateful_step_count=steps,
                # To explain a failure, or to look for a second one, takes minutes; one is enough.
                phases=(Phase.generate, Phase.shrink),
                report_multiple_bugs=False,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except BaseException:
        if machine is not None:
            on_failure(str(machine.script))
        raise


class MachineCases(ContractCase):
    """Sections 1 to 7, 10 and 11, by random calls: the store does what the reference does."""

    @clause("1", "2", "3", "4", "5", "6", "7", "10", "11")
    def test_the_store_does_what_the_reference_does(
        self,
        request: pytest.FixtureRequest,
        database: Database,
        clock: ManualClock,
        profile: Profile,
        seed: int,
    ) -> None:
        subject = Subject(database.open(clock=clock))
        recording.note_server(request.node, subject.store)
        if database.supports("reopen"):
            subject.reopen = partial(database.reopen, clock=clock)
        others = ExitStack()
        end = monotonic() + profile.soaks * 60 * request.config.option.contract_minutes

        def note(script: str) -> None:
            recording.note_script(request.node, script)
            print(script)  # noqa: T201 - pytest shows it with the failure

        try:
            if database.supports("reopen") and database.supports("processes"):
                subject.elsewhere = partial(differences, others.enter_context(reader_of(database)))
            for round_ in count(seed):
                run_machine(
                    lambda: StoreMachine(subject, clock),
                    examples=profile.examples[database.face],
                    steps=profile.steps,
                    seed=round_,
                    on_failure=note,
                )
                if monotonic() >= end:
                    break
        finally:
            recording.note_operations(request.node, subject.calls)
            others.close()
            subject.store.close()
