"""Prints the tables of docs/configuration.md, from the models: python scripts/reference.py."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import Enum
from typing import Any, get_type_hints

import attrs

from engine_store.config import DatabaseConfig, Knowledge, VectorDatabase, Worker
from engine_store.config.structure import expected
from engine_store.drivers.discovery import driver_settings
from engine_store.startup.loading import COMMON

HEAD = "| setting | values | default | what for |\n|---|---|---|---|"


def tables() -> dict[str, str]:
    """Each table by its heading."""
    own = {name: driver_settings(name) for name in ("memory", "sqlite", "postgres")}
    described = {name: table(settings) for name, settings in own.items() if settings is not None}
    return {
        "## database": table(DatabaseConfig, COMMON),
        "### SQLite": described["sqlite"],
        "### PostgreSQL": described["postgres"],
        "### In memory": described["memory"],
        "## knowledge": table(Knowledge),
        "### vector_dbs": table(VectorDatabase),
        "## worker": table(Worker),
    }


def table(cls: type[Any], only: Collection[str] | None = None) -> str:
    """The settings of a class, a row each."""
    return "\n".join([HEAD, *_rows(cls, only)])


def _rows(cls: type[Any], only: Collection[str] | None) -> Iterator[str]:
    hints = get_type_hints(cls, include_extras=True)
    for field in attrs.fields(cls):
        if only is not None and field.name not in only:
            continue
        names = ", ".join(f"`{name}`" for name in (field.name, field.metadata.get("also")) if name)
        values, help_ = expected(hints[field.name]), field.metadata["help"]
        yield f"| {names} | {values} | {_default(field.default)} | {help_} |"


def _default(default: Any) -> str:
    if default is attrs.NOTHING:  # which is an Enum itself
        return "to be given"
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, Enum):
        return str(default.value)
    return str(default) if isinstance(default, str | int) else ""


if __name__ == "__main__":
    for heading, text in tables().items():
        print(f"{heading}\n\n{text}\n")
