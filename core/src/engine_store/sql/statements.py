"""Named SQL statements, kept in `.sql` files.

A file holds statements and fragments, each below a heading:

    -- fragment: user_columns
    user_id, email, role

    -- name: list_users :many
    -- Users in creation order; a page starts after (:after_created_at, :after_id).
    SELECT {user_columns}
    FROM {schema}.users
    WHERE true
      AND role = :role --? role
    ORDER BY created_at, user_id

    -- name: delete_user! :one
    DELETE FROM {schema}.users
    WHERE user_id = :user_id
    RETURNING user_id

`:one` gives a row or None, `:many` a list of rows, `:none` nothing. A `!` after the name says that
the statement writes. `{name}` is replaced by the fragment of that name when the file is loaded. A
line that ends in `--? name` is left out of a call whose parameter `name` is None: one readable
text serves every filter, and the planner sees only the conditions that are there. Values are
always bound, never formatted in.

A statement may have several parts, each but the last one ended by a `;` at the end of its line.
They run in order and the last one gives the rows. A part that matches no row ends the statement:
it gives None, or no rows.

The kit's own files declare every statement that a driver has to have. Most have a text, which
serves every database that speaks the standard's SQL: a statement or a fragment of the same name in
a driver's file overrides it. A heading without a text leaves the text to each driver, and says in
its comment what goes in and what comes out; `?` marks a parameter that may be left out:

    -- name: upsert_user! :one
    -- Stores a user with version 1, or updates the one that is there. No row: the email is taken.
    -- takes: user_id, email, email_folded, role, created_at?, now
    -- gives: {user_columns}
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

from attrs import Factory, field, frozen

from engine_store.errors import ConfigurationError

_HEADING = re.compile(
    r"^-- (?:(name): (\w+)(!?) :(one|many|none)|(fragment): (\w+))[ \t]*$", re.MULTILINE
)
_LIKE_A_HEADING = re.compile(r"^[ \t]*--[ \t]*(?:name|fragment)\b.*$", re.MULTILINE)
_ABOUT = re.compile(r"\n(?:--.*\n?)*")
_COMMENT = re.compile(r"^\s*--(?!\?).*\n?", re.MULTILINE)
_OPTIONAL = re.compile(r"\s*--\?\s*(\w+)\s*$")
PARAMETER = re.compile(r"(?<!:):([a-z_]\w*)")
"""A parameter in the text of a statement; `::` is a cast."""
_FRAGMENT = re.compile(r"\{(\w+)\}")
_PART = re.compile(r";[ \t]*\n")


class Result(Enum):
    """How many rows a statement gives."""

    ONE = "one"
    MANY = "many"
    NONE = "none"


class Call(NamedTuple):
    """A statement with its parameters: what an operation yields."""

    statement: Statement
    parameters: dict[str, Any]


_new = tuple.__new__  # a third of the time of a named tuple's own


@frozen
class Statement:
    """One named statement. Calling it with parameters makes a `Call`."""

    name: str
    result: Result
    lines: tuple[tuple[str, str | None], ...]
    """Each line, and the parameter without which it is left out."""
    writes: bool = False
    _texts: dict[tuple[bool, ...], str] = field(factory=dict, init=False, repr=False, eq=False)
    optional: tuple[str, ...] = field(
        init=False,
        default=Factory(
            lambda self: tuple(dict.fromkeys(name for _, name in self.lines if name)), True
        ),
    )
    whole: str = field(
        init=False,
        repr=False,
        default=Factory(lambda self: "\n".join(line for line, _ in self.lines), True),
    )
    """The SQL with every line."""
    parameters: frozenset[str] = field(
        init=False,
        default=Factory(lambda self: frozenset(PARAMETER.findall(self.whole)), True),
    )
    has_parts: bool = field(
        init=False, default=Factory(lambda self: _PART.search(self.whole) is not None, True)
    )

    def __call__(self, **parameters: Any) -> Call:
        """Return this statement with `parameters`."""
        return _new(Call, (self, parameters))

    def text(self, parameters: Mapping[str, Any]) -> str:
        """Return the SQL for a call with these parameters, all of its parts."""
        if not self.optional:
            return self.whole
        if len(self.optional) == 1 and parameters[self.optional[0]] is not None:
            return self.whole
        present = tuple([parameters[name] is not None for name in self.optional])
        text = self._texts.get(present)
        if text is None:
            left_out = {
                name for name, is_there in zip(self.optional, present, strict=True) if not is_there
            }
            text = "\n".join(line for line, name in self.lines if name not in left_out)
            self._texts[present] = text
        return text

    def parts(self, parameters: Mapping[str, Any]) -> list[str]:
        """Return the SQL of each part for a call with these parameters."""
        text = self.text(parameters)
        return _PART.split(text) if self.has_parts else [text]


class Queries:
    """The statements of a driver, as attributes by name."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        """Raise `ConfigurationError` if two statements have one name."""
        for statement in statements:
            if statement.name in self.__dict__:
                raise ConfigurationError(statement.name, "two statements have this name")
            self.__dict__[statement.name] = statement

    def __getattr__(self, name: str) -> Statement:
        raise AttributeError(f"no statement is named {name!r}")

    def all(self) -> dict[str, Statement]:
        """Return every statement by name."""
        return dict(self.__dict__)


class Block(NamedTuple):
    """A heading with what is below it."""

    name: str
    result: Result | None
    """None for a fragment."""
    writes: bool
    comment: str
    """The lines of comment right below the heading."""
    body: str
    """The text without its comments. A statement without a text is declared only."""


def parse_statements(text: str, *, defaults: str = "", **names: str) -> list[Statement]:
    """Return the statements in `text`, and those in `defaults` that `text` does not have.

    `names` are further fragments. Raises `ConfigurationError` for a heading that is not as above,
    two statements or fragments of one name, and a fragment that is not there.
    """
    own = blocks_of(text)
    taken = Counter((block.name, block.result is None) for block in own)
    for (name, _), times in taken.items():
        if times > 1:
            raise ConfigurationError(name, "two statements or fragments have this name")
    further = blocks_of(defaults)
    blocks = [*own, *(one for one in further if (one.name, one.result is None) not in taken)]
    fragments = dict(names)
    for block in blocks:
        if block.result is None:
            fragments[block.name] = block.body
    return [
        Statement(block.name, block.result, _lines(block.name, block.body, fragments), block.writes)
        for block in blocks
        if block.result is not None and block.body
    ]


@cache
def blocks_of(text: str) -> tuple[Block, ...]:
    """Return the statements and fragments in `text`. Raises `ConfigurationError` for no heading."""
    return tuple(_blocks(text))


def _blocks(text: str) -> Iterator[Block]:
    for line in _LIKE_A_HEADING.findall(text):
        if not _HEADING.fullmatch(line):
            raise ConfigurationError(line, "expected '-- name: x :one' or '-- fragment: x'")
    headings = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    for heading, end in zip(headings, ends, strict=False):  # an end too many if there is none
        _, name, mark, result, _, fragment = heading.groups()
        about = _ABOUT.match(text, heading.end(), end)
        comment = about[0].replace("\n-- ", "\n") if about else ""
        body = _COMMENT.sub("", text[heading.end() : end]).strip()
        kind = Result(result) if result else None
        yield Block(name or fragment, kind, bool(mark), comment, body)


def _lines(
    name: str, body: str, fragments: Mapping[str, str]
) -> tuple[tuple[str, str | None], ...]:
    def fragment(match: re.Match[str]) -> str:
        try:
            return fragments[match.group(1)]
        except KeyError:
            raise ConfigurationError(name, f"no fragment is named {match.group(1)!r}") from None

    text = body.rstrip(";")
    for _ in range(len(fragments) + 1):  # a fragment may name another one, but not itself
        text, replaced = _FRAGMENT.subn(fragment, text)
        if not replaced:
            break
    found = []
    for line in text.splitlines():
        match = _OPTIONAL.search(line)
        found.append((line[: match.start()], match.group(1)) if match else (line, None))
    return tuple(found)


def split_script(script: str) -> list[str]:
    """Return the statements of a script, each but the last ended by `;` and a line's end."""
    lines = [line for line in script.splitlines() if not line.lstrip().startswith("--")]
    parts = _PART.split("\n".join([*lines, ""]))
    return [part.strip() for part in parts if part.strip()]
