"""Running a program on a store, and recording it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from engine_store.errors import EngineStoreError
from engine_store.models.pages import read_pages
from engine_store.protocols import Repositories, Store
from engine_store_contracts.history.events import Event, settled
from engine_store_contracts.history.programs import Call, Pages, Program, Request, Transaction
from engine_store_contracts.history.recorded import recorded


class RolledBack(Exception):
    """Ends a transaction that a program wants undone."""


def run(program: Program, store: Store, worker: str) -> list[Event]:
    """What happened when this thread ran the program."""
    reports: list[Event] = []
    run_and_say(program, store, worker, reports.append)
    return settled(reports)


def run_and_say(
    program: Program, store: Store, worker: str, say: Callable[[Event], object]
) -> None:
    """Run the program; `say` gets each call before it is made, and its outcome."""
    steps, answer = recorded(program, worker, say), None
    with suppress(StopIteration):
        while True:
            answer = _answer(store, steps.send(answer))


def _answer(store: Store, request: Request) -> Any:
    try:
        match request:
            case Call():
                return _call(store, request)
            case Transaction(calls, fails):
                with store.transaction() as tx:
                    answers = [_call(tx, call) for call in calls]
                    if fails:
                        raise RolledBack
                return answers
            case Pages(repository, limit):
                return list(read_pages(getattr(store, repository).list, limit))
    except (EngineStoreError, RolledBack) as exc:
        return exc


def _call(target: Repositories, call: Call) -> Any:
    method = getattr(getattr(target, call.repository), call.method)
    return method(*call.arguments, **call.options)
