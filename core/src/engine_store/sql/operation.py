"""Operations: the bodies of repository methods, written without I/O.

An operation is a generator function that checks its arguments, yields calls of statements,
receives their rows and returns a model. Its mode says what it needs of the session that runs it. A
method made of steps is a generator above operations: it yields invocations, each an operation of
its own, and pauses. Neither touches a connection or the clock of the machine, so one body serves
synchronous and asynchronous sessions, and a session may run an operation again from its start.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple, TypeAlias, TypeVar

from attrs import frozen

from engine_store.concurrency.callbacks import StoreCalled
from engine_store.sql.statements import Call

T = TypeVar("T")
_F = TypeVar("_F", bound=Callable[..., Any])

Request: TypeAlias = Call | tuple[Call, ...]
"""One call, or several that go to the database together. Each statement sees a snapshot of its
own, unless the driver's transactions have one: what must be of one snapshot is one statement."""


class Last(NamedTuple):
    """The last request of an operation: it may go to the database together with the commit."""

    request: Request


Op: TypeAlias = Generator[Request | Last, Any, T]


class Mode(Enum):
    """What an operation needs of the session that runs it."""

    READ = "read"
    """One request, which writes nothing."""
    WRITE = "write"
    """One statement that writes all or nothing; what follows only reads, to find out why nothing
    was written."""
    TRANSACT = "transact"
    """Statements that belong together: one transaction, which holds what the first one locks."""
    LOCK = "lock"
    """Reads a row and holds it: only inside a transaction of the caller."""
    STEPS = "steps"
    """Steps, each an operation of its own."""


class LostRace(Exception):
    """The write matched no row and the follow-up read shows no reason: a concurrent writer won.

    Raised by an operation for its session, which runs it again from its start.
    """


class Invocation(NamedTuple):
    """An operation with its arguments. Yielded by a method made of steps, it is one of them."""

    mode: Mode
    operation: Callable[..., Generator[Any, Any, Any]]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name in errors and reports, such as `tasks.update`."""
        repository = self.operation.__self__.entity.repository  # type: ignore[attr-defined]
        return f"{repository}.{self.operation.__name__}"

    @property
    def is_short(self) -> bool:
        """True if it takes no longer for more rows, and calls no function of its caller's.

        A function of the caller's has to run in the caller's thread, and may take its time: other
        writers neither run it nor wait for it inside their transaction.
        """
        if getattr(self.operation, "unbounded", False):
            return False
        if self.mode is Mode.TRANSACT:
            return not any(map(callable, (*self.args, *self.kwargs.values())))
        return True

    def start(self) -> Generator[Any, Any, Any]:
        """Return a new run of the operation, before its first request."""
        return self.operation(*self.args, **self.kwargs)


def step(operation: Callable[..., Generator[Any, Any, Any]], *args: Any) -> Invocation:
    """Return an operation with its arguments, to be yielded as a step."""
    return Invocation(mode_of(operation), operation, args, {})


class Pause(NamedTuple):
    """Seconds to wait, as yielded by a method made of steps."""

    seconds: float
    for_others: bool = False
    """True: to let others write. Inside a transaction, whose end they wait for, it is left out."""


Steps: TypeAlias = Generator[Invocation | Pause, Any, T]


def _marker(mode: Mode) -> Callable[[_F], _F]:
    def mark(function: _F) -> _F:
        function.mode = mode  # type: ignore[attr-defined]
        return function

    return mark


read = _marker(Mode.READ)
"""Marks an operation that is one request and writes nothing."""

write = _marker(Mode.WRITE)
"""Marks an operation whose first statement does all it writes."""

transact = _marker(Mode.TRANSACT)
"""Marks an operation of several statements that belong together."""

lock = _marker(Mode.LOCK)
"""Marks an operation that holds a row until the caller's transaction ends."""

steps = _marker(Mode.STEPS)
"""Marks a method that is made of steps."""


def unbounded(function: _F) -> _F:
    """Mark an operation that takes as long as there are rows: nobody else waits for it."""
    function.unbounded = True  # type: ignore[attr-defined]
    return function


def mode_of(operation: Callable[..., Any]) -> Mode:
    """Return the mode an operation was marked with."""
    mode: Mode = operation.mode  # type: ignore[attr-defined]
    return mode


def check_reads(request: Request, by: Invocation) -> None:
    """Raise `RuntimeError` if a request of an operation that may only read would write."""
    for call in (request,) if isinstance(request, Call) else request:
        if call.statement.writes:
            raise RuntimeError(
                f"{by.name}: {call.statement.name} writes, but a @read writes nothing and a @write "
                "by its first request alone; mark the operation with @transact"
            )


def finish(op: Op[T], rows: Any) -> T:
    """Return the result of an operation whose only request gave `rows`."""
    try:
        op.send(rows)
    except StopIteration as done:
        result: T = done.value
        return result
    raise RuntimeError("an operation that reads makes one request")


async def drive(
    op: Op[T],
    request: Request | Last,
    execute: Callable[[Request], Awaitable[Any]],
    execute_last: Callable[[Request], Awaitable[Any]] | None = None,
    writes_once: Invocation | None = None,
) -> T:
    """Run `op`, which has yielded `request`, to its end; `execute` runs the requests.

    `execute_last` runs a request that is known to be the last one. If `op` is a run of
    `writes_once`, only its first request may write. What `execute` raises ends the operation: an
    expected outcome is a row, not an error.
    """
    asked = request
    try:
        while True:
            if isinstance(asked, Last):
                rows = await (execute_last or execute)(asked.request)
            else:
                rows = await execute(asked)
            asked = op.send(rows)
            if writes_once is not None and not isinstance(asked, Last):
                check_reads(asked, writes_once)
    except StopIteration as done:
        result: T = done.value
        return result


async def drive_steps(
    steps: Steps[T],
    run: Callable[[Invocation], Awaitable[Any]],
    pause: Callable[[Pause], Awaitable[None]],
) -> T:
    """Run a method made of steps to its end: `run` runs its operations, `pause` waits."""
    try:
        action = next(steps)
        while True:
            try:
                answer = await (pause(action) if isinstance(action, Pause) else run(action))
            except (Exception, StoreCalled) as exc:  # noqa: BLE001 - it is for the method to catch
                action = steps.throw(exc)
            else:
                action = steps.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        steps.close()


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
        """Yield a pause for each attempt; when they run out, so have the attempts."""
        for attempt in range(self.attempts):
            bound = min(self.longest, self.first * 2 ** min(attempt, 32))
            yield Pause(random.uniform(0, bound))  # noqa: S311 - jitter, no secret
