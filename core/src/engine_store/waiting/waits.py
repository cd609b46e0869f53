"""What is waited for, each written once for both sides: looks and sleeps, without I/O.

The first look comes before everything else: who need not wait pays for no watch. The second one
comes after the watch has begun, so that no change between a look and a sleep is missed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Generator
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar

from engine_store.errors import InTransactionError, InvalidValueError, WaitTimeoutError
from engine_store.models import TERMINAL, Claim, Event, Status, TaskFilter, WorkflowState
from engine_store.rules.claims import check_queues, check_seconds
from engine_store.rules.entities import TASK
from engine_store.values import check_choices, check_id
from engine_store.waiting.notifier import (
    Notifier,
    Watch,
    events_topic,
    queue_topic,
    workflow_topic,
)

T = TypeVar("T")

Look: TypeAlias = Callable[[], T | Awaitable[T]]
"""A look, of either side."""

Looks: TypeAlias = Generator[Callable[[], Any] | float, Any, T]
"""Yields looks, and is sent what they found; or seconds to sleep, and is sent if a hint came."""


class Wait(Generic[T]):
    """A wait for what `looks` return."""

    looks: Looks[T]

    def __init__(
        self,
        notifier: Notifier | None,
        operation: str,
        topics: Collection[str],
        seconds: float | None,
        *,
        takes: bool = False,
    ) -> None:
        """A wait of at most `seconds`; None: as long as it takes.

        Raises `InTransactionError` without a notifier, which a transaction has not.
        """
        if seconds is not None:
            seconds = check_seconds(seconds, _PATHS[operation], zero=True).total_seconds()
        if notifier is None:
            raise InTransactionError(operation)
        self.notifier = notifier
        self.watch = Watch(notifier, topics, takes=takes)
        self._ends = None if seconds is None else time.monotonic() + seconds

    def pause(self, seconds: float | None = None) -> Generator[float, bool, bool | None]:
        """Sleep until a hint comes, the next look is due or `seconds` have passed.

        Returns whether a hint came, and None if the time was up before.
        """
        left = None if self._ends is None else self._ends - time.monotonic()
        if left is not None and left <= 0:
            return None
        if self.watch.begin():
            return True
        limits = [self.notifier.poll_interval, seconds, left]
        return (yield min(limit for limit in limits if limit is not None))

    def run(self) -> T:
        """Return what the looks return; sleeps block the thread."""
        looks = self.looks
        try:
            action = next(looks)
            while True:
                found = action() if callable(action) else self.watch.sleep(action)
                action = looks.send(found)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            self.watch.end()

    async def run_async(self) -> T:
        """Return what the looks return; other tasks run during sleeps."""
        looks, check = self.looks, _cancellation()
        try:
            action = next(looks)
            while True:
                if callable(action):
                    found = action()
                else:
                    check()
                    found = self.watch.sleep_async(action)
                action = looks.send(await found)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            self.watch.end()


def _cancellation() -> Callable[[], None]:
    """Return what raises `CancelledError` if this task was cancelled since.

    `asyncio.wait_for` of Python 3.11 forgets a cancellation that meets the end of what it waits for
    (https://github.com/python/cpython/issues/86296). A look then returns, and nothing would end the
    wait.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()

    def check() -> None:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError

    return check


_PATHS = {"workflows.wait": "timeout", "events.wait": "timeout", "tasks.claim": "wait"}
"""The argument of each operation that says how long it waits."""


# --- the status of a workflow ------------------------------------------------------------------


def wait_for_status(
    notifier: Notifier | None,
    workflow_exec_id: str,
    statuses: Collection[Status],
    timeout: float | None,
    status: Look[Status],
    get: Look[WorkflowState],
) -> Wait[WorkflowState]:
    """Return the wait for one of these statuses. `status` and `get` look at the workflow."""
    check_id(workflow_exec_id, "workflow_exec_id")
    wanted = check_choices(statuses, Status, "statuses")
    if not wanted:
        raise InvalidValueError("statuses", "expected a collection of at least one status")
    topics = (workflow_topic(workflow_exec_id),)
    wait: Wait[WorkflowState] = Wait(notifier, "workflows.wait", topics, timeout)

    def looks() -> Looks[WorkflowState]:
        while True:
            found = yield status
            if found in wanted:
                state: WorkflowState = yield get
                found = state.status
                if found in wanted:
                    return state
            if (yield from wait.pause()) is None:
                expected = frozenset(one.value for one in wanted)
                raise WaitTimeoutError(workflow_exec_id, expected, found.value, timeout or 0)

    wait.looks = looks()
    return wait


# --- events ------------------------------------------------------------------------------------


def wait_for_events(
    notifier: Notifier | None,
    workflow_exec_id: str,
    timeout: float | None,
    history: Look[tuple[Status, tuple[Event, ...]]],
) -> Wait[tuple[Event, ...]]:
    """Return the wait for events.

    `history` returns the workflow's status, and the events that were there after that was read.
    """
    check_id(workflow_exec_id, "workflow_exec_id")
    topics = (events_topic(workflow_exec_id), workflow_topic(workflow_exec_id))
    wait: Wait[tuple[Event, ...]] = Wait(notifier, "events.wait", topics, timeout)

    def looks() -> Looks[tuple[Event, ...]]:
        while True:
            status, events = yield history
            if events or status in TERMINAL:
                found: tuple[Event, ...] = events
                return found
            if (yield from wait.pause()) is None:
                return ()

    wait.looks = looks()
    return wait


# --- tasks -------------------------------------------------------------------------------------


def wait_for_claims(
    notifier: Notifier | None,
    queues: Collection[str],
    filter: TaskFilter,
    seconds: float,
    claim: Look[tuple[Claim, ...]],
    next_due: Look[datetime | None],
) -> Wait[tuple[Claim, ...]]:
    """Return the wait for a claim. With a filter not any task of the queues will do."""
    topics = [queue_topic(queue) for queue in check_queues(queues)]
    wait: Wait[tuple[Claim, ...]] = Wait(
        notifier, "tasks.claim", topics, seconds, takes=filter == TASK.everything
    )

    def looks() -> Looks[tuple[Claim, ...]]:
        may_claim = True
        while True:
            if may_claim:
                claims: tuple[Claim, ...] = yield claim
                if claims:
                    wait.watch.pass_on()
                    return claims
            due: datetime | None = yield next_due
            until_due = None if due is None else (due - wait.notifier.clock()).total_seconds()
            is_later = until_due is None or until_due > 0
            if not (is_later or may_claim):
                may_claim = True
                continue
            # What is due and was not claimed was taken by others, or does not match the filter.
            hinted = yield from wait.pause(until_due if is_later else None)
            if hinted is None:
                return ()
            may_claim = hinted or due is not None

    wait.looks = looks()
    return wait
