"""Blocks give back what they hold, also if an exception keeps `__exit__` from running."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from types import FrameType
from typing import Any

import pytest

from engine_store.sql import holds
from engine_store.sql.holds import Hold


class Interrupt(Exception):
    pass


@pytest.fixture
def given_up() -> list[Hold]:
    return []


def interrupt_at(function: Any) -> None:
    """Raise `Interrupt` when `function` is called next, before its first line."""

    def trace(frame: FrameType, event: str, _: object) -> None:
        if frame.f_code is function.__code__:
            sys.setprofile(None)
            raise Interrupt

    sys.setprofile(trace)


def test_a_block_gives_up_at_its_end(given_up: list[Hold]) -> None:
    with Hold(given_up.append) as hold:
        assert given_up == []
        assert not hold.is_over
    assert given_up == [hold]
    assert not hold.is_over


@pytest.mark.parametrize("function", [holds._leave, Hold.leave, Hold.abandon])
def test_an_exception_on_the_way_out_is_followed_by_giving_up(
    given_up: list[Hold], function: Any
) -> None:
    hold = Hold(given_up.append)
    with pytest.raises(Interrupt) as kept, hold:
        interrupt_at(function)
    assert given_up == [hold]
    assert kept.tb, "and it is, although the traceback refers to the frames"


def test_what_cannot_be_given_up_is_found_by_who_needs_it(given_up: list[Hold]) -> None:
    def give_up(hold: Hold) -> None:
        given_up.append(hold)
        raise OSError

    with pytest.raises(OSError), Hold(give_up) as hold:
        assert not hold.is_over
    assert given_up == [hold, hold]
    assert hold.is_over


def test_a_block_that_a_generator_is_in_is_not_over(given_up: list[Hold]) -> None:
    def generator() -> Any:
        with Hold(given_up.append) as hold:
            yield hold

    running = generator()
    hold = next(running)
    assert not hold.is_over
    running.close()
    assert given_up == [hold]


def test_a_stack_may_enter_a_block(given_up: list[Hold]) -> None:
    with ExitStack() as stack:
        hold = stack.enter_context(Hold(given_up.append))
        assert not hold.is_over
    assert given_up == [hold]
