"""Applying, reverting and verifying the schema (contract 8).

A step takes the migration lock, looks at what is applied, runs, and writes its row. So a step runs
once however many processes are at it. In a database with transactional DDL that is one
transaction, and a crash leaves whole steps. In another one the record says before a step that it
runs, the step counts as not applied from then on, and its statements may run again.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from engine_store import migrations
from engine_store.errors import (
    DamagedRowError,
    ForeignDatabaseError,
    MigrationDriftError,
    MigrationLockError,
    ReadOnlyError,
    UnavailableError,
)
from engine_store.migrations import (
    NO_TRANSACTION,
    Applied,
    Direction,
    Migration,
    MigrationPlan,
    MigrationStatus,
)
from engine_store.protocols import OpenContext
from engine_store.sql.connection import Connection, Pool
from engine_store.sql.dialect import Dialect
from engine_store.sql.statements import Call, Queries, Statement

T = TypeVar("T")

RECORD = "engine_store_migrations"
"""The table of applied steps, which marks a schema as ours."""

_MADE = re.compile(r"CREATE (?:TABLE|(?:UNIQUE )?INDEX) (?:IF NOT EXISTS )?(?:\{schema\}\.)?(\w+)")

LONGEST_POLL = 0.05
"""Seconds between two tries for the lock, at most."""


class SqlMigrator:
    """`engine_store.protocols.AsyncMigrator`; on a blocking pool its coroutines never suspend."""

    def __init__(
        self,
        pool: Pool,
        dialect: Dialect,
        queries: Queries,
        steps: Sequence[Migration],
        context: OpenContext,
        timeout: float,
        schema: str = "",
    ) -> None:
        """A migrator that waits at most `timeout` seconds for another one.

        If the database has schemas, or one of several databases is meant, `schema` is its name: it
        stands for `{schema}` in the steps, and is bound to the statements' parameter `schema`.
        """
        self.pool = pool
        self.queries = queries
        self.dialect = dialect
        self.schema = schema
        self.files = tuple(steps)
        self.steps = (
            tuple(step.named(schema=f'"{schema}"') for step in steps) if schema else self.files
        )
        self.clock = context.clock
        self.max_document_bytes = context.max_document_bytes
        self._listeners = context.listeners
        self._timeout = timeout

    async def status(self) -> tuple[MigrationStatus, ...]:
        return migrations.status(self.steps, await self.applied())

    async def plan(self, target: int | None = None) -> MigrationPlan:
        return migrations.plan(self.steps, await self.applied(), target)

    async def up(self, target: int | None = None) -> MigrationPlan:
        return await self._migrate(Direction.UP, target)

    async def down(self, target: int) -> MigrationPlan:
        return await self._migrate(Direction.DOWN, target)

    async def verify(self) -> None:
        await self.check(behind=False)
        async with self.reading() as connection:
            differences = await self.differences(connection)
        if differences:
            raise MigrationDriftError(tuple(differences))

    async def check(self, *, behind: bool) -> None:
        """Check that the database fits the code; with `behind` it may lack steps. Changes nothing.

        Raises `SchemaError`, and what `check_database` raises.
        """
        async with self.reading() as connection:
            await self.check_database(connection)
            applied = await self.applied_on(connection)
        (migrations.check_history if behind else migrations.check_current)(self.steps, applied)

    async def check_database(self, connection: Connection) -> None:
        """Check what else has to be true of the database. Changes nothing.

        Raises `ConfigurationError`, `ForeignDatabaseError`.
        """

    def check_free(self, names: Collection[str]) -> None:
        """Check that of the `names` in a schema without our record none is one that a step makes.

        Raises `ForeignDatabaseError`.
        """
        made = set(_MADE.findall(" ".join(step.up_sql for step in self.files)))
        if RECORD not in names and (taken := sorted(made.intersection(names))):
            raise ForeignDatabaseError(
                f"schema {self.schema}", f"tables of another program ({', '.join(taken)})"
            )

    async def applied(self) -> tuple[Applied, ...]:
        """Return the database's record of applied steps; none if it has no record."""
        async with self.reading() as connection:
            return await self.applied_on(connection)

    async def applied_on(self, connection: Connection) -> tuple[Applied, ...]:
        """Return `applied`, on a connection that the caller has. Raises `ForeignDatabaseError`."""
        try:
            return await read_applied(connection, self.queries, self.dialect, self.call)
        except self.dialect.failures.errors as error:
            if not self.dialect.lacks_column(error):
                raise
            raise ForeignDatabaseError(
                f"schema {self.schema}", f"a table {RECORD} of another program"
            ) from None

    async def differences(self, connection: Connection) -> Sequence[str]:
        """Return in what the schema differs from what the steps make, a sentence each."""
        found = await self.describe(connection)
        expected = await self.expected(connection)
        missing = [f"missing: {line}" for line in sorted(expected - found)]
        return missing + [f"not ours: {line}" for line in sorted(found - expected)]

    async def describe(self, connection: Connection, schema: str = "") -> set[str]:
        """Return a schema in lines of text: ours, or the one that is named."""
        schema = schema or self.schema
        rows = await connection.run(self.queries.describe_schema(schema=schema))
        # A name that is a word of SQL stands in quotes.
        named = re.compile(rf'(?<![\w"])(?:"{re.escape(schema)}"|{re.escape(schema)})\.')
        return {named.sub("", f"{kind}: {text}") for kind, text in rows}

    async def expected(self, connection: Connection) -> set[str]:
        """Return what `describe` gives of the schema that the steps make, made for it alone."""
        raise NotImplementedError

    # --- running steps ---------------------------------------------------------------------------

    async def _migrate(self, direction: Direction, target: int | None) -> MigrationPlan:
        deadline = time.monotonic() + self._timeout
        ran: list[Migration] = []
        # Looked at first without the lock: mostly there is nothing to do.
        while self._left(direction, await self.applied(), target):
            if self.pool.read_only:
                raise ReadOnlyError(f"migrator.{direction}")
            async with self._locked(deadline) as connection:
                applied = await self.applied_on(connection)
                left = self._left(direction, applied, target)
                if not left:
                    break
                if not applied and direction is Direction.UP:
                    await self._prepare(connection)
                await self._run(connection, left[0], direction)
            ran.append(left[0])
            self._listeners.migration_applied(self.dialect.name, left[0], direction)
        return MigrationPlan(direction, tuple(ran))

    def _left(
        self, direction: Direction, applied: tuple[Applied, ...], target: int | None
    ) -> tuple[Migration, ...]:
        plan = migrations.plan(self.steps, applied, target)
        return plan.steps if plan.direction is direction else ()

    async def _prepare(self, connection: Connection) -> None:
        """Make the schema and the record, if they are not there."""
        if await connection.run(self.call(self.queries.has_schema)) is None:
            await connection.run(self.call(self.queries.create_schema))
        await connection.run(self.call(self.queries.create_migrations))

    async def _run(self, connection: Connection, step: Migration, direction: Direction) -> None:
        """Run a step and record it, and commit both."""
        up = direction is Direction.UP
        text = step.up_sql if up else step.down_sql
        record = {"version": step.version, "name": step.name, "checksum": step.checksum}
        if not self.dialect.transactional_ddl:
            await connection.run(self.call(self.queries.record_started, **record))
        if text.startswith(NO_TRANSACTION):
            await self.run_outside(connection, text)
        else:
            await connection.execute(text)
        if up:
            record["applied_at"] = self._now()
            await connection.run(self.call(self.queries.record_applied, **record))
        else:
            await connection.run(self.call(self.queries.forget_applied, version=step.version))
        if connection.in_transaction:
            await connection.execute("COMMIT")

    async def run_outside(self, connection: Connection, text: str) -> None:
        """Run a step that cannot be in a transaction, while `connection` holds the lock."""
        raise NotImplementedError

    def _now(self) -> Any:
        now: datetime = self.clock()
        return self.dialect.codec.write_time(now.astimezone(UTC))

    @asynccontextmanager
    async def _locked(self, deadline: float) -> AsyncIterator[Connection]:
        """Hold the migration lock, in a transaction that is rolled back unless it commits.

        Raises `MigrationLockError` at the deadline: nobody goes on without the lock.
        """
        while True:
            async with self._trying(deadline) as connection:
                call = self.call(self.queries.try_migration_lock)
                (held,) = await connection.run(call, self.dialect.begin_migration)
                if held:
                    try:
                        yield connection
                    except BaseException:
                        await self._unlock(connection, may_fail=True)
                        raise
                    await self._unlock(connection)
                    return
            if time.monotonic() >= deadline:
                raise MigrationLockError(self._timeout)
            await self.pool.sleep(random.uniform(0, LONGEST_POLL))  # noqa: S311 - jitter

    async def _unlock(self, connection: Connection, *, may_fail: bool = False) -> None:
        """Give up a lock that no end of a transaction does; it may be lost with its connection."""
        if self.dialect.transactional_ddl:
            return
        call = self.call(self.queries.release_migration_lock)
        try:
            await self.pool.shield(connection.run(call))
        except self.dialect.failures.errors:
            if not may_fail:
                raise

    @asynccontextmanager
    async def _trying(self, deadline: float) -> AsyncIterator[Connection]:
        """Acquire a connection that writes, with the store's errors for the database's."""
        left = max(0.0, deadline - time.monotonic())
        with self.pool.hold() as hold:
            try:
                connection = await self.pool.acquire(write=True, timeout=left, owner=hold)
            except UnavailableError as error:
                if error.retriable and not self.dialect.begin:  # what acquires it holds the lock
                    raise MigrationLockError(self._timeout) from error
                raise
            try:
                with self.dialect.failures.translated():
                    yield connection
            finally:
                try:
                    await self.pool.shield(connection.rollback())
                finally:
                    await connection.release()

    # --- looking ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """Acquire a connection that reads, with the store's errors for the database's."""
        self.pool.check_open()
        with self.pool.hold() as hold:
            connection = await self.pool.acquire(owner=hold)
            try:
                with self.dialect.failures.translated():
                    yield connection
            finally:
                await connection.release()

    def call(self, statement: Statement, **parameters: Any) -> Call:
        """Return a call with `parameters`, and with the schema if the statement asks for it."""
        if self.schema and "schema" in statement.parameters:
            parameters["schema"] = self.schema
        return statement(**parameters)


async def read_applied(
    connection: Connection,
    queries: Queries,
    dialect: Dialect,
    call: Callable[[Statement], Call] = Statement.__call__,
) -> tuple[Applied, ...]:
    """Return a database's record of applied steps; none if it has no record.

    Raises `DamagedRowError`.
    """
    if await connection.run(call(queries.has_migrations)) is None:
        return ()
    applied = []
    for version, name, checksum, applied_at in await connection.run(call(queries.list_applied)):
        try:
            time = dialect.codec.read_time(applied_at)
        except (TypeError, ValueError) as error:
            raise DamagedRowError(RECORD, str(version), "applied_at", "a time") from error
        applied.append(Applied(version, name, checksum, time))
    return tuple(applied)
