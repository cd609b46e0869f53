"""Applying, reverting and verifying the schema (contract 8). Written once, for both faces.

Each step is a transaction: it takes the migration lock, looks at what is applied, runs, and writes
its row. So a step runs once however many processes are at it, and a crash leaves whole steps. A
step of `CREATE INDEX CONCURRENTLY` cannot run in a transaction; it runs on a second connection
while the first one holds the lock.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC

import psycopg

from engine_store import migrations
from engine_store.errors import (
    ConfigurationError,
    ForeignDatabaseError,
    MigrationDriftError,
    MigrationLockError,
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
from engine_store.sql.statements import Queries
from engine_store_postgres.failures import translated
from engine_store_postgres.pools import Pool
from engine_store_postgres.wires import Wire, roll_back

RECORD = "engine_store_migrations"
"""The table of applied steps, which marks a schema as ours."""

_LONGEST_POLL = 0.05
_SCRATCH = "engine_store_scratch"
_CONCURRENT_INDEX = re.compile(
    r"(?is)create\s+(?:unique\s+)?index\s+concurrently\s+(?:if\s+not\s+exists\s+)?(\w+)"
)


class PostgresMigrator:
    """`engine_store.protocols.AsyncMigrator`; with a `SyncPool` its coroutines never wait."""

    def __init__(
        self,
        pool: Pool,
        steps: tuple[Migration, ...],
        queries: Queries,
        schema: str,
        context: OpenContext,
        timeout: float,
    ) -> None:
        """A migrator of `schema` that waits at most `timeout` seconds for another one.

        `steps` have `{schema}` in their texts where the name of the schema is to stand.
        """
        self.queries = queries
        self._pool = pool
        self._files = steps
        self._steps = tuple(step.named(schema=f'"{schema}"') for step in steps)
        self.schema = schema
        self._clock = context.clock
        self._listeners = context.listeners
        self._timeout = timeout

    async def status(self) -> tuple[MigrationStatus, ...]:
        return migrations.status(self._steps, await self.applied())

    async def plan(self, target: int | None = None) -> MigrationPlan:
        return migrations.plan(self._steps, await self.applied(), target)

    async def up(self, target: int | None = None) -> MigrationPlan:
        return await self._migrate(Direction.UP, target)

    async def down(self, target: int) -> MigrationPlan:
        return await self._migrate(Direction.DOWN, target)

    async def verify(self) -> None:
        migrations.check_current(self._steps, await self.applied())
        async with self.wire() as wire:
            found = await self._description(wire, self.schema)
            expected = await self._expected(wire)
        differences = [f"missing: {line}" for line in sorted(expected - found)]
        differences += [f"not ours: {line}" for line in sorted(found - expected)]
        if differences:
            raise MigrationDriftError(tuple(differences))

    async def applied(self) -> tuple[Applied, ...]:
        """The schema's record of applied steps; none where it has no record."""
        async with self.wire() as wire:
            return await self.applied_on(wire)

    async def check(self, *, behind: bool) -> None:
        """That the schema is ours, or nobody's, and fits the code. Changes nothing.

        Raises `ConfigurationError`, `ForeignDatabaseError`, `SchemaError`, `UnavailableError`.
        """
        async with self.wire() as wire:
            (encoding,) = await wire.fetch(self.queries.server_encoding())
            if encoding != "UTF8":
                raise ConfigurationError(
                    "options.dbname",
                    f"expected a database with the encoding UTF8, found {encoding}; make one with "
                    "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
                )
            names = await self._names(wire)
            if RECORD not in names:
                self._check_free(names)
            try:
                applied = await self.applied_on(wire)
            except psycopg.errors.UndefinedColumn:
                raise ForeignDatabaseError(
                    f"schema {self.schema}", f"a table {RECORD} of another program"
                ) from None
        (migrations.check_history if behind else migrations.check_current)(self._steps, applied)

    def _check_free(self, names: set[str]) -> None:
        """That nothing of somebody else has a name that a step is to make."""
        texts = " ".join(step.up_sql for step in self._files)
        ours = set(
            re.findall(r"CREATE TABLE \{schema\}\.(\w+)|CREATE (?:UNIQUE )?INDEX (\w+)", texts)
        )
        if taken := sorted(names & {name for pair in ours for name in pair if name}):
            raise ForeignDatabaseError(
                f"schema {self.schema}", f"tables of another program ({', '.join(taken)})"
            )

    async def enable_pgvector(self, *, auto_migrate: bool) -> None:
        """Make the extension `vector`. Raises `ConfigurationError` where that cannot be.

        It is no numbered step: it is of the database, not of the schema, and most stores need none.
        """
        async with self.wire() as wire:
            available = await wire.fetch(self.queries.find_pgvector())
            if available is None:
                raise ConfigurationError(
                    "options.pgvector",
                    "the server does not offer the extension vector; install pgvector there, or "
                    "use another vector database",
                )
            if available[0] is not None:
                return
            if not auto_migrate:
                raise ConfigurationError(
                    "options.pgvector",
                    "the extension vector is not there and auto_migrate is off; run CREATE "
                    "EXTENSION vector as a superuser",
                )
            try:
                with suppress(psycopg.errors.UniqueViolation):  # another process was as fast
                    await wire.fetch(self.queries.create_pgvector())
            except psycopg.errors.InsufficientPrivilege:
                raise ConfigurationError(
                    "options.pgvector",
                    "this user may not make extensions; run CREATE EXTENSION vector as a superuser",
                ) from None
            except psycopg.errors.InvalidSchemaName:
                raise ConfigurationError(
                    "options.pgvector",
                    "there is no schema to make the extension vector in; run CREATE SCHEMA public",
                ) from None

    # --- running steps ---------------------------------------------------------------------------

    async def _migrate(self, direction: Direction, target: int | None) -> MigrationPlan:
        deadline = time.monotonic() + self._timeout
        ran: list[Migration] = []
        # What is to be done is looked at first without the lock: mostly it is nothing.
        while self._left(direction, await self.applied(), target):
            async with self._locked(deadline) as wire:
                applied = await self.applied_on(wire)
                left = self._left(direction, applied, target)
                if not left:
                    break
                if not applied and direction is Direction.UP:
                    await self._prepare(wire)
                await self._run(wire, left[0], direction)
                await wire.command("COMMIT")
            ran.append(left[0])
            self._listeners.migration_applied("postgres", left[0], direction)
        return MigrationPlan(direction, tuple(ran))

    def _left(
        self, direction: Direction, applied: tuple[Applied, ...], target: int | None
    ) -> tuple[Migration, ...]:
        plan = migrations.plan(self._steps, applied, target)
        return plan.steps if plan.direction is direction else ()

    async def _prepare(self, wire: Wire) -> None:
        """Make the schema and the record, where they are not there."""
        if await wire.fetch(self.queries.has_schema(schema=self.schema)) is None:
            await wire.fetch(self.queries.create_schema())
        await wire.fetch(self.queries.create_migrations())

    async def _run(self, wire: Wire, step: Migration, direction: Direction) -> None:
        up = direction is Direction.UP
        text = step.up_sql if up else step.down_sql
        if text.startswith(NO_TRANSACTION):
            # The lock is held meanwhile by a transaction that does nothing. A text without
            # parameters also ends the snapshot that the last statement with some left open: an
            # index that is built waits for every older snapshot, and would wait for its own lock.
            await wire.command("SET LOCAL idle_in_transaction_session_timeout = 0")
            await self._run_outside(text)
        else:
            await wire.command(text)
        if up:
            record = self.queries.record_applied(
                version=step.version,
                name=step.name,
                checksum=step.checksum,
                applied_at=self._clock().astimezone(UTC),
            )
        else:
            record = self.queries.forget_applied(version=step.version)
        await wire.fetch(record)

    async def _run_outside(self, text: str) -> None:
        """Run statements one by one outside of a transaction; an earlier run may have done some."""
        wire = await self._pool.connect()
        try:
            if self._pool.keeps_sessions:
                await wire.command("SET statement_timeout = 0")  # an index takes what it takes
            for statement in _statements(text):
                match = _CONCURRENT_INDEX.search(statement)
                if match is None or not await self._is_built(wire, match[1]):
                    await wire.command(statement)
        finally:
            await wire.release()

    async def _is_built(self, wire: Wire, index: str) -> bool:
        """Whether an index is there; one that a crash left INVALID is dropped."""
        found = await wire.fetch(self.queries.find_index(schema=self.schema, index=index))
        if found is None or found[0]:
            return found is not None
        await wire.command(f'DROP INDEX CONCURRENTLY "{self.schema}".{index}')
        return False

    @asynccontextmanager
    async def _locked(self, deadline: float) -> AsyncIterator[Wire]:
        """A transaction that holds the migration lock; rolled back unless it was committed.

        Raises `MigrationLockError` at the deadline.
        """
        async with self.wire() as wire:
            while True:
                await wire.command("BEGIN; SET LOCAL statement_timeout = 0")
                try:
                    (held,) = await wire.fetch(self.queries.try_migration_lock(schema=self.schema))
                    if held:
                        yield wire
                        return
                finally:
                    await self._pool.whole(roll_back(wire))
                if time.monotonic() >= deadline:
                    raise MigrationLockError(self._timeout)
                await self._pool.sleep(random.uniform(0, _LONGEST_POLL))  # noqa: S311 - jitter

    # --- looking ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """A connection of the pool, with the store's errors for psycopg's."""
        self._pool.check_open()
        wire = await self._pool.take()
        try:
            with translated():
                yield wire
        finally:
            await wire.release()

    async def _names(self, wire: Wire) -> set[str]:
        rows = await wire.fetch(self.queries.list_names(schema=self.schema))
        return {name for (name,) in rows}

    async def applied_on(self, wire: Wire) -> tuple[Applied, ...]:
        """`applied`, on a connection that the caller has."""
        if await wire.fetch(self.queries.has_migrations(schema=self.schema)) is None:
            return ()  # asked first, because a failure would end the transaction
        rows = await wire.fetch(self.queries.list_applied())
        return tuple(
            Applied(version, name, checksum, applied_at)
            for version, name, checksum, applied_at in rows
        )

    async def _description(self, wire: Wire, schema: str) -> set[str]:
        rows = await wire.fetch(self.queries.describe_schema(schema=schema))
        return {f"{kind}: {text}".replace(f"{schema}.", "") for kind, text in rows}

    async def _expected(self, wire: Wire) -> set[str]:
        """What the steps make, seen by making it in another schema that is never committed."""
        scratch = f'"{_SCRATCH}"'
        texts = [self.queries.create_migrations.text({}).replace(f'"{self.schema}"', scratch)]
        texts += [step.named(schema=scratch).up_sql for step in self._files]
        await wire.command("BEGIN")
        try:
            await wire.command(f"CREATE SCHEMA {scratch}")
            for text in texts:
                await wire.command(re.sub(r"(?i)\bconcurrently\b", "", text))
            return await self._description(wire, _SCRATCH)
        finally:
            await self._pool.whole(roll_back(wire))


def _statements(text: str) -> list[str]:
    """The statements of a step outside of a transaction, which has no literals or functions."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
