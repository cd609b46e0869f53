"""Blocks that hold something, and whose end is noticed however they end.

A signal handler may raise between any two steps of a program: also before the first line of an
`__exit__`, or in the middle of it. Then nobody gives back what the block held. So what is held is
noted together with its block, in one step, and a block that is over without having given it back is
found: by Python, when it drops the last reference to the block's `__exit__`, or by whoever needs
the thing next.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Self
from weakref import ref


class _Exit:
    """The `__exit__` of a block: a new object for each `with`, which refers to it until its end.

    It has to be a callable written in C. A function's frame refers to what it is called with, and
    outlives the block if somebody keeps the traceback.
    """

    def __get__(self, block: Block | None, cls: type[Block]) -> Callable[..., None]:
        if block is None:
            return _leave
        leave = partial(_leave, block)
        block.running = ref(leave, block.was_left)
        return leave


def _leave(block: Block, *raised: Any) -> None:
    block.leave(*raised)
    block.running = None


class Block:
    """The base of what a `with` statement enters."""

    __slots__ = ("__weakref__", "running")

    def __init__(self) -> None:
        """A block that was not entered."""
        self.running: ref[Any] | None = None

    __exit__ = _Exit()

    @property
    def is_over(self) -> bool:
        """True if an exception ended the block without `leave`, or in the middle of it."""
        return self.running is not None and self.running() is None

    def was_left(self, _: object) -> None:
        """Give back what `leave` did not, as soon as the block is over."""
        with suppress(Exception):  # whoever needs it next tries again, and reports it
            self.abandon()
            self.running = None

    def leave(self, *raised: Any) -> None:
        """End the block; it gets what `__exit__` gets."""
        self.abandon()

    def abandon(self) -> None:
        """Give back what the block still holds, if anything; may be called at any time, again."""


class Hold(Block):
    """A block that acquires from a pool."""

    __slots__ = ("_give_up",)

    def __init__(self, give_up: Callable[[Hold], None]) -> None:
        """A block at whose end `give_up` takes back what was not released."""
        super().__init__()
        self._give_up = give_up

    def __enter__(self) -> Self:
        return self

    def abandon(self) -> None:
        self._give_up(self)
