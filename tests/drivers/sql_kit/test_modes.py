"""Every operation keeps the promise of its mode, whatever the database answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any

import attrs
import pytest

import engine_store
from engine_store.errors import (
    EngineStoreError,
    ImmutableFieldError,
    UserNotFoundError,
    VersionConflictError,
    WorkflowNotFoundError,
)
from engine_store.models import Claim, Event, NewEvent, Role, Status
from engine_store.protocols import Store
from engine_store.rules.entities import API_KEY, EVENT, TASK, USER, WORKFLOW, Entity
from engine_store.sql.catalogue import MIGRATIONS, STATEMENTS
from engine_store.sql.operation import (
    Backoff,
    Invocation,
    Last,
    LostRace,
    Mode,
    Op,
    Pause,
    Request,
    mode_of,
    read,
    write,
)
from engine_store.sql.operations import (
    ApiKeyOperations,
    Bindings,
    EventOperations,
    TaskOperations,
    UserOperations,
    WorkflowOperations,
)
from engine_store.sql.repositories import OperationSet
from engine_store.sql.rows import Rows
from engine_store.sql.statements import Call, Result
from engine_store_contracts.suite.samples import USAGE, api_key, child, user, workflow
from engine_store_sqlite.dialect import DIALECT, QUERIES

NOW = datetime(2026, 1, 31, tzinfo=UTC)
ROWS = Rows(DIALECT.codec)
BINDINGS = Bindings(
    QUERIES,
    ROWS,
    lambda: NOW,
    Backoff(attempts=2),
    lock_after=1,
)
OPERATIONS = OperationSet(
    UserOperations(BINDINGS),
    ApiKeyOperations(BINDINGS),
    WorkflowOperations(BINDINGS),
    TaskOperations(BINDINGS),
    EventOperations(BINDINGS),
)

SAVED = {"version": 1, "created_at": NOW, "updated_at": NOW}
ANN = user("ann", **SAVED)
KEY = api_key("k", created_at=NOW)
RUN = workflow("w", **SAVED)
STEP = child("t", "root", **SAVED)
ROOT = attrs.evolve(RUN, status=Status.SUCCESS)

# --- what a database may answer ------------------------------------------------------------------


def row(entity: Entity[Any, Any], state: Any) -> list[Any]:
    values = ROWS.encoder(entity)(state)
    for name in {"created_at", "updated_at"}.intersection(entity.fields):
        values[name] = ROWS.time(getattr(state, name))
    values |= {name: getattr(state, name) for name in entity.counters}
    return [values[field] for field in entity.fields]


HAPPENED = Event("w", 1, "x", None, "t", "k", NOW)
STORED = {
    USER: [ANN, attrs.evolve(ANN, version=2), attrs.evolve(ANN, user_id="bob")],
    API_KEY: [KEY],
    WORKFLOW: [RUN, attrs.evolve(RUN, version=2), ROOT, attrs.evolve(RUN, workflow_id="other")],
    TASK: [STEP, attrs.evolve(STEP, version=2), attrs.evolve(STEP, task_id="other")],
}
ENTITY_OF = {"user": USER, "users": USER, "api_key": API_KEY, "api_keys": API_KEY}
ENTITY_OF |= {"workflow": WORKFLOW, "workflows": WORKFLOW, "task": TASK, "tasks": TASK}
ENTITY_OF |= {"task_tree": TASK, "latest_child": TASK}

OTHER_ROWS: dict[str, Sequence[Any]] = {
    "claim_tasks": row(TASK, STEP),
    "count_children": ["SUCCESS", 1],
    "children_outputs": ["t", "t", "{}"],
    "count_purgeable": [1, 1],
    "append_event": row(EVENT, HAPPENED),
    "find_admin": [1],
    "find_events": row(EVENT, HAPPENED),
    "find_tasks": ["t"],
    "delete_small_workflow": ["w"],
    "finish_task": row(TASK, STEP),
    "get_claim": ["RUNNING", 1, "[]", "ann", "another"],
    "get_event": row(EVENT, HAPPENED),
    "get_task_usage": ["[]"],
    "get_workflow_with_tasks": [
        None if field == "task_exec_id" else value
        for field, value in zip(TASK.fields, row(TASK, STEP), strict=True)
    ],
    "latest_tasks_and_roots": [*row(TASK, STEP), 1, 1],
    "list_expired": [*row(TASK, STEP), "ann", NOW, "token"],
    "lock_claim": ["RUNNING", 1, "[]", "ann", "token"],
    "list_events": row(EVENT, HAPPENED),
    "lock_history": ["w"],
    "lock_purgeable": ["w"],
    "lock_task_usage": ["[]"],
    "lock_workflow_key": ["w"],
    "lock_workflow_of_task": ["w"],
    "lock_workflow_usage": ["[]"],
    "next_due": [None],
    "queue_stats": ["default", 1, 0, 0, 0, None],
    "release_task": row(TASK, STEP),
    "remove_events": [1],
    "remove_tasks": ["t"],
    "remove_workflows": ["w"],
    "renew_lease": [NOW],
    "restore_event": row(EVENT, HAPPENED),
}
ALWAYS = {"count_purgeable", "next_due", "set_task_usage", "set_workflow_usage"}
"""Statements whose row is always there: they count, or the operation holds the row."""


def answers(call: Call) -> list[Any]:
    """What a database may answer to a call: nothing, or one of several rows."""
    statement = call.statement
    if statement.result is Result.NONE:
        return [None]
    if statement.name in OTHER_ROWS:
        rows = [OTHER_ROWS[statement.name]]
    else:
        words = statement.name.removeprefix("lock_").removesuffix("_or_none")
        entity = ENTITY_OF.get(words) or next(
            entity for name, entity in ENTITY_OF.items() if f"_{name}" in statement.name
        )
        rows = [row(entity, state) for state in STORED[entity]]
        rows = rows[:1] if statement.writes else rows
    nothing: list[Any] = [] if statement.name in ALWAYS else [None]
    if statement.result is Result.MANY:
        return [[], *([one] for one in rows)]
    return nothing + rows


LONGEST = 12
"""Answers after which a database has nothing more to tell: what is removed in batches ends."""


class Script:
    """Plays every sequence of answers, one after the other."""

    def __init__(self) -> None:
        self._choices: list[list[int]] = []
        self._next = 0

    def answer(self, call: Call) -> Any:
        options = answers(call)
        if self._next == len(self._choices):
            self._choices.append([0, len(options) if self._next < LONGEST else 1])
        self._next += 1
        return options[self._choices[self._next - 1][0]]

    def another(self) -> bool:
        """Whether there is a sequence that was not played yet, which is next."""
        self._next = 0
        while self._choices and self._choices[-1][0] + 1 == self._choices[-1][1]:
            self._choices.pop()
        if self._choices:
            self._choices[-1][0] += 1
        return bool(self._choices)


# --- running operations on answers ---------------------------------------------------------------


class Played:
    """What one operation did: its requests, and how it ended."""

    def __init__(self, invocation: Invocation) -> None:
        self.name = invocation.name
        self.mode = invocation.mode
        self.requests: list[Request | Last] = []
        self.end: object = None

    @property
    def writes(self) -> list[bool]:
        """For each request, whether a statement of it writes."""
        return [any(call.statement.writes for call in calls(one)) for one in self.requests]


def calls(request: Request | Last) -> tuple[Call, ...]:
    request = request.request if isinstance(request, Last) else request
    return (request,) if isinstance(request, Call) else request


def play(invocation: Invocation, script: Script, played: list[Played]) -> Any:
    """Return the result of an operation, and note what it and its steps did."""
    found = Played(invocation)
    played.append(found)
    op = invocation.start()
    try:
        request = next(op)
        while True:
            if isinstance(request, Pause):
                request = op.send(None)
            elif isinstance(request, Invocation):
                try:
                    result = play(request, script, played)
                except EngineStoreError as error:
                    request = op.throw(error)
                else:
                    request = op.send(result)
            else:
                found.requests.append(request)
                rows = [script.answer(call) for call in calls(request)]
                asked = request.request if isinstance(request, Last) else request
                request = op.send(rows[0] if isinstance(asked, Call) else rows)
    except StopIteration as done:
        found.end = done.value
        return done.value
    except (EngineStoreError, LostRace) as error:
        found.end = type(error)
        raise


def every_run(invocation: Invocation) -> Iterator[Played]:
    """Everything that an operation and its steps do on every sequence of answers."""
    script = Script()
    while True:
        played: list[Played] = []
        with suppress(EngineStoreError, LostRace):
            play(invocation, script, played)
        yield from played
        if not script.another():
            return


CLAIM = Claim(attrs.evolve(STEP, attempt=1), "ann", NOW, "token")
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "api_keys.get_by_fingerprint": (KEY.fingerprint,),
    "api_keys.get_by_prefix": ("p",),
    "events.append": ("w", "x"),
    "events.append_many": ("w", [NewEvent("x", key="k"), NewEvent("y", None, "t")]),
    "events.list": ("w",),
    "tasks.by_agent": ("w", "a"),
    "tasks.claim": ("ann",),
    "tasks.expired": (),
    "tasks.finish": (CLAIM,),
    "tasks.next_due": (),
    "tasks.queues": (),
    "tasks.release": (CLAIM,),
    "tasks.renew": (CLAIM,),
    "tasks.by_status": ("w", Status.SUCCESS),
    "tasks.by_tool": ("w", "a"),
    "tasks.child": ("root", "t"),
    "users.create_initial_admin_if_none": (attrs.evolve(ANN, role=Role.ADMIN),),
    "users.get_by_email": (ANN.email,),
    "workflows.get": ("w",),
    "workflows.purge": (NOW,),
    "workflows.set_status": ("w", Status.PAUSED),
}
STATES = {"users": ANN, "api_keys": KEY, "workflows": RUN, "tasks": STEP, "events": HAPPENED}
KEYWORDS: dict[str, list[dict[str, Any]]] = {
    "events.append": [{}, {"task_exec_id": "t", "key": "k"}],
    "tasks.claim": [{"lease": 1}],
    "tasks.finish": [{}, {"usage": USAGE}],
    "tasks.renew": [{"lease": 1}],
    "workflows.get": [{}, {"with_tasks": True}],
    "workflows.purge": [{}, {"dry_run": True}],
    "workflows.set_status": [{}, {"expected_version": 1, "expected_statuses": [Status.PENDING]}],
}


def changed(state: Any) -> Any:
    if isinstance(state, engine_store.User):
        return attrs.evolve(state, role=Role.ADMIN)
    return attrs.evolve(state, input={})


def arguments(repository: str, name: str) -> tuple[Any, ...]:
    """Arguments with which an operation gets as far as to its statements."""
    if name in ("create", "restore", "update", "upsert"):
        return (STATES[repository],)
    if name == "modify":
        return ("ann" if repository == "users" else repository[0], changed)
    if name == "merge_usage":
        return repository[0], USAGE
    if name == "list" and repository != "events":
        return ()
    return ARGUMENTS.get(f"{repository}.{name}", (repository[0],))


def invocations(repository: str, name: str) -> Iterator[Invocation]:
    """The calls of a method that lead to all of its statements."""
    operation = getattr(getattr(OPERATIONS, repository), name)
    for keywords in KEYWORDS.get(f"{repository}.{name}", [{}]):
        yield Invocation(mode_of(operation), operation, arguments(repository, name), keywords)


METHODS = [
    f"{repository}.{name}"
    for repository in STATES
    for name, _ in inspect.getmembers(type(getattr(OPERATIONS, repository)), inspect.isfunction)
    if not name.startswith("_")
]
"""Every method of every repository."""


@cache
def played_by(method: str) -> list[Played]:
    """Everything that a method and its steps do."""
    return [
        played for invocation in invocations(*method.split(".")) for played in every_run(invocation)
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_and_its_steps_keep_the_promises_of_their_modes(method: str) -> None:
    for played in played_by(method):
        if played.mode is Mode.READ:
            assert played.writes == [False]
        elif played.mode is Mode.LOCK:
            assert not any(played.writes)
        elif played.mode is Mode.WRITE:
            assert not any(played.writes[1:])
        elif played.mode is Mode.STEPS:
            assert played.requests == []
        lasts = [isinstance(request, Last) for request in played.requests]
        assert not any(lasts[:-1]), "nothing comes after the last request"


@pytest.mark.parametrize("method", METHODS)
def test_what_is_marked_to_write_does_so_for_some_answer(method: str) -> None:
    writing = {played.name for played in played_by(method) if any(played.writes)}
    modes = {played.name: played.mode for played in played_by(method)}
    assert writing == {name for name, mode in modes.items() if mode in (Mode.WRITE, Mode.TRANSACT)}


def test_every_statement_of_operations_is_played_and_so_are_refusals() -> None:
    every = [played for method in METHODS for played in played_by(method)]
    asked = {
        call.statement.name
        for played in every
        for request in played.requests
        for call in calls(request)
    }
    assert asked == STATEMENTS.keys() - {entry.name for entry in MIGRATIONS}
    assert {
        ("users.get", UserNotFoundError),
        ("users.update", VersionConflictError),
        ("users.update", LostRace),
        ("workflows.complete", VersionConflictError),
        ("workflows.complete", WorkflowNotFoundError),
        ("workflows._modify_held", ImmutableFieldError),
    } <= {(played.name, played.end) for played in every if isinstance(played.end, type)}


# --- what the kit refuses ------------------------------------------------------------------------


@pytest.fixture
def store() -> Iterator[Store]:
    with engine_store.open("sqlite:///:memory:") as store:
        store.users.create(ANN)
        yield store


@read
def reads_and_writes(self: UserOperations, user_id: str) -> Op[None]:
    yield self._q.delete_user(user_id=user_id)


@write
def writes_twice(self: UserOperations, user_id: str) -> Op[None]:
    for _ in range(2):
        yield self._q.delete_user(user_id=user_id)


@pytest.mark.parametrize(
    ("method", "operation"), [("get", reads_and_writes), ("delete", writes_twice)]
)
def test_an_operation_that_breaks_its_mode_is_refused_and_changes_nothing(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    operation: Callable[..., Any],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(UserOperations, method, operation)
        with pytest.raises(RuntimeError, match="delete_user writes, but a @read writes nothing"):
            getattr(store.users, method)("ann")
        with (
            pytest.raises(RuntimeError, match="delete_user writes, but a @read writes nothing"),
            store.transaction() as tx,
        ):
            getattr(tx.users, method)("ann")
    assert store.users.get("ann").user_id == "ann"
