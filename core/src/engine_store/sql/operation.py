"""What an operation is, and how a session drives one.

An operation is a generator function that checks its arguments, yields `Call`s, receives their
rows and returns a model. Its mode says what it needs of the session that runs it. A procedure
is a generator above operations: it yields `Step`s, each an operation of its own, and `Pause`s.
Neither touches a connection or the clock of the machine, so the same body serves synchronous
and asynchronous sessions, and a session may run an operation again from its start.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Generator, Iterator
from enum import Enum
from typing import Any, NamedTuple, TypeAlias, TypeVar

from attrs import frozen

from engine_store.errors import VersionConflictError
from engine_store.observing import conflicted, retried
from engine_store.sql.statements import Call

T = TypeVar("T")
_F = TypeVar("_F", bound=Callable[..., Any])

Request: TypeAlias = Call | tuple[Call, ...]
"""One call, or several that go to the database together. Each statement sees a snapshot of its
own, unless the driver's transactions have one: what must be of one snapshot is one statement."""


class Last(NamedTuple):
    """A request behind which its operation asks for nothing: it may go together with the commit."""

    request: Request


Op: TypeAlias = Generator[Request | Last, Any, T]


class Mode(Enum):
    """What an operation needs of the session that runs it."""

    READ = "read"
    """One statement, which changes nothing."""
    WRITE = "write"
    """One statement that writes all or nothing; what follows only finds out why nothing."""
    TRANSACT = "transact"
    """Statements that belong together: one transaction, which holds what the first one locks."""
    LOCK = "lock"
    """Reads a row and holds it: only inside a transaction of the caller."""
    PROCEDURE = "procedure"
    """Steps, each an operation of its own."""


class Contended(Exception):
    """Nothing explains any more why a write did nothing: somebody wrote in between.

    Raised by an operation for its session, which runs it again from its start.
    """


class Invocation(NamedTuple):
    """An operation or procedure with its arguments; `name` is what reports call it."""

    mode: Mode
    name: str
    operation: Callable[..., Generator[Any, Any, Any]]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def start(self) -> Generator[Any, Any, Any]:
        """A new run of it, before its first line."""
        return self.operation(*self.args, **self.kwargs)


class Step(NamedTuple):
    """An operation to run, as yielded by a procedure."""

    operation: Callable[..., Op[Any]]
    args: tuple[Any, ...]

    def named(self, name: str) -> Invocation:
        """The invocation of this step by the procedure called `name`."""
        return Invocation(mode_of(self.operation), name, self.operation, self.args, {})


class Pause(NamedTuple):
    """Seconds to wait, as yielded by a procedure."""

    seconds: float


Procedure: TypeAlias = Generator[Step | Pause, Any, T]


def read(function: _F) -> _F:
    """Mark an operation that is one statement and changes nothing."""
    return _mark(function, Mode.READ)


def write(function: _F) -> _F:
    """Mark an operation whose first statement does all it writes."""
    return _mark(function, Mode.WRITE)


def transact(function: _F) -> _F:
    """Mark an operation of several statements that belong together."""
    return _mark(function, Mode.TRANSACT)


def lock(function: _F) -> _F:
    """Mark an operation that holds a row until the caller's transaction ends."""
    return _mark(function, Mode.LOCK)


def procedure(function: _F) -> _F:
    """Mark a procedure."""
    return _mark(function, Mode.PROCEDURE)


def _mark(function: _F, mode: Mode) -> _F:
    function.mode = mode  # type: ignore[attr-defined]
    return function


def mode_of(operation: Callable[..., Any]) -> Mode:
    """The mode an operation was marked with."""
    mode: Mode = operation.mode  # type: ignore[attr-defined]
    return mode


Execute: TypeAlias = Callable[[Request], Any]


def first_request(op: Op[T]) -> Request:
    """What an operation asks for first. It checks its arguments before."""
    return _plain(next(op))


def _plain(asked: Request | Last) -> Request:
    return asked.request if isinstance(asked, Last) else asked


def drive(op: Op[T], request: Request, execute: Execute) -> T:
    """Run `op`, which has yielded `request`, to its end; `execute` runs the requests.

    What `execute` raises ends the operation: an expected outcome is a row, not an error.
    """
    try:
        while True:
            request = _plain(op.send(execute(request)))
    except StopIteration as done:
        result: T = done.value
        return result


async def drive_async(
    op: Op[T],
    request: Request,
    execute: Callable[[Request], Awaitable[Any]],
    execute_last: Callable[[Request], Awaitable[Any]] | None = None,
) -> T:
    """`drive`, awaiting `execute`, or `execute_last` for a request that is known to be the last."""
    rows = await execute(request)
    try:
        while True:
            asked = op.send(rows)
            if isinstance(asked, Last):
                rows = await (execute_last or execute)(asked.request)
            else:
                rows = await execute(asked)
    except StopIteration as done:
        result: T = done.value
        return result


def finish(op: Op[T], rows: Any) -> T:
    """The result of an operation whose only request gave `rows`: its connection is free again."""
    try:
        op.send(rows)
    except StopIteration as done:
        result: T = done.value
        return result
    raise RuntimeError("an operation that reads makes one request")


def drive_procedure(
    procedure: Procedure[T], run: Callable[[Step], Any], sleep: Callable[[float], None]
) -> T:
    """Run a procedure to its end: `run` runs its steps, `sleep` its pauses."""
    try:
        action = next(procedure)
        while True:
            try:
                answer: object = None
                if isinstance(action, Step):
                    answer = run(action)
                else:
                    retried()
                    sleep(action.seconds)
            except Exception as exc:  # noqa: BLE001 - as in drive
                if isinstance(exc, VersionConflictError):
                    conflicted(exc)
                action = procedure.throw(exc)
            else:
                action = procedure.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        procedure.close()


async def drive_procedure_async(
    procedure: Procedure[T],
    run: Callable[[Step], Awaitable[Any]],
    sleep: Callable[[float], Awaitable[None]],
) -> T:
    """`drive_procedure` on an event loop."""
    try:
        action = next(procedure)
        while True:
            try:
                answer = None
                if isinstance(action, Step):
                    answer = await run(action)
                else:
                    retried()
                    await sleep(action.seconds)
            except Exception as exc:  # noqa: BLE001 - as in drive
                if isinstance(exc, VersionConflictError):
                    conflicted(exc)
                action = procedure.throw(exc)
            else:
                action = procedure.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        procedure.close()


@frozen
class Backoff:
    """Bounded, jittered waits between attempts: exponential, drawn from 0 to the bound.

    Eight processes that modify one SQLite row as fast as they can needed up to 19 attempts here,
    with a commit of 60 microseconds; the bounds leave room for disks a hundred times slower.
    """

    attempts: int = 64
    first: float = 0.0005
    longest: float = 0.2

    def pauses(self) -> Iterator[Pause]:
        """A pause behind each attempt; when they run out, so have the attempts."""
        for attempt in range(self.attempts):
            bound = min(self.longest, self.first * 2 ** min(attempt, 32))
            yield Pause(random.uniform(0, bound))  # noqa: S311 - jitter, no secret
