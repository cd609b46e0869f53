"""Recording: what the checkers need of each request of a program, and of its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from time import monotonic_ns
from typing import Any

import attrs

from engine_store.errors import (
    AlreadyExistsError,
    ClaimLostError,
    NotFoundError,
    UnavailableError,
    VersionConflictError,
)
from engine_store.models import (
    Claim,
    Page,
    Status,
    TaskState,
    UsageSummary,
    User,
    WorkflowState,
)
from engine_store.rules.entities import BY_MODEL
from engine_store_contracts.history.events import (
    Completion,
    Event,
    Fail,
    Info,
    Invoke,
    Observe,
    Ok,
    Write,
)
from engine_store_contracts.history.programs import (
    QUEUED,
    Call,
    Pages,
    Program,
    Request,
    State,
    Transaction,
    tag_of,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def recorded(program: Program, worker: str, say: Callable[[Event], object]) -> Program:
    """The program; `say` gets each request before it is made, and its outcome."""
    answer = None
    while True:
        try:
            request = program.send(answer)
        except StopIteration:
            return
        call, invoked = invocation(request), monotonic_ns()
        say(Event(worker, call, invoked, None, Info("no answer")))
        answer = yield request
        say(Event(worker, call, invoked, monotonic_ns(), completion(request, answer)))


def invocation(request: Request) -> Invoke:
    """What a request would write."""
    match request:
        case Call(repository, method):
            return Invoke(f"{repository}.{method}", tuple(_writes(request)))
        case Transaction(calls):
            return Invoke("transaction", tuple(write for call in calls for write in _writes(call)))
        case Pages(repository):
            return Invoke(f"{repository}.pages")


def _writes(call: Call) -> Iterator[Write]:
    given, kind = call.arguments[0] if call.arguments else None, call.method
    if kind == "claim":
        for key in QUEUED:
            yield Write(f"tasks/{key}", kind, status=str(Status.RUNNING), lease=_lease(call))
        return
    if isinstance(given, Claim):
        yield from _writes_of_claim(call, given)
        return
    if isinstance(given, State):
        yield Write(
            _entity(given),
            kind,
            tag=tag_of(given),
            status=_status(given),
            usage=_total(given),
            expected=given.version if kind == "update" else None,
        )
        return
    entity = f"{call.repository}/{given}"
    match kind:
        case "modify":
            yield Write(entity, kind, tag=call.arguments[1].tag)
        case "set_status":
            expected = call.options.get("expected_version")
            yield Write(entity, kind, status=str(call.arguments[1]), expected=expected)
        case "merge_usage":
            yield Write(entity, kind, adds=_sum(call.arguments[1]))
        case "delete":
            yield Write(entity, kind)


def _writes_of_claim(call: Call, claim: Claim) -> Iterator[Write]:
    """A worker writes from the version that its claim made of the task."""
    entity, kind, version = _entity(claim.task), call.method, claim.task.version
    match kind:
        case "renew":
            yield Write(entity, kind, expected=version, lease=_lease(call))
        case "release":
            yield Write(entity, kind, status=str(Status.PENDING), expected=version)
        case "finish":
            adds = _sum(call.options.get("usage", UsageSummary()))
            yield Write(entity, kind, status=str(Status.SUCCESS), adds=adds, expected=version)
            if adds:
                yield Write(f"workflows/{claim.task.workflow_exec_id}", kind, adds=adds)


def completion(request: Request, answer: Any) -> Completion:
    """What the answer says. Errors inside a transaction may be about what only it has seen."""
    if isinstance(answer, UnavailableError):
        return Info(answer.reason)
    if not isinstance(answer, Exception):
        return Ok(tuple(_observed(answer)))
    error = type(answer).__name__
    if not isinstance(request, Call):
        return Fail(error)
    match answer:
        case VersionConflictError(key=key, expected=expected, actual=actual):
            return Fail(error, f"{request.repository}/{key}", expected, actual)
        case NotFoundError(key=key):
            return Fail(error, f"{request.repository}/{key}", actual=0)
        case AlreadyExistsError(key=key):
            return Fail(error, f"{request.repository}/{key}")
        case ClaimLostError(key=key):
            return Fail(error, f"tasks/{key}", request.arguments[0].task.version)
        case _:
            return Fail(error)


def _observed(answer: Any) -> Iterator[Observe]:
    """Every entity in what was returned."""
    match answer:
        case Page(items):
            yield from _observed(items)
        case tuple() | list():
            for item in answer:
                yield from _observed(item)
        case User() | WorkflowState() | TaskState():
            yield _observe(answer)
            yield from _observed(tuple(getattr(answer, "tasks", {}).values()))
        case Claim(task=task, expires_at=end):
            yield attrs.evolve(_observe(task), until=_microseconds(end - EPOCH))


def _observe(state: State) -> Observe:
    return Observe(
        _entity(state),
        state.version,
        tag_of(state),
        _status(state),
        _total(state),
        _microseconds(state.created_at - EPOCH),
        getattr(state, "attempt", 0),
    )


def _entity(state: State) -> str:
    entity = BY_MODEL[type(state)]
    return f"{entity.repository}/{entity.key(state)}"


def _status(state: State) -> str:
    return "" if isinstance(state, User) else str(state.status)


def _total(state: State) -> int:
    return 0 if isinstance(state, User) else _sum(state.usage)


def _lease(call: Call) -> int:
    return _microseconds(timedelta(seconds=call.options["lease"]))


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _sum(usage: UsageSummary) -> int:
    return sum(entry.prompt_tokens for entry in usage.entries)
