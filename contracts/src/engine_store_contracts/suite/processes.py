"""Sections 2.5, 3.6, 4.2 and 8.2 among processes: races, and processes that are killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from selectors import EVENT_READ, DefaultSelector
from typing import Any

import engine_store
from engine_store.errors import WorkflowNotFoundError
from engine_store.models import Status, WorkflowFilter
from engine_store.protocols import Store
from engine_store_contracts.faces import Face
from engine_store_contracts.hanging import Hang, describe
from engine_store_contracts.harness import Database
from engine_store_contracts.patience import PATIENCE
from engine_store_contracts.profiles import Profile
from engine_store_contracts.suite.case import ContractCase, clause
from engine_store_contracts.suite.samples import workflow
from engine_store_contracts.suite.synchronous import works_in_a_fork
from engine_store_contracts.worker import STACKS

INCREMENTS = 4000
KILLED_AT_A_TIME = 5

LONGEST_JOB = 6
"""A job is many calls: how many times as long it may take as the one thing that one waits for."""


class Worker:
    """A process of `engine_store_contracts.worker`."""

    def __init__(self, url: str, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "engine_store_contracts.worker"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._received = b""
        self._input.write(f"{url}\n".encode())
        assert self.answer() == "ready"

    def tell(self, job: str, **arguments: object) -> None:
        """Give it a job, without waiting for the answer."""
        self._input.write(f"{json.dumps([job, arguments])}\n".encode())

    def answer(self) -> Any:
        """Its next answer."""
        line = self._line(LONGEST_JOB * PATIENCE.seconds)
        if line is None:
            self._process.send_signal(STACKS)
            raise Hang(describe(list(iter(partial(self._line, 1.0), None))))
        return json.loads(line)

    def kill(self) -> list[Any]:
        """Kill it with SIGKILL; every whole answer it still got out."""
        self._process.kill()
        *lines, _ = (self._received + self._output.read()).split(b"\n")
        self.close()
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Wait for its end."""
        self._input.close()
        try:
            self._process.wait(PATIENCE.seconds)
        finally:
            self._output.close()

    def _line(self, seconds: float) -> str | None:
        """The next line it writes; None if none comes in time."""
        with DefaultSelector() as selector:
            selector.register(self._output, EVENT_READ)
            while b"\n" not in self._received:
                if not selector.select(seconds):
                    return None
                chunk = os.read(self._output.fileno(), 1 << 16)
                assert chunk, f"the process ended with {self._process.wait(PATIENCE.seconds)}"
                self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line.decode()


@contextmanager
def workers(database: Database, number: int) -> Iterator[list[Worker]]:
    """So many processes, ready to open the store of the database."""
    with ExitStack() as stack, ThreadPoolExecutor(number) as threads:
        started = list(threads.map(Worker, [database.url] * number))
        for worker in started:
            stack.callback(worker.close)
        try:
            yield started
        except BaseException:  # do not wait for what may hang
            for worker in started:
                worker.kill()
            raise


def at_once(workers: Sequence[Worker], job: str, arguments: Sequence[dict[str, Any]]) -> list[Any]:
    """Give each its job, then collect the answers."""
    for worker, given in zip(workers, arguments, strict=True):
        worker.tell(job, **given)
    return [worker.answer() for worker in workers]


def one_winner(
    workers: Sequence[Worker], job: str, arguments: Sequence[dict[str, Any]], error: str
) -> dict[str, Any]:
    """Return the arguments of the one job that is done, and check that the others fail so."""
    answers = at_once(workers, job, arguments)
    won = [given for given, answer in zip(arguments, answers, strict=True) if type(answer) is int]
    lost = [answer["error"] for answer in answers if type(answer) is not int]
    assert (len(won), lost) == (1, [error] * (len(workers) - 1))
    return won[0]


# The workers have a face of their own.
class ProcessCases(ContractCase, faces=(Face.SYNC,), needs=("processes", "reopen"), fresh=True):
    """Contract 2.5, 3.6, 4.2 and 8.2 among processes. Needs `harness.url`."""

    @clause("8.2")
    def test_processes_that_open_an_empty_database_at_once_run_each_step_once(
        self, database: Database, profile: Profile
    ) -> None:
        with workers(database, profile.processes) as processes:
            applied = at_once(processes, "open", [{}] * profile.processes)
        with database.open() as store:
            steps = [step.version for step in store.migrator.status()]
            assert sorted(version for versions in applied for version in versions) == steps
            assert store.migrator.up().steps == ()
            store.migrator.verify()
            assert store.health().ok
        database.harness.check()

    @clause("2.5", "2.6")
    def test_processes_lose_no_increment(
        self, store: Store, database: Database, profile: Profile
    ) -> None:
        store.workflows.create(workflow(input={"count": 0}))
        with workers(database, profile.processes) as processes:
            at_once(processes, "open", [{}] * profile.processes)
            share = {"key": "w", "times": INCREMENTS // profile.processes}
            answers = at_once(processes, "increment", [share] * profile.processes)
        assert [answer for answer in answers if not isinstance(answer, int)] == []
        found = store.workflows.get("w")
        assert (found.input, found.version) == ({"count": INCREMENTS}, INCREMENTS + 1)
        assert max(answers) == INCREMENTS + 1

    @clause("2.5")
    def test_of_updates_from_one_version_in_many_processes_one_wins(
        self, store: Store, database: Database, profile: Profile
    ) -> None:
        with workers(database, profile.processes) as processes:
            at_once(processes, "open", [{}] * profile.processes)
            for number in range(10):
                key = str(number)
                store.workflows.create(workflow(key))
                marks = [
                    {"key": key, "version": 1, "mark": str(process)}
                    for process in range(profile.processes)
                ]
                winner = one_winner(processes, "update", marks, "VersionConflictError")
                assert store.workflows.get(key).input == {"mark": winner["mark"]}

    @clause("4.2")
    def test_of_first_admins_in_many_processes_one_wins(
        self, store: Store, database: Database, profile: Profile
    ) -> None:
        with workers(database, profile.processes) as processes:
            at_once(processes, "open", [{}] * profile.processes)
            for _ in range(10):
                keys = [{"key": f"admin-{number}"} for number in range(profile.processes)]
                winner = one_winner(processes, "bootstrap", keys, "AlreadyBootstrappedError")
                assert [u.user_id for u in store.users.list().items] == [winner["key"]]
                store.users.delete(winner["key"])

    @clause("9.1")
    def test_what_a_forked_child_was_told_is_written_is_there_for_its_parent(
        self, store: Store
    ) -> None:
        store.workflows.create(workflow())
        worked = works_in_a_fork(
            lambda: store.workflows.set_status("w", Status.RUNNING).version == 2
        )
        assert store.workflows.get("w").version == (2 if worked else 1)

    @clause("3.6", "3.1")
    def test_what_was_acknowledged_survives_a_kill(
        self, database: Database, profile: Profile, seed: int
    ) -> None:
        with ThreadPoolExecutor(KILLED_AT_A_TIME) as threads:
            kills = partial(_write_and_die, database, seed)
            acknowledged = dict(threads.map(kills, range(profile.kills)))
        assert sum(acknowledged.values()) > profile.kills
        with database.open() as store:
            for prefix, number in acknowledged.items():
                _check_survivors(store, prefix, number)
            assert store.health().ok
        database.harness.check()

    @clause("9.6")
    def test_after_an_interrupt_the_store_is_as_usable_as_before(
        self, store: Store, database: Database, profile: Profile, seed: int
    ) -> None:
        # The lock of a coverage measurement is none of the store's, and an interrupt may keep it.
        unmeasured = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
        worker = Worker(database.url, unmeasured)
        try:
            worker.tell("open")
            worker.answer()
            worker.tell("interrupted", count=6 * profile.kills, seed=seed)
            assert worker.answer() is None
        finally:
            worker.close()
        assert store.workflows.set_status("interrupted", Status.SUCCESS).status is Status.SUCCESS


def _write_and_die(database: Database, seed: int, kill: int) -> tuple[str, int]:
    """Have a process write and be killed at a random moment; how many writes it acknowledged."""
    prefix, seeded = f"process-{kill}", random.Random(f"{seed} {kill}")  # noqa: S311 - no secret
    worker = Worker(database.url)
    worker.tell("open")
    worker.answer()
    worker.tell("write_until_killed", prefix=prefix)
    acknowledged = [worker.answer() for _ in range(seeded.randrange(20))]
    acknowledged += worker.kill()
    assert acknowledged == list(range(len(acknowledged)))
    with engine_store.open(database.url) as store:  # while others write and die
        _check_survivors(store, prefix, len(acknowledged))
    return prefix, len(acknowledged)


def _check_survivors(store: Store, prefix: str, acknowledged: int) -> None:
    """All that was acknowledged is there, whole; what was not is there whole or not at all."""
    keys = [f"{prefix}-{number}" for number in range(acknowledged + 1)]
    found = store.workflows.list(WorkflowFilter(workflow_exec_ids=keys), limit=1000).items
    numbers = {state.workflow_exec_id: state.input for state in found}
    for number, key in enumerate(keys[:acknowledged]):
        assert numbers[key] == {"number": number}
        assert store.tasks.get(key).output == {"number": number}
    try:
        last = store.workflows.get(keys[-1], with_tasks=True)
    except WorkflowNotFoundError:
        return
    assert list(last.tasks) == ["task"]
