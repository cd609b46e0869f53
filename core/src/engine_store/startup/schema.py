"""The JSON Schema of a configuration, for editors: core's sections and each installed driver's."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

import attrs

from engine_store.config import Config, Seconds, Text, VectorDatabase
from engine_store.config.model import PLACES
from engine_store.config.structure import names_of
from engine_store.drivers.discovery import driver_settings, installed_drivers
from engine_store.errors import EngineStoreError
from engine_store.startup.loading import COMMON, SECTIONS

DIALECT = "https://json-schema.org/draft/2020-12/schema"

JsonSchema: TypeAlias = dict[str, Any]

_VARIABLE = {"type": "string", "pattern": r"\$\{\w+(:-[^}]*)?\}"}
"""What may stand in a file for any value but a list or a section."""

_TYPES = {bool: "boolean", int: "integer", float: "number"}


def json_schema() -> JsonSchema:
    """The schema of a file. What the file leaves to the environment is not missing in it.

    A driver that cannot be loaded, or does not say, may have every setting.
    """
    sections = {name: _section(cls) for name, cls in SECTIONS.items()}
    sections["database"] = _database(sections["database"])
    empty = {"type": "null"}  # all of it is commented out
    return {
        "$schema": DIALECT,
        "title": "engine-store",
        "description": _first_line(Config),
        "type": "object",
        "properties": {name: {"anyOf": [section, empty]} for name, section in sections.items()},
        "additionalProperties": False,
    }


# --- the section whose settings depend on the driver -------------------------------------------


def _database(section: JsonSchema) -> JsonSchema:
    """The section with every driver's settings, and for each driver those that it has."""
    common = {name: section["properties"][name] for name in COMMON}
    common["driver"] |= {"anyOf": [{"enum": list(installed_drivers())}, _VARIABLE]}
    common["driver"].pop("type")
    found = {driver: _own(driver) for driver in installed_drivers()}
    described = {driver: own for driver, own in found.items() if own is not None}
    several: dict[str, list[JsonSchema]] = {}
    for own in described.values():
        for name, setting in own.items():
            several.setdefault(name, []).append(setting)
    return {
        **section,
        "properties": common | {name: _one_of(settings) for name, settings in several.items()},
        "additionalProperties": len(described) < len(found),
        "allOf": [
            {
                "if": _is_for(driver),
                "then": {"properties": common | own, "additionalProperties": False},
            }
            for driver, own in described.items()
        ],
    }


def _own(driver: str) -> dict[str, JsonSchema] | None:
    """A driver's own settings, None where they are not known."""
    try:
        settings = driver_settings(driver)
    except EngineStoreError:
        return None
    return None if settings is None else dict(_section(settings)["properties"])


def _is_for(driver: str) -> JsonSchema:
    """That a section names the driver: by its URL, or by name where there is no URL."""
    by_url = {"required": ["url"], "properties": {"url": {"pattern": f"^{driver}://"}}}
    by_name = {"required": ["driver"], "properties": {"driver": {"const": driver}, "url": False}}
    return {"anyOf": [by_url, by_name]}


def _one_of(settings: list[JsonSchema]) -> JsonSchema:
    """Return a setting that several drivers have, each in its own way; a secret stays one."""
    different = [one for number, one in enumerate(settings) if one not in settings[:number]]
    if len(different) == 1:
        return different[0]
    texts = dict.fromkeys(setting["description"] for setting in different)
    secret = {"writeOnly": True} if any("writeOnly" in one for one in different) else {}
    return {"description": " / ".join(texts), "anyOf": different, **secret}


# --- from a class to its schema ----------------------------------------------------------------


def _section(cls: type[Any]) -> JsonSchema:
    hints = get_type_hints(cls, include_extras=True)
    names = names_of(cls)
    required = [f.name for f in attrs.fields(cls) if f.init and f.default is attrs.NOTHING]
    return {
        "description": _first_line(cls),
        "type": "object",
        "properties": {name: _setting(field, hints[field.name]) for name, field in names.items()},
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **({"allOf": _places()} if cls is VectorDatabase else {}),
    }


def _places() -> list[JsonSchema]:
    """That each provider of vectors has the place it needs, and no other."""
    rules = []
    for provider, place in PLACES.items():
        others = {name: False for name in ("url", "path") if name != place}
        rules.append(
            {
                "if": {"properties": {"provider": {"const": provider.value}}},
                "then": {"properties": others, "required": [place] if place else []},
            }
        )
    return rules


def _setting(field: attrs.Attribute[Any], kind: Any) -> JsonSchema:
    described = {"description": field.metadata.get("help", ""), **_values(kind, _bounds(field))}
    default = field.default
    if isinstance(default, Enum) and default is not attrs.NOTHING:  # which is an Enum itself
        default = default.value
    if field.repr is False:
        described["writeOnly"] = True
    elif isinstance(default, str | bool | int | float):
        described["default"] = default
    return described


def _bounds(field: attrs.Attribute[Any]) -> JsonSchema:
    bounds = {name: field.metadata.get(name) for name in ("minimum", "maximum")}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _values(kind: Any, bounds: JsonSchema) -> JsonSchema:
    """The values of a type. A text may hold variables anyway, others may be one."""
    if attrs.has(kind):
        return _section(kind)
    if kind == Seconds:
        duration = {"type": "string", "pattern": r"^\d+(\.\d+)? ?(ms|s|m|h)?$"}
        return {"anyOf": [{"type": "number", **bounds}, duration, _VARIABLE]}
    if kind == Text:
        return {"type": ["string", "integer"]}
    if get_origin(kind) is Literal:
        return {"anyOf": [{"enum": list(get_args(kind))}, _VARIABLE]}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"anyOf": [{"enum": [choice.value for choice in kind]}, _VARIABLE]}
    if kind in _TYPES:
        return {"anyOf": [{"type": _TYPES[kind], **bounds}, _VARIABLE]}
    inner = [one for one in get_args(kind) if one is not type(None)]
    if get_origin(kind) in (tuple, list):
        return {"type": "array", "items": _values(inner[0], {})}
    if isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Mapping):
        return {"type": "object"}
    if not inner:
        return {"type": "string"}
    empty = [{"type": "null"}] if len(inner) < len(get_args(kind)) else []
    return {"anyOf": [*(_values(one, bounds) for one in inner), *empty]}


def _first_line(cls: type[Any]) -> str:
    return next(iter((cls.__doc__ or "").splitlines()), "")
