"""Numbered migrations: files with checksums, and the planner every driver shares (contract 8).

A step is a pair of files, `0001_users.up.sql` and `0001_users.down.sql`, inside the driver's
package. The planner is pure: a driver reads what is applied, asks for a plan and runs it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from importlib.resources import files

from attrs import Factory, evolve, field, frozen

from engine_store.errors import (
    ConfigurationError,
    MigrationDriftError,
    SchemaAheadError,
    SchemaBehindError,
)

NO_TRANSACTION = "-- no transaction"
"""The first line of a text that cannot run in a transaction, for databases that have such. Each of
its statements is one that may run again after a crash (contract 8.1)."""

_FILE = re.compile(r"(\d{4})_(\w+)\.(up|down)\.sql")


def _checksum(step: Migration) -> str:
    text = "\0".join((step.name, step.up_sql, step.down_sql)).replace("\r\n", "\n")
    return hashlib.sha256(text.encode()).hexdigest()


@frozen
class Migration:
    """One step: its number from 1, its name, and the SQL that applies and reverts it.

    `checksum` is the SHA-256 of both texts in hexadecimal, whatever their line endings. It is that
    of the files, also where a driver puts the name of a schema into the texts.
    """

    version: int
    name: str
    up_sql: str = field(repr=False)
    down_sql: str = field(repr=False)
    checksum: str = field(default=Factory(_checksum, takes_self=True), repr=False)

    def named(self, **names: str) -> Migration:
        """The step with each `{name}` in its texts replaced, and the checksum of the files."""
        up_sql, down_sql = self.up_sql, self.down_sql
        for name, value in names.items():
            up_sql = up_sql.replace(f"{{{name}}}", value)
            down_sql = down_sql.replace(f"{{{name}}}", value)
        return evolve(self, up_sql=up_sql, down_sql=down_sql)


@frozen
class Applied:
    """A row of the database's own record of applied steps."""

    version: int
    name: str
    checksum: str
    applied_at: datetime


@frozen
class MigrationStatus:
    """A step of the code and when it was applied to this database; None: it is missing."""

    version: int
    name: str
    applied_at: datetime | None


class Direction(StrEnum):
    """Which way a plan goes."""

    UP = "up"
    DOWN = "down"


@frozen
class MigrationPlan:
    """Steps in the order they run. `sql` is their text, one after the other."""

    direction: Direction
    steps: tuple[Migration, ...]

    @property
    def sql(self) -> str:
        """The text of the steps, as it would run."""
        texts = (
            step.up_sql if self.direction is Direction.UP else step.down_sql for step in self.steps
        )
        return "\n".join(texts)


class NoMigrations:
    """`engine_store.protocols.Migrator` of a store without a schema: it has no steps.

    `check_open` raises where the store cannot be used.
    """

    def __init__(self, check_open: Callable[[], None]) -> None:
        self._check_open = check_open

    def status(self) -> tuple[MigrationStatus, ...]:
        self._check_open()
        return ()

    def plan(self, target: int | None = None) -> MigrationPlan:
        self._check_open()
        return plan((), (), target)

    up = plan

    def down(self, target: int) -> MigrationPlan:
        return self.plan(target)

    def verify(self) -> None:
        self._check_open()


def load_migrations(package: str) -> tuple[Migration, ...]:
    """The migrations among the resources of `package`, in order.

    Raises `ConfigurationError` where a number is missing, doubled or lacks one of its files.
    """
    found: dict[tuple[int, str], dict[str, str]] = {}
    for resource in files(package).iterdir():
        if match := _FILE.fullmatch(resource.name):
            number, name, direction = match.groups()
            found.setdefault((int(number), name), {})[direction] = resource.read_text("utf-8")
    steps = tuple(
        Migration(number, name, texts.get("up", ""), texts.get("down", ""))
        for (number, name), texts in sorted(found.items())
    )
    for expected, step in enumerate(steps, start=1):
        if step.version != expected or not (step.up_sql and step.down_sql):
            raise ConfigurationError(
                package, f"expected step {expected} with .up.sql and .down.sql, found {step}"
            )
    return steps


def current_version(applied: Sequence[Applied]) -> int:
    """The schema version of a database: its newest applied step, 0 for none."""
    return max((row.version for row in applied), default=0)


def status(steps: Sequence[Migration], applied: Sequence[Applied]) -> tuple[MigrationStatus, ...]:
    """Every step of the code, with the time the database has for it."""
    times = {row.version: row.applied_at for row in applied}
    return tuple(
        MigrationStatus(step.version, step.name, times.get(step.version)) for step in steps
    )


def check_history(steps: Sequence[Migration], applied: Sequence[Applied]) -> None:
    """That what is applied is the beginning of what the code has (contract 8.4).

    Raises `SchemaAheadError` for a newer database, `MigrationDriftError` for other files.
    """
    newest = len(steps)
    if current_version(applied) > newest:
        raise SchemaAheadError(database=current_version(applied), code=newest)
    known = {step.version: step.checksum for step in steps}
    differences = [
        f"step {row.version} was applied as {row.name!r} with another checksum"
        for row in applied
        if row.checksum != known.get(row.version)
    ]
    missing = set(range(1, current_version(applied) + 1)) - {row.version for row in applied}
    differences += [f"step {version} was skipped" for version in sorted(missing)]
    if differences:
        raise MigrationDriftError(tuple(differences))


def check_current(steps: Sequence[Migration], applied: Sequence[Applied]) -> None:
    """That the database is exactly at the code's schema.

    Raises as `check_history` does, and `SchemaBehindError` where steps are missing.
    """
    check_history(steps, applied)
    if current_version(applied) < len(steps):
        raise SchemaBehindError(database=current_version(applied), code=len(steps))


def plan(
    steps: Sequence[Migration], applied: Sequence[Applied], target: int | None = None
) -> MigrationPlan:
    """The steps that bring a database to `target`, or to the newest schema.

    Raises as `check_history` does, and `ConfigurationError` for a target that is no step.
    """
    check_history(steps, applied)
    goal = len(steps) if target is None else target
    if not 0 <= goal <= len(steps):
        raise ConfigurationError("target", f"expected 0 to {len(steps)}, found {goal}")
    now = current_version(applied)
    if goal >= now:
        return MigrationPlan(Direction.UP, tuple(steps[now:goal]))
    return MigrationPlan(Direction.DOWN, tuple(reversed(steps[goal:now])))
