"""A process that works on a store as its input says: one JSON object a line, in and out.

Run as `python -m engine_store_contracts.worker` by the contract cases of several processes. The
first line it reads is the URL of the store.
"""

from __future__ import annotations

import faulthandler
import json
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

import attrs

import engine_store
from engine_store import models
from engine_store.errors import EngineStoreError
from engine_store.migrations import Migration
from engine_store.models import Role, TaskState, User, WorkflowState
from engine_store.plugins import hookimpl
from engine_store.protocols import Store
from engine_store.rules.entities import BY_MODEL
from engine_store.transfer.rows import rows as rows_of
from engine_store_contracts.exact import exact_fields
from engine_store_contracts.history.events import Event, to_json
from engine_store_contracts.history.programs import start
from engine_store_contracts.history.runners import run, run_and_say
from engine_store_contracts.interrupts import interrupt

STACKS = signal.SIGUSR1
"""Has a process write to its output where each of its threads is."""


class _AppliedMigrations:
    """A plugin that notes which steps this process applied."""

    def __init__(self) -> None:
        self.versions: list[int] = []

    @hookimpl
    def engine_store_migration_applied(self, migration: Migration) -> None:
        self.versions.append(migration.version)


def increment(store: Store, key: str, times: int) -> int:
    """Add 1 to `input.count` so many times; the last version written."""

    def add(state: WorkflowState) -> WorkflowState:
        assert state.input is not None
        return attrs.evolve(state, input={"count": state.input["count"] + 1})

    return [store.workflows.modify(key, add).version for _ in range(times)][-1]


def update(store: Store, key: str, version: int, mark: str) -> int:
    """Compare-and-set from `version`."""
    state = attrs.evolve(store.workflows.get(key), version=version, input={"mark": mark})
    return store.workflows.update(state).version


def bootstrap(store: Store, key: str) -> int:
    """Be the first admin."""
    admin = User(key, f"{key}@example.org", Role.ADMIN)
    return store.users.create_initial_admin_if_none(admin).version


def write_until_killed(store: Store, prefix: str) -> None:
    """Write a workflow with a task in one transaction over and over; say each that is done."""
    for number in count():
        key = f"{prefix}-{number}"
        with store.transaction() as tx:
            tx.workflows.create(WorkflowState(key, "killed", input={"number": number}))
            tx.tasks.create(TaskState(key, key, "task", "killed", output={"number": number}))
        _say(number)


def interrupted(store: Store, count: int, seed: int) -> None:
    """Interrupt so many calls at random moments, and look at the store after each."""
    interrupt(store, count, seed)


def rows(store: Store, keys: list[tuple[str, str]]) -> list[dict[str, str]]:
    """Every row as the lists have it, and as `get` returns it (see `exact_fields`).

    Then the API keys of these prefixes and fingerprints, as each of the two finds them.
    """
    found = list(rows_of(store))
    kept = [row for row in found if not isinstance(row, models.Event)]  # which have no id
    kinds = [BY_MODEL[type(row)] for row in kept]
    found += [kind.of(store).get(kind.key(row)) for kind, row in zip(kinds, kept, strict=True)]
    for prefix, fingerprint in keys:
        found.append(store.api_keys.get_by_prefix(prefix))
        found.append(store.api_keys.get_by_fingerprint(bytes.fromhex(fingerprint)))
    return [exact_fields(row) for row in found]


def history(store: Store, program: str, seed: int, worker: str, steps: int) -> list[Any]:
    """Run a program of `history.programs`; the events."""
    events = run(start(program, seed, worker, steps), store, worker)
    return [to_json(event) for event in events]


def history_until_killed(store: Store, program: str, seed: int, worker: str) -> None:
    """Run a program without end; say each call before it is made, and its outcome."""

    def say(event: Event) -> None:
        _say(to_json(event))

    run_and_say(start(program, seed, worker, sys.maxsize), store, worker, say)


JOBS: dict[str, Callable[..., object]] = {
    job.__name__: job
    for job in (
        increment,
        update,
        bootstrap,
        write_until_killed,
        interrupted,
        rows,
        history,
        history_until_killed,
    )
}


def main() -> None:
    """Open the store at a first job, then do a job for each line of the input."""
    applied = _AppliedMigrations()
    faulthandler.register(STACKS, file=sys.stdout)
    url = sys.stdin.readline().rstrip("\n")  # arguments are seen by every user of the machine
    _say("ready")
    sys.stdin.readline()
    with engine_store.open(url, plugins=[applied]) as store:
        _say(applied.versions)
        for line in sys.stdin:
            job, arguments = json.loads(line)
            try:
                _say(JOBS[job](store, **arguments))
            except EngineStoreError as exc:
                _say({"error": type(exc).__name__, "text": str(exc)})


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
