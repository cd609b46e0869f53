"""Applying, reverting and verifying the schema (contract 8)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from engine_store import migrations
from engine_store.errors import MigrationDriftError, MigrationLockError, UnavailableError
from engine_store.migrations import Applied, Direction, Migration, MigrationPlan, MigrationStatus
from engine_store.protocols import OpenContext
from engine_store.sql.statements import Queries
from engine_store_sqlite.connections import Connections
from engine_store_sqlite.drift import schema_differences
from engine_store_sqlite.failures import translated
from engine_store_sqlite.session import execute

APPLICATION_ID = 0x45535452
"""What marks a file as ours (`PRAGMA application_id`): "ESTR" in ASCII."""


class SqliteMigrator:
    """`engine_store.protocols.Migrator`. All steps of a call commit together or not at all."""

    def __init__(
        self,
        connections: Connections,
        steps: tuple[Migration, ...],
        queries: Queries,
        context: OpenContext,
        timeout: float,
    ) -> None:
        """A migrator that waits at most `timeout` seconds for another one."""
        self._connections = connections
        self._steps = steps
        self._queries = queries
        self._clock = context.clock
        self._listeners = context.listeners
        self._timeout = timeout

    def status(self) -> tuple[MigrationStatus, ...]:
        return migrations.status(self._steps, self.applied())

    def plan(self, target: int | None = None) -> MigrationPlan:
        return migrations.plan(self._steps, self.applied(), target)

    def up(self, target: int | None = None) -> MigrationPlan:
        return self._migrate(Direction.UP, target)

    def down(self, target: int) -> MigrationPlan:
        return self._migrate(Direction.DOWN, target)

    def verify(self) -> None:
        migrations.check_current(self._steps, self.applied())
        with self._reader() as reader, closing(sqlite3.connect(":memory:")) as expected:
            expected.execute(self._queries.create_migrations.text({}))
            for step in self._steps:
                for statement in split(step.up_sql):
                    expected.execute(statement)
            differences = schema_differences(expected, reader)
        if differences:
            raise MigrationDriftError(differences)

    def applied(self) -> tuple[Applied, ...]:
        """The database's record of applied steps; none where it has no record."""
        with self._reader() as reader:
            return read_applied(reader, self._queries)

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        self._connections.check_open()
        readers = self._connections.readers
        connection = readers.take()
        try:
            with translated():
                yield connection
        finally:
            readers.give(connection)

    def _migrate(self, direction: Direction, target: int | None) -> MigrationPlan:
        plan = self._plan(direction, self.applied(), target)
        if not plan.steps:  # nothing to wait for a lock for
            return plan
        writer = self._connections.writer
        try:
            writer.begin(self._timeout)
        except UnavailableError as error:
            if error.retriable:
                raise MigrationLockError(self._timeout) from error
            raise
        try:
            # Once more: another process may have been at it while this one waited.
            applied = read_applied(writer.connection, self._queries)
            plan = self._plan(direction, applied, target)
            with translated():
                self._run(writer.connection, plan)
        except BaseException:
            writer.rollback()
            raise
        writer.commit()
        for step in plan.steps:
            self._listeners.migration_applied("sqlite", step, direction)
        return plan

    def _plan(
        self, direction: Direction, applied: tuple[Applied, ...], target: int | None
    ) -> MigrationPlan:
        plan = migrations.plan(self._steps, applied, target)
        return plan if plan.direction is direction else MigrationPlan(direction, ())

    def _run(self, connection: sqlite3.Connection, plan: MigrationPlan) -> None:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        execute(connection, self._queries.create_migrations())
        for step in plan.steps:
            up = plan.direction is Direction.UP
            for statement in split(step.up_sql if up else step.down_sql):
                connection.execute(statement)
            if up:
                now = self._clock().astimezone(UTC).isoformat(timespec="microseconds")
                record = self._queries.record_applied(
                    version=step.version, name=step.name, checksum=step.checksum, applied_at=now
                )
            else:
                record = self._queries.forget_applied(version=step.version)
            execute(connection, record)


def read_applied(connection: sqlite3.Connection, queries: Queries) -> tuple[Applied, ...]:
    """The record of applied steps; none where there is no record."""
    if execute(connection, queries.has_migrations()) is None:
        return ()
    return tuple(
        Applied(version, name, checksum, datetime.fromisoformat(applied_at))
        for version, name, checksum, applied_at in execute(connection, queries.list_applied())
    )


def split(script: str) -> Iterator[str]:
    """The statements of a script. (`executescript` would commit the transaction first.)"""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
