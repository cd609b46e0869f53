"""Models to rows and back, the same for every SQL driver.

A row is a tuple in the order of the `*_COLUMNS` here, which is the order of the model's fields.
JSON goes to the database as text and comes back as text or bytes, so that no driver's own JSON
loader can change a number. What databases differ in, a driver says in its `Codec`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

import attrs
import orjson
from attrs import frozen

from engine_store.clock import UNSAVED
from engine_store.models import (
    ApiKey,
    Component,
    ErrorInfo,
    ExecutionType,
    Role,
    Status,
    TaskState,
    UsageEntry,
    UsageSummary,
    User,
    WorkflowState,
)
from engine_store.values import Document, fold_email

Row = Sequence[Any]


@frozen
class Codec:
    """How a driver passes and receives what its database may have no type for."""

    write_time: Callable[[datetime], Any]
    read_time: Callable[[Any], datetime]
    write_collection: Callable[[Collection[str]], Any]


USER_COLUMNS = tuple(attrs.fields_dict(User))
API_KEY_COLUMNS = tuple(attrs.fields_dict(ApiKey))
WORKFLOW_COLUMNS = tuple(name for name in attrs.fields_dict(WorkflowState) if name != "tasks")
TASK_COLUMNS = tuple(attrs.fields_dict(TaskState))
_TASK_EXEC_ID = TASK_COLUMNS.index("task_exec_id")
_WORKFLOW_PLACES = tuple(TASK_COLUMNS.index(name) for name in WORKFLOW_COLUMNS)

_loads = orjson.loads
_STATUS: dict[str, Status] = {status.value: status for status in Status}
_COMPONENT: dict[str, Component] = {component.value: component for component in Component}
_EXECUTION_TYPE: dict[str, ExecutionType] = {kind.value: kind for kind in ExecutionType}
_NO_USAGE = UsageSummary()
_NO_USAGE_TEXT = "[]"


# --- JSON --------------------------------------------------------------------------------------


def write_document(document: Document | None) -> str | None:
    """The JSON text of a document that passed `check_document`."""
    return None if document is None else orjson.dumps(document).decode()


def write_error(error: ErrorInfo | None) -> str | None:
    """The JSON text of an error."""
    return None if error is None else orjson.dumps(attrs.asdict(error)).decode()


def write_usage(usage: UsageSummary) -> str:
    """The JSON text of a usage summary: an array of its entries."""
    if not usage.entries:
        return _NO_USAGE_TEXT
    entries = [
        {name: value for name, value in vars(entry).items() if value is not None}
        for entry in usage.entries
    ]
    return orjson.dumps(entries).decode()


def read_usage(text: str | bytes) -> UsageSummary:
    """What `write_usage` wrote."""
    entries = _loads(text)
    return UsageSummary(tuple([_read_entry(entry) for entry in entries])) if entries else _NO_USAGE


def _read_entry(fields: dict[str, Any]) -> UsageEntry:
    # By hand, as in write_usage: half the time of a converter, for every row that has usage.
    fields["agent_ids"] = tuple(fields["agent_ids"])
    for name in ("captured_at", "updated_at"):
        if name in fields:
            fields[name] = datetime.fromisoformat(fields[name])
    return UsageEntry(**fields)


def _read_error(text: str | bytes | None) -> ErrorInfo | None:
    return None if text is None else ErrorInfo(**_loads(text))


# --- rows --------------------------------------------------------------------------------------


@frozen
class Rows:
    """Encodes models as parameters and decodes rows, with a driver's codec."""

    codec: Codec

    def time(self, time: datetime | None) -> Any:
        """A time as a parameter, or None."""
        return None if time is None else self.codec.write_time(time)

    def stated(self, created_at: datetime) -> Any:
        """`created_at` of a state to be written; None where it states none."""
        return None if created_at == UNSAVED else self.codec.write_time(created_at)

    def stamps(self, state: User | WorkflowState | TaskState) -> dict[str, Any]:
        """The parameters of a state that says what a store has set (contract 2.9)."""
        write_time = self.codec.write_time
        return {
            "version": state.version,
            "created_at": write_time(state.created_at),
            "updated_at": write_time(state.updated_at),
        }

    def collection(self, values: Collection[str] | None) -> Any:
        """A collection of strings as a parameter, or None."""
        return None if values is None else self.codec.write_collection(values)

    def user_parameters(self, user: User) -> dict[str, Any]:
        """The parameters of a user to be written."""
        return {
            "user_id": user.user_id,
            "email": user.email,
            "email_folded": fold_email(user.email),
            "role": user.role.value,
            "version": user.version,
            "created_at": self.stated(user.created_at),
        }

    def user(self, row: Row) -> User:
        """The user in a row of `USER_COLUMNS`."""
        user_id, email, role, version, created_at, updated_at = row
        read_time = self.codec.read_time
        return User(
            user_id, email, Role(role), version, read_time(created_at), read_time(updated_at)
        )

    def api_key_parameters(self, key: ApiKey) -> dict[str, Any]:
        """The parameters of an API key to be written."""
        return {
            "key_id": key.key_id,
            "user_id": key.user_id,
            "prefix": key.prefix,
            "fingerprint": key.fingerprint,
            "hash": key.hash,
            "last_used": self.time(key.last_used),
        }

    def api_key(self, row: Row) -> ApiKey:
        """The API key in a row of `API_KEY_COLUMNS`."""
        key_id, user_id, prefix, fingerprint, hash_, created_at, last_used = row
        read_time = self.codec.read_time
        return ApiKey(
            key_id,
            user_id,
            prefix,
            bytes(fingerprint),
            bytes(hash_),
            read_time(created_at),
            None if last_used is None else read_time(last_used),
        )

    def workflow_parameters(self, state: WorkflowState) -> dict[str, Any]:
        """The parameters of a workflow state to be written."""
        return {
            "workflow_exec_id": state.workflow_exec_id,
            "workflow_id": state.workflow_id,
            "status": state.status.value,
            "input": write_document(state.input),
            "output": write_document(state.output),
            "error": write_error(state.error),
            "usage": write_usage(state.usage),
            "version": state.version,
            "created_at": self.stated(state.created_at),
        }

    def workflow(self, row: Row) -> WorkflowState:
        """The workflow state in a row of `WORKFLOW_COLUMNS`, without its tasks."""
        (
            workflow_exec_id,
            workflow_id,
            status,
            input_,
            output,
            error,
            usage,
            version,
            created_at,
            updated_at,
        ) = row
        read_time = self.codec.read_time
        return WorkflowState(
            workflow_exec_id,
            workflow_id,
            _STATUS[status],
            None if input_ is None else _loads(input_),
            None if output is None else _loads(output),
            None if error is None else _read_error(error),
            _NO_USAGE if usage == _NO_USAGE_TEXT else read_usage(usage),
            version,
            read_time(created_at),
            read_time(updated_at),
        )

    def workflow_with_tasks(self, rows: Sequence[Row]) -> WorkflowState | None:
        """The workflow state with its tasks in rows of `TASK_COLUMNS`, which come in any order.

        One row is the workflow's, with null where only a task has a value. None: there is none.
        """
        state: WorkflowState | None = None
        tasks = []
        for row in rows:
            if row[_TASK_EXEC_ID] is None:
                state = self.workflow([row[place] for place in _WORKFLOW_PLACES])
            else:
                tasks.append(self.task(row))
        if state is None:
            return None
        tasks.sort(key=lambda task: (task.created_at, task.task_exec_id))
        return attrs.evolve(state, tasks={task.task_id: task for task in tasks})

    def task_parameters(self, state: TaskState) -> dict[str, Any]:
        """The parameters of a task state to be written."""
        return {
            "workflow_exec_id": state.workflow_exec_id,
            "task_exec_id": state.task_exec_id,
            "task_id": state.task_id,
            "workflow_id": state.workflow_id,
            "component": state.component.value,
            "execution_type": state.execution_type.value,
            "status": state.status.value,
            "parent_state_id": state.parent_state_id,
            "agent_id": state.agent_id,
            "action_id": state.action_id,
            "tool_id": state.tool_id,
            "input": write_document(state.input),
            "output": write_document(state.output),
            "error": write_error(state.error),
            "usage": write_usage(state.usage),
            "version": state.version,
            "created_at": self.stated(state.created_at),
        }

    def task(self, row: Row) -> TaskState:
        """The task state in a row of `TASK_COLUMNS`."""
        (
            workflow_exec_id,
            task_exec_id,
            task_id,
            workflow_id,
            component,
            execution_type,
            status,
            parent_state_id,
            agent_id,
            action_id,
            tool_id,
            input_,
            output,
            error,
            usage,
            version,
            created_at,
            updated_at,
        ) = row
        read_time = self.codec.read_time
        return TaskState(
            workflow_exec_id,
            task_exec_id,
            task_id,
            workflow_id,
            _COMPONENT[component],
            _EXECUTION_TYPE[execution_type],
            _STATUS[status],
            parent_state_id,
            agent_id,
            action_id,
            tool_id,
            None if input_ is None else _loads(input_),
            None if output is None else _loads(output),
            None if error is None else _read_error(error),
            _NO_USAGE if usage == _NO_USAGE_TEXT else read_usage(usage),
            version,
            read_time(created_at),
            read_time(updated_at),
        )
