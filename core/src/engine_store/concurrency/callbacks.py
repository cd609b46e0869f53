"""Functions of a caller's that run while a row is held for them."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from attrs import define

A = TypeVar("A")
T = TypeVar("T")


class StoreCalled(BaseException):
    """A function called the store while a row was held for it, and would have waited for itself.

    Who holds the row lets go, and runs the function again without. It is no `Exception`, so that
    the function's own handlers leave it alone.
    """


@define
class _Run:
    """A run of a function. Tasks begun in it have its context, and may outlive it."""

    goes_on: bool = True


_run: ContextVar[_Run | None] = ContextVar("_run", default=None)


def call_holding(fn: Callable[[A], T], argument: A) -> T:
    """Return `fn(argument)`, for a caller that holds a row meanwhile. Raises `StoreCalled`."""
    run = _Run()
    token = _run.set(run)
    try:
        return fn(argument)
    finally:
        run.goes_on = False
        _run.reset(token)


def check_may_call() -> None:
    """Raise `StoreCalled` inside a function for which a row is held."""
    if (run := _run.get()) is not None and run.goes_on:
        raise StoreCalled
