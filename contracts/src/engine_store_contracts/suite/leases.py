"""Section 10: what a worker does with its claim, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from engine_store.errors import (
    InvalidValueError,
    VersionConflictError,
)
from engine_store.models import (
    Claim,
    ErrorInfo,
    QueueStats,
    Status,
    TaskState,
    UsageEntry,
    UsageSummary,
)
from engine_store.protocols import Repositories, Store
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import (
    ContractCase,
    assert_same,
    clause,
    raises,
    refuses,
)
from engine_store_contracts.suite.claims import after, claimed, ids, lost, stored
from engine_store_contracts.suite.samples import (
    ERROR,
    SAVED_FIELDS,
    TERMINAL_STATUSES,
    USAGE,
    task,
    workflow,
)

USES: dict[str, Callable[[Repositories, Claim], object]] = {
    "renew": lambda s, claim: s.tasks.renew(claim, lease=5),
    "finish": lambda s, claim: s.tasks.finish(claim, output={"late": True}),
    "finish with usage": lambda s, claim: s.tasks.finish(claim, usage=USAGE),
    "release": lambda s, claim: s.tasks.release(claim),
}
"""Uses that a worker makes of its claim."""

each_use = pytest.mark.parametrize("use", USES.values(), ids=USES)

ENDINGS: dict[str, Callable[[Repositories, TaskState], object]] = {
    "update": lambda s, t: s.tasks.update(t.evolve(status=Status.FAILED)),
    "update to another status": lambda s, t: s.tasks.update(t.evolve(status=Status.WAITING)),
    "upsert": lambda s, t: s.tasks.upsert(t.evolve(status=Status.PENDING)),
    "modify": lambda s, t: s.tasks.modify("t", lambda now: now.evolve(status=Status.PAUSED)),
    "cancel": lambda s, t: s.tasks.cancel("t"),
    "cancel the workflow": lambda s, t: s.workflows.cancel("w"),
}
"""Calls of others than its worker that end the run of a claimed task; whatever it is then."""


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
