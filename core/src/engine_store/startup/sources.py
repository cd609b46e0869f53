"""Where a configuration comes from: a file, the environment, arguments; the later ones win.

Each source is a tree of plain data, whose values remember where they stand for the messages about
them. Nothing is known here of drivers.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from attrs import frozen

from engine_store.errors import ConfigurationError, Problem

Tree: TypeAlias = dict[str, Any]

PREFIX = "ENGINE_STORE_"
FILE_VARIABLE = "ENGINE_STORE_CONFIG"
"""Names the file, where no argument does."""

_TESTS = "ENGINE_STORE_TEST_"
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@frozen
class Source:
    """A tree and what messages call it."""

    name: str
    tree: Tree


def read_file(path: Path, environment: Mapping[str, str]) -> Source:
    """A YAML or TOML file, with each `${VAR}` and `${VAR:-default}` in its texts replaced.

    Raises `ConfigurationError` where it cannot be read, or names a variable that is not set.
    """
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        known = ", ".join(_PARSERS)
        raise ConfigurationError("config", f"expected a file {known}, found {path.name!r}")
    try:
        tree = parse(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError("config", f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # of TOML, of YAML, and of UTF-8
        raise ConfigurationError("config", f"{path} is no {path.suffix[1:]}: {error}") from None
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigurationError("config", f"{path}: expected sections, found something else")
    problems: list[Problem] = []
    replaced = _replaced(tree, environment, "", problems)
    if problems:
        raise ConfigurationError.of("config", [_at(problem, path.name) for problem in problems])
    return Source(path.name, replaced)


def read_environment(
    environment: Mapping[str, str], paths: Mapping[str, tuple[str, ...]]
) -> tuple[Source, list[str]]:
    """The variables `ENGINE_STORE_*`, and the names of those that are none of `paths`.

    `paths` are the settings by the name of their variable. A list is given as JSON.
    """
    tree: Tree = {}
    unknown = []
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX) or name.startswith(_TESTS) or name == FILE_VARIABLE:
            continue
        if name not in paths:
            unknown.append(name)
            continue
        put(tree, paths[name], _list_or_text(text))
    return Source("environment", tree), unknown


def put(tree: Tree, path: tuple[str, ...], value: Any) -> None:
    """Set the value at the path, making the sections that lead there."""
    *sections, last = path
    for section in sections:
        tree = tree.setdefault(section, {})
    tree[last] = value


def _list_or_text(text: str) -> Any:
    if text.lstrip()[:1] in {"[", "{"}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _replaced(
    value: Any, environment: Mapping[str, str], path: str, problems: list[Problem]
) -> Any:
    """`value` with the variables in its texts replaced; what is not set goes to `problems`."""
    match value:
        case dict():
            return {
                key: _replaced(item, environment, f"{path}.{key}".lstrip("."), problems)
                for key, item in value.items()
            }
        case list():
            return [
                _replaced(item, environment, f"{path}[{number}]", problems)
                for number, item in enumerate(value)
            ]
        case str():

            def of(match: re.Match[str]) -> str:
                name: str = match[1]
                default: str | None = match[2]
                found = environment.get(name, default)
                if found is None:
                    remedy = f"set it, or write ${{{name}:-default}}"
                    problems.append(Problem(path, f"the variable {name} is not set; {remedy}"))
                return found or ""

            return _VARIABLE.sub(of, value)
    return value


def _at(problem: Problem, source: str) -> Problem:
    return Problem(problem.path, problem.message, source)


def _parse_yaml(text: str) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        raise ConfigurationError(
            "config", 'YAML needs an extra: pip install "engine-store[yaml]"; TOML needs none'
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


_PARSERS: dict[str, Callable[[str], Any]] = {
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
    ".toml": tomllib.loads,
}
