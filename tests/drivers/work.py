"""A program for `test_work`: the URL of a store, a file, and how many threads.

Each thread works off tasks until all have ended. It appends a line to the file before it starts an
attempt, and after each answer: what happened, the task, and the attempt.
"""

from __future__ import annotations

import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import engine_store
from engine_store.errors import ClaimLostError
from engine_store.models import Claim, ErrorInfo, Status, TaskState, UsageEntry, UsageSummary

URL, FILE, THREADS = sys.argv[1], os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND), int(sys.argv[3])

LEASE = 1.0
"""How long a worker that was killed keeps its task, in seconds."""

MOST_ATTEMPTS = 4
FAILED, RENEWED, TOO_SLOW = 0.3, 0.1, 0.02
"""How many attempts of all fail, renew their lease, and are still at work when it is over."""

ERROR = ErrorInfo("no luck")
USAGE = UsageSummary.of([UsageEntry("openai", "gpt", 1)])


def work(worker: str) -> None:
    """Take one task after the other, while there is one that is due or will be."""
    while (due := store.tasks.next_due()) is not None:
        claims = store.tasks.claim(worker, lease=LEASE)
        for claim in claims:
            say("began", claim)
            say(attempt(claim), claim)
        if not claims:
            left = (due - datetime.now(UTC)).total_seconds()
            time.sleep(min(max(left, 0.001), 0.05))  # others give tasks back meanwhile


def say(what: str, claim: Claim) -> None:
    """Write a line, all at once, so that a kill cuts none in two."""
    os.write(FILE, f"{what} {claim.task.task_exec_id} {claim.task.attempt}\n".encode())


def attempt(claim: Claim) -> str:
    """Work on a task; what has become of it, or `lost`."""
    try:
        if random.random() < TOO_SLOW:
            time.sleep(1.1 * LEASE)
        elif random.random() < RENEWED:
            store.tasks.renew(claim, lease=LEASE)
        return ended(claim).status
    except ClaimLostError:
        return "lost"


def ended(claim: Claim) -> TaskState:
    """End the task, or give it back for another attempt."""
    if random.random() > FAILED:
        return store.tasks.finish(claim, output={"attempt": claim.task.attempt}, usage=USAGE)
    if claim.task.attempt < MOST_ATTEMPTS:
        return store.tasks.release(claim, due_in=random.random() / 50, error=ERROR)
    return store.tasks.finish(claim, status=Status.FAILED, error=ERROR)


with engine_store.open(URL) as store, ThreadPoolExecutor(THREADS) as pool:
    list(pool.map(work, [f"{os.getpid()}-{number}" for number in range(THREADS)]))
