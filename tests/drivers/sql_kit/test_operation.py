"""Driving operations and procedures: generators that know neither connection nor clock."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_store.sql.operation import (
    Backoff,
    Invocation,
    Last,
    Mode,
    Op,
    Pause,
    Procedure,
    Step,
    drive,
    drive_async,
    drive_procedure,
    drive_procedure_async,
    finish,
    first_request,
    lock,
    mode_of,
    procedure,
    read,
    transact,
    write,
)
from engine_store.sql.statements import Call, parse_statements

(FIRST, SECOND) = parse_statements("-- name: a :one\nSELECT 1\n-- name: b :one\nSELECT 2\n")


@pytest.mark.parametrize(
    ("mark", "mode"),
    [
        (read, Mode.READ),
        (write, Mode.WRITE),
        (transact, Mode.TRANSACT),
        (lock, Mode.LOCK),
        (procedure, Mode.PROCEDURE),
    ],
)
def test_a_mark_says_what_an_operation_needs(mark: Callable[[Any], Any], mode: Mode) -> None:
    def operation() -> None: ...

    assert mark(operation) is operation
    assert mode_of(operation) is mode


def test_drive_answers_each_request_with_its_rows_until_the_operation_returns() -> None:
    def operation() -> Op[list[object]]:
        one = yield FIRST(x=1)
        two = yield FIRST(x=2), SECOND(x=3)
        return [one, *two]

    asked: list[object] = []

    def execute(request: Any) -> object:
        asked.append(request)
        if isinstance(request, Call):
            return request.parameters["x"]
        return [call.parameters["x"] for call in request]

    async def execute_async(request: Any) -> object:
        await asyncio.sleep(0)
        return execute(request)

    for _ in range(2):
        op = operation()
        assert drive(op, next(op), execute) == [1, 2, 3]
        assert asked == [FIRST(x=1), (FIRST(x=2), SECOND(x=3))]
        asked.clear()
        op = operation()
        assert asyncio.run(drive_async(op, next(op), execute_async)) == [1, 2, 3]
        assert asked == [FIRST(x=1), (FIRST(x=2), SECOND(x=3))]
        asked.clear()


def test_a_last_request_is_one_like_the_others_for_who_does_not_care() -> None:
    def operation() -> Op[list[object]]:
        one = yield Last(FIRST(x=1))
        return [one, (yield Last((FIRST(x=2), SECOND(x=3))))]

    def execute(request: Any) -> object:
        assert not isinstance(request, Last)
        return "one" if isinstance(request, Call) else "two"

    async def execute_async(request: Any) -> object:
        return execute(request)

    async def execute_last(request: Any) -> object:
        return f"last of {execute(request)}"

    op = operation()
    assert drive(op, first_request(op), execute) == ["one", "two"]
    op = operation()
    assert asyncio.run(drive_async(op, first_request(op), execute_async)) == ["one", "two"]
    op = operation()
    driven = drive_async(op, first_request(op), execute_async, execute_last)
    assert asyncio.run(driven) == ["one", "last of two"]


def test_what_a_request_raises_ends_the_operation_which_does_not_see_it() -> None:
    seen: list[BaseException] = []

    def operation() -> Op[None]:
        try:
            yield FIRST()
        except OSError as error:
            seen.append(error)

    def execute(request: object) -> object:
        raise OSError("gone")

    op = operation()
    with pytest.raises(OSError, match="gone"):
        drive(op, next(op), execute)
    assert seen == []


def test_finish_gives_the_result_of_an_operation_that_makes_one_request() -> None:
    def operation() -> Op[int]:
        return (yield FIRST()) + 1

    op = operation()
    assert next(op) == FIRST()
    assert finish(op, 41) == 42


def test_an_operation_that_reads_and_asks_twice_is_a_mistake_that_shows() -> None:
    def operation() -> Op[None]:
        yield FIRST()
        yield SECOND()

    op = operation()
    next(op)
    with pytest.raises(RuntimeError, match="makes one request"):
        finish(op, None)


def test_an_invocation_starts_its_operation_anew_each_time() -> None:
    def operation(number: int, *, plus: int) -> Op[int]:
        yield FIRST(x=number)
        return number + plus

    invocation = Invocation(Mode.READ, "things.add", operation, (40,), {"plus": 2})
    for _ in range(2):
        op = invocation.start()
        assert next(op) == FIRST(x=40)
        assert finish(op, None) == 42


def test_a_step_is_invoked_in_the_mode_of_its_operation_under_the_procedures_name() -> None:
    assert Step(step, (7,)).named("things.modify") == Invocation(
        Mode.READ, "things.modify", step, (7,), {}
    )


@read
def step(number: int) -> Op[int]:
    yield FIRST()
    return number


class Recorder:
    """Runs the steps of a procedure, synchronously or not, and notes them."""

    def __init__(self, *, fail: bool = False) -> None:
        self.ran: list[object] = []
        self.slept: list[float] = []
        self._fail = fail

    def run(self, step: Step) -> object:
        self.ran.append(step.args)
        if self._fail and len(self.ran) == 1:
            raise LookupError("not yet")
        return step.args[0] * 10

    async def run_async(self, step: Step) -> object:
        return self.run(step)

    async def sleep_async(self, seconds: float) -> None:
        self.slept.append(seconds)


def drive_both_ways(make: Callable[[], Procedure[Any]], **options: bool) -> tuple[Any, Recorder]:
    """What a procedure returns and runs; the same driven synchronously and on an event loop."""
    sync, loop = Recorder(**options), Recorder(**options)
    result = drive_procedure(make(), sync.run, sync.slept.append)
    assert asyncio.run(drive_procedure_async(make(), loop.run_async, loop.sleep_async)) == result
    assert (loop.ran, loop.slept) == (sync.ran, sync.slept)
    return result, sync


def test_a_procedure_gets_what_its_steps_return_and_none_for_a_pause() -> None:
    def make() -> Procedure[list[object]]:
        first = yield Step(step, (1,))
        paused = yield Pause(0.5)
        second = yield Step(step, (2,))
        return [first, paused, second]

    result, recorder = drive_both_ways(make)
    assert result == [10, None, 20]
    assert recorder.ran == [(1,), (2,)]
    assert recorder.slept == [0.5]


def test_a_procedure_may_catch_what_a_step_raises_and_go_on() -> None:
    def make() -> Procedure[object]:
        while True:
            try:
                return (yield Step(step, (7,)))
            except LookupError:
                yield Pause(0.25)

    result, recorder = drive_both_ways(make, fail=True)
    assert result == 70
    assert recorder.ran == [(7,), (7,)]
    assert recorder.slept == [0.25]


def test_a_procedure_without_steps_is_its_result() -> None:
    def make() -> Procedure[str]:
        return "done"
        yield Pause(0)

    assert drive_both_ways(make)[0] == "done"


def test_what_a_procedure_does_not_catch_comes_out() -> None:
    def make() -> Procedure[None]:
        yield Step(step, (1,))

    with pytest.raises(LookupError, match="not yet"):
        drive_procedure(make(), Recorder(fail=True).run, lambda seconds: None)
    recorder = Recorder(fail=True)
    with pytest.raises(LookupError, match="not yet"):
        asyncio.run(drive_procedure_async(make(), recorder.run_async, recorder.sleep_async))


def test_a_procedure_is_closed_however_it_is_interrupted() -> None:
    closed: list[str] = []

    def make() -> Procedure[None]:
        try:
            yield Step(step, (1,))
        except Exception:  # noqa: BLE001 - an interruption is none to be handled here
            closed.append("caught")
        finally:
            closed.append("closed")

    def interrupt(step: Step) -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive_procedure(make(), interrupt, lambda seconds: None)
    assert closed == ["closed"]

    async def cancelled(step: Step) -> object:
        raise asyncio.CancelledError

    async def nothing(seconds: float) -> None: ...

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(drive_procedure_async(make(), cancelled, nothing))
    assert closed == ["closed", "closed"]


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
