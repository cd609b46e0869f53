"""What a case is: a function that makes a round of operations ready, on both sides."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from typing import NamedTuple, TypeAlias, TypeVar

from attrs import frozen

from benchmarks.data import new_task
from benchmarks.databases import Bench
from engine_store import TaskState

T = TypeVar("T")

Block: TypeAlias = Callable[[], object]
"""Runs the operations of one round that were made ready for it."""

NO_AIM = {"sqlite": None, "postgres": None}


class Blocks(NamedTuple):
    """The same operations for the store and, where that is compared, for the bare module."""

    store: Block
    bare: Block | None = None


Prepare: TypeAlias = Callable[[int], Blocks]
"""Makes so many operations ready."""


@frozen
class Case:
    """A case, measured by the drivers that `aims` names."""

    name: str
    title: str
    set_up: Callable[[Bench], Prepare]
    aims: Mapping[str, float | None] = NO_AIM
    """The share of the bare throughput to reach; None where none is set."""
    durable: bool = True
    """Whether a commit waits for the disk."""
    concurrent: bool = False


def each(run: Callable[[T], object], items: Sequence[T]) -> Block:
    """One call for each item."""

    def block() -> None:
        for item in items:
            run(item)

    return block


def rotating(items: Sequence[T]) -> Callable[[int], list[T]]:
    """Takes so many of `items`, going on where the last round ended."""
    forever = cycle(random.Random(1).sample(items, len(items)))
    return lambda count: list(islice(forever, count))


def new_tasks(bench: Bench, count: int) -> list[TaskState]:
    """Tasks to create below the root of the wide workflow."""
    data = bench.dataset
    return [new_task(data.wide, number, data.wide_root) for number in range(count)]
