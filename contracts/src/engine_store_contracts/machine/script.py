"""What a machine did, as a script on the public API: how to see a difference again without it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import attrs

from engine_store.protocols import Repositories
from engine_store.rules.entities import ALL

HEADER = '''\
"""Does what the store did when it differed from the contract. Give it the URL of an empty database:

python reproduce.py URL
"""

import sys
from datetime import datetime

import attrs

import engine_store
from engine_store.errors import EngineStoreError
from engine_store.models import *
from engine_store_contracts.clock import ManualClock


def show(call):
    try:
        print(call())
    except EngineStoreError as error:
        print(f"{type(error).__name__}: {error}")


def everything(scope):
    lists = (scope.users, scope.api_keys, scope.workflows, scope.tasks)
    return [rows.list(limit=1000).items for rows in lists]


clock = ManualClock()
store = engine_store.open(sys.argv[1], clock=clock)
'''


@attrs.frozen
class Written:
    """A function that is known by its source, to be given to a store and shown in a script."""

    text: str
    function: Callable[[Any], Any]

    def __call__(self, state: Any) -> Any:
        return self.function(state)


def change(changes: Mapping[str, Any] | None) -> Written:
    """What `modify` applies: the state with these fields, or the state itself."""
    if changes is None:
        return Written("lambda state: state", lambda state: state)
    fields = "".join(f", {name}={source(value)}" for name, value in changes.items())
    return Written(
        f"lambda state: attrs.evolve(state{fields})", lambda state: attrs.evolve(state, **changes)
    )


def source(value: object) -> str:
    """Python that makes the value, with the names that `HEADER` imports."""
    match value:
        case Written():
            return value.text
        case Enum():
            return f"{type(value).__name__}.{value.name}"
        case datetime():
            return f"datetime.fromisoformat({value.isoformat()!r})"
        case float() if not math.isfinite(value):
            return f"float({str(value)!r})"
        case dict():
            return f"{{{', '.join(f'{source(k)}: {source(v)}' for k, v in value.items())}}}"
        case list():
            return f"[{', '.join(map(source, value))}]"
        case tuple():
            return f"({''.join(f'{source(item)}, ' for item in value).rstrip()})"
    cls: type[Any] = type(value)
    if attrs.has(cls):
        given = (
            f"{field.name}={source(getattr(value, field.name))}"
            for field in attrs.fields(cls)
            if getattr(value, field.name) != _default(field)
        )
        return f"{type(value).__name__}({', '.join(given)})"
    return repr(value)


class Script:
    """The lines of a script, one for each call."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._ended = False

    def add(self, line: str) -> None:
        """Another line."""
        if not self._ended:
            self._lines.append(line)

    def end(self, *comments: str) -> None:
        """What follows is not part of it; what it shows."""
        for comment in comments:
            self.add(f"# {comment}")
        self._ended = True

    def __str__(self) -> str:
        return "\n".join([HEADER, *self._lines, ""])


class Recorded:
    """Repositories whose calls are noted under the name that a variable has in the script."""

    def __init__(self, repositories: Repositories, script: Script, name: str) -> None:
        for repository in (entity.repository for entity in ALL):
            target = getattr(repositories, repository)
            setattr(self, repository, _Recorded(target, script, f"{name}.{repository}"))


class _Recorded:
    def __init__(self, target: object, script: Script, name: str) -> None:
        self._target = target
        self._script = script
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Any]:
        target = getattr(self._target, method)

        def call(*arguments: object, **named: object) -> Any:
            given = [source(argument) for argument in arguments]
            given += [f"{name}={source(argument)}" for name, argument in named.items()]
            self._script.add(f"show(lambda: {self._name}.{method}({', '.join(given)}))")
            return target(*arguments, **named)

        return call


def _default(field: attrs.Attribute[Any]) -> object:
    default: Any = field.default
    return default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]
