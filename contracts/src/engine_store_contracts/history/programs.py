"""The work of workers, written once and without I/O, for threads and processes.

A program yields requests and is sent the answer to each: what was returned, or the error of the
store that was raised. All it does depends on its random numbers and these answers. Every value it
writes carries a tag that no other call writes.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from random import Random
from typing import Any, Protocol, TypeAlias

import attrs
from attrs import frozen

from engine_store.models import (
    Claim,
    Status,
    TaskFilter,
    TaskState,
    UsageEntry,
    UsageSummary,
    User,
    WorkflowFilter,
    WorkflowState,
)

State: TypeAlias = User | WorkflowState | TaskState

HOME = "home"
"""The workflow of the tasks that are alone."""


@frozen
class Call:
    """A method of a repository with its arguments."""

    repository: str
    method: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


@frozen
class Transaction:
    """Calls in one transaction, which is rolled back at its end where `fails`."""

    calls: tuple[Call, ...]
    fails: bool = False


@frozen
class Pages:
    """Every page of a list, one after the other; the answer is the rows."""

    repository: str
    limit: int


Request: TypeAlias = Call | Transaction | Pages
Program: TypeAlias = Generator[Request, Any, None]


class ProgramFactory(Protocol):
    """A program for one worker; `worker` is unlike any other worker's."""

    def __call__(self, random: Random, worker: str, steps: int) -> Program: ...


def call(repository: str, method: str, *arguments: Any, **options: Any) -> Call:
    """The call, as one would write it."""
    return Call(repository, method, arguments, options)


# --- states and their tags ---------------------------------------------------------------------


def make(repository: str, key: str, tag: str, workflow_exec_id: str = HOME) -> Any:
    """A new state with this tag."""
    if repository == "users":
        return User(key, _email(tag))
    if repository == "workflows":
        return WorkflowState(key, "history", input={"tag": tag})
    return TaskState(workflow_exec_id, key, key, "history", input={"tag": tag})


@frozen
class Tagging:
    """Changes a state's tag: what programs hand to `modify`."""

    tag: str

    def __call__(self, state: Any) -> Any:
        if isinstance(state, User):
            return attrs.evolve(state, email=_email(self.tag))
        return attrs.evolve(state, input={"tag": self.tag})


def tag_of(state: State) -> str:
    """The tag of a state that `make` or `Tagging` made."""
    if isinstance(state, User):
        return state.email.partition("@")[0]
    return str((state.input or {}).get("tag", ""))


def _email(tag: str) -> str:
    return f"{tag}@example.org"


# --- programs ----------------------------------------------------------------------------------

REGISTERS = (("users", "ann"), ("workflows", "a"), ("workflows", "b"), ("tasks", "t"))


def registers(random: Random, worker: str, steps: int) -> Program:
    """Writes of every kind on a few keys, many from states that others have changed since."""
    yield call("workflows", "create", make("workflows", HOME, f"{worker}-home"))
    known: dict[str, Any] = {}
    for step in range(steps):
        repository, key = random.choice(REGISTERS)
        request = _on_register(random, repository, key, f"{worker}-{step}", known.get(key))
        answer = yield request
        if isinstance(answer, State):
            known[key] = answer


def _on_register(random: Random, repository: str, key: str, tag: str, known: Any) -> Call:
    verbs = ["create", "upsert", "modify", "get", "get"]
    if known is not None:
        verbs += ["update"] * 5
    if known is not None and repository == "workflows":
        verbs += ["set_status"] * 3
    match random.choice(verbs):
        case "get":
            return call(repository, "get", key)
        case "modify":
            return call(repository, "modify", key, Tagging(tag))
        case "update":
            return call(repository, "update", Tagging(tag)(known))
        case "set_status":
            expected = random.choice([None, known.version])
            status = random.choice(list(Status))
            return call(repository, "set_status", key, status, expected_version=expected)
        case verb:
            return call(repository, verb, make(repository, key, tag))


USED = (("workflows", "used"), ("tasks", "used"))


def usage(random: Random, worker: str, steps: int) -> Program:
    """Usage added to a workflow and to its task, and now and then read."""
    yield call("workflows", "create", make("workflows", "used", f"{worker}-w"))
    yield call("tasks", "create", make("tasks", "used", f"{worker}-t", "used"))
    for _ in range(steps):
        repository, key = random.choice(USED)
        if random.random() < 0.3:
            yield call(repository, "get", key)
        else:
            yield call(repository, "merge_usage", key, tokens(random.randint(1, 9)))


def tokens(number: int) -> UsageSummary:
    """So many tokens used."""
    return UsageSummary.of([UsageEntry("openai", "gpt", number)])


TRANSFERRED = (("workflows", "a"), ("workflows", "b"), ("tasks", "t"), ("tasks", "u"))
"""What each transaction writes, in an order in which none waits for the other in a circle."""

SNAPSHOTS = (
    call("workflows", "get", "a", with_tasks=True),
    call("workflows", "list"),
    call("tasks", "list", TaskFilter(workflow_exec_id="a")),
)


def transfers(random: Random, worker: str, steps: int) -> Program:
    """Transactions over two workflows and two tasks of one of them, and reads of several."""
    for repository, key in TRANSFERRED:
        yield call(repository, "create", make(repository, key, f"{worker}-new", "a"))
    for step in range(steps):
        if random.random() < 0.5:
            yield random.choice(SNAPSHOTS)
        else:
            yield _transfer(random, f"{worker}-{step}")


def _transfer(random: Random, tag: str) -> Transaction:
    calls = (
        call(repository, "modify", key, Tagging(tag))
        if random.random() < 0.5
        else call(repository, "upsert", make(repository, key, tag, "a"))
        for repository, key in TRANSFERRED
    )
    return Transaction(tuple(calls), fails=random.random() < 0.25)


def pages(random: Random, worker: str, steps: int) -> Program:
    """Workflows that come and go at random places of the list, and runs through its pages."""
    created: list[str] = []
    for step in range(steps):
        what = random.random()
        if what < 0.2:
            yield Pages("workflows", random.randint(1, 5))
        elif what < 0.4 and created:
            yield call("workflows", "delete", created.pop(random.randrange(len(created))))
        else:
            created.append(f"{random.randrange(1000):03}-{worker}-{step}")
            yield call("workflows", "create", make("workflows", created[-1], f"{worker}-{step}"))


QUEUED = ("r", "s", "t", "u", "v", "w")
"""The tasks of the queue. While one is claimed, nobody but its worker writes it."""

LEASES = (0.005, 0.01, 0.015)
"""Lengths of leases, in seconds: many are over when their worker comes to renew them, not all."""


def claims(random: Random, worker: str, steps: int) -> Program:
    """Tasks claimed, renewed, ended and given back, in time or too late; some are forgotten."""
    yield call("workflows", "create", make("workflows", HOME, f"{worker}-home"))
    for key in QUEUED:
        yield call("tasks", "create", make("tasks", key, f"{worker}-{key}"))
    held: list[Claim] = []
    for step in range(steps):
        if not held or random.random() < 0.3:
            taken = yield _claim(random, worker)
            held += taken if isinstance(taken, tuple) else ()
            continue
        answer = yield _on_claim(random, held.pop(random.randrange(len(held))))
        match answer:
            case Claim():
                held.append(answer)
            case (TaskState(status=Status.SUCCESS) as ended) | [TaskState() as ended, _]:
                again = Tagging(f"{worker}-{step}")(ended.evolve(status=Status.PENDING))
                yield call("tasks", "update", again)


def _claim(random: Random, worker: str) -> Call:
    lease, limit = random.choice(LEASES), random.randint(1, 2)
    return call("tasks", "claim", worker, lease=lease, limit=limit)


def _on_claim(random: Random, claim: Claim) -> Request:
    match random.choice([*["renew"] * 3, "release", "finish", "finish with usage"]):
        case "renew":
            return call("tasks", "renew", claim, lease=random.choice(LEASES))
        case "release":
            return call("tasks", "release", claim, due_in=random.choice([0, 0.002]))
        case "finish":
            return call("tasks", "finish", claim)
    finished = call("tasks", "finish", claim, usage=tokens(random.randint(1, 9)))
    counted = call("workflows", "get", HOME)  # which shows what was added there
    return Transaction((finished, counted), fails=random.random() < 0.25)


def last_look() -> Program:
    """Everything read once more when all is over."""
    for key in ("a", HOME, "used"):
        yield call("workflows", "get", key, with_tasks=True)
    yield call("workflows", "list", WorkflowFilter(), limit=1000)
    yield call("tasks", "list", TaskFilter(), limit=1000)
    yield call("users", "list", limit=1000)
    yield Pages("workflows", 7)


PROGRAMS: Mapping[str, ProgramFactory] = {
    program.__name__: program for program in (registers, usage, transfers, pages, claims)
}


def start(program: str, seed: int, worker: str, steps: int) -> Program:
    """A program by its name; the same seed and worker make the same choices in any process."""
    return PROGRAMS[program](Random(f"{seed}/{worker}"), worker, steps)  # noqa: S311 - no secret
