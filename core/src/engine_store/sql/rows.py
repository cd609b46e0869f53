"""Models to rows and back, the same for every SQL driver.

A row is a tuple in the order of its entity's `fields`. JSON goes to the database as text and comes
back as text or bytes, so that no driver's own JSON loader can change a number. What databases
differ in, a driver says in its `Codec`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache, partial
from typing import Any, NoReturn, TypeAlias

import attrs
import orjson
from attrs import frozen

from engine_store.clock import UNSAVED
from engine_store.errors import DamagedRowError, names
from engine_store.models import (
    Claim,
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


@frozen
class Table:
    """Rows that are no entity, of which columns are read one by one, as a model's fields."""

    name: str
    repository: str
    model: type[Any]


LEASES = Table("lease", "leases", Claim)

Source: TypeAlias = Entity[Any, Any] | Table

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
    error = ErrorInfo(**_loads(text))
    for value, kind in ((error.message, str), (error.code, str), (error.details, dict)):
        if type(value) is not kind and (value is not None or value is error.message):
            _refuse()
    return error


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
    """Return what `write_usage` wrote. Raises `ValueError` and others for anything else."""
    entries = _loads(text)
    if type(entries) is not list:
        _refuse()
    return UsageSummary(tuple([_read_entry(entry) for entry in entries])) if entries else _NO_USAGE


_KINDS_IN_USAGE: dict[str, type[Any]] = {
    name: {"int": int, "tuple[str, ...]": list}.get(kind.removesuffix(" | None"), str)
    for name, kind in UsageEntry.__annotations__.items()
}


def _read_entry(fields: dict[str, Any]) -> UsageEntry:
    # By hand, as in write_usage: half the time of a converter, for every row that has usage.
    if [*map(type, fields.values())] != [*map(_KINDS_IN_USAGE.get, fields)]:
        _refuse()
    fields["agent_ids"] = agents = tuple(fields["agent_ids"])
    "".join(agents)  # raises if one is no text
    for name in ("captured_at", "updated_at"):
        if name in fields:
            fields[name] = time = datetime.fromisoformat(fields[name])
            if time.tzinfo is not UTC:
                _in_utc(time)
    entry = UsageEntry(**fields)
    if entry.prompt_tokens | entry.completion_tokens | (entry.total_tokens or 0) < 0:
        _refuse()
    return entry


# --- what cannot be read -----------------------------------------------------------------------


def _refuse() -> NoReturn:
    raise ValueError("not what a store writes")


def _in_utc(time: datetime) -> datetime:
    """Return an aware time in UTC, whatever object says so; refuse any other value."""
    if time.tzinfo is not UTC and time.utcoffset() != timedelta():
        _refuse()
    return time


def _read_bytes(value: bytes | memoryview) -> bytes:
    if not isinstance(value, bytes | memoryview):
        _refuse()
    return bytes(value)


def damaged(entity: Source, column: str, key: object) -> DamagedRowError:
    """Return the error for a column, in the row of this key, that cannot be read."""
    kind = entity.model.__annotations__[column].removesuffix(" | None")
    expected = _EXPECTED.get(column) or _EXPECTED.get(kind) or f"one of {names(list(_ENUMS[kind]))}"
    return DamagedRowError(
        entity.repository, key if isinstance(key, str) else None, column, expected
    )


_EXPECTED = {
    "Document": "a JSON object",
    "ErrorInfo": "the JSON object of an error",
    "UsageSummary": "the JSON array of a usage summary",
    "attempt": "an integer from 0",
    "bytes": "bytes",
    "datetime": "a time in UTC",
    "int": "an integer from 1",
    "priority": "an integer",
    "str": "text",
}


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
        """Return a collection of strings as a parameter, or None.

        Those of the caller are checked, so that what is no string is a stored id.
        """
        try:
            return None if values is None else self.codec.write_collection(values)
        except TypeError as error:
            raise damaged(WORKFLOW, "workflow_exec_id", None) from error

    def decoder(self, entity: Entity[R, Any]) -> Callable[[Row], R]:
        """Return what makes a model of a row. It raises `DamagedRowError` for what is none.

        Which column that is, is found out only then.
        """
        values = _expressions(self.codec, entity.model, entity.fields, _READS)
        unpacked = f"{', '.join(entity.fields)} = row"
        return _compiled(
            self.codec, entity, unpacked, f"model({', '.join(values.values())})", named=True
        )

    def column_reader(self, entity: Source, column: str) -> Callable[..., Any]:
        """Return what reads a value of one column; for errors it gets the key of the row."""
        read = _column(self.codec, entity, column)

        def read_column(value: Any, key: str | None = None) -> Any:
            try:
                return read(value)
            except Exception as error:
                raise damaged(entity, column, key) from error

        return read_column

    def encoder(self, entity: Entity[R, Any]) -> Callable[[R], dict[str, Any]]:
        """Return what makes parameters of a model that is to be written.

        What a store sets is left to it: `created_at` is None unless the state has one, and
        `updated_at` and counters are not there.
        """
        values = _expressions(self.codec, entity.model, entity.fields, _WRITES, "row.")
        for name in ("updated_at", *entity.counters):
            values.pop(name, None)
        values["created_at"] = f"None if row.created_at == UNSAVED else {values['created_at']}"
        if "email" in values:
            values["email_folded"] = "fold_email(row.email)"
        return self._encoder(entity, values)

    def filter_encoder(self, entity: Entity[Any, Any]) -> Callable[[Any], dict[str, Any]]:
        """Return what makes parameters of the entity's filter."""
        model = type(entity.everything)
        fields = attrs.fields_dict(model)
        return self._encoder(entity, _expressions(self.codec, model, fields, _WRITES, "row."))

    def _encoder(
        self, entity: Entity[Any, Any], values: Mapping[str, str]
    ) -> Callable[[Any], dict[str, Any]]:
        pairs = ", ".join(f"{name!r}: {expression}" for name, expression in values.items())
        return _compiled(self.codec, entity, "pass", f"{{{pairs}}}")


_ENUMS: dict[str, type[StrEnum]] = {
    enum.__name__: enum for enum in (Status, Component, ExecutionType, Role)
}

_READ_TIME = "{} if ({} := read_time({})).tzinfo is UTC else _in_utc({})"
_READ_OBJECT = "{} if ({} := _loads({})).__class__ is dict else _refuse()"
_READS = {
    **{name: f"{name}[{{}}]" for name in _ENUMS},
    "bytes": "_read_bytes({})",
    "datetime": _READ_TIME,
    "datetime | None": f"None if {{}} is None else {_READ_TIME}",
    "Document | None": f"None if {{}} is None else {_READ_OBJECT}",
    "ErrorInfo | None": "None if {} is None else _read_error({})",
    "UsageSummary": "_NO_USAGE if {} == _NO_USAGE_TEXT else read_usage({})",
    "int": "{} if {}.__class__ is int and {} > 0 else _refuse()",
    "attempt": "{} if {}.__class__ is int and {} >= 0 else _refuse()",
    "priority": "{} if {}.__class__ is int else _refuse()",
    "str": "{} if {}.__class__ is str else _refuse()",
    "str | None": "{} if {} is None or {}.__class__ is str else _refuse()",
}
"""The model's value of a column, by the field's name or type, as an expression that raises if the
value is none. No function is called for what is right: it takes 0.2 microseconds of a row."""

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


def _expressions(
    codec: Codec,
    model: type[Any],
    fields: Iterable[str],
    templates: Mapping[str, str],
    prefix: str = "",
) -> dict[str, str]:
    """Return for each field the expression that converts it."""
    types = model.__annotations__  # as written: attrs may have resolved its own copy
    times = {"read_time({})": codec.read_time, "write_time({})": codec.write_time}
    found = {}
    for name in fields:
        template = templates.get(name) or templates.get(types[name], "{}")
        for call, convert in times.items():
            if convert is _same:
                template = template.replace(call, "{}")
        found[name] = template.replace("{}", f"{prefix}{name}")
    return found


@cache
def _compiled(
    codec: Codec, entity: Source, first: str, result: str, *, named: bool = False
) -> Callable[[Any], Any]:
    """Return a function of `row` that runs `first` and returns `result`.

    With `named` an error of these is raised as `DamagedRowError`, with the name of the column.

    It is compiled, as attrs compiles an `__init__`: a loop over converters instead cost a page
    of tasks 15 % of its throughput. All stores of a codec share it: to compile all took a third of
    the 3 milliseconds in which a SQLite file is opened.
    """
    closure = {
        "UNSAVED": UNSAVED,
        "fold_email": fold_email,
        "model": entity.model,
        "check_columns": partial(_check_columns, codec, entity)
        if named and isinstance(entity, Entity)
        else lambda *_: None,
        "read_time": codec.read_time,
        "write_time": codec.write_time,
        "write_collection": codec.write_collection,
        **{name: {one.value: one for one in members} for name, members in _ENUMS.items()},
    }
    source = f"""def make({", ".join(closure)}):
    def convert(row):
        try:
            {first}
            return {result}
        except Exception as error:
            check_columns(row, error)
            raise
    return convert"""
    made: dict[str, Callable[..., Callable[[Any], Any]]] = {}
    code = compile(source, f"<{__name__} {entity.name}>", "exec")  # named so in profiles
    exec(code, globals(), made)  # noqa: S102 - of names of fields and the texts above
    return made["make"](**closure)


@cache
def _column(codec: Codec, entity: Source, column: str) -> Callable[[Any], Any]:
    """Return what reads a value of one column, alone."""
    (expression,) = _expressions(codec, entity.model, [column], _READS).values()
    return _compiled(codec, entity, f"{column} = row", expression)


def _check_columns(codec: Codec, entity: Entity[Any, Any], row: Row, error: Exception) -> None:
    """Raise `DamagedRowError` for the first column of a row that cannot be read."""
    for column, value in zip(entity.fields, row, strict=True):
        try:
            _column(codec, entity, column)(value)
        except Exception:  # noqa: BLE001 - whatever is raised, it is no such value
            key = row[entity.fields.index(entity.key_field)]
            raise damaged(entity, column, key) from error


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
            if state is not None:
                raise damaged(TASK, "task_exec_id", None)
            state = workflow_of([row[place] for place in _WORKFLOW_PLACES])
        else:
            tasks.append(task_of(row))
    if state is None:
        return None
    tasks.sort(key=TASK.position)
    return attrs.evolve(state, tasks={task.task_id: task for task in tasks})
