"""The JSON Schema of a configuration, for editors: core's sections and each installed driver's."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs

from engine_store.config import Config, Seconds
from engine_store.config.structure import names_of
from engine_store.errors import EngineStoreError
from engine_store.plugins import driver_settings, installed_drivers
from engine_store.startup.loading import COMMON, SECTIONS

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", Path: "string"}


def json_schema() -> dict[str, Any]:
    """The schema. A driver that cannot be loaded, or does not say, allows every setting."""
    properties = {name: _section(cls) for name, cls in SECTIONS.items()}
    database = properties["database"]
    for hidden in set(database["properties"]) - set(COMMON):
        del database["properties"][hidden]
    own: dict[str, Any] = {}
    open_to_all = False
    for driver in installed_drivers():
        try:
            settings = driver_settings(driver)
        except EngineStoreError:
            settings = None
        open_to_all |= settings is None
        for name, described in _section(settings)["properties"].items() if settings else ():
            known = own.setdefault(name, {**described, "description": ""})
            known["description"] += f"{described['description']} ({driver}) "
    for described in own.values():
        described["description"] = described["description"].rstrip()
    database["properties"] |= own
    database["additionalProperties"] = open_to_all
    return {
        "$schema": DIALECT,
        "title": "engine-store",
        "description": (Config.__doc__ or "").splitlines()[0],
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _section(cls: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    properties = {name: _setting(field, hints[field.name]) for name, field in names_of(cls).items()}
    required = [f.name for f in attrs.fields(cls) if f.init and f.default is attrs.NOTHING]
    return {
        "description": (cls.__doc__ or "").splitlines()[0],
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _setting(field: attrs.Attribute[Any], kind: Any) -> dict[str, Any]:
    described = {"description": field.metadata.get("help", ""), **_values(kind)}
    default = field.default
    if isinstance(default, Enum):
        default = default.value
    if field.repr is False:
        described["writeOnly"] = True
    elif isinstance(default, str | bool | int | float):
        described["default"] = default
    return described


def _values(kind: Any) -> dict[str, Any]:
    """The values of a type. A text is allowed wherever `${VAR}` may stand for it."""
    variable = {"type": "string", "pattern": r"\$\{"}
    if kind == Seconds:
        duration = {"type": "string", "pattern": r"^\d+(\.\d+)? ?(ms|s|m|h)?$"}
        return {"anyOf": [{"type": "number", "minimum": 0}, duration, variable]}
    if get_origin(kind) is Literal:
        return {"anyOf": [{"enum": list(get_args(kind))}, variable]}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"anyOf": [{"enum": [choice.value for choice in kind]}, variable]}
    if attrs.has(kind):
        return _section(kind)
    origin, inner = get_origin(kind), [one for one in get_args(kind) if one is not type(None)]
    if origin in (tuple, list):
        return {"type": "array", "items": _values(inner[0])}
    if origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return {"type": "object"}
    if inner:  # an optional one
        return _values(inner[0])
    if kind is str:
        return {"type": "string"}
    return {"anyOf": [{"type": _TYPES.get(kind, "string")}, variable]}
