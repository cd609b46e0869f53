"""The default texts of statements, and loading a driver's own over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files

from engine_store.errors import ConfigurationError
from engine_store.sql.catalogue import DEFAULTS, MIGRATIONS, STATEMENTS, Entry, texts_in
from engine_store.sql.statements import Queries, Statement, parse_statements


def load_queries(package: str, **names: str) -> Queries:
    """Return the statements of a driver: its own `.sql` files, over the kit's default texts.

    `names` are fragments that the driver knows and its files do not, such as the name of a schema.
    Raises `ConfigurationError` as `parse_statements` and `check_queries` do.
    """
    own = "\n".join(texts_in(files(package)).values())
    queries = Queries(parse_statements(own, defaults=DEFAULTS, **names))
    check_queries(queries)
    return queries


def check_queries(queries: Queries) -> None:
    """Check a driver's statements against those that operations and the migrator use.

    Raises `ConfigurationError` with everything that is missing, or has another result, other
    parameters or another mark for writing. A statement of the migrator may bind more: the names
    that the driver's migrator has.
    """
    found = queries.all()
    problems = [problem for entry in STATEMENTS.values() for problem in _problems(entry, found)]
    if problems:
        raise ConfigurationError("queries", "; ".join(problems))


def _problems(entry: Entry, found: Mapping[str, Statement]) -> Iterator[str]:
    statement = found.get(entry.name)
    if statement is None:
        if not entry.needed_if:
            yield f"{entry.name} is missing"
        return
    if statement.result is not entry.result:
        yield f"{entry.name} gives :{statement.result.value}, expected :{entry.result.value}"
    if statement.writes != entry.writes:
        yield f"{entry.name} {'needs a' if entry.writes else 'has a'} ! after its name"
    binds = statement.parameters | set(statement.optional)
    if unbound := entry.parameters - binds:
        yield f"{entry.name} does not use {', '.join(sorted(unbound))}"
    if entry not in MIGRATIONS and (unknown := binds - entry.parameters):
        yield f"{entry.name} is not given {', '.join(sorted(unknown))}"
    if always := set(statement.optional) - entry.optional:
        yield f"{entry.name} is never called without {', '.join(sorted(always))}"
