"""Mutants of section 12: waiting for statuses, events and claims."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from engine_store.errors import WaitTimeoutError
from engine_store.models import TERMINAL, TaskFilter
from engine_store.rules.entities import TASK
from engine_store_broken.mutant import mutant, replace

WORKFLOWS = "engine_store_memory.workflows"
EVENTS = "engine_store_memory.events"
CLAIMS = "engine_store_memory.claims"
WAIT = "engine_store.waiting.waits:Wait"


@mutant("12.1", base="memory")
def waits_for_the_end_alone() -> None:
    """Which statuses are waited for is not looked at: only the end will do."""

    @replace(f"{WORKFLOWS}:wait_for_status")
    def wait(original: Any, notifier: Any, key: str, statuses: Any, *how: Any) -> Any:
        return original(notifier, key, TERMINAL, *how)


@mutant("12.1", base="memory")
def a_wait_returns_what_it_saw_first() -> None:
    """The state is read once, before the wait, and gets the status that was waited for."""

    @replace(f"{WORKFLOWS}:Workflows.wait")
    def wait(original: Any, workflows: Any, key: str, **how: Any) -> Any:
        first = workflows.get(key)
        return first.evolve(status=original(workflows, key, **how).status)


@mutant("12.1", base="memory")
def a_wait_that_fails_in_silence() -> None:
    """When its time is up the wait returns what is there."""

    @replace(f"{WORKFLOWS}:Workflows.wait")
    def wait(original: Any, workflows: Any, key: str, **how: Any) -> Any:
        try:
            return original(workflows, key, **how)
        except WaitTimeoutError:
            return workflows.get(key)


@mutant("12.2", base="memory")
def any_event_ends_a_wait() -> None:
    """The kinds are looked at when the wait is over, and it may have waited for another kind."""

    @replace(f"{EVENTS}:Events.wait")
    def wait(original: Any, events: Any, key: str, **how: Any) -> Any:
        kinds = how.pop("kinds", None)
        found = original(events, key, **how)
        return tuple(event for event in found if kinds is None or event.kind in kinds)


@mutant("12.3", base="memory")
def the_end_is_seen_before_the_last_event() -> None:
    """Events are read first, then the status: what came between the two is lost."""

    @replace(f"{EVENTS}:wait_for_events")
    def wait(original: Any, notifier: Any, key: str, timeout: Any, history: Any) -> Any:
        def reversed_history() -> Any:
            _, found = history()
            time.sleep(0.01)
            return history()[0], found

        return original(notifier, key, timeout, reversed_history)


@mutant("12.3", base="memory")
def a_follower_that_skips() -> None:
    """Of the events that come together only the first is given."""

    @replace(f"{EVENTS}:follow")
    def follow(original: Any, events: Any, key: str, after: int, kinds: Any) -> Iterator[Any]:
        while found := events.wait(key, after=after, kinds=kinds):
            yield found[0]
            after = found[-1].number


@mutant("12.3", base="memory")
def a_follower_that_is_impatient() -> None:
    """It ends as soon as it has read all there is."""

    @replace(f"{EVENTS}:follow")
    def follow(original: Any, events: Any, key: str, after: int, kinds: Any) -> Iterator[Any]:
        original(events, key, after, kinds)
        while found := events.wait(key, after=after, kinds=kinds, timeout=0):
            yield from found
            after = found[-1].number


@mutant("12.4", base="memory")
def a_claim_that_does_not_wait() -> None:
    """The argument is there, and nothing is done with it."""

    @replace(f"{CLAIMS}:Claims.claim")
    def claim(original: Any, tasks: Any, worker: str, **how: Any) -> Any:
        return original(tasks, worker, **how | {"wait": 0})


@mutant("12.4", base="memory")
def a_waiting_claim_takes_anything() -> None:
    """The filter is for what is there at once; what comes later is taken as it comes."""

    @replace(f"{CLAIMS}:Claims._claim")
    def claim(
        original: Any, tasks: Any, worker: str, lease: Any, queues: Any, filter: Any, limit: int
    ) -> Any:
        first = original(tasks, worker, lease, queues, filter, limit)
        if first or filter == TASK.everything or len(tasks._scope.read()[TASK]) < 2:
            return first
        return original(tasks, worker, lease, queues, TaskFilter(), limit)


@mutant("12.5", base="memory")
def a_change_between_look_and_sleep_is_missed() -> None:
    """The watch begins when the sleep does, and nobody looks once more."""

    @replace(f"{WAIT}.pause")
    def pause(original: Any, wait: Any, seconds: Any = None) -> Any:
        left = 60.0 if wait._ends is None else wait._ends - time.monotonic()
        if left <= 0:
            return None
        time.sleep(0.002)
        wait.watch.begin()
        return (yield left)


@mutant("12.6", base="memory")
def waits_in_a_transaction() -> None:
    """A transaction waits like a store, for what it cannot see."""

    @replace("engine_store_memory.store:MemoryTransaction.__init__")
    def init(original: Any, transaction: Any, outer: Any, draft: Any) -> None:
        original(transaction, outer, draft)
        transaction.notifier = outer.notifier
