"""Driving operations and steps: generators that know neither connection nor clock."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_store.sql.blocking import run
from engine_store.sql.operation import (
    Backoff,
    Invocation,
    Last,
    Mode,
    Op,
    Pause,
    Steps,
    check_reads,
    drive,
    drive_steps,
    finish,
    lock,
    mode_of,
    read,
    step,
    steps,
    transact,
    write,
)
from engine_store.sql.statements import Call, parse_statements

(FIRST, SECOND, CHANGE) = parse_statements(
    "-- name: a :one\nSELECT 1\n-- name: b :one\nSELECT 2\n-- name: change! :one\nDELETE FROM t\n"
)


class Things:
    """Stands in for the operations of a repository."""

    class entity:  # noqa: N801 - as operations call it
        repository = "things"

    @read
    def get(self, number: int, *, plus: int = 0) -> Op[int]:
        yield FIRST(x=number)
        return number + plus


THINGS = Things()


@pytest.mark.parametrize(
    ("mark", "mode"),
    [
        (read, Mode.READ),
        (write, Mode.WRITE),
        (transact, Mode.TRANSACT),
        (lock, Mode.LOCK),
        (steps, Mode.STEPS),
    ],
)
def test_a_mark_says_what_an_operation_needs(mark: Callable[[Any], Any], mode: Mode) -> None:
    def operation() -> None: ...

    assert mark(operation) is operation
    assert mode_of(operation) is mode


# --- operations ----------------------------------------------------------------------------------


async def execute(request: Any) -> Any:
    """Answer each call with its parameter x."""
    if isinstance(request, Call):
        return request.parameters["x"]
    return [call.parameters["x"] for call in request]


def driven(make: Callable[[], Op[Any]], *args: Any, **kwargs: Any) -> Any:
    op = make()
    return run(drive(op, next(op), *args, **kwargs))  # type: ignore[arg-type]


def test_drive_answers_each_request_with_its_rows_until_the_operation_returns() -> None:
    def operation() -> Op[list[object]]:
        one = yield FIRST(x=1)
        two = yield FIRST(x=2), SECOND(x=3)
        return [one, *two]

    assert driven(operation, execute) == [1, 2, 3]


def test_a_last_request_is_one_like_the_others_unless_it_is_asked_for() -> None:
    def operation() -> Op[list[object]]:
        one = yield FIRST(x=1)
        return [one, (yield Last((FIRST(x=2), SECOND(x=3))))]

    async def execute_last(request: Any) -> object:
        return "last of", await execute(request)

    assert driven(operation, execute) == [1, [2, 3]]
    assert driven(operation, execute, execute_last) == [1, ("last of", [2, 3])]


def test_what_a_request_raises_ends_the_operation_which_does_not_see_it() -> None:
    seen: list[BaseException] = []

    def operation() -> Op[None]:
        try:
            yield FIRST()
        except OSError as error:
            seen.append(error)

    async def fail(request: object) -> object:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        driven(operation, fail)
    assert seen == []


def test_finish_gives_the_result_of_an_operation_that_makes_one_request() -> None:
    op = THINGS.get(40, plus=2)
    assert next(op) == FIRST(x=40)
    assert finish(op, None) == 42


def test_an_operation_that_reads_and_asks_twice_is_a_mistake_that_shows() -> None:
    def operation() -> Op[None]:
        yield FIRST()
        yield SECOND()

    op = operation()
    next(op)
    with pytest.raises(RuntimeError, match="makes one request"):
        finish(op, None)


@pytest.mark.parametrize("request_", [CHANGE(), (FIRST(), CHANGE())])
def test_a_request_that_may_only_read_is_refused_if_any_of_its_statements_writes(
    request_: Any,
) -> None:
    check_reads(FIRST(), step(THINGS.get, 1))
    check_reads((FIRST(), SECOND()), step(THINGS.get, 1))
    with pytest.raises(RuntimeError, match=r"things\.get: change writes, but a @read writes"):
        check_reads(request_, step(THINGS.get, 1))


def test_an_operation_that_writes_once_may_write_by_its_first_request_alone() -> None:
    def twice() -> Op[None]:
        yield CHANGE(x=1)
        yield CHANGE(x=2)

    def once() -> Op[object]:
        yield CHANGE(x=1)
        return (yield FIRST(x=2))

    assert driven(twice, execute) is None
    assert driven(once, execute, writes_once=step(THINGS.get, 1)) == 2
    with pytest.raises(RuntimeError, match="a @write by its first request alone"):
        driven(twice, execute, writes_once=step(THINGS.get, 1))


def test_an_invocation_starts_its_operation_anew_each_time_under_its_repositorys_name() -> None:
    invocation = Invocation(Mode.READ, THINGS.get, (40,), {"plus": 2})
    assert invocation.name == "things.get"
    for _ in range(2):
        op = invocation.start()
        assert next(op) == FIRST(x=40)
        assert finish(op, None) == 42


def test_a_step_is_invoked_in_the_mode_of_its_operation() -> None:
    assert step(THINGS.get, 7) == Invocation(Mode.READ, THINGS.get, (7,), {})


# --- methods made of steps -----------------------------------------------------------------------


class Recorder:
    """Runs the operations of a method made of steps, and notes them."""

    def __init__(self, *, fail: bool = False) -> None:
        self.ran: list[object] = []
        self.paused: list[Pause] = []
        self._fail = fail

    async def run(self, invocation: Invocation) -> object:
        self.ran.append(invocation.args)
        if self._fail and len(self.ran) == 1:
            raise LookupError("not yet")
        return invocation.args[0] * 10

    async def pause(self, pause: Pause) -> None:
        self.paused.append(pause)

    def drive(self, make: Callable[[], Steps[Any]]) -> Any:
        return run(drive_steps(make(), self.run, self.pause))


def test_a_method_gets_what_its_steps_return_and_none_for_a_pause() -> None:
    def make() -> Steps[list[object]]:
        first = yield step(THINGS.get, 1)
        paused = yield Pause(0.5)
        second = yield step(THINGS.get, 2)
        return [first, paused, second]

    recorder = Recorder()
    assert recorder.drive(make) == [10, None, 20]
    assert recorder.ran == [(1,), (2,)]
    assert recorder.paused == [Pause(0.5)]


def test_a_method_may_catch_what_a_step_raises_and_go_on() -> None:
    def make() -> Steps[object]:
        while True:
            try:
                return (yield step(THINGS.get, 7))
            except LookupError:
                yield Pause(0.25)

    recorder = Recorder(fail=True)
    assert recorder.drive(make) == 70
    assert recorder.ran == [(7,), (7,)]
    assert recorder.paused == [Pause(0.25)]


def test_a_method_without_steps_is_its_result() -> None:
    def make() -> Steps[str]:
        return "done"
        yield Pause(0)

    assert Recorder().drive(make) == "done"


def test_what_a_method_does_not_catch_comes_out() -> None:
    def make() -> Steps[None]:
        yield step(THINGS.get, 1)

    with pytest.raises(LookupError, match="not yet"):
        Recorder(fail=True).drive(make)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, asyncio.CancelledError])
def test_a_method_is_closed_by_an_interruption_which_it_does_not_see(
    interruption: type[BaseException],
) -> None:
    closed: list[str] = []

    def make() -> Steps[None]:
        try:
            yield step(THINGS.get, 1)
        except Exception:  # noqa: BLE001 - an interruption is none to be handled here
            closed.append("caught")
        finally:
            closed.append("closed")

    async def interrupt(invocation: Invocation) -> object:
        raise interruption

    with pytest.raises(interruption):
        run(drive_steps(make(), interrupt, Recorder().pause))
    assert closed == ["closed"]


# --- pauses --------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    attempts=st.integers(0, 100),
    first=st.floats(0.0001, 0.01),
    longest=st.floats(0.01, 2),
)
def test_pauses_are_as_many_as_attempts_and_within_bounds_that_double(
    attempts: int, first: float, longest: float
) -> None:
    pauses = [pause.seconds for pause in Backoff(attempts, first, longest).pauses()]
    assert len(pauses) == attempts
    for attempt, seconds in enumerate(pauses):
        assert 0 <= seconds <= min(longest, first * 2**attempt)


def test_pauses_are_drawn_so_that_those_who_collided_do_not_collide_again() -> None:
    assert len({pause.seconds for pause in Backoff(first=1, longest=1).pauses()}) > 32


def test_the_pauses_of_one_modify_stay_within_seconds() -> None:
    backoff = Backoff()
    bounds = [min(backoff.longest, backoff.first * 2**n) for n in range(backoff.attempts)]
    assert sum(bounds) < 15
