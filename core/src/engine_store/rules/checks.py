"""Checks of whole arguments against the value domain, before any driver sees them.

Every repository method checks its argument first; a driver that implements the Protocols by itself
does so too, by the checks of `engine_store.rules.entities`. All raise `InvalidValueError` with the
path to the value, and return what to go on with, as those of `engine_store.values` do.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from operator import is_
from typing import Any, TypeAlias, TypeVar

import attrs
import orjson

from engine_store.clock import UNSAVED
from engine_store.errors import InvalidReferenceError, InvalidValueError
from engine_store.models import (
    TERMINAL,
    ApiKey,
    ApiKeyFilter,
    Component,
    ErrorInfo,
    Event,
    ExecutionType,
    NewEvent,
    Role,
    Status,
    TaskFilter,
    TaskState,
    UsageEntry,
    UsageSummary,
    User,
    UserFilter,
    WorkflowFilter,
    WorkflowState,
)
from engine_store.values import (
    MAX_PAGE,
    MAX_VERSION,
    check_bytes,
    check_choice,
    check_choices,
    check_document,
    check_email,
    check_id,
    check_ids,
    check_int,
    check_limit,
    check_optional_id,
    check_text,
    check_time,
    check_workflow_output,
)

FINGERPRINT_BYTES = 32

MAX_PRIORITY = 100
"""A claim looks at each priority that a queue has, so there are not many."""

T = TypeVar("T")


def check_model(value: T, model: type[T], path: str) -> T:
    """Return a `model` whose every field was checked by the type it is declared with.

    It is a copy if it holds what could change meanwhile. The `tasks` of a workflow are not written,
    and not checked. For a task that is its own parent raises `InvalidReferenceError` (6.1).
    """
    if type(value) is not model:
        raise InvalidValueError(path, f"expected {model.__name__}, found {type(value).__name__}")
    changes: dict[str, Any] = {}
    try:
        for name, exact, check in _FIELDS[model]:
            field = getattr(value, name)
            if type(field) not in exact:
                checked = check(field, name)
                if checked is not field:
                    changes[name] = checked
    except InvalidValueError as error:  # no path is built for what is right
        error.path = f"{path}.{error.path}"
        raise
    if isinstance(value, TaskState):
        _check_task(value, path)
    return _changed(value, changes) if changes else value


def _changed(value: T, changes: Mapping[str, Any]) -> T:
    """Return a copy with these fields changed, as `attrs.evolve` does in ten times the time."""
    fields = getattr(value, "__dict__", None)
    if fields is None:
        return attrs.evolve(value, **changes)  # type: ignore[misc]
    made = object.__new__(type(value))
    made.__dict__.update(fields, **changes)
    return made


def check_restored(state: User | ApiKey | WorkflowState | TaskState | Event, path: str) -> None:
    """Check what a store has set of a state to be restored (contract 2.9).

    After the check of its kind. An API key has neither a version nor an `updated_at`.
    """
    if state.created_at == UNSAVED:
        raise InvalidValueError(f"{path}.created_at", "expected a time, found none")
    if isinstance(state, ApiKey):
        return
    if isinstance(state, Event):
        check_int(state.number, f"{path}.number", minimum=1)
        return
    check_int(state.version, f"{path}.version", minimum=1, maximum=MAX_VERSION)
    if state.updated_at < state.created_at:
        raise InvalidValueError(f"{path}.updated_at", "expected a time from created_at on")


def check_usage(usage: UsageSummary, path: str = "usage") -> UsageSummary:
    """Return a usage summary in canonical form, with counts in range (contract 7)."""
    if type(usage) is not UsageSummary:
        raise InvalidValueError(path, f"expected UsageSummary, found {type(usage).__name__}")
    given = usage.entries
    if type(given) is not tuple:
        raise InvalidValueError(f"{path}.entries", "expected a tuple of UsageEntry")
    if not given:
        return usage
    entries = tuple(
        [
            check_model(entry, UsageEntry, f"{path}.entries[{index}]")
            for index, entry in enumerate(given)
        ]
    )
    if not usage.is_canonical:
        raise InvalidValueError(
            path, "expected merged and sorted entries; build it with UsageSummary.of(entries)"
        )
    return usage if all(map(is_, entries, given)) else UsageSummary(entries)


def check_new_event(kind: object, data: object, task_exec_id: object, key: object) -> NewEvent:
    """Return an event that is to be appended."""
    return NewEvent(
        check_id(kind, "kind"),
        check_document(data, "data"),
        check_optional_id(task_exec_id, "task_exec_id"),
        check_optional_id(key, "key"),
    )


def check_new_events(events: object, path: str = "events") -> tuple[NewEvent, ...]:
    """Return copies of events that are to be appended together."""
    if isinstance(events, str | bytes) or not isinstance(events, Sequence):
        raise InvalidValueError(path, f"expected a sequence, found {type(events).__name__}")
    if len(events) > MAX_PAGE:
        raise InvalidValueError(path, f"expected at most {MAX_PAGE} events, found {len(events)}")
    return tuple(
        [check_model(event, NewEvent, f"{path}[{index}]") for index, event in enumerate(events)]
    )


def check_merged(usage: UsageSummary) -> UsageSummary:
    """Return what `merge_usage` has made of two summaries, if their sums are within 64 bits."""
    try:
        return check_usage(usage)
    except InvalidValueError as error:
        error.reason += ": it is the sum of what is stored and what is given"
        raise


def check_purge(
    older_than: object, statuses: object, batch_size: object
) -> tuple[datetime, tuple[Status, ...]]:
    """Return when and which `purge` deletes (contract 5.6); unlike in a filter, None is not all."""
    time = check_time(older_than, "older_than")
    chosen = check_choices(statuses, Status, "statuses")
    if chosen is None:
        raise InvalidValueError("statuses", "expected a collection, found None")
    check_limit(batch_size, "batch_size")
    return time, chosen


PURGED_BY_DEFAULT = tuple(sorted(TERMINAL))
"""The statuses `purge` takes by default: only terminal ones."""


# --- cursors: where the next page starts -------------------------------------------------------


def encode_cursor(kind: str, created_at: datetime, key: str) -> str:
    """An opaque cursor that stands behind the row (`created_at`, `key`) of a list of `kind`."""
    text = orjson.dumps([kind, created_at.isoformat(timespec="microseconds"), key])
    return base64.urlsafe_b64encode(text).decode()


def decode_cursor(kind: str, cursor: str | None) -> tuple[datetime, str] | None:
    """What `encode_cursor` put in; None for None. Refuses the cursor of another kind of list."""
    if cursor is None:
        return None
    check_text(cursor, "cursor")
    try:
        found, created_at, key = orjson.loads(base64.b64decode(cursor, b"-_", validate=True))
        position = check_time(datetime.fromisoformat(created_at), "cursor"), check_id(key, "cursor")
    except (ValueError, TypeError):
        raise InvalidValueError("cursor", "expected the next_cursor of a page") from None
    if found != kind:
        raise InvalidValueError("cursor", f"expected a cursor of {kind}, found another list's")
    return position


# --- the fields of a model ----------------------------------------------------------------------

Check: TypeAlias = Callable[[Any, str], Any]
"""Returns the value to go on with."""


def _check_task(state: TaskState, path: str) -> None:
    agent, action, tool = state.agent_id, state.action_id, state.tool_id
    if state.execution_type is ExecutionType.ROUTER and (agent or action or tool):
        raise InvalidValueError(path, "a router has neither agent, action nor tool")
    if state.execution_type is ExecutionType.BASIC:  # contract 6.2
        if (agent is None) != (action is None):
            raise InvalidValueError(path, "a basic task has agent and action together")
        if tool and agent:
            raise InvalidValueError(path, "a basic task has agent and action, or a tool, not both")
    if state.parent_state_id == state.task_exec_id:
        raise InvalidReferenceError("task execution", "parent_state_id", state.task_exec_id)


def _check_count(value: object, path: str) -> int:
    return check_int(value, path, minimum=0)


def _check_priority(value: object, path: str) -> int:
    return check_int(value, path, minimum=-MAX_PRIORITY, maximum=MAX_PRIORITY)


def _check_agents(value: object, path: str) -> object:
    if type(value) is not tuple:
        raise InvalidValueError(path, "expected a tuple of ids")
    check_ids(value, path)
    return value


def _choice(choices: type[StrEnum]) -> Check:
    return lambda value, path: check_choice(value, choices, path)


_ENUMS = (Component, ExecutionType, Role, Status)

_BY_TYPE: Mapping[str, Check] = {
    **{one.__name__: _choice(one) for one in _ENUMS},
    "Collection[Status]": lambda value, path: check_choices(value, Status, path),
    "Collection[str]": check_ids,
    "Document": check_document,
    "ErrorInfo": lambda value, path: check_model(value, ErrorInfo, path),
    "UsageSummary": check_usage,
    "bytes": check_bytes,
    "datetime": check_time,
    "int": _check_count,
    "str": check_id,
    "tuple[str, ...]": _check_agents,
}

_BY_NAME: Mapping[str, Check] = {
    "attempt": _check_count,
    "code": check_text,
    "email": check_email,
    "fingerprint": lambda value, path: check_bytes(value, path, length=FINGERPRINT_BYTES),
    "message": check_text,
    "priority": _check_priority,
}
"""The checks of fields whose type alone does not say what they hold."""


def _fields(model: type[Any]) -> Iterator[tuple[str, tuple[type[Any], ...], Check]]:
    """Yield each field of a model, the types whose every value it takes, and its check."""
    own = {"output": check_workflow_output} if model is WorkflowState else {}
    types = model.__annotations__  # as written: attrs may have resolved its own copy
    for name in attrs.fields_dict(model):
        if name != "tasks":  # of a workflow: they are not written with it
            kind = types[name].removesuffix(" | None")
            exact: list[type[Any]] = [one for one in _ENUMS if one.__name__ == kind]
            if kind != types[name]:
                exact.append(type(None))
            yield name, tuple(exact), own.get(name) or _BY_NAME.get(name) or _BY_TYPE[kind]


_FIELDS: Mapping[type[Any], list[tuple[str, tuple[type[Any], ...], Check]]] = {
    model: list(_fields(model))
    for model in (
        *(User, ApiKey, WorkflowState, TaskState, ErrorInfo, UsageEntry, Event, NewEvent),
        *(UserFilter, ApiKeyFilter, WorkflowFilter, TaskFilter),
    )
}
