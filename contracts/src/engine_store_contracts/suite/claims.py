"""Section 10: what is claimed, in which order, and by one worker at a time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

import attrs
import pytest

from engine_store.errors import (
    ClaimLostError,
)
from engine_store.models import (
    Claim,
    ExecutionType,
    QueueStats,
    Status,
    TaskFilter,
    TaskState,
)
from engine_store.protocols import Repositories, Store
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import (
    ContractCase,
    all_at_once,
    assert_same,
    clause,
    raises,
    refuses,
    successes,
)
from engine_store_contracts.suite.samples import (
    child,
    task,
    workflow,
)


def after(seconds: float) -> Any:
    """The time that many seconds after the clock begins."""
    return START + timedelta(seconds=seconds)


def stored(store: Repositories, *tasks: TaskState) -> list[TaskState]:
    """The tasks, created in the workflow w."""
    store.workflows.upsert(workflow("w"))
    return [store.tasks.create(each) for each in tasks]


def claimed(store: Repositories, worker: str = "ann", **how: Any) -> Claim:
    """The claim of one task."""
    [claim] = store.tasks.claim(worker, **{"lease": 10, **how})
    return claim


def ids(claims: Sequence[Claim]) -> str:
    """The ids of the tasks, in their order."""
    return " ".join(claim.task.task_exec_id for claim in claims)


def lost(claim: Claim, holder: str | None, status: str | None) -> ClaimLostError:
    """The error about a claim that has ended."""
    return ClaimLostError(claim.task.task_exec_id, claim.worker, holder, status)


FILTERS = {
    "nothing given": (TaskFilter(), "a b c"),
    "workflow": (TaskFilter(workflow_exec_id="other"), "c"),
    "ids": (TaskFilter(task_exec_ids=["b", "c"]), "b c"),
    "no ids": (TaskFilter(task_exec_ids=[]), ""),
    "task": (TaskFilter(task_id="x"), "a c"),
    "parent": (TaskFilter(parent_state_id="a"), "b"),
    "agent": (TaskFilter(agent_id="writer"), "c"),
    "action": (TaskFilter(action_id="write"), "c"),
    "tool": (TaskFilter(tool_id="search"), "b"),
    "execution type": (TaskFilter(execution_type=ExecutionType.WAIT), "c"),
    "task and workflow": (TaskFilter(task_id="x", workflow_exec_id="w"), "a"),
}
"""Filters of a claim, and those of three tasks that they match."""


class ClaimCases(ContractCase):
    """Contract 10.1 and 10.2: what is claimed, in which order."""

    @clause("10.1")
    def test_a_task_is_claimed(self, store: Store, clock: ManualClock) -> None:
        [before] = stored(store, task("t", input={"n": 1}))
        clock.tick(3)
        [claim] = store.tasks.claim("ann", lease=10)
        expected = before.evolve(status=Status.RUNNING, version=2, updated_at=clock.time)
        expected = attrs.evolve(expected, attempt=1)
        assert_same(claim, Claim(expected, "ann", after(13), claim.token))
        assert_same(store.tasks.get("t"), expected)

    @clause("10.1")
    @pytest.mark.parametrize("status", Status, ids=str)
    def test_only_what_is_pending_is_claimed(self, store: Store, status: Status) -> None:
        stored(store, task("t", status=status))
        claims = store.tasks.claim("ann", lease=10)
        assert ids(claims) == ("t" if status is Status.PENDING else "")
        if not claims:
            assert store.tasks.get("t").version == 1

    @clause("10.1")
    def test_the_order_is_priority_due_time_creation_id(
        self, store: Store, clock: ManualClock
    ) -> None:
        stored(store, task("late", due_at=after(5)), task("b"), task("a"))
        stored(store, task("low", priority=-100), task("high", priority=100))
        clock.tick(1)
        stored(store, task("younger"), task("early", due_at=after(-9)))
        stored(store, task("same", due_at=START), task("medium", priority=1))
        clock.tick(9)
        claims = store.tasks.claim("ann", lease=10, limit=1000)
        assert ids(claims) == "high medium early a b same younger late low"

    @clause("10.1")
    def test_a_claim_takes_the_first_ones(self, store: Store) -> None:
        stored(store, *(task(name, priority=number % 3) for number, name in enumerate("abcdefg")))
        order = ["c", "f", "b", "e", "a", "d", "g"]
        found = [ids(store.tasks.claim("ann", lease=10, limit=limit)) for limit in (1, 2, 1, 9, 1)]
        assert found == [order[0], " ".join(order[1:3]), order[3], " ".join(order[4:]), ""]

    @clause("10.1")
    def test_what_is_not_yet_due_is_left(self, store: Store, clock: ManualClock) -> None:
        stored(store, task("t", due_at=after(5), priority=100))
        clock.tick(5, microseconds=-1)
        assert store.tasks.claim("ann", lease=10) == ()
        clock.tick(0, microseconds=1)
        assert ids(store.tasks.claim("ann", lease=10)) == "t"

    @clause("10.1")
    def test_what_is_not_due_hides_nothing_that_is(self, store: Store) -> None:
        stored(store, *(task(f"{n}", due_at=after(60), priority=n % 4) for n in range(20)))
        stored(store, task("t", priority=-1))
        assert ids(store.tasks.claim("ann", lease=10, limit=5)) == "t"

    @clause("10.1")
    def test_a_claim_is_of_its_queues(self, store: Store) -> None:
        stored(store, task("a", queue="x"), task("b", queue="X"), task("c"), task("d", queue="x"))
        assert ids(store.tasks.claim("ann", lease=10, limit=9)) == "c"
        assert store.tasks.claim("ann", lease=10, queues=[]) == ()
        assert store.tasks.claim("ann", lease=10, queues=["other"]) == ()
        assert ids(store.tasks.claim("ann", lease=10, queues=["x", "x"], limit=9)) == "a d"

    @clause("10.1")
    def test_the_order_goes_across_queues(self, store: Store, clock: ManualClock) -> None:
        for number, name in enumerate("abcdef"):
            stored(store, task(name, queue=f"q{number % 2}", priority=number // 4))
            clock.tick()
        claim = partial(store.tasks.claim, "ann", lease=10, queues=["q1", "q0"])
        assert [ids(claim(limit=3)), ids(claim()), ids(claim(limit=9))] == ["e f a", "b", "c d"]

    @clause("10.1")
    @pytest.mark.parametrize("status", [Status.PENDING, Status.RUNNING], ids=str)
    @pytest.mark.parametrize(("filter", "expected"), FILTERS.values(), ids=FILTERS)
    def test_a_claim_is_of_what_matches_its_filter(
        self, store: Store, clock: ManualClock, filter: TaskFilter, expected: str, status: Status
    ) -> None:
        """Among what is PENDING, and among leases that have expired."""
        store.workflows.create(workflow("other"))
        fields = {"agent_id": "writer", "action_id": "write", "execution_type": ExecutionType.WAIT}
        stored(store, task("a", task_id="x", priority=1), child("b", "a", tool_id="search"))
        store.tasks.create(task("c", "other", task_id="x", **fields))
        if status is Status.RUNNING:
            store.tasks.claim("bob", lease=1, limit=9)
            clock.tick()
        claim = partial(store.tasks.claim, "ann", lease=10, limit=9)
        assert ids(claim(filter=filter)) == expected
        assert set(ids(claim()).split()) == {*"abc"} - {*expected.split()}

    @clause("10.1")
    def test_a_filter_by_status_tells_what_is_new_from_what_has_expired(
        self, store: Store, clock: ManualClock
    ) -> None:
        stored(store, task("a"))
        claimed(store, lease=1)
        clock.tick()
        stored(store, task("b"))
        claim = partial(store.tasks.claim, "ann", lease=10, limit=9)
        assert claim(filter=TaskFilter(statuses=[Status.PAUSED])) == ()
        assert ids(claim(filter=TaskFilter(statuses=[Status.PENDING]))) == "b"
        assert ids(claim(filter=TaskFilter(statuses=[Status.RUNNING, Status.WAITING]))) == "a"

    @clause("10.1")
    @pytest.mark.parametrize("write", ["update", "upsert"])
    def test_only_claims_count_attempts(self, store: Store, write: str) -> None:
        [created] = stored(store, attrs.evolve(task("t"), attempt=7))
        assert created.attempt == 0
        claim = claimed(store)
        changed = attrs.evolve(claim.task, attempt=9, queue="other", priority=5)
        written = getattr(store.tasks, write)(changed)
        assert (written.attempt, written.queue, written.priority) == (1, "other", 5)

    @clause("10.1")
    def test_a_task_of_a_deleted_workflow_is_not_claimed(self, store: Store) -> None:
        stored(store, task("t"))
        store.workflows.delete("w")
        assert store.tasks.claim("ann", lease=10) == ()

    @clause("1.4", "10.1")
    @pytest.mark.parametrize(
        ("path", "wrong"),
        [
            ("worker", {"worker": ""}),
            ("lease", {"lease": 0}),
            ("lease", {"lease": -1}),
            ("lease", {"lease": float("nan")}),
            ("lease", {"lease": float("inf")}),
            ("lease", {"lease": True}),
            ("lease", {"lease": timedelta(seconds=1)}),
            ("queues", {"queues": "default"}),
            ("queues", {"queues": None}),
            ("queues[1]", {"queues": ["a", ""]}),
            ("filter", {"filter": None}),
            ("limit", {"limit": 0}),
            ("limit", {"limit": 1001}),
        ],
        ids=str,
    )
    def test_other_arguments_of_a_claim_are_refused(
        self, store: Store, path: str, wrong: dict[str, Any]
    ) -> None:
        stored(store, task("t"))
        with refuses(path):
            store.tasks.claim(**{"worker": "ann", "lease": 10, **wrong})
        assert store.tasks.get("t").version == 1

    @clause("1.4", "10.1")
    @pytest.mark.parametrize(
        "wrong",
        [{"priority": 101}, {"priority": -101}, {"priority": True}, {"queue": ""}, {"due_at": 5}],
        ids=str,
    )
    def test_other_fields_of_a_task_are_refused(self, store: Store, wrong: dict[str, Any]) -> None:
        store.workflows.create(workflow("w"))
        with refuses(f"task.{next(iter(wrong))}"):
            store.tasks.create(attrs.evolve(task("t"), **wrong))

    @clause("10.2")
    def test_a_task_is_claimed_once_while_its_lease_lasts(
        self, store: Store, clock: ManualClock
    ) -> None:
        stored(store, task("t"))
        first = claimed(store, lease=10)
        clock.tick(10, microseconds=-1)
        assert store.tasks.claim("bob", lease=10) == ()
        clock.tick(0, microseconds=1)
        second = claimed(store, "bob", lease=7)
        assert (second.task.version, second.task.attempt) == (3, 2)
        assert (second.worker, second.expires_at) == ("bob", after(17))
        assert second.token != first.token

    @clause("10.2")
    def test_what_has_expired_is_in_the_same_order(self, store: Store, clock: ManualClock) -> None:
        stored(store, task("a", priority=1), task("b"))
        store.tasks.claim("ann", lease=10, limit=2)
        clock.tick(10)
        stored(store, task("c", priority=2), task("d", priority=1), task("e"))
        assert ids(store.tasks.claim("bob", lease=10, limit=4)) == "c a d b"

    @clause("10.2")
    def test_a_task_that_moves_to_another_queue_takes_its_lease_along(
        self, store: Store, clock: ManualClock
    ) -> None:
        stored(store, task("t"))
        claim = claimed(store, lease=10)
        store.tasks.update(claim.task.evolve(queue="other"))
        clock.tick(10)
        assert store.tasks.claim("bob", lease=10) == ()
        assert ids(store.tasks.claim("bob", lease=10, queues=["other"])) == "t"

    @clause("10.2", "3.1")
    def test_a_claim_that_is_rolled_back_was_never_made(self, store: Store) -> None:
        stored(store, task("t"))
        rolled_back = LookupError()
        made: list[Claim] = []
        with suppress(LookupError), store.transaction() as tx:
            made += tx.tasks.claim("ann", lease=10)
            raise rolled_back
        [claim] = made
        with raises(lost(claim, None, "PENDING")):
            store.tasks.finish(claim)
        again = claimed(store)
        assert (again.task.version, again.task.attempt) == (2, 1)

    @clause("10.2")
    def test_of_many_claims_at_once_no_two_have_one_task(self, store: Store) -> None:
        stored(store, *(task(f"{number:03}") for number in range(60)))

        def claim_all(worker: str) -> list[str]:
            found: list[str] = []
            while store.tasks.queues().get("default", QueueStats()).ready and len(found) <= 60:
                claims = store.tasks.claim(worker, lease=60, limit=3)
                found += [claim.task.task_exec_id for claim in claims]
            return found

        found = successes(all_at_once([partial(claim_all, f"w{n}") for n in range(6)]))
        assert sorted(chain.from_iterable(found)) == [f"{number:03}" for number in range(60)]
        assert {state.attempt for state in store.tasks.list(limit=100).items} == {1}
