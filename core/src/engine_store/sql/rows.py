"""Models to rows and back, the same for every SQL driver.

A row is a tuple in the order of its entity's `fields`. JSON goes to the database as text and comes
back as text or bytes, so that no driver's own JSON loader can change a number. What databases
differ in, a driver says in its `Codec`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

import attrs
import orjson
from attrs import frozen

from engine_store.clock import UNSAVED
from engine_store.models import (
    Component,
    ErrorInfo,
    ExecutionType,
    Role,
    Status,
    TaskState,
    UsageEntry,
    UsageSummary,
    WorkflowState,
)
from engine_store.rules.entities import TASK, WORKFLOW, Entity, R
from engine_store.values import Document, fold_email

Row = Sequence[Any]


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


def write_error(error: ErrorInfo | None) -> str | None:
    """Return the JSON text of an error."""
    return None if error is None else orjson.dumps(attrs.asdict(error)).decode()


def _read_error(text: str | bytes) -> ErrorInfo:
    return ErrorInfo(**_loads(text))


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
        values = self._expressions(entity.model, entity.fields, _READS, "")
        return _compiled(
            self.codec,
            entity,
            f"{', '.join(entity.fields)} = row",
            f"model({', '.join(values.values())})",
        )

    def encoder(self, entity: Entity[R, Any]) -> Callable[[R], dict[str, Any]]:
        """Return what makes parameters of a model that is to be written.

        What a store sets is left to it: `created_at` is None unless the state has one, and
        `updated_at` is not there.
        """
        values = self._expressions(entity.model, entity.fields, _WRITES, "row.")
        values.pop("updated_at", None)
        values["created_at"] = f"None if row.created_at == UNSAVED else {values['created_at']}"
        if "email" in values:
            values["email_folded"] = "fold_email(row.email)"
        return self._encoder(entity, values)

    def filter_encoder(self, entity: Entity[Any, Any]) -> Callable[[Any], dict[str, Any]]:
        """Return what makes parameters of the entity's filter."""
        model = type(entity.everything)
        return self._encoder(
            entity, self._expressions(model, attrs.fields_dict(model), _WRITES, "row.")
        )

    def _encoder(
        self, entity: Entity[Any, Any], values: Mapping[str, str]
    ) -> Callable[[Any], dict[str, Any]]:
        pairs = ", ".join(f"{name!r}: {expression}" for name, expression in values.items())
        return _compiled(self.codec, entity, "pass", f"{{{pairs}}}")

    def _expressions(
        self, model: type[Any], fields: Iterable[str], templates: Mapping[str, str], prefix: str
    ) -> dict[str, str]:
        """Return for each field the expression that converts it."""
        types = model.__annotations__  # as written: attrs may have resolved its own copy
        times = {"read_time": self.codec.read_time, "write_time": self.codec.write_time}
        same = [name for name, convert in times.items() if convert is _same]
        found = {}
        for name in fields:
            template = templates.get(types[name], "{}")
            if any(function in template for function in same):
                template = "{}"
            found[name] = template.replace("{}", f"{prefix}{name}")
        return found


_ENUMS: dict[str, type[StrEnum]] = {
    enum.__name__: enum for enum in (Status, Component, ExecutionType, Role)
}

_READS = {
    **{name: f"{name}[{{}}]" for name in _ENUMS},
    "bytes": "bytes({})",
    "datetime": "read_time({})",
    "datetime | None": "None if {} is None else read_time({})",
    "Document | None": "None if {} is None else _loads({})",
    "ErrorInfo | None": "None if {} is None else _read_error({})",
    "UsageSummary": "_NO_USAGE if {} == _NO_USAGE_TEXT else read_usage({})",
}
"""The model's value of a column, by the field's type, as an expression; others stay as they are."""

_WRITES = {
    **dict.fromkeys(_ENUMS, "{}.value"),
    **dict.fromkeys([f"{name} | None" for name in _ENUMS], "None if {} is None else {}.value"),
    **dict.fromkeys(
        ["Collection[str] | None", "Collection[Status] | None"],
        "None if {} is None else write_collection({})",
    ),
    "datetime": "write_time({})",
    "datetime | None": "None if {} is None else write_time({})",
    "Document | None": "write_document({})",
    "ErrorInfo | None": "write_error({})",
    "UsageSummary": "write_usage({})",
}
"""The parameter of a field, by its type, as an expression; others stay as they are."""


@cache
def _compiled(
    codec: Codec, entity: Entity[Any, Any], first: str, result: str
) -> Callable[[Any], Any]:
    """Return a function of `row` that runs `first` and returns `result`.

    It is compiled, as attrs compiles an `__init__`: a loop over converters instead cost a page
    of tasks 15 % of its throughput. All stores of a codec share it: to compile all took a third of
    the 3 milliseconds in which a SQLite file is opened.
    """
    closure = {
        "UNSAVED": UNSAVED,
        "fold_email": fold_email,
        "model": entity.model,
        "read_time": codec.read_time,
        "write_time": codec.write_time,
        "write_collection": codec.write_collection,
        **{name: {one.value: one for one in members} for name, members in _ENUMS.items()},
    }
    source = f"""def make({", ".join(closure)}):
    def convert(row):
        {first}
        return {result}
    return convert"""
    made: dict[str, Callable[..., Callable[[Any], Any]]] = {}
    code = compile(source, f"<{__name__} {entity.name}>", "exec")  # named so in profiles
    exec(code, globals(), made)  # noqa: S102 - of names of fields and the texts above
    return made["make"](**closure)


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
