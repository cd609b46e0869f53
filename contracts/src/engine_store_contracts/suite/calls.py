"""Every method of the repositories, called: for what holds of each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from inspect import Parameter, signature
from typing import Any, TypeAlias

import attrs

from engine_store.models import Claim, Event, NewEvent, Role, Status
from engine_store.protocols import sync
from engine_store_contracts.clock import START
from engine_store_contracts.suite.case import outcome
from engine_store_contracts.suite.samples import (
    API_KEYS,
    KINDS,
    TASKS,
    USAGE,
    USERS,
    WORKFLOWS,
    Kind,
)

WAITS = ("workflows.wait", "events.wait", "events.follow")
"""The methods that wait: a transaction refuses them, whatever its state (contract 12.6)."""

Call: TypeAlias = Callable[[Any], object]
"""A call on a store or a transaction."""

PROTOCOLS = {
    "users": sync.UserRepository,
    "api_keys": sync.ApiKeyRepository,
    "workflows": sync.WorkflowRepository,
    "tasks": sync.TaskRepository,
    "events": sync.EventRepository,
}

ARGUMENTS: Mapping[str, Any] = {
    "claim": Claim(attrs.evolve(TASKS.make("x"), attempt=1), "ann", START, "token"),
    "lease": 10,
    "event": Event("x", 1, "x", created_at=START),
    "events": [NewEvent("x")],
    "user": attrs.evolve(USERS.exported(), role=Role.ADMIN),
    "key": API_KEYS.exported(),
    "workflow": WORKFLOWS.exported(),
    "task": TASKS.exported(),
    "email": "ann@example.org",
    "fingerprint": bytes(32),
    "fn": lambda row: row,
    "status": Status.RUNNING,
    "usage": USAGE,
    "older_than": START,
}
"""Arguments that every store takes, by name; all others are ids."""

NO_ID = "a\0b"


def outcomes(calls: Mapping[str, Call], target: object) -> dict[str, object]:
    """Return what each call returns or raises."""
    return {name: outcome(partial(call, target)) for name, call in calls.items()}


def methods_of(repository: str) -> Iterator[tuple[str, list[Parameter]]]:
    """Yield name and parameters of each method of a repository."""
    for name, method in vars(PROTOCOLS[repository]).items():
        if name[0] != "_" and callable(method):
            yield name, list(signature(method).parameters.values())[1:]


def _methods() -> Iterator[tuple[str, str, list[Parameter]]]:
    """Yield repository, name and parameters of each method of all."""
    for repository in PROTOCOLS:
        for name, parameters in methods_of(repository):
            yield repository, name, parameters


def _call(repository: str, method: str, parameters: list[Parameter], **given: Any) -> Call:
    needed = [parameter.name for parameter in parameters if parameter.default is Parameter.empty]
    arguments = {name: ARGUMENTS.get(name, "x") for name in needed} | given
    if any(parameter.name == "timeout" for parameter in parameters):
        arguments["timeout"] = 0
    if method == "follow":
        return lambda target: next(target.events.follow(**arguments))
    return lambda target: getattr(getattr(target, repository), method)(**arguments)


def _is_id(parameter: Parameter) -> bool:
    is_text = parameter.annotation in ("str", "str | None")  # as the Protocols spell it
    return is_text and parameter.name not in ("email", "cursor")


CALLS_OF_A_STORE: Mapping[str, Call] = {
    f"{repository}.{name}": _call(repository, name, parameters)
    for repository, name, parameters in _methods()
} | {"transaction": lambda target: target.transaction().__enter__()}

CALLS: Mapping[str, Call] = {
    name: call for name, call in CALLS_OF_A_STORE.items() if name not in WAITS
}
"""Those that a transaction answers, too."""

CALLS_BY_KEY: Mapping[str, Kind] = {
    f"{kind.name}.{name}": kind
    for kind in KINDS
    for repository, name, parameters in _methods()
    if f"{repository}.{name}" in CALLS
    and repository == kind.name
    and parameters
    and parameters[0].name == kind.entity.key_field
}
"""Of `CALLS`, those that need the row x of the kind."""

CALLS_WITHOUT_AN_ID: Mapping[str, Call] = {
    f"{repository}.{name} {wrong.name}": _call(repository, name, parameters, **{wrong.name: NO_ID})
    for repository, name, parameters in _methods()
    for wrong in filter(_is_id, parameters)
}
"""For each argument that is an id, a call with something else in its place."""
