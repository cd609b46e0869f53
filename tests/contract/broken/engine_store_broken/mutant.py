"""What a mutant is, and how one changes the working driver below it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from attrs import evolve, frozen

from engine_store.sql.statements import Statement, parse_statements
from engine_store_sqlite import driver


@frozen
class Mutant:
    """A working store made wrong in one way: by `override`, against `clause` of the contract."""

    name: str
    clause: str
    base: str
    override: Callable[[], None]


MUTANTS: dict[str, Mutant] = {}
"""Every mutant, by its name."""


def mutant(clause: str, *, base: str) -> Callable[[Callable[[], None]], None]:
    """Make a function the override of a mutant; its docstring is the mistake some driver made."""

    def add(override: Callable[[], None]) -> None:
        name = override.__name__.replace("_", "-")
        assert override.__doc__, f"{name} does not say which mistake it is"
        assert name not in MUTANTS, f"two mutants are called {name}"
        MUTANTS[name] = Mutant(name, clause, base, override)

    return add


def replace(target: str) -> Callable[[Callable[..., Any]], None]:
    """Put a function in the place of `package.module:Class.method`, or of a function there.

    Its first argument is the original; the others are those of a call.
    """
    module, _, path = target.partition(":")
    *owners, name = path.split(".")

    def put(function: Callable[..., Any]) -> None:
        place = functools.reduce(getattr, owners, import_module(module))
        original = getattr(place, name)

        @functools.wraps(original)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            return function(original, *args, **kwargs)

        setattr(place, name, replacement)

    return put


def elsewhere() -> bool:
    """Whether this is another process than the first one that asked, of those it has started."""
    own = str(os.getpid())
    return os.environ.setdefault("ENGINE_STORE_BROKEN_FIRST", own) != own


def replace_elsewhere(target: str) -> Callable[[Callable[..., Any]], None]:
    """`replace`, with nothing replaced in the first process: it reads from its own memory."""
    elsewhere()

    def put(function: Callable[..., Any]) -> None:
        @replace(target)
        def chosen(original: Any, *args: Any, **kwargs: Any) -> Any:
            if elsewhere():
                return function(original, *args, **kwargs)
            return original(*args, **kwargs)

    return put


def rewrite(name: str, old: str, new: str) -> None:
    """Change the text of a statement of the SQLite driver, for every operation."""
    statements = vars(driver.QUERIES)
    statements[name] = rewritten(statements[name], old, new)


def rewritten(statement: Statement, old: str, new: str) -> Statement:
    """The statement with `new` for `old`, which must be there."""
    text = "\n".join(f"{line} --? {given}" if given else line for line, given in statement.lines)
    assert old in text, f"{statement.name} has no {old!r}"
    mark = "!" if statement.writes else ""
    heading = f"-- name: {statement.name}{mark} :{statement.result.value}\n"
    [changed] = parse_statements(heading + text.replace(old, new))
    return changed


def rewrite_step(version: int, old: str, new: str) -> None:
    """Change the texts of a migration of the SQLite driver."""
    step = driver.MIGRATIONS[version - 1]
    assert old in step.up_sql + step.down_sql, f"step {version} has no {old!r}"
    changed = evolve(
        step, up_sql=step.up_sql.replace(old, new), down_sql=step.down_sql.replace(old, new)
    )
    driver.MIGRATIONS = tuple(changed if known is step else known for known in driver.MIGRATIONS)
