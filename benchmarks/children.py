"""Processes that work for a benchmark, and answer through a pipe."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Barrier
from typing import Any, TypeAlias

from attrs import frozen

Pipe: TypeAlias = "Connection[Any, Any]"

PATIENCE = 120.0
"""Seconds that an answer may take."""

_CONTEXT = multiprocessing.get_context("forkserver")
# What takes long to import is imported once, by the server that all children are forked from.
_CONTEXT.set_forkserver_preload(["benchmarks.cli", "dbos", "procrastinate"])


class ChildError(Exception):
    """A child failed; the text is its traceback."""


@frozen
class _Failure:
    text: str


@contextmanager
def child(target: Callable[..., None], *arguments: object) -> Iterator[Pipe]:
    """Call `target` with a pipe and the arguments, in a process that is killed in the end."""
    here, there = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_run, args=(target, there, *arguments), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        process.kill()
        process.join()
        here.close()


def answer(pipe: Pipe) -> Any:
    """Return what a child sends next. Raises `ChildError`."""
    return answers([pipe])[0]


def answers(pipes: Sequence[Pipe]) -> list[Any]:
    """Return what each child sends next, the first answer first. Raises `ChildError`."""
    found, waiting = [], list(pipes)
    while waiting:
        ready = wait(waiting, PATIENCE)
        if not ready:
            raise ChildError(f"no answer within {PATIENCE:g} seconds")
        found += [_receive(pipe) for pipe in waiting if pipe in ready]
        waiting = [pipe for pipe in waiting if pipe not in ready]
    return found


def _receive(pipe: Pipe) -> Any:
    try:
        found = pipe.recv()
    except EOFError:
        raise ChildError("it ended without an answer") from None
    if isinstance(found, _Failure):
        raise ChildError(found.text)
    return found


def gate(processes: int) -> Barrier:
    """Return where so many children wait for each other."""
    return _CONTEXT.Barrier(processes)


def _run(target: Callable[..., None], pipe: Pipe, *arguments: object) -> None:
    try:
        target(pipe, *arguments)
    except Exception:  # noqa: BLE001 - whatever it is, the parent is to raise it
        pipe.send(_Failure(traceback.format_exc()))
    with suppress(EOFError):
        pipe.recv()  # until it is killed: what it has started may not want to end by itself
