"""Calls of a case that do not return: which they are, and where each of them waits."""

from __future__ import annotations

import asyncio
import linecache
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from engine_store_contracts.patience import PATIENCE

T = TypeVar("T")

LONGEST_STACK = 12
"""Lines of a stack that are shown, from the call inwards."""

_SUITE = "engine_store_contracts"


class Hang(AssertionError):
    """Calls that did not return in time."""


class Threads:
    """Threads for calls that must return by the end of the block, or soon after. Raises `Hang`."""

    def __init__(self) -> None:
        self._begun: list[Future[Any]] = []

    def submit(self, call: Callable[..., T], *args: object) -> Future[T]:
        """Begin the call in a thread of its own."""
        future: Future[T] = Future()
        self._begun.append(future)
        # A daemon, unlike the threads of executors: what hangs does not keep the process alive.
        threading.Thread(target=_run, args=(future, call, args), daemon=True).start()
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        had_time = isinstance(error, TimeoutError)
        _, late = wait(self._begun, timeout=0 if had_time else PATIENCE.seconds)
        if late:
            raise Hang(describe(running_calls()))


def run_in_loop(main: Callable[[], Any]) -> Any:
    """Return what the coroutine of `main` returns, on an event loop of its own. Raises `Hang`."""
    with Threads() as threads:
        running = threads.submit(lambda: asyncio.run(main()))
        wait([running], timeout=PATIENCE.seconds)
    return running.result()


def describe(calls: Sequence[str]) -> str:
    """Return what is said of calls that hang."""
    return "\n\n".join(["calls that hang:", *calls])


def running_calls() -> list[str]:
    """Return the stack of each call that the suite has begun in a thread or task, but this one."""
    own = threading.get_ident()
    stacks: list[list[FrameType]] = []
    for ident, frame in list(sys._current_frames().items()):  # noqa: SLF001 - the one way there is
        stack = _stack_of(frame)
        for loop in filter(None, map(_loop_of, stack)):
            # The loop of a case is one of the suite's threads: so is all that runs in it.
            outer = [each for each in stack if _is_of_suite(each)]
            stacks += [outer + _awaited_by(task) for task in asyncio.all_tasks(loop)]
        if ident != own and not any(_loop_of(each) or _waits_for_loop(each) for each in stack):
            stacks.append(stack)
    return [_shown(stack) for stack in stacks if any(map(_is_of_suite, stack))]


def _run(future: Future[T], call: Callable[..., T], args: tuple[object, ...]) -> None:
    try:
        result = call(*args)
    except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
        future.set_exception(error)
    else:
        future.set_result(result)


def _shown(stack: Sequence[FrameType]) -> str:
    """The stack from the last frame of the suite on, named by the call that it makes."""
    last = max(number for number, frame in enumerate(stack) if _is_of_suite(frame))
    inner = stack[last:]
    lines = [_line(frame) for frame in inner]
    left_out = len(lines) - LONGEST_STACK
    if left_out > 0:
        lines[LONGEST_STACK:] = [f"    and {left_out} more"]
    return "\n".join([inner[min(1, len(inner) - 1)].f_code.co_qualname, *lines])


def _line(frame: FrameType) -> str:
    code, number = frame.f_code, frame.f_lineno
    source = linecache.getline(code.co_filename, number).strip()
    return f"    {_module(frame)}:{number} in {code.co_name}: {source}"


def _is_of_suite(frame: FrameType) -> bool:
    return _module(frame).startswith(_SUITE)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _stack_of(frame: FrameType | None) -> list[FrameType]:
    """The frames of a thread, the outermost first."""
    stack: list[FrameType] = []
    while frame is not None:
        stack.insert(0, frame)
        frame = frame.f_back
    return stack


def _loop_of(frame: FrameType) -> asyncio.AbstractEventLoop | None:
    """The event loop that the frame runs."""
    if frame.f_code.co_name != "run_forever":
        return None
    loop = frame.f_locals.get("self")
    return loop if isinstance(loop, asyncio.AbstractEventLoop) else None


def _waits_for_loop(frame: FrameType) -> bool:
    """Return whether the thread waits for a task, which is shown in its place."""
    return _module(frame) == "anyio.from_thread"


def _awaited_by(task: asyncio.Task[Any]) -> list[FrameType]:
    """The frames of the coroutines of a task, the outermost first."""
    stack: list[FrameType] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaited, f"{kind}_frame", None)
            if frame is not None:
                stack.append(frame)
        below = (getattr(awaited, name, None) for name in ("cr_await", "gi_yieldfrom", "ag_await"))
        awaited = next(filter(None, below), None)
    return stack
