"""Rules that call every method of the repositories, with arguments drawn by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import Any, TypeAlias, TypeVar

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, multiple, rule

from engine_store.clock import UNSAVED
from engine_store.models import ExecutionType, Role
from engine_store.protocols import Repositories
from engine_store.rules.entities import API_KEY, ENTITIES, TASK, USER, WORKFLOW, Entity
from engine_store_contracts import strategies as some
from engine_store_contracts.machine.base import SideBySide, limits
from engine_store_contracts.machine.claims import METHODS as CLAIMING
from engine_store_contracts.machine.script import Written, change
from engine_store_contracts.suite.calls import methods_of

M = TypeVar("M", bound=SideBySide)

Kind: TypeAlias = Entity[Any, Any]
Methods: TypeAlias = Mapping[str, Sequence[Parameter]]
Rule: TypeAlias = Callable[..., MultipleResults[Any]]

TRANSFORMS = [
    None,
    Written(
        'lambda state: {"tasks": sorted(state.tasks)}',
        lambda state: {"tasks": sorted(state.tasks)},
    ),
    Written("lambda state: state.input", lambda state: state.input),
    Written('lambda state: {"bad": {1}}', lambda state: {"bad": {1}}),
    Written("lambda state: state.tasks['\\0']", lambda state: state.tasks["\0"]),
]

DRAWN: Mapping[str, st.SearchStrategy[Any]] = {
    "user_id": some.user_ids,
    "email": some.emails,
    "role": st.sampled_from(Role),
    "key_id": some.key_ids,
    "prefix": some.prefixes,
    "fingerprint": some.fingerprints,
    "at": some.times,
    "workflow_exec_id": some.workflow_exec_ids,
    "workflow_exec_ids": st.lists(some.workflow_exec_ids, max_size=3),
    "workflow_id": some.workflow_ids,
    "task_exec_id": some.task_exec_ids,
    "task_exec_ids": st.lists(some.task_exec_ids, max_size=3),
    "parent_state_id": some.task_exec_ids,
    "root": some.task_exec_ids,
    "max_depth": st.integers(0, 4),
    "with_tasks": st.booleans(),
    "task_id": some.task_ids,
    "agent_id": some.agent_ids,
    "action_id": some.action_ids,
    "tool_id": some.tool_ids,
    "execution_type": st.sampled_from(ExecutionType),
    "queue": some.queues,
    "queues": st.lists(some.queues, max_size=3),
    "priority": some.priorities,
    "due_at": some.times,
    "reason": some.texts,
    "subtree": st.booleans(),
    "status": some.statuses,
    "statuses": st.lists(some.statuses, max_size=3),
    "expected_statuses": st.lists(some.statuses, max_size=3),
    "output": some.optional_documents,
    "transform": st.sampled_from(TRANSFORMS),
    "usage": some.usages,
    "version": st.integers(0, 4),
    "expected_version": st.integers(0, 4),
    "created_at": st.just(UNSAVED) | some.times,
    "created_from": some.times,
    "created_before": some.times,
    "older_than": some.times,
    "batch_size": st.integers(1, 3),
    "dry_run": st.booleans(),
    "limit": limits,
}
"""The strategies of fields and arguments, by name."""

CHANGED: Mapping[Kind, Sequence[str]] = {
    USER: ["email", "role", "version"],
    API_KEY: ["user_id", "prefix"],
    WORKFLOW: ["workflow_id", "status", "output", "usage", "version"],
    TASK: [
        *("workflow_exec_id", "parent_state_id", "task_id", "status", "output", "tool_id"),
        *("usage", "version", "queue", "priority", "due_at"),
    ],
}
"""The fields with which rows that were there are written again."""

ROWS: Mapping[Kind, st.SearchStrategy[Any]] = {
    USER: some.users,
    API_KEY: some.api_keys,
    WORKFLOW: some.workflows,
    TASK: some.tasks,
}

SEEN: Mapping[Kind, Bundle[Any]] = {kind: Bundle(f"seen_{kind.repository}") for kind in ENTITIES}
"""Rows as they once were: live ones, stale ones, deleted ones."""

WRITES = ("modify", "delete", "touch", "set_status", "merge_usage", "complete", "cancel", "purge")
"""Each is a rule of its own, while one rule calls all methods that read."""


def with_rules(*kinds: Kind) -> Callable[[type[M]], type[M]]:
    """Give a machine the rules of these kinds."""

    def decorate(machine: type[M]) -> type[M]:
        for kind in kinds:
            for name, made in _rules(kind).items():
                setattr(machine, f"{name}_{kind.name}", made)
        return machine

    return decorate


def _rules(kind: Kind) -> dict[str, Rule]:
    elsewhere = (*CLAIMING, "wait")
    methods = {name: given for name, given in methods_of(kind.repository) if name not in elsewhere}
    of_rows = [name for name, given in methods.items() if given and given[0].name == kind.argument]
    alone = [name for name in WRITES if name in methods]
    reads = {name: methods[name] for name in methods if name not in (*of_rows, *alone)}
    return {
        "write": _writing(kind, ROWS[kind], st.just({}), of_rows),
        "rewrite": _writing(kind, SEEN[kind], _changes(kind), of_rows),
        "read": _calling(kind, reads),
        **{name: _calling(kind, {name: methods[name]}) for name in alone},
    }


def _changes(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    """Return changes for `attrs.evolve`; a field that may be None sometimes is."""
    optional = {name: DRAWN[name] for name in (*CHANGED[kind], "created_at")}
    for name in optional.keys() & {"parent_state_id", "tool_id", "due_at"}:
        optional[name] = st.none() | optional[name]
    return st.fixed_dictionaries({}, optional=optional)


def _writing(
    kind: Kind,
    rows: st.SearchStrategy[Any],
    changes: st.SearchStrategy[dict[str, Any]],
    methods: Sequence[str],
) -> Rule:
    """Return a rule that writes a row with changes; one that is restored has fields of a store."""

    @rule(
        target=SEEN[kind],
        row=rows,
        changes=changes,
        saved=some.saved_fields,
        method=st.sampled_from(methods),
        allow_ended=st.booleans(),
    )
    def write(
        self: SideBySide,
        row: Any,
        changes: dict[str, Any],
        saved: dict[str, Any],
        method: str,
        allow_ended: bool,
    ) -> MultipleResults[Any]:
        if method == "restore":
            changes = {name: saved[name] for name in saved if name in kind.fields}
        late = kind is TASK and method in ("create", "upsert") and allow_ended
        options = {"allow_ended": True} if late else {}
        given = attrs.evolve(row, **changes)
        return self.state(lambda s: getattr(kind.of(s), method)(given, **options))

    return write


def _calling(kind: Kind, methods: Methods) -> Rule:
    """Return a rule that calls the methods, one after the other, with the same arguments.

    Those with a default are left out now and then. Rows that are returned have been seen.
    """
    needed = {given.name for parameters in methods.values() for given in parameters} - {"cursor"}
    filters = st.builds(
        type(kind.everything),
        **{name: st.none() | DRAWN[name] for name in attrs.fields_dict(type(kind.everything))},
    )
    drawn = {**DRAWN, "filter": filters, "fn": (st.none() | _changes(kind)).map(change)}
    names = sorted(needed)

    @rule(
        target=SEEN[kind],
        drawn=st.fixed_dictionaries({name: drawn[name] for name in names}),
        kept=st.sets(st.sampled_from(names)),
    )
    def call(self: SideBySide, drawn: dict[str, Any], kept: set[str]) -> MultipleResults[Any]:
        found = []
        for method, parameters in methods.items():
            made = _call(kind, method, parameters, drawn, kept)
            if method == "list":
                self.pages(made)
            else:
                found.append(self.both(made))
        return multiple(*(value for value in found if isinstance(value, kind.model)))

    return call


def _call(
    kind: Kind,
    method: str,
    parameters: Sequence[Parameter],
    drawn: Mapping[str, Any],
    kept: set[str],
) -> Callable[..., Any]:
    """Return the call with what was drawn; of arguments with a default those that are `kept`."""
    given = [drawn[each.name] for each in parameters if each.default is each.empty]
    named = {
        each.name: drawn[each.name]
        for each in parameters
        if each.default is not each.empty and each.name in kept
    }

    def call(repositories: Repositories, cursor: str | None = None) -> Any:
        more = {"cursor": cursor} if method == "list" else {}
        answer = getattr(kind.of(repositories), method)(*given, **named, **more)
        # The order of these counts, too.
        return list(answer.items()) if method in ("in_workflow", "queues") else answer

    return call
