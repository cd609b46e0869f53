"""Section 10: claims of tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

import attrs
import pytest

from engine_store.errors import (
    AlreadyExistsError,
    ClaimLostError,
    InvalidReferenceError,
    InvalidValueError,
    StatusConflictError,
    TaskNotFoundError,
    VersionConflictError,
    WorkflowNotFoundError,
)
from engine_store.models import (
    Claim,
    ErrorInfo,
    ExecutionType,
    QueueStats,
    Status,
    TaskFilter,
    TaskState,
    UsageEntry,
    UsageSummary,
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
    ERROR,
    SAVED_FIELDS,
    TERMINAL_STATUSES,
    UNFINISHED_STATUSES,
    USAGE,
    child,
    task,
    workflow,
)

UNFINISHED = frozenset(status.value for status in UNFINISHED_STATUSES)


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


USES: dict[str, Callable[[Repositories, Claim], object]] = {
    "renew": lambda s, claim: s.tasks.renew(claim, lease=5),
    "finish": lambda s, claim: s.tasks.finish(claim, output={"late": True}),
    "finish with usage": lambda s, claim: s.tasks.finish(claim, usage=USAGE),
    "release": lambda s, claim: s.tasks.release(claim),
}
"""What a worker does with its claim."""

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
"""What filters of a claim match, of three tasks."""

each_use = pytest.mark.parametrize("use", USES.values(), ids=USES)

ENDINGS: dict[str, Callable[[Repositories, TaskState], object]] = {
    "update": lambda s, t: s.tasks.update(t.evolve(status=Status.FAILED)),
    "update to another status": lambda s, t: s.tasks.update(t.evolve(status=Status.WAITING)),
    "upsert": lambda s, t: s.tasks.upsert(t.evolve(status=Status.PENDING)),
    "modify": lambda s, t: s.tasks.modify("t", lambda now: now.evolve(status=Status.PAUSED)),
    "cancel": lambda s, t: s.tasks.cancel("t"),
    "cancel the workflow": lambda s, t: s.workflows.cancel("w"),
}
"""What ends the run of a claimed task, other than its worker; whatever it is then."""


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


class LeaseCases(ContractCase):
    """Contract 10.3 to 10.6: what a worker does with its claim, and what ends it."""

    @clause("10.3")
    def test_a_renewal_moves_the_end_and_leaves_the_task(
        self, store: Store, clock: ManualClock
    ) -> None:
        stored(store, task("t"))
        claim = claimed(store, lease=10)
        clock.tick(8)
        assert_same(store.tasks.renew(claim, lease=10), attrs.evolve(claim, expires_at=after(18)))
        assert_same(store.tasks.get("t"), claim.task)
        clock.tick(9)
        assert store.tasks.claim("bob", lease=10) == ()
        clock.tick(1)
        assert ids(store.tasks.claim("bob", lease=10)) == "t"

    @clause("10.3")
    @each_use
    def test_a_lease_that_has_expired_is_its_workers_until_another_has_the_task(
        self, store: Store, clock: ManualClock, use: Callable[[Any, Claim], object]
    ) -> None:
        stored(store, task("t"))
        claim = claimed(store, lease=10)
        clock.tick(60)
        use(store, claim)

    @clause("10.3")
    @each_use
    def test_who_has_lost_a_task_is_told_who_has_it(
        self, store: Store, clock: ManualClock, use: Callable[[Any, Claim], object]
    ) -> None:
        stored(store, task("t"))
        first = claimed(store, lease=10)
        clock.tick(10)
        second = claimed(store, "bob")
        before = store.workflows.get("w")
        with raises(lost(first, "bob", "RUNNING")):
            use(store, first)
        assert_same(store.tasks.get("t"), second.task)
        assert_same(store.workflows.get("w"), before)
        assert store.tasks.renew(second, lease=1).expires_at == after(11)

    @clause("10.3")
    @each_use
    def test_the_same_worker_has_lost_an_earlier_claim_too(
        self, store: Store, clock: ManualClock, use: Callable[[Any, Claim], object]
    ) -> None:
        stored(store, task("t"))
        first = claimed(store, lease=10)
        clock.tick(10)
        second = claimed(store)
        with raises(lost(first, "ann", "RUNNING")):
            use(store, first)
        use(store, second)

    @clause("10.3", "2.3")
    def test_the_version_fences_what_a_late_worker_writes(
        self, store: Store, clock: ManualClock
    ) -> None:
        stored(store, task("t"))
        late = claimed(store, lease=10)
        clock.tick(10)
        claimed(store, "bob")
        with raises(VersionConflictError("task execution", "t", expected=2, actual=3)):
            store.tasks.update(late.task.evolve(output={"late": True}))

    @clause("10.4")
    def test_finishing_ends_task_and_claim(self, store: Store, clock: ManualClock) -> None:
        stored(store, task("t", output={"partial": True}, error=ERROR))
        claim = claimed(store)
        clock.tick(2)
        done = store.tasks.finish(claim, output={"n": 1})
        expected = claim.task.evolve(
            status=Status.SUCCESS, output={"n": 1}, error=None, version=3, updated_at=after(2)
        )
        assert_same(done, expected)
        assert_same(store.tasks.get("t"), expected)
        with raises(lost(claim, None, "SUCCESS")):
            store.tasks.finish(claim)

    @clause("10.4")
    @pytest.mark.parametrize("status", Status, ids=str)
    def test_a_task_is_finished_with_a_terminal_status(self, store: Store, status: Status) -> None:
        stored(store, task("t"))
        claim = claimed(store)
        if status in TERMINAL_STATUSES:
            done = store.tasks.finish(claim, status=status, error=ERROR)
            assert (done.status, done.output, done.error) == (status, None, ERROR)
            return
        with refuses("status"):
            store.tasks.finish(claim, status=status)
        assert_same(store.tasks.get("t"), claim.task)

    @clause("10.4")
    def test_an_output_that_is_not_given_is_none(self, store: Store) -> None:
        stored(store, task("t", output={"partial": True}))
        assert store.tasks.finish(claimed(store), status=Status.FAILED).output is None

    @clause("1.5", "10.1", "10.4", "10.5", "10.7")
    @pytest.mark.parametrize("write", ["claim", "finish", "release", "cancel"])
    def test_a_clock_that_goes_back_takes_no_row_back(
        self, store: Store, clock: ManualClock, write: str
    ) -> None:
        stored(store, task("t", due_at=after(-60)))
        claim = claimed(store, lease=1) if write != "claim" else None
        clock.tick(-5)
        if claim is None:
            claimed(store)
        elif write == "cancel":
            store.workflows.cancel("w")
        else:
            getattr(store.tasks, write)(claim, **({"usage": USAGE} if write == "finish" else {}))
        assert store.tasks.get("t").updated_at == START
        assert store.workflows.get("w").updated_at == START

    @clause("10.4")
    def test_finishing_takes_what_its_worker_has_written_meanwhile(self, store: Store) -> None:
        stored(store, task("t"))
        claim = claimed(store)
        store.tasks.merge_usage("t", USAGE)
        store.tasks.modify("t", lambda now: now.evolve(input={"step": 2}))
        done = store.tasks.finish(claim, output={})
        assert (done.version, done.input, done.usage) == (5, {"step": 2}, USAGE)

    @clause("10.4", "7")
    def test_usage_is_added_to_the_task_and_to_its_workflow(
        self, store: Store, clock: ManualClock
    ) -> None:
        stored(store, task("t", usage=USAGE))
        store.workflows.merge_usage("w", USAGE)
        claim = claimed(store)
        clock.tick()
        more = UsageSummary.of([UsageEntry("openai", "gpt", 1, 2), UsageEntry("x", "y", 3, 4)])
        done = store.tasks.finish(claim, usage=more)
        assert_same(done.usage, USAGE.merge(more))
        state = store.workflows.get("w")
        assert_same((state.usage, state.version, state.updated_at), (done.usage, 3, after(1)))

    @clause("10.4", "7")
    def test_usage_beyond_64_bits_is_refused_and_the_claim_stays(self, store: Store) -> None:
        most = UsageSummary.of([UsageEntry("openai", "gpt", 2**63 - 1, 0, 0)])
        stored(store, task("t"))
        store.workflows.merge_usage("w", most)
        claim = claimed(store)
        with pytest.raises(InvalidValueError):
            store.tasks.finish(claim, usage=USAGE)
        assert_same(store.tasks.get("t"), claim.task)
        assert_same(store.workflows.get("w").usage, most)
        store.tasks.finish(claim)

    @clause("10.5")
    def test_a_released_task_is_claimed_again_when_it_is_due(
        self, store: Store, clock: ManualClock
    ) -> None:
        stored(store, task("t", output={"partial": True}))
        claim = claimed(store)
        clock.tick(1)
        waiting = store.tasks.release(claim, due_in=2.5, error=ERROR)
        expected = claim.task.evolve(
            status=Status.PENDING,
            due_at=after(3.5),
            error=ERROR,
            version=3,
            updated_at=after(1),
        )
        assert_same(waiting, expected)
        with raises(lost(claim, None, "PENDING")):
            store.tasks.release(claim)
        clock.tick(2.4)
        assert store.tasks.claim("bob", lease=10) == ()
        clock.tick(0.1)
        again = claimed(store, "bob")
        assert (again.task.attempt, again.task.error) == (2, ERROR)

    @clause("10.5")
    def test_a_task_is_released_at_once_by_default(self, store: Store, clock: ManualClock) -> None:
        stored(store, task("t", error=ERROR))
        clock.tick(1)
        waiting = store.tasks.release(claimed(store))
        assert (waiting.due_at, waiting.error) == (after(1), None)
        assert claimed(store, "bob").task.attempt == 2

    @clause("10.6")
    @each_use
    @pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
    def test_what_ends_the_run_of_a_task_ends_its_claim(
        self,
        store: Store,
        end: Callable[[Any, TaskState], object],
        use: Callable[[Any, Claim], object],
    ) -> None:
        stored(store, task("t"))
        claim = claimed(store)
        end(store, claim.task)
        now = store.tasks.get("t")
        with raises(lost(claim, None, now.status.value)):
            use(store, claim)
        assert_same(store.tasks.get("t"), now)
        store.tasks.modify("t", lambda state: state.evolve(status=Status.RUNNING))
        with raises(lost(claim, None, "RUNNING")):
            use(store, claim)
        assert store.tasks.queues().get("default", QueueStats()).leased == 0

    @clause("10.6")
    @each_use
    def test_a_claim_goes_with_its_task(
        self, store: Store, use: Callable[[Any, Claim], object]
    ) -> None:
        stored(store, task("t"))
        claim = claimed(store)
        store.workflows.delete("w")
        with raises(lost(claim, None, None)):
            use(store, claim)
        [again] = stored(store, task("t", status=Status.RUNNING))
        with raises(lost(claim, None, "RUNNING")):
            use(store, claim)
        assert_same(store.tasks.get("t"), again)

    @clause("1.4", "10.3")
    @pytest.mark.parametrize(
        ("path", "wrong"),
        [
            ("claim", lambda claim: None),
            ("claim", lambda claim: claim.task),
            ("claim.task", lambda claim: attrs.evolve(claim, task="t")),
            ("claim.task.attempt", lambda c: attrs.evolve(c, task=task("t"))),
            ("claim.worker", lambda claim: attrs.evolve(claim, worker="")),
            ("claim.token", lambda claim: attrs.evolve(claim, token=None)),
        ],
    )
    @each_use
    def test_what_is_no_claim_is_refused(
        self,
        store: Store,
        path: str,
        wrong: Callable[[Claim], Any],
        use: Callable[[Any, Any], object],
    ) -> None:
        stored(store, task("t"))
        claim = claimed(store)
        with refuses(path):
            use(store, wrong(claim))
        assert_same(store.tasks.get("t"), claim.task)

    @clause("1.4", "10.3")
    def test_other_arguments_are_refused(self, store: Store) -> None:
        stored(store, task("t"))
        claim, tasks = claimed(store), store.tasks
        wrong: list[tuple[str, Callable[[], object]]] = [
            ("lease", lambda: tasks.renew(claim, lease=0)),
            ("output.x", lambda: tasks.finish(claim, output={"x": {1}})),
            ("error", lambda: tasks.finish(claim, error="no")),  # type: ignore[arg-type]
            ("usage", lambda: tasks.finish(claim, usage=7)),  # type: ignore[arg-type]
            ("due_in", lambda: tasks.release(claim, due_in=-1)),
            ("error.message", lambda: tasks.release(claim, error=ErrorInfo("\0"))),
        ]
        for path, call in wrong:
            with refuses(path):
                call()
        assert_same(tasks.get("t"), claim.task)

    @clause("10.9", "2.9")
    def test_a_task_that_is_restored_while_it_was_claimed_is_claimed_again(
        self, store: Store, clock: ManualClock
    ) -> None:
        store.workflows.create(workflow("w"))
        clock.time = SAVED_FIELDS["updated_at"]
        running = task("a", status=Status.RUNNING, queue="q", priority=3, due_at=START)
        exported = attrs.evolve(running, attempt=5, **SAVED_FIELDS)
        assert_same(store.tasks.restore(exported), exported)
        ended = exported.evolve(task_exec_id="b", status=Status.SUCCESS)
        for other in (ended, attrs.evolve(exported, task_exec_id="c", attempt=0)):
            store.tasks.restore(other)
        [late] = store.tasks.expired(queues=["q"])
        assert (late.task, late.worker, late.expires_at) == (exported, "restored", clock.time)
        [claim] = store.tasks.claim("ann", lease=10, queues=["q"], limit=9)
        assert (claim.task.task_exec_id, claim.task.attempt, claim.task.version) == ("a", 6, 42)


class CancelCases(ContractCase):
    """Contract 10.7: canceling, and what has ended."""

    TREE = (
        task("root", status=Status.RUNNING),
        child("done", "root", status=Status.FAILED, error=ERROR),
        child("below", "done", status=Status.WAITING, output={"n": 1}, error=ERROR),
        child("leaf", "below"),
        task("other", status=Status.PAUSED),
    )
    """A tree and a task beside it; what has ended has tasks below that have not."""

    def _canceled(self, store: Store, version: int = 2) -> dict[str, TaskState]:
        tasks = {state.task_exec_id: state for state in store.tasks.list().items}
        for state in tasks.values():
            if state.status is Status.CANCELED:
                assert_same(state.error, ErrorInfo("enough", "CANCELED"))
                assert_same((state.version, state.updated_at), (version, after(2)))
        assert_same(tasks["done"], attrs.evolve(tasks["done"], version=1, error=ERROR))
        assert tasks["below"].output == {"n": 1}
        return {k: s for k, s in tasks.items() if s.status is Status.CANCELED}

    @clause("10.7")
    def test_a_workflow_is_canceled_with_its_tasks(self, store: Store, clock: ManualClock) -> None:
        stored(store, *self.TREE)
        before = store.workflows.get("w")
        clock.tick(2)
        state = store.workflows.cancel("w", reason="enough")
        error = ErrorInfo("enough", "CANCELED")
        expected = before.evolve(
            status=Status.CANCELED, error=error, version=2, updated_at=after(2)
        )
        assert_same(state, expected)
        assert_same(store.workflows.get("w"), expected)
        assert set(self._canceled(store)) == {"root", "below", "leaf", "other"}

    @clause("10.7")
    @pytest.mark.parametrize("status", TERMINAL_STATUSES, ids=str)
    def test_a_workflow_that_has_ended_stays_and_its_tasks_end(
        self, store: Store, clock: ManualClock, status: Status
    ) -> None:
        stored(store, *self.TREE)
        ended = store.workflows.set_status("w", status)
        clock.tick(2)
        assert_same(store.workflows.cancel("w", reason="enough"), ended)
        assert set(self._canceled(store)) == {"root", "below", "leaf", "other"}

    @clause("10.7")
    @pytest.mark.parametrize(
        ("key", "subtree", "expected"),
        [
            ("root", True, "root below leaf"),
            ("root", False, "root"),
            ("done", True, "below leaf"),
            ("done", False, ""),
            ("leaf", True, "leaf"),
        ],
    )
    def test_a_task_is_canceled_with_what_is_below_it(
        self, store: Store, clock: ManualClock, key: str, subtree: bool, expected: str
    ) -> None:
        stored(store, *self.TREE)
        before = store.workflows.get("w")
        clock.tick(2)
        state = store.tasks.cancel(key, subtree=subtree, reason="enough")
        assert_same(state, store.tasks.get(key))
        assert set(self._canceled(store)) == set(expected.split())
        assert_same(store.workflows.get("w"), before)

    @clause("10.7")
    def test_a_reason_may_be_left_out(self, store: Store) -> None:
        stored(store, task("t"))
        assert store.tasks.cancel("t").error == ErrorInfo("canceled", "CANCELED")
        assert store.workflows.cancel("w").error == ErrorInfo("canceled", "CANCELED")
        with refuses("reason"):
            store.workflows.cancel("w", reason="\0")
        with refuses("reason"):
            store.tasks.cancel("t", reason=7)  # type: ignore[arg-type]

    @clause("10.7")
    def test_what_is_missing_cannot_be_canceled(self, store: Store) -> None:
        with raises(WorkflowNotFoundError("w")):
            store.workflows.cancel("w")
        with raises(TaskNotFoundError("t")):
            store.tasks.cancel("t")

    @clause("10.7")
    @pytest.mark.parametrize("status", Status, ids=str)
    @pytest.mark.parametrize("write", ["create", "upsert"])
    def test_a_workflow_that_has_ended_takes_a_new_task_only_if_it_is_allowed(
        self, store: Store, status: Status, write: str
    ) -> None:
        [old] = stored(store, task("old"))
        store.workflows.set_status("w", status)
        put = getattr(store.tasks, write)
        if status in TERMINAL_STATUSES:
            with raises(StatusConflictError("w", UNFINISHED, status.value)):
                put(task("t"))
            with pytest.raises(TaskNotFoundError):
                store.tasks.get("t")
        assert put(task("t"), allow_ended=True).version == 1
        assert store.tasks.upsert(old).version == 2
        assert store.tasks.update(attrs.evolve(old, version=2)).version == 3

    @clause("10.7", "2.2", "6.1")
    def test_what_else_stands_against_a_new_task_comes_first(self, store: Store) -> None:
        stored(store, task("t"))
        store.workflows.set_status("w", Status.SUCCESS)
        with raises(AlreadyExistsError("task execution", "task_exec_id", "t")):
            store.tasks.create(task("t"))
        with raises(InvalidReferenceError("task execution", "parent_state_id", "missing")):
            store.tasks.create(child("c", "missing"))
        with raises(InvalidReferenceError("task execution", "workflow_exec_id", "none")):
            store.tasks.create(task("c", "none"))

    @clause("10.7", "2.9")
    def test_a_task_is_restored_into_a_workflow_that_has_ended(self, store: Store) -> None:
        store.workflows.create(workflow("w", status=Status.SUCCESS))
        exported = attrs.evolve(task("t"), **SAVED_FIELDS)
        assert_same(store.tasks.restore(exported), exported)


class QueueCases(ContractCase):
    """Contract 10.8: what waits."""

    @clause("10.8")
    def test_each_queue_has_its_counts(self, store: Store, clock: ManualClock) -> None:
        assert store.tasks.queues() == {}
        stored(store, task("a"), task("b"), task("c", due_at=after(60)), task("d", queue="x"))
        stored(store, task("e", queue="done", status=Status.SUCCESS))
        stored(store, task("f", queue="own", status=Status.RUNNING))
        clock.tick(5)
        stored(store, task("g", due_at=after(-3)), task("h", due_at=after(5)))
        stored(store, task("i", due_at=after(99), queue="later"))
        expected = {
            "default": QueueStats(ready=4, delayed=1, ready_since=after(-3)),
            "later": QueueStats(delayed=1),
            "x": QueueStats(ready=1, ready_since=START),
        }
        assert_same(dict(store.tasks.queues()), expected)
        store.tasks.claim("ann", lease=10, limit=2)
        store.tasks.claim("ann", lease=3, queues=["x"])
        clock.tick(3)
        expected = {
            "default": QueueStats(ready=2, delayed=1, leased=2, ready_since=START),
            "later": QueueStats(delayed=1),
            "x": QueueStats(leased=1, expired=1),
        }
        assert_same(dict(store.tasks.queues()), expected)

    @clause("10.8")
    def test_the_next_due_time_is_of_the_queues(self, store: Store, clock: ManualClock) -> None:
        assert store.tasks.next_due() is None
        stored(store, task("a", due_at=after(30), priority=5), task("b", due_at=after(20)))
        stored(store, task("c", queue="x", due_at=after(10)))
        assert store.tasks.next_due() == after(20)
        assert store.tasks.next_due(queues=["x", "default"]) == after(10)
        assert store.tasks.next_due(queues=["other"]) is None
        assert store.tasks.next_due(queues=[]) is None
        clock.tick(20)
        assert store.tasks.next_due() == after(20)
        claimed(store, lease=3)
        assert store.tasks.next_due() == after(23)
        assert store.tasks.next_due(queues=["x"]) == after(10)

    @clause("10.8")
    def test_leases_that_have_expired_are_listed_oldest_first(
        self, store: Store, clock: ManualClock
    ) -> None:
        stored(store, *(task(name) for name in "abcd"), task("e", queue="x"))
        claims = [claimed(store, lease=lease) for lease in (9, 5, 7, 30)]
        claims.append(claimed(store, lease=1, queues=["x"]))
        clock.tick(9)
        assert_same(store.tasks.expired(), (claims[1], claims[2], claims[0]))
        assert_same(store.tasks.expired(limit=1), (claims[1],))
        assert_same(store.tasks.expired(queues=["x"]), (claims[4],))
        assert store.tasks.expired(queues=[]) == ()
        store.tasks.finish(claims[2])
        assert ids(store.tasks.expired()) == "b a"

    @clause("10.8")
    def test_leases_that_end_together_are_in_the_order_of_their_ids(
        self, store: Store, clock: ManualClock
    ) -> None:
        stored(store, *(task(name, priority=-number) for number, name in enumerate("cab")))
        claimed(store, lease=5, limit=1)
        store.tasks.claim("bob", lease=5, limit=2)
        clock.tick(5)
        assert ids(store.tasks.expired()) == "a b c"
        assert [claim.worker for claim in store.tasks.expired()] == ["bob", "bob", "ann"]
