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

from attrs import Attribute, evolve, field, frozen

from engine_store.config.structure import names_of
from engine_store.errors import ConfigurationError, Problem
from engine_store.urls import mask_url

Tree: TypeAlias = dict[str, Any]

PREFIX = "ENGINE_STORE_"

ENVIRONMENT = "environment"
"""What the source is called whose settings are named by their variables in messages."""

FILE_VARIABLE = "ENGINE_STORE_CONFIG"
"""Names the file, where no argument does."""

_TESTS = "ENGINE_STORE_TEST_"

_LINK = re.compile(
    r"ENGINE_STORE_(\w+_)?"
    r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_LINKED = re.compile(r"(tcp|udp|sctp)://\S+:\d+")
"""Kubernetes describes each Service to its pods by variables, so one called engine-store, too.

https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""
_VARIABLE = re.compile(r"\$?\$\{(\w+)(?::-([^}]*))?\}")


@frozen
class Source:
    """A tree and what messages call it."""

    name: str
    tree: Tree = field(repr=False)


def read_file(path: Path, environment: Mapping[str, str]) -> Source:
    """A YAML or TOML file, with each `${VAR}` and `${VAR:-default}` in its texts replaced.

    `$${VAR}` stands for `${VAR}` itself. Raises `ConfigurationError` where the file cannot be
    read, or names a variable that is not set.
    """
    shown = mask_url(str(path))  # a URL may stand in the wrong place
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        known = ", ".join(_PARSERS)
        raise ConfigurationError(
            "config", f"expected a file {known}, found {mask_url(path.name)!r}"
        )
    try:
        tree = parse(path.read_text("utf-8-sig"))
        problems: list[Problem] = []
        tree = _replaced({} if tree is None else tree, environment, "", problems)
    except RecursionError:
        raise ConfigurationError("config", f"{shown} has sections without end") from None
    except OSError as error:
        raise ConfigurationError("config", f"{shown} cannot be read: {error.strerror}") from error
    except ValueError as error:  # of TOML, of YAML, and of UTF-8
        raise ConfigurationError("config", f"{shown} is no {path.suffix[1:]}: {error}") from None
    if not isinstance(tree, dict):
        raise ConfigurationError("config", f"{shown}: expected sections, found something else")
    if problems:
        raise ConfigurationError.of("config", [evolve(one, source=path.name) for one in problems])
    return Source(path.name, tree)


def read_environment(
    environment: Mapping[str, str], sections: Mapping[str, type[Any]]
) -> tuple[Source, list[str]]:
    """The variables `ENGINE_STORE_SECTION_SETTING`, and the names of those of no section.

    Whether there is such a setting is seen later. Where a section has a list, it is given as JSON.
    """
    tree: Tree = {}
    unknown = []
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX) or name.startswith(_TESTS) or name == FILE_VARIABLE:
            continue
        if _LINK.fullmatch(name) or (name.endswith("_PORT") and _LINKED.fullmatch(text)):
            continue
        section, _, key = name.removeprefix(PREFIX).lower().partition("_")
        if section not in sections or not key:
            unknown.append(name)
            continue
        field = names_of(sections[section]).get(key)
        tree.setdefault(section, {})[key] = _parsed(text, field)
    return Source(ENVIRONMENT, tree), unknown


def variable(path: str) -> str:
    """The variable of the environment for a setting, such as `database.url`."""
    return f"{PREFIX}{path.replace('.', '_')}".upper()


def _parsed(text: str, field: Attribute[Any] | None) -> Any:
    """The list that a text states as JSON, where one is expected; else the text."""
    if field is None or not isinstance(field.default, list | tuple):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _replaced(
    value: Any, environment: Mapping[str, str], path: str, problems: list[Problem]
) -> Any:
    """`value` with the variables in its texts replaced; what is not set goes to `problems`."""
    match value:
        case dict():
            return {
                str(key): _replaced(item, environment, f"{path}.{key}".lstrip("."), problems)
                for key, item in value.items()
            }
        case list():
            return [
                _replaced(item, environment, f"{path}[{number}]", problems)
                for number, item in enumerate(value)
            ]
        case str():

            def of(match: re.Match[str]) -> str:
                if match[0].startswith("$$"):
                    return match[0][1:]
                name: str = match[1]
                found = environment.get(name) or match[2]  # as in a shell: empty means default
                if found is None and name not in environment:
                    remedy = f"set it, or write ${{{name}:-default}}"
                    problems.append(Problem(path, f"the variable {name} is not set; {remedy}"))
                return found or ""

            return _VARIABLE.sub(of, value)
    return value


def _parse_yaml(text: str) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        raise ConfigurationError(
            "config", 'YAML needs an extra: pip install "engine-store[yaml]"; TOML needs none'
        ) from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        # Its own words quote the text around the place, which may be a password.
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        advice = "put texts with special characters in quotes"
        raise ValueError(f"{place}it cannot be read; {advice}") from None


_PARSERS: dict[str, Callable[[str], Any]] = {
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
    ".toml": tomllib.loads,
}
