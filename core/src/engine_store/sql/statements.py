"""Named SQL statements, kept by each driver in `.sql` files.

A file holds statements and fragments, each below a heading:

    -- fragment: user_columns
    user_id, email, role

    -- name: list_users :many
    -- Users in creation order; a page starts behind (:after_created_at, :after_id).
    SELECT {user_columns}
    FROM users
    WHERE true
      AND role = :role --? role
    ORDER BY created_at, user_id

`:one` gives a row or None, `:many` a list of rows, `:none` nothing. `{name}` is replaced by the
fragment of that name when the file is loaded. A line that ends in `--? name` is left out of a
call whose parameter `name` is None: one readable text serves every filter, and the planner sees
only the conditions that are there. Values are always bound, never formatted in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from importlib.resources import files
from typing import Any, NamedTuple

from attrs import Factory, field, frozen

from engine_store.errors import ConfigurationError

_HEADING = re.compile(
    r"^-- (?:(name): (\w+) :(one|many|none)|(fragment): (\w+))[ \t]*$", re.MULTILINE
)
_LIKE_A_HEADING = re.compile(r"^[ \t]*--[ \t]*(?:name|fragment)\b.*$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--(?!\?).*\n?", re.MULTILINE)
_OPTIONAL = re.compile(r"\s*--\?\s*(\w+)\s*$")
PARAMETER = re.compile(r"(?<!:):([a-z_]\w*)")
"""A parameter in the text of a statement; `::` is a cast."""
_FRAGMENT = re.compile(r"\{(\w+)\}")


class Result(Enum):
    """How many rows a statement gives."""

    ONE = "one"
    MANY = "many"
    NONE = "none"


class Call(NamedTuple):
    """A statement with its parameters: what an operation yields."""

    statement: Statement
    parameters: dict[str, Any]


@frozen
class Statement:
    """One named statement. Calling it with parameters makes a `Call`."""

    name: str
    result: Result
    lines: tuple[tuple[str, str | None], ...]
    """Each line, and the parameter without which it is left out."""
    _texts: dict[tuple[bool, ...], str] = field(factory=dict, init=False, repr=False, eq=False)
    optional: tuple[str, ...] = field(
        init=False,
        default=Factory(lambda self: _unique(name for _, name in self.lines if name), True),
    )
    parameters: frozenset[str] = field(
        init=False,
        default=Factory(
            lambda self: frozenset(
                name for line, _ in self.lines for name in PARAMETER.findall(line)
            ),
            True,
        ),
    )

    _whole: str = field(
        init=False,
        repr=False,
        default=Factory(lambda self: "\n".join(line for line, _ in self.lines), True),
    )

    def __call__(self, **parameters: Any) -> Call:
        """This statement with `parameters`."""
        return Call(self, parameters)

    def text(self, parameters: Mapping[str, Any]) -> str:
        """The SQL for a call with these parameters."""
        if not self.optional:
            return self._whole
        present = tuple([parameters[name] is not None for name in self.optional])
        text = self._texts.get(present)
        if text is None:
            left_out = {
                name for name, is_there in zip(self.optional, present, strict=True) if not is_there
            }
            text = "\n".join(line for line, name in self.lines if name not in left_out)
            self._texts[present] = text
        return text


class Queries:
    """The statements of a driver, as attributes by name."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        """Statements of one driver; names must be unique."""
        for statement in statements:
            if statement.name in self.__dict__:
                raise ConfigurationError(statement.name, "two statements have this name")
            self.__dict__[statement.name] = statement

    def __getattr__(self, name: str) -> Statement:
        raise AttributeError(f"no statement is named {name!r}")

    def all(self) -> dict[str, Statement]:
        """Every statement by name."""
        return dict(self.__dict__)


def load_queries(package: str, **names: str) -> Queries:
    """The statements in the `.sql` files among the resources of `package`.

    `names` are fragments that the driver knows and its files do not, such as the name of a schema.
    """
    texts = [
        resource.read_text("utf-8")
        for resource in sorted(files(package).iterdir(), key=lambda resource: resource.name)
        if resource.name.endswith(".sql")
    ]
    return Queries(parse_statements("\n".join(texts), **names))


def parse_statements(text: str, **names: str) -> list[Statement]:
    """The statements in `text`, with `names` as further fragments.

    Raises `ConfigurationError` for a heading that is not as above, two fragments of one name, and
    a fragment that is not there.
    """
    for line in _LIKE_A_HEADING.findall(text):
        if not _HEADING.fullmatch(line):
            raise ConfigurationError(line, "expected '-- name: x :one' or '-- fragment: x'")
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    statements, fragments = [], {}
    headings = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    for heading, end in zip(headings, ends, strict=False):  # an end too many where there is none
        _, name, result, _, fragment = heading.groups()
        body = text[heading.end() : end]
        if name:
            statements.append((name, Result(result), body))
        elif fragment in fragments:
            raise ConfigurationError(fragment, "two fragments have this name")
        else:
            fragments[fragment] = _COMMENT.sub("", body).strip()
    return [
        Statement(name, result, _lines(name, body, fragments)) for name, result, body in statements
    ]


def _lines(
    name: str, body: str, fragments: Mapping[str, str]
) -> tuple[tuple[str, str | None], ...]:
    def fragment(match: re.Match[str]) -> str:
        try:
            return fragments[match.group(1)]
        except KeyError:
            raise ConfigurationError(name, f"no fragment is named {match.group(1)!r}") from None

    text = _FRAGMENT.sub(fragment, _COMMENT.sub("", body).strip().rstrip(";"))
    found = []
    for line in text.splitlines():
        match = _OPTIONAL.search(line)
        found.append((line[: match.start()], match.group(1)) if match else (line, None))
    return tuple(found)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
