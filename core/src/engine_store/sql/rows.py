"""Models to rows and back, the same for every SQL driver.

A row is a tuple in the order of its entity's `fields`. JSON goes to the database as text and comes
back as text or bytes, so that no driver's own JSON loader can change a number. What databases
differ in, a driver says in its `Codec`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any

import attrs
import orjson
from attrs import frozen

from engine_store.clock import UNSAVED
from engine_store.entities import TASK, WORKFLOW, Entity, R
from engine_store.models import (
    ErrorInfo,
    TaskState,
    UsageEntry,
    UsageSummary,
    WorkflowState,
)
from engine_store.values import Document, fold_email

Row = Sequence[Any]
Convert = Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


@frozen
class Codec:
    """How a driver passes and receives what its database may have no type for."""

    write_time: Callable[[datetime], Any] = _same
    read_time: Callable[[Any], datetime] = _same
    write_collection: Callable[[Collection[str]], Any] = list


_loads = orjson.loads
_NO_USAGE = UsageSummary()
_NO_USAGE_TEXT = "[]"

# --- JSON --------------------------------------------------------------------------------------


def write_document(document: Document | None) -> str | None:
    """Return the JSON text of a document that passed `check_document`."""
    return None if document is None else orjson.dumps(document).decode()


def read_document(text: str | bytes | None) -> Document | None:
    """Return what `write_document` wrote."""
    return None if text is None else _loads(text)


def write_error(error: ErrorInfo | None) -> str | None:
    """Return the JSON text of an error."""
    return None if error is None else orjson.dumps(attrs.asdict(error)).decode()


def _read_error(text: str | bytes | None) -> ErrorInfo | None:
    return None if text is None else ErrorInfo(**_loads(text))


def write_usage(usage: UsageSummary) -> str:
    """Return the JSON text of a usage summary: an array of its entries."""
    if not usage.entries:
        return _NO_USAGE_TEXT
    entries = [
        {name: value for name, value in vars(entry).items() if value is not None}
        for entry in usage.entries
    ]
    return orjson.dumps(entries).decode()


def read_usage(text: str | bytes) -> UsageSummary:
    """Return what `write_usage` wrote."""
    if text == _NO_USAGE_TEXT:
        return _NO_USAGE
    entries = _loads(text)
    return UsageSummary(tuple([_read_entry(entry) for entry in entries])) if entries else _NO_USAGE


def _read_entry(fields: dict[str, Any]) -> UsageEntry:
    # By hand, as in write_usage: half the time of a converter, for every row that has usage.
    fields["agent_ids"] = tuple(fields["agent_ids"])
    for name in ("captured_at", "updated_at"):
        if name in fields:
            fields[name] = datetime.fromisoformat(fields[name])
    return UsageEntry(**fields)


# --- rows --------------------------------------------------------------------------------------


class Rows:
    """Encodes models as parameters and decodes rows, with a driver's codec."""

    def __init__(self, codec: Codec) -> None:
        """Rows as `codec` writes and reads them."""
        self.codec = codec

    def time(self, time: datetime | None) -> Any:
        """Return a time as a parameter, or None."""
        return None if time is None else self.codec.write_time(time)

    def collection(self, values: Collection[str] | None) -> Any:
        """Return a collection of strings as a parameter, or None."""
        return None if values is None else self.codec.write_collection(values)

    def decoder(self, entity: Entity[R, Any]) -> Callable[[Row], R]:
        """Return what makes a model of a row."""
        types = _types(entity)
        converters = [
            (place, convert)
            for place, name in enumerate(entity.fields)
            if (convert := self._reads(types[name])) is not None
        ]
        model: Callable[..., R] = entity.model

        def decode(row: Row) -> R:
            values = list(row)
            for place, convert in converters:
                values[place] = convert(values[place])
            return model(*values)

        return decode

    def encoder(self, entity: Entity[R, Any]) -> Callable[[R], dict[str, Any]]:
        """Return what makes parameters of a model that is to be written.

        The times that a store sets are left to it: `created_at` is None unless the state has one,
        and `updated_at` is not there.
        """
        types = _types(entity)
        names = tuple(name for name in entity.fields if name not in ("created_at", "updated_at"))
        values_of = attrgetter(*names)
        converters = [
            (name, convert) for name in names if (convert := self._writes(types[name])) is not None
        ]
        write_time, has_email = self.codec.write_time, "email" in names

        def encode(state: Any) -> dict[str, Any]:
            parameters = dict(zip(names, values_of(state), strict=True))
            for name, convert in converters:
                parameters[name] = convert(parameters[name])
            created_at = state.created_at
            parameters["created_at"] = None if created_at == UNSAVED else write_time(created_at)
            if has_email:
                parameters["email_folded"] = fold_email(state.email)
            return parameters

        return encode

    def as_saved(self, entity: Entity[R, Any], state: R) -> dict[str, Any]:
        """Return the parameters that a store sets, as they are in a restored state (2.9)."""
        found: dict[str, Any] = {}
        for name in ("version", "created_at", "updated_at"):
            if name in entity.fields:
                value = getattr(state, name)
                found[name] = value if name == "version" else self.codec.write_time(value)
        return found

    def _reads(self, type_: str) -> Convert | None:
        """Return what a column of a field's type becomes; None: it stays as it is."""
        if enum := _ENUMS.get(type_):
            return {member.value: member for member in enum}.__getitem__
        readers: dict[str, Convert] = {
            "bytes": bytes,
            "Document | None": read_document,
            "ErrorInfo | None": _read_error,
            "UsageSummary": read_usage,
        }
        if (read_time := self.codec.read_time) is not _same:
            readers["datetime"] = read_time
            readers["datetime | None"] = lambda value: None if value is None else read_time(value)
        return readers.get(type_)

    def _writes(self, type_: str) -> Convert | None:
        """Return what a field becomes as a parameter; None: it stays as it is."""
        if type_ in _ENUMS:
            return attrgetter("value")
        writers: dict[str, Convert] = {
            "Document | None": write_document,
            "ErrorInfo | None": write_error,
            "UsageSummary": write_usage,
            "datetime | None": self.time,
        }
        return writers.get(type_)


def _types(entity: Entity[Any, Any]) -> dict[str, str]:
    """Return the type of each field, in the words of the model."""
    return {field.name: str(field.type) for field in attrs.fields(entity.model)}


def _enums() -> dict[str, type[StrEnum]]:
    from engine_store.models import states

    return {name: kind for name, kind in vars(states).items() if isinstance(kind, type)}


_ENUMS = _enums()
_TASK_EXEC_ID = TASK.fields.index("task_exec_id")
_WORKFLOW_PLACES = tuple(TASK.fields.index(name) for name in WORKFLOW.fields)


def workflow_with_tasks(
    rows: Sequence[Row],
    workflow_of: Callable[[Row], WorkflowState],
    task_of: Callable[[Row], TaskState],
) -> WorkflowState | None:
    """Return the workflow state with its tasks, from rows of task columns in any order.

    One row is the workflow's, with null in the columns that only a task has. None: there is none.
    """
    state: WorkflowState | None = None
    tasks = []
    for row in rows:
        if row[_TASK_EXEC_ID] is None:
            state = workflow_of([row[place] for place in _WORKFLOW_PLACES])
        else:
            tasks.append(task_of(row))
    if state is None:
        return None
    tasks.sort(key=TASK.position)
    return attrs.evolve(state, tasks={task.task_id: task for task in tasks})
