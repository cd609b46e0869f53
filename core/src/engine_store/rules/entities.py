"""The four entities that a store keeps, each described once.

Operations, the in-memory store, exports and checks read what they need from here, so that a new
field or a new rule of an entity has one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar

import attrs
from attrs import field, frozen

from engine_store.clock import UNSAVED
from engine_store.errors import (
    ApiKeyNotFoundError,
    ImmutableFieldError,
    InvalidValueError,
    NotFoundError,
    TaskNotFoundError,
    UserNotFoundError,
    WorkflowNotFoundError,
)
from engine_store.models import (
    ApiKey,
    ApiKeyFilter,
    Event,
    Page,
    TaskFilter,
    TaskState,
    User,
    UserFilter,
    WorkflowFilter,
    WorkflowState,
)
from engine_store.rules.checks import check_model, check_restored, encode_cursor
from engine_store.rules.sizes import size_of
from engine_store.values import check_size

Row: TypeAlias = User | ApiKey | WorkflowState | TaskState | Event
"""A row, which a store keeps under an id, or an event under its number."""

R = TypeVar("R", User, ApiKey, WorkflowState, TaskState, Event)
F = TypeVar("F", UserFilter, ApiKeyFilter, WorkflowFilter, TaskFilter)

_SIZED = ("Document", "ErrorInfo", "UsageSummary", "bytes")


@frozen(eq=False)
class Entity(Generic[R, F]):
    """One kind of row. Compared by identity.

    `name` is the singular that arguments and exports use, `repository` the plural that stores,
    tables and cursors use. `immutable` fields never change after creation; `created_at` is always
    one of them (contract 2.8).
    """

    name: str
    repository: str
    model: type[R]
    key_field: str
    not_found: type[NotFoundError]
    everything: F
    argument: str
    immutable: tuple[str, ...] = ()
    newest_first: bool = False
    counters: tuple[str, ...] = ()
    """Fields that the store counts, from 0 at creation."""
    fields: tuple[str, ...] = field(init=False)
    """The fields that are stored with the row, in the order of the model."""
    sized: tuple[tuple[str, str], ...] = field(init=False)
    """The fields of no fixed size, which `max_document_bytes` limits, each with its path."""

    def __attrs_post_init__(self) -> None:
        names = tuple(name for name in attrs.fields_dict(self.model) if name != "tasks")
        types = self.model.__annotations__
        sized = [name for name in names if types[name].removesuffix(" | None") in _SIZED]
        object.__setattr__(self, "fields", names)
        object.__setattr__(self, "sized", tuple((n, f"{self.argument}.{n}") for n in sized))

    @property
    def label(self) -> str:
        """The name in errors, such as `task execution`."""
        return self.not_found.entity

    def key(self, row: R) -> str:
        """Return the id of a row."""
        key: str = getattr(row, self.key_field)
        return key

    def of(self, store: object) -> Any:
        """Return its repository in a store or transaction."""
        return getattr(store, self.repository)

    def position(self, row: R) -> tuple[datetime, str]:
        """Return what lists are ordered by (contract 1.6)."""
        return row.created_at, self.key(row)

    def page(self, items: tuple[R, ...], *, more: bool) -> Page[R]:
        """Return a page of a list; with `more`, rows follow after these."""
        if not more:
            return Page(items)
        return Page(items, encode_cursor(self.repository, *self.position(items[-1])))

    def check(self, row: R) -> R:
        """Return a row to be written, in a copy that nobody else can change.

        Raises `InvalidValueError` or `InvalidReferenceError` for a row no store creates.
        """
        return check_model(row, self.model, self.argument)

    def check_sizes(self, row: R, maximum: int) -> R:
        """Return a checked row. Raises `InvalidValueError` if a part of it is too large (1.7)."""
        for name, path in self.sized:
            check_size(size_of(getattr(row, name)), path, maximum)
        return row

    def check_filter(self, filter: F) -> F:
        """Return a filter. Raises `InvalidValueError` if it lists nothing it could mean."""
        return check_model(filter, type(self.everything), "filter")

    def check_restored(self, row: R) -> R:
        """Do as `check` does, and raise for a row without version or times, too (2.9)."""
        checked = self.check(row)
        check_restored(checked, self.argument)
        return checked

    def check_immutable(self, stored: R, given: R) -> None:
        """Raise `ImmutableFieldError` if `given` would change what never changes (contract 2.8)."""
        changed = [name for name in self.immutable if getattr(given, name) != getattr(stored, name)]
        if given.created_at not in (UNSAVED, stored.created_at):
            changed.append("created_at")
        if changed:
            raise ImmutableFieldError(self.label, self.key(stored), changed[0])

    def check_modified(self, stored: R, changed: R) -> None:
        """Raise `InvalidValueError` if `modify` got another row, or kind of it, from `fn`."""
        if type(changed) is not type(stored):
            expected, found = type(stored).__name__, type(changed).__name__
            raise InvalidValueError("fn", f"expected it to return a {expected}, found {found}")
        if (key := self.key(stored)) != self.key(changed):
            raise InvalidValueError("fn", f"expected it to keep the id {key!r}")


USER = Entity(
    name="user",
    repository="users",
    model=User,
    key_field="user_id",
    not_found=UserNotFoundError,
    everything=UserFilter(),
    argument="user",
)
API_KEY = Entity(
    name="api_key",
    repository="api_keys",
    model=ApiKey,
    key_field="key_id",
    not_found=ApiKeyNotFoundError,
    everything=ApiKeyFilter(),
    argument="key",
)
WORKFLOW = Entity(
    name="workflow",
    repository="workflows",
    model=WorkflowState,
    key_field="workflow_exec_id",
    not_found=WorkflowNotFoundError,
    everything=WorkflowFilter(),
    argument="workflow",
    immutable=("workflow_id",),
    newest_first=True,
)
TASK = Entity(
    name="task",
    repository="tasks",
    model=TaskState,
    key_field="task_exec_id",
    not_found=TaskNotFoundError,
    everything=TaskFilter(),
    argument="task",
    immutable=("workflow_exec_id", "parent_state_id"),
    counters=("attempt",),
)


class _OfAWorkflow(Entity[Event, Any]):
    """Rows that are numbered in their workflow, and have no id of their own."""

    def key(self, row: Event) -> str:
        return f"{row.workflow_exec_id}/{row.number}"

    def position(self, row: Event) -> tuple[Any, str]:
        return row.number, row.workflow_exec_id


EVENT = _OfAWorkflow(
    name="event",
    repository="events",
    model=Event,
    key_field="number",
    not_found=NotFoundError,
    everything=None,
    argument="event",
)

ENTITIES: tuple[Entity[Any, Any], ...] = (USER, API_KEY, WORKFLOW, TASK)
"""Entities with an id and lists, in the order in which rows refer to one another."""

ALL: tuple[Entity[Any, Any], ...] = (*ENTITIES, EVENT)
"""All that is exported, in the same order."""

BY_NAME: Mapping[str, Entity[Any, Any]] = {entity.name: entity for entity in ALL}
BY_MODEL: Mapping[type[Any], Entity[Any, Any]] = {entity.model: entity for entity in ALL}


def check_arguments(
    args: Iterable[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments of a method, whose rows are checked copies.

    For calls that wait before they check: what is stored is what was given.
    """
    return tuple(map(_checked, args)), {name: _checked(value) for name, value in kwargs.items()}


def _checked(argument: Any) -> Any:
    entity = BY_MODEL.get(type(argument))
    return argument if entity is None else entity.check(argument)
