"""The configuration of a store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, TypeVar, get_args, get_origin

import cattrs
from attrs import field, fields_dict, frozen
from cattrs import ClassValidationError, ForbiddenExtraKeysError, transform_error
from cattrs.v import format_exception

from engine_store.errors import ConfigurationError
from engine_store.urls import mask_url, parse_url

DEFAULT_DRIVER = "postgres"
"""What a configuration that names no driver means."""

_LONGEST_WAIT = 86_400
"""A day; no lock can be waited for without end."""

_C = TypeVar("_C")


@frozen
class DatabaseConfig:
    """Which database, and how to open it.

    `url` names the driver by its scheme, else `driver` does. `options` are the driver's own
    settings by name; they win over those in the URL. With `auto_migrate` missing schema steps
    are applied at opening, waiting at most `migration_timeout` seconds for another process that
    is at it; without, a schema that is behind is an error.
    """

    url: str | None = field(default=None, repr=lambda url: repr(url and mask_url(url)))
    driver: str = DEFAULT_DRIVER
    options: Mapping[str, Any] = field(factory=dict, repr=lambda options: f"<{len(options)}>")
    auto_migrate: bool = True
    migration_timeout: float = field(default=60.0)

    @migration_timeout.validator
    def _check_migration_timeout(self, _: object, seconds: float) -> None:
        if not 0 <= seconds <= _LONGEST_WAIT:
            raise ConfigurationError("migration_timeout", f"expected 0 to {_LONGEST_WAIT} seconds")

    @property
    def driver_name(self) -> str:
        """The driver to load: the URL's scheme, or `driver` where there is no URL."""
        return self.driver if self.url is None else parse_url(self.url).scheme

    def driver_options(self) -> dict[str, Any]:
        """The options of the URL, and over them `options`."""
        from_url = {} if self.url is None else parse_url(self.url).options
        return {**from_url, **self.options}


_converter = cattrs.Converter(forbid_extra_keys=True)

_TRUTH = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(
    ("false", "no", "off", "0"), False
)


def _scalar(value: Any, kind: type[Any]) -> Any:
    """A `kind`, or the text for one as a URL has it; nothing else is turned into one."""
    if issubclass(kind, Enum):
        return kind(value)
    if isinstance(value, str) and kind is not str:
        value = _TRUTH.get(value.lower()) if kind is bool else kind(value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise ValueError(f"expected {kind.__name__}")
    return value


for _kind in (str, bool, int, float):
    _converter.register_structure_hook(_kind, _scalar)


def _explain(exc: BaseException, kind: type[Any] | None) -> str:
    """What was expected, without the value found: it may be a secret."""
    if isinstance(exc, ForbiddenExtraKeysError):
        known = ", ".join(sorted(fields_dict(exc.cl)))
        return f"no setting is called {', '.join(sorted(exc.extra_fields))}; there are {known}"
    if get_origin(kind) is Literal:
        return f"expected one of {', '.join(map(str, get_args(kind)))}"
    if kind is None and isinstance(exc, ValueError) and exc.args:
        return str(exc.args[0])
    return format_exception(exc, kind)


def structure_options(options: Mapping[str, Any], cls: type[_C], where: str = "options") -> _C:
    """`options` as the driver's own attrs class, all mistakes reported at once.

    Raises `ConfigurationError` naming every unknown key, wrong type and missing field.
    """
    try:
        return _converter.structure(dict(options), cls)
    except ClassValidationError as exc:
        raise ConfigurationError(where, "; ".join(transform_error(exc, where, _explain))) from None
