"""Section 12: waiting for what others write."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

import pytest

from engine_store.errors import (
    InTransactionError,
    StoreClosedError,
    WaitTimeoutError,
    WorkflowNotFoundError,
)
from engine_store.models import TERMINAL, Claim, Event, Status, TaskFilter
from engine_store.protocols import AsyncStore, Store
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.faces import Face
from engine_store_contracts.hanging import Threads
from engine_store_contracts.harness import Database
from engine_store_contracts.patience import PATIENCE
from engine_store_contracts.suite.asynchronous import asynchronous
from engine_store_contracts.suite.case import (
    ContractCase,
    all_at_once,
    assert_same,
    clause,
    failures,
    outcome,
    raises,
    refuses,
)
from engine_store_contracts.suite.claims import after, claimed, ids, stored
from engine_store_contracts.suite.samples import task, workflow

T = TypeVar("T")

ASLEEP = 0.05
"""Seconds after which a waiter sleeps, most probably; if it does not, the case proves less."""

SOON = 8
"""Seconds within which a change is seen that is waited for, also without a hint."""

WRONG_SECONDS: Mapping[str, Any] = {
    "below 0": -1,
    "not a number": "1",
    "no number at all": float("nan"),
    "without end": float("inf"),
    "a bool": True,
}

ENDINGS: Mapping[str, Callable[[Store], object]] = {
    "update": lambda s: s.workflows.update(s.workflows.get("w").evolve(status=Status.FAILED)),
    "upsert": lambda s: s.workflows.upsert(s.workflows.get("w").evolve(status=Status.FAILED)),
    "modify": lambda s: s.workflows.modify("w", lambda w: w.evolve(status=Status.FAILED)),
    "set_status": lambda s: s.workflows.set_status("w", Status.FAILED),
    "complete": lambda s: s.workflows.complete("w"),
    "cancel": lambda s: s.workflows.cancel("w"),
    "run": lambda s: s.run(lambda tx: tx.workflows.set_status("w", Status.FAILED)),
}

READY: Mapping[str, Callable[[Store, ManualClock, Claim], object]] = {
    "create": lambda s, *_: s.tasks.create(task("new")),
    "upsert": lambda s, *_: s.tasks.upsert(task("new")),
    "in a transaction": lambda s, *_: s.run(lambda tx: tx.tasks.create(task("new"))),
    "modify": lambda s, *_: s.tasks.modify("x", lambda x: x.evolve(queue="default")),
    "release": lambda s, _, held: s.tasks.release(held),
    "its due time comes": lambda _, clock, __: clock.tick(60),
    "a lease expires": lambda _, clock, __: clock.tick(90),
}
"""What makes a task ready: a new one, x in another queue, one that is due later, or one held."""


@contextmanager
def waiting(call: Callable[[], T]) -> Iterator[Future[T]]:
    """Give the future of a call that waits by now, in a thread of its own."""
    begun = threading.Event()

    def run() -> T:
        begun.set()
        return call()

    with Threads() as threads:
        future = threads.submit(run)
        begun.wait(PATIENCE.seconds)
        time.sleep(ASLEEP)
        yield future


def in_time(future: Future[T]) -> Any:
    """Return what a wait found."""
    return future.result(timeout=PATIENCE.seconds)


def kinds(events: tuple[Event, ...]) -> str:
    """The kinds of events."""
    return " ".join(event.kind for event in events)


def _followed(store: Store, key: str) -> tuple[Event, ...]:
    return tuple(store.events.follow(key))


class StatusWaitCases(ContractCase):
    """Contract 12.1: waiting for the status of a workflow."""

    @clause("12.1")
    def test_a_status_that_is_there_is_not_waited_for(self, store: Store) -> None:
        for status in Status:
            key = status.value
            state = store.workflows.create(workflow(key, status=status))
            assert_same(store.workflows.wait(key, statuses=[status], timeout=0), state)
            if status in TERMINAL:
                assert_same(store.workflows.wait(key, timeout=0), state)

    @clause("12.1")
    def test_a_wait_ends_with_its_time(self, store: Store) -> None:
        store.workflows.create(workflow("w", status=Status.RUNNING))
        everywhere = frozenset(TERMINAL)
        for seconds in (0, 0.01):
            with raises(WaitTimeoutError("w", everywhere, "RUNNING", seconds)):
                store.workflows.wait("w", timeout=seconds)
        with raises(WaitTimeoutError("w", frozenset({"PAUSED"}), "RUNNING", 0)):
            store.workflows.wait("w", statuses=[Status.PAUSED], timeout=0)

    @clause("12.1")
    @pytest.mark.parametrize("ending", ENDINGS)
    def test_a_wait_returns_the_state_that_ends_it(self, store: Store, ending: str) -> None:
        store.workflows.create(workflow("w"))
        with waiting(lambda: store.workflows.wait("w")) as wait:
            ENDINGS[ending](store)
            assert_same(in_time(wait), store.workflows.get("w"))

    @clause("12.1")
    def test_other_changes_do_not_end_a_wait(self, store: Store) -> None:
        store.workflows.create(workflow("w"))
        store.workflows.create(workflow("other"))
        with waiting(lambda: store.workflows.wait("w", statuses=[Status.PAUSED])) as wait:
            store.workflows.set_status("other", Status.PAUSED)
            store.workflows.set_status("w", Status.RUNNING)
            store.events.append("w", "x")
            time.sleep(ASLEEP)
            assert not wait.done()
            paused = store.workflows.set_status("w", Status.PAUSED)
            assert_same(in_time(wait), paused)

    @clause("12.1")
    def test_a_missing_workflow_is_not_waited_for(self, store: Store) -> None:
        with raises(WorkflowNotFoundError("none")):
            store.workflows.wait("none")
        store.workflows.create(workflow("w"))
        with waiting(lambda: outcome(lambda: store.workflows.wait("w"))) as wait:
            store.workflows.delete("w")
            assert_same(in_time(wait), WorkflowNotFoundError("w"))

    @clause("12.1")
    @pytest.mark.parametrize("seconds", WRONG_SECONDS)
    def test_a_wrong_time_is_refused(self, store: Store, seconds: str) -> None:
        store.workflows.create(workflow("w", status=Status.SUCCESS))
        with refuses("timeout"):
            store.workflows.wait("w", timeout=WRONG_SECONDS[seconds])
        with refuses("timeout"):
            store.events.wait("w", timeout=WRONG_SECONDS[seconds])
        with refuses("wait"):
            store.tasks.claim("ann", lease=1, wait=WRONG_SECONDS[seconds])

    @clause("12.1")
    def test_no_status_is_refused(self, store: Store) -> None:
        wrong: dict[str, Any] = {"statuses": [], "statuses[0]": ["SUCCESS"]}
        for path, statuses in wrong.items():
            with refuses(path):
                store.workflows.wait("w", statuses=statuses)
        with refuses("statuses"):
            store.workflows.wait("w", statuses=cast("Any", None))


class EventWaitCases(ContractCase):
    """Contract 12.2 and 12.3: waiting for events, and following them."""

    @clause("12.2")
    def test_events_that_are_there_are_not_waited_for(self, store: Store) -> None:
        store.workflows.create(workflow("w"))
        events = tuple([store.events.append("w", kind) for kind in "abc"])
        assert_same(store.events.wait("w", timeout=0), events)
        assert_same(store.events.wait("w", after=1, limit=1), events[1:2])
        assert_same(store.events.wait("w", kinds=["c", "x"]), events[2:])
        store.workflows.set_status("w", Status.FAILED)
        assert_same(store.events.wait("w", after=2), events[2:])

    @clause("12.2")
    def test_no_event_comes_in_time_or_after_the_end(self, store: Store) -> None:
        store.workflows.create(workflow("w"))
        store.events.append("w", "a")
        for seconds in (0, 0.01):
            assert store.events.wait("w", after=1, timeout=seconds) == ()
            assert store.events.wait("w", kinds=["b"], timeout=seconds) == ()
            assert store.events.wait("w", kinds=[], timeout=seconds) == ()
        store.workflows.set_status("w", Status.SUCCESS)
        assert store.events.wait("w", after=1) == ()

    @clause("12.2")
    def test_a_wait_returns_the_event_that_ends_it(self, store: Store) -> None:
        store.workflows.create(workflow("w"))
        with waiting(lambda: store.events.wait("w", kinds=["yes", "no"])) as wait:
            store.events.append("w", "other")
            time.sleep(ASLEEP)
            assert not wait.done()
            event = store.events.append("w", "yes")
            assert_same(in_time(wait), (event,))
        with waiting(lambda: store.events.wait("w", after=2)) as wait:
            store.run(lambda tx: tx.events.append("w", "third"))
            assert kinds(in_time(wait)) == "third"

    @clause("12.2")
    def test_the_end_of_the_workflow_ends_a_wait(self, store: Store) -> None:
        store.workflows.create(workflow("w"))
        with waiting(lambda: store.events.wait("w")) as wait:
            store.workflows.cancel("w")
            assert in_time(wait) == ()

    @clause("12.2", "12.3")
    def test_events_of_a_missing_workflow_are_not_waited_for(self, store: Store) -> None:
        with raises(WorkflowNotFoundError("none")):
            store.events.wait("none")
        with raises(WorkflowNotFoundError("none")):
            next(iter(store.events.follow("none")))

    @clause("12.3")
    def test_a_follower_gets_each_event_once_and_ends_with_the_workflow(self, store: Store) -> None:
        store.workflows.create(workflow("w"))
        first = store.events.append("w", "0")
        with waiting(lambda: list(store.events.follow("w"))) as wait:
            events = [first, *(store.events.append("w", str(n)) for n in range(1, 150))]
            store.workflows.set_status("w", Status.SUCCESS)
            assert_same(in_time(wait), events)
        assert_same(list(store.events.follow("w", after=148)), events[148:])
        assert_same(list(store.events.follow("w", kinds=["7", "9"])), [events[7], events[9]])
        assert list(store.events.follow("w", after=150)) == []

    @clause("12.3")
    def test_what_is_there_when_the_workflow_ends_is_not_missed(self, store: Store) -> None:
        for number in range(20):
            key = f"w{number}"
            store.workflows.create(workflow(key))
            with Threads() as threads:
                wait = threads.submit(partial(_followed, store, key))
                store.events.append(key, "last")
                store.workflows.set_status(key, Status.SUCCESS)
                assert kinds(in_time(wait)) == "last"

    @clause("12.3")
    def test_a_follower_is_refused_before_its_first_event(self, store: Store) -> None:
        with refuses("workflow_exec_id"):
            store.events.follow("a\0b")
        with refuses("after"):
            store.events.follow("w", after=-1)
        with refuses("kinds"):
            store.events.follow("w", kinds="x")


class ClaimWaitCases(ContractCase):
    """Contract 12.4: waiting for something to claim."""

    @clause("12.4")
    def test_a_claim_returns_with_its_time(self, store: Store) -> None:
        stored(store, task("later", due_at=after(60)), task("x", queue="x"))
        for seconds in (0, 0.01):
            assert store.tasks.claim("ann", lease=9, wait=seconds) == ()
        assert ids(store.tasks.claim("ann", lease=9, queues=["x"], wait=60)) == "x"

    @clause("12.4")
    @pytest.mark.parametrize("ready", READY)
    def test_a_waiting_worker_gets_what_becomes_ready(
        self, store: Store, clock: ManualClock, ready: str
    ) -> None:
        stored(store, task("held"), task("x", queue="x"), task("later", due_at=after(60)))
        held = claimed(store, worker="bob", lease=90)
        with waiting(lambda: store.tasks.claim("ann", lease=9, wait=SOON)) as wait:
            READY[ready](store, clock, held)
            [claim] = in_time(wait)
        assert claim.task.status is Status.RUNNING
        assert claim.task.attempt == (2 if ready in ("release", "a lease expires") else 1)

    @clause("12.4")
    def test_a_waiting_worker_gets_what_its_filter_lets_through(self, store: Store) -> None:
        stored(store, task("a"))
        fits = TaskFilter(task_id="fits")
        with waiting(lambda: store.tasks.claim("ann", lease=9, filter=fits, wait=99)) as wait:
            store.tasks.create(task("b"))
            time.sleep(ASLEEP)
            assert not wait.done()
            store.tasks.create(task("c", task_id="fits"))
            assert ids(in_time(wait)) == "c"

    @clause("12.4")
    def test_of_several_waiting_workers_each_gets_one(self, store: Store) -> None:
        stored(store)
        names = [f"t{number}" for number in range(6)]
        with Threads() as threads:
            waits = [
                threads.submit(partial(store.tasks.claim, name, lease=9, wait=99)) for name in names
            ]
            store.run(lambda tx: [tx.tasks.create(task(name)) for name in names])
            found = [in_time(wait) for wait in waits]
        assert sorted(claim.task.task_exec_id for [claim] in found) == names

    @clause("12.4")
    def test_one_of_several_waiting_workers_gets_the_only_task(self, store: Store) -> None:
        stored(store)
        with waiting(
            lambda: all_at_once(
                [partial(store.tasks.claim, name, lease=99, wait=0.4) for name in "abcd"]
            )
        ) as wait:
            store.tasks.create(task("t"))
            found = in_time(wait)
        assert failures(found) == []
        assert sorted(map(len, found)) == [0, 0, 0, 1]


class HintCases(ContractCase):
    """Contract 12.5: a change between a look and a sleep is not missed."""

    @clause("12.5")
    def test_two_that_wait_for_each_other_go_on_to_the_end(self, store: Store) -> None:
        for key in ("ping", "pong"):
            store.workflows.create(workflow(key))
        rounds = 25

        def play(own: str, other: str) -> int:
            for number in range(rounds):
                store.events.append(own, "x")
                if not store.events.wait(other, after=number, timeout=SOON):
                    return number
            return rounds

        calls = [lambda: play("ping", "pong"), lambda: play("pong", "ping")]
        assert all_at_once(calls) == [rounds, rounds]


class OtherStoreCases(ContractCase, needs=("reopen",)):
    """Contract 12.5: a change by another store is not missed."""

    @clause("12.5")
    def test_another_store_of_the_database_ends_a_wait(self, database: Database) -> None:
        with database.open() as store, database.open() as other:
            store.workflows.create(workflow("w"))
            with waiting(lambda: store.workflows.wait("w")) as wait:
                ended = other.workflows.set_status("w", Status.SUCCESS)
                assert_same(in_time(wait), ended)
            with waiting(lambda: store.tasks.claim("ann", lease=9, wait=99)) as claims:
                other.tasks.create(task("t"), allow_ended=True)
                assert ids(in_time(claims)) == "t"


class NoWaitCases(ContractCase):
    """Contract 12.6: where nobody waits."""

    @clause("12.6")
    def test_nobody_waits_in_a_transaction(self, store: Store) -> None:
        stored(store, task("t"))
        store.workflows.create(workflow("ended", status=Status.SUCCESS))
        with store.transaction() as tx:
            for scope in (tx, tx.transaction().__enter__()):
                with raises(InTransactionError("workflows.wait")):
                    scope.workflows.wait("ended", timeout=0)
                with raises(InTransactionError("events.wait")):
                    scope.events.wait("ended", timeout=0)
                with raises(InTransactionError("events.wait")):
                    next(iter(scope.events.follow("ended")))
                with raises(InTransactionError("tasks.claim")):
                    scope.tasks.claim("ann", lease=9, wait=1)
            assert ids(tx.tasks.claim("ann", lease=9, wait=0)) == "t"

    @clause("12.6")
    def test_closing_the_store_ends_every_wait(self, database: Database) -> None:
        with database.open() as store:
            store.workflows.create(workflow("w"))
            waits: list[Callable[[], object]] = [
                lambda: store.workflows.wait("w"),
                lambda: store.events.wait("w"),
                lambda: list(store.events.follow("w")),
                lambda: store.tasks.claim("ann", lease=9, wait=99),
            ]
            with waiting(lambda: all_at_once(waits)) as wait:
                store.close()
                assert_same(in_time(wait), [StoreClosedError()] * 4)


class CancelledWaitCases(ContractCase, faces=(Face.ASYNC,)):
    """Contract 12.6: a wait that is cancelled leaves nothing behind."""

    @clause("12.6", "9.3")
    @asynchronous
    async def test_cancelled_waits_take_nothing_and_hinder_nobody(self, store: AsyncStore) -> None:
        await store.workflows.create(workflow("w"))
        waits: list[Coroutine[Any, Any, object]] = []
        for _ in range(10):
            waits += [
                store.workflows.wait("w"),
                store.events.wait("w"),
                store.tasks.claim("ann", lease=99, wait=99),
            ]
        tasks = [asyncio.create_task(wait) for wait in waits]
        await asyncio.sleep(ASLEEP)
        await store.tasks.create(task("t"))
        for one in tasks:
            one.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        claims = [found for found in outcomes if isinstance(found, tuple)]
        others = [found for found in outcomes if not isinstance(found, tuple)]
        assert {type(found) for found in others} == {asyncio.CancelledError}
        assert sum(map(len, claims)) <= 1
        await store.tasks.create(task("u"))
        [claim] = await store.tasks.claim("bob", lease=9, queues=["default"], wait=SOON)
        assert claim.worker == "bob"
