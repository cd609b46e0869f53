"""From plain data, of a file, a URL or the environment, to an attrs class; all mistakes at once.

A setting is an attrs field made by `setting`, which carries what it is for. Texts are read as what
the field expects, since a URL and the environment have nothing else; `Seconds` also as `5s`.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args, get_origin

import attrs
import cattrs
import cattrs.cols
import cattrs.gen
from cattrs import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError

from engine_store.errors import ConfigurationError, Problem
from engine_store.secrecy import Hidden

_C = TypeVar("_C")

Seconds: TypeAlias = Annotated[float, "seconds"]
"""A duration in seconds; in texts also with a unit: `500ms`, `5s`, `2m`, `1h`."""

Text: TypeAlias = Annotated[str, "text"]
"""A text that many write as a whole number, such as a port."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}

_TRUTH = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(
    ("false", "no", "off", "0"), False
)

_NAMES = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
_FOUND = {**_NAMES, type(None): "nothing", dict: "a section", list: "a list", tuple: "a list"}


def setting(
    *,
    help: str,  # noqa: A002 - the word of command lines
    also: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    unit: str = "",
    replaces: Collection[str] = (),
    **field: Any,
) -> Any:
    """An attrs field that can be configured. `help` says what it is for, in a sentence.

    `also` is another name under which it may be given; a number, of `unit`, lies between `minimum`
    and `maximum`. One that says where the database is names in `replaces` what else says so: given
    by a stronger source, it takes the place of those. A field with `repr=False` is a secret: its
    value is never shown.
    """
    bounds = {"minimum": minimum, "maximum": maximum, "unit": unit}
    metadata = {"help": help, "also": also, "replaces": replaces, **bounds}

    def validate(made: Any, field: attrs.Attribute[Any], value: Any) -> None:
        if problem := _out_of_bounds(field, value):
            raise ConfigurationError(field.name, problem)

    if minimum is not None or maximum is not None:
        field["validator"] = validate
    return attrs.field(metadata=metadata, **field)


DAY = 86_400
"""Seconds; no wait can be without end. SQLite and `threading` count some weeks and centuries."""


def duration(default: float | None, help: str, *, minimum: float = 0) -> Any:  # noqa: A002 - the word of command lines
    """Return a setting of `Seconds`, from `minimum` to a day."""
    return setting(default=default, minimum=minimum, maximum=DAY, unit="seconds", help=help)


def _out_of_bounds(field: attrs.Attribute[Any], value: Any) -> str | None:
    """Return the numbers that a setting takes, in words, if this is none of them."""
    known = field.metadata
    minimum, maximum = known.get("minimum"), known.get("maximum")
    if value is None or (
        (minimum is None or value >= minimum) and (maximum is None or value <= maximum)
    ):
        return None
    bounds = f"{minimum} or more" if maximum is None else f"{minimum} to {maximum}"
    return f"expected {bounds} {known['unit']}".rstrip()


def seconds(text: str) -> float:
    """The duration that a text such as `5s`, `2m` or `0.5` states. Raises `ValueError`."""
    if match := _DURATION.fullmatch(text.strip()):
        return float(match[1]) * _UNITS[match[2]]
    return float(text)


def structure(data: Any, cls: type[_C], where: str = "options") -> _C:
    """`data` as a `cls`, such as a driver's options as its own attrs class.

    Raises `ConfigurationError` with every unknown key, wrong type and missing field, at its path.
    """
    try:
        return _converter.structure(data, cls)
    except Exception as exc:  # noqa: BLE001 - whatever a class thinks wrong with plain data
        problems = tuple(_problems(exc, cls, where, data))
    del data  # it may hold a secret, and tracebacks may show variables
    raise ConfigurationError.of(where, problems) from None


def unknown(name: str, known: Collection[str]) -> str:
    """What to do about a setting that is not known."""
    return f"no setting is called so; {nearest(name, known)}"


def nearest(name: str, known: Collection[str]) -> str:
    """Which of the known names may be meant by one that is not."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"


def names_of(cls: type[Any]) -> dict[str, attrs.Attribute[Any]]:
    """The settings of a class, by each name under which they may be given."""
    fields = [field for field in attrs.fields(cls) if field.init]
    names = {field.name: field for field in fields}
    return names | {str(f.metadata["also"]): f for f in fields if f.metadata.get("also")}


# --- reading values ----------------------------------------------------------------------------


def _scalar(value: Any, kind: type[Any]) -> Any:
    """A `kind`, or the text for one as a URL has it; nothing else is turned into one."""
    if issubclass(kind, Enum):
        return kind(value)
    if kind is str and isinstance(value, Hidden):
        return value
    if isinstance(value, str) and kind is not str:
        value = _TRUTH.get(value.lower()) if kind is bool else kind(value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise ValueError
    return value


def _seconds(value: Any, _: Any) -> float:
    return float(_scalar(seconds(value) if isinstance(value, str) else value, float))


def _text(value: Any, _: Any) -> str:
    return str(value) if type(value) is int else str(_scalar(value, str))


def _sequence(kind: Any) -> Callable[[Any, Any], Any]:
    """The hook of a list; a text would pass for one of its letters."""
    made = _FACTORIES[get_origin(kind)](kind, _converter)

    def structured(data: Any, kind: Any) -> Any:
        if not isinstance(data, list | tuple):
            raise TypeError
        return made(data, kind)

    return structured


class _OutOfBoundsError(ValueError):
    """A number that a setting does not take; the text says which it does."""


def _bounded(field: attrs.Attribute[Any]) -> Callable[[Any, Any], Any]:
    """The hook of one setting: its bounds are found wrong with the rest, not at the very end."""

    def structured(data: Any, kind: Any) -> Any:
        value = _converter.structure(data, kind)
        if problem := _out_of_bounds(field, value):
            raise _OutOfBoundsError(problem)
        return value

    return structured


def _section(cls: type[_C]) -> Callable[[Any, type[_C]], _C]:
    """The hook of a class whose settings have bounds, and other names, too."""
    fields: Any = names_of(cls).values()
    hooks: Any = {field.name: cattrs.override(struct_hook=_bounded(field)) for field in fields}
    made = cattrs.gen.make_dict_structure_fn(
        cls, _converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True, **hooks
    )
    also: dict[str, str] = {
        name: field.name for name, field in names_of(cls).items() if name != field.name
    }

    def structured(data: Any, kind: type[_C]) -> _C:
        if not isinstance(data, Mapping):
            raise TypeError
        both = [name for name in also if name in data and also[name] in data]
        if both:
            raise ConfigurationError(both[0], f"it is the same as {also[both[0]]}; give one")
        return made({str(also.get(name, name)): data[name] for name in data}, kind)

    return structured


_FACTORIES: dict[Any, Callable[..., Any]] = {
    list: cattrs.cols.list_structure_factory,
    tuple: cattrs.cols.homogenous_tuple_structure_factory,
}

_converter = cattrs.Converter(forbid_extra_keys=True)
for _kind in (str, bool, int, float):
    _converter.register_structure_hook(_kind, _scalar)
_converter.register_structure_hook_func(lambda kind: kind == Seconds, _seconds)
_converter.register_structure_hook_func(lambda kind: kind == Text, _text)
_converter.register_structure_hook_factory(lambda kind: get_origin(kind) in _FACTORIES, _sequence)
_converter.register_structure_hook_factory(attrs.has, _section)


# --- explaining mistakes -----------------------------------------------------------------------


def _problems(exc: BaseException, cls: Any, path: str, data: Any) -> Iterator[Problem]:
    """Every mistake in the groups that cattrs raises, at its path."""
    if isinstance(exc, ClassValidationError):
        noted, other = exc.group_exceptions()
        for error, note in noted:
            yield from _problems(error, note.type, _joined(path, note.name), _at(data, note.name))
        for error in other:
            yield from _problems(error, cls, path, data)
    elif isinstance(exc, ForbiddenExtraKeysError):
        for name in sorted(map(str, exc.extra_fields)):
            yield Problem(_joined(path, name), unknown(name, names_of(exc.cl)))
    elif isinstance(exc, IterableValidationError):
        elements, other = exc.group_exceptions()
        for error, element in elements:
            place = f"{path}[{element.index}]"
            yield from _problems(error, element.type, place, _at(data, element.index))
        for error in other:
            yield from _problems(error, cls, path, data)
    elif isinstance(exc, ConfigurationError):
        yield from (
            Problem(_joined(path, problem.path), problem.message)
            for problem in exc.problems or (Problem(exc.field, exc.reason),)
        )
    else:
        yield Problem(path, _explain(exc, cls, data))


def _explain(exc: BaseException, kind: Any, value: object) -> str:
    """What was expected, and what kind of thing was found.

    The value itself is not shown: it may be a secret that stands in the wrong place.
    """
    if isinstance(exc, KeyError):
        return "it is missing"
    if isinstance(exc, _OutOfBoundsError):
        return str(exc)
    if attrs.has(kind) and isinstance(value, Mapping):
        return " ".join(map(str, exc.args[:1]))  # of the class's own validators
    found = _FOUND.get(type(value), type(value).__name__)
    wanted = expected(kind)
    return f"expected {wanted}" if wanted == found else f"expected {wanted}, found {found}"


def _at(data: Any, key: Any) -> Any:
    """What stands there in the data, if it is as it should be that far."""
    try:
        return data[key]
    except (KeyError, IndexError, TypeError):
        return None


def expected(kind: Any) -> str:
    """The values of a type, in words."""
    if kind == Seconds:
        return "a duration, such as 5s or 2m"
    if kind == Text:
        return "a text or a whole number"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(str(choice.value) for choice in kind)}"
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if attrs.has(kind):
        return "a section"
    choices = [choice for choice in get_args(kind) if choice is not type(None)]
    if get_origin(kind) in (tuple, list):
        return "a list"
    if choices:
        return " or ".join(map(expected, choices))
    return _NAMES.get(kind, getattr(kind, "__name__", str(kind)))


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
