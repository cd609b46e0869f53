"""Checks of whole arguments against the value domain, before any driver sees them.

Every repository method calls the check of its argument first; a driver that implements the
Protocols by itself does so too. All raise `InvalidValueError` with the path to the value.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TypeVar

import orjson

from engine_store.clock import UNSAVED
from engine_store.errors import InvalidReferenceError, InvalidValueError
from engine_store.models import (
    TERMINAL,
    ApiKey,
    ApiKeyFilter,
    Component,
    ErrorInfo,
    ExecutionType,
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
    MAX_ID_LENGTH,
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
)

FINGERPRINT_BYTES = 32

_OPTIONAL_COUNTS = (
    "total_tokens",
    "reasoning_tokens",
    "cached_prompt_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
)

_T = TypeVar("_T")


def check_user(user: User, path: str = "user") -> None:
    """A user to be written (contract 4.1)."""
    _check_class(user, User, path)
    check_id(user.user_id, f"{path}.user_id")
    check_email(user.email, f"{path}.email")
    check_choice(user.role, Role, f"{path}.role")
    _check_stamps(user, path)


def check_api_key(key: ApiKey, path: str = "key") -> None:
    """An API key to be written (contract 4.4)."""
    _check_class(key, ApiKey, path)
    check_id(key.key_id, f"{path}.key_id")
    check_id(key.user_id, f"{path}.user_id")
    check_id(key.prefix, f"{path}.prefix")
    check_bytes(key.fingerprint, f"{path}.fingerprint", length=FINGERPRINT_BYTES)
    check_bytes(key.hash, f"{path}.hash")
    check_time(key.created_at, f"{path}.created_at")
    if key.last_used is not None:
        check_time(key.last_used, f"{path}.last_used")


def check_workflow(state: WorkflowState, path: str = "workflow") -> None:
    """A workflow state to be written (contract 1 and 5); its `tasks` are not written."""
    _check_class(state, WorkflowState, path)
    check_id(state.workflow_exec_id, f"{path}.workflow_exec_id")
    check_id(state.workflow_id, f"{path}.workflow_id")
    _check_payload(state, path)


def check_task(state: TaskState, path: str = "task") -> None:
    """A task state to be written (contract 1 and 6.2).

    Raises `InvalidReferenceError` for a task that is its own parent (contract 6.1).
    """
    _check_class(state, TaskState, path)
    _check_ids(state, ("workflow_exec_id", "task_exec_id", "task_id", "workflow_id"), path)
    check_choice(state.component, Component, f"{path}.component")
    check_choice(state.execution_type, ExecutionType, f"{path}.execution_type")
    actors = ("parent_state_id", "agent_id", "action_id", "tool_id")
    _check_ids(state, actors, path, optional=True)
    _check_actor(state, path)
    _check_payload(state, path)
    if state.parent_state_id == state.task_exec_id:
        raise InvalidReferenceError("task execution", "parent_state_id", state.task_exec_id)


def check_restored(state: User | ApiKey | WorkflowState | TaskState, path: str) -> None:
    """What a store has set of a state to be restored (contract 2.9).

    After the check of its kind. An API key has neither a version nor an `updated_at`.
    """
    if state.created_at == UNSAVED:
        raise InvalidValueError(f"{path}.created_at", "expected a time, found none")
    if isinstance(state, ApiKey):
        return
    check_int(state.version, f"{path}.version", minimum=1)
    if state.updated_at < state.created_at:
        raise InvalidValueError(f"{path}.updated_at", "expected a time from created_at on")


def check_usage(usage: UsageSummary, path: str = "usage") -> None:
    """A usage summary in canonical form, with counts in range (contract 7)."""
    _check_class(usage, UsageSummary, path)
    if type(usage.entries) is not tuple:
        raise InvalidValueError(f"{path}.entries", "expected a tuple of UsageEntry")
    for index, entry in enumerate(usage.entries):
        _check_usage_entry(entry, f"{path}.entries[{index}]")
    if not usage.is_canonical:
        raise InvalidValueError(
            path, "expected merged and sorted entries; build it with UsageSummary.of(entries)"
        )


def check_user_filter(filter: UserFilter, path: str = "filter") -> None:
    """A filter of users."""
    _check_class(filter, UserFilter, path)
    if filter.role is not None:
        check_choice(filter.role, Role, f"{path}.role")


def check_api_key_filter(filter: ApiKeyFilter, path: str = "filter") -> None:
    """A filter of API keys."""
    _check_class(filter, ApiKeyFilter, path)
    check_optional_id(filter.user_id, f"{path}.user_id")


def check_workflow_filter(filter: WorkflowFilter, path: str = "filter") -> None:
    """A filter of workflow executions."""
    _check_class(filter, WorkflowFilter, path)
    check_optional_id(filter.workflow_id, f"{path}.workflow_id")
    check_choices(filter.statuses, Status, f"{path}.statuses")
    check_ids(filter.workflow_exec_ids, f"{path}.workflow_exec_ids")
    for name in ("created_from", "created_before"):
        if getattr(filter, name) is not None:
            check_time(getattr(filter, name), f"{path}.{name}")


def check_task_filter(filter: TaskFilter, path: str = "filter") -> None:
    """A filter of task executions."""
    _check_class(filter, TaskFilter, path)
    ids = ("workflow_exec_id", "task_id", "parent_state_id", "agent_id", "action_id", "tool_id")
    _check_ids(filter, ids, path, optional=True)
    check_choices(filter.statuses, Status, f"{path}.statuses")
    check_ids(filter.task_exec_ids, f"{path}.task_exec_ids")
    if filter.execution_type is not None:
        check_choice(filter.execution_type, ExecutionType, f"{path}.execution_type")


def check_purge(older_than: object, statuses: object, batch_size: object) -> None:
    """The arguments of `purge` (contract 5.6); unlike in a filter, None does not mean all."""
    check_time(older_than, "older_than")
    if statuses is None:
        raise InvalidValueError("statuses", "expected a collection, found None")
    check_choices(statuses, Status, "statuses")
    check_limit(batch_size, "batch_size")


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
        position = datetime.fromisoformat(created_at)
        check_time(position, "cursor")
        check_id(key, "cursor")
    except (ValueError, TypeError):
        raise InvalidValueError("cursor", "expected the next_cursor of a page") from None
    if found != kind:
        raise InvalidValueError("cursor", f"expected a cursor of {kind}, found another list's")
    return position, key


# --- what the checks above share ---------------------------------------------------------------


def _check_class(value: object, expected: type[_T], path: str) -> None:
    if type(value) is not expected:
        raise InvalidValueError(path, f"expected {expected.__name__}, found {type(value).__name__}")


def _check_stamps(state: User | WorkflowState | TaskState, path: str) -> None:
    check_int(state.version, f"{path}.version", minimum=0)
    check_time(state.created_at, f"{path}.created_at")
    check_time(state.updated_at, f"{path}.updated_at")


def _check_payload(state: WorkflowState | TaskState, path: str) -> None:
    check_choice(state.status, Status, f"{path}.status")
    check_document(state.input, f"{path}.input")
    check_document(state.output, f"{path}.output")
    if state.error is not None:
        _check_error(state.error, f"{path}.error")
    check_usage(state.usage, f"{path}.usage")
    _check_stamps(state, path)


def _check_error(error: ErrorInfo, path: str) -> None:
    _check_class(error, ErrorInfo, path)
    check_text(error.message, f"{path}.message")
    if error.code is not None:
        check_text(error.code, f"{path}.code")
    check_document(error.details, f"{path}.details")


def _check_actor(state: TaskState, path: str) -> None:
    """Contract 6.2: who may run a basic task and a router."""
    agent, action, tool = state.agent_id, state.action_id, state.tool_id
    if state.execution_type is ExecutionType.ROUTER and (agent or action or tool):
        raise InvalidValueError(path, "a router has neither agent, action nor tool")
    if state.execution_type is ExecutionType.BASIC:
        if (agent is None) != (action is None):
            raise InvalidValueError(path, "a basic task has agent and action together")
        if tool and agent:
            raise InvalidValueError(path, "a basic task has agent and action, or a tool, not both")


def _check_usage_entry(entry: UsageEntry, path: str) -> None:
    _check_class(entry, UsageEntry, path)
    _check_ids(entry, ("provider", "model"), path)
    _check_ids(entry, ("source",), path, optional=True)
    check_int(entry.prompt_tokens, f"{path}.prompt_tokens", minimum=0)
    check_int(entry.completion_tokens, f"{path}.completion_tokens", minimum=0)
    for name in _OPTIONAL_COUNTS:
        if getattr(entry, name) is not None:
            check_int(getattr(entry, name), f"{path}.{name}", minimum=0)
    if type(entry.agent_ids) is not tuple:
        raise InvalidValueError(f"{path}.agent_ids", "expected a tuple of ids")
    for index, agent_id in enumerate(entry.agent_ids):
        check_id(agent_id, f"{path}.agent_ids[{index}]")
    for name in ("captured_at", "updated_at"):
        if getattr(entry, name) is not None:
            check_time(getattr(entry, name), f"{path}.{name}")


def _check_ids(
    state: object, fields: tuple[str, ...], path: str, *, optional: bool = False
) -> None:
    """Each of `fields` is an id, or where it is optional None."""
    for name in fields:
        value = getattr(state, name)
        if optional and value is None:
            continue
        # The usual id passes here, so that no path is built for it.
        if (
            type(value) is str
            and value.isascii()
            and 0 < len(value) <= MAX_ID_LENGTH
            and "\0" not in value
        ):
            continue
        check_id(value, f"{path}.{name}")


__all__ = [
    "FINGERPRINT_BYTES",
    "PURGED_BY_DEFAULT",
    "check_api_key",
    "check_api_key_filter",
    "check_purge",
    "check_restored",
    "check_task",
    "check_task_filter",
    "check_usage",
    "check_user",
    "check_user_filter",
    "check_workflow",
    "check_workflow_filter",
    "decode_cursor",
    "encode_cursor",
]
