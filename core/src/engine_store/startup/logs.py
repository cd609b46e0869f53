"""Listeners that log what a started store does, to the logger of the context."""

from __future__ import annotations

import logging

from engine_store.errors import VersionConflictError
from engine_store.migrations import Direction, Migration
from engine_store.plugins import Hooks, hookimpl
from engine_store.run_context import Context


class MigrationLog(Hooks):
    """A listener that logs each step of the schema, as information."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @hookimpl
    def engine_store_migration_applied(
        self, driver: str, migration: Migration, direction: Direction
    ) -> None:
        """Log a step."""
        logger = self._context.bound(driver=driver, step=migration.version, name=migration.name)
        logger.info("schema step %s", direction.value)


class OperationLog(Hooks):
    """A listener that logs each operation, for finding out what goes on."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @hookimpl
    def engine_store_operation_finished(
        self, driver: str, operation: str, seconds: float, error: BaseException | None
    ) -> None:
        """Log an operation."""
        # Not the text of its error, which may hold what is stored.
        fields = {} if error is None else {"error": type(error).__name__}
        logger = self._context.bound(driver=driver, operation=operation, **fields)
        logger.debug("operation", extra={"seconds": round(seconds, 6)})

    @hookimpl
    def engine_store_conflict(
        self, driver: str, operation: str, conflict: VersionConflictError
    ) -> None:
        """Log a lost compare-and-set."""
        logger = self._context.bound(driver=driver, operation=operation)
        logger.debug("conflict", extra={"expected": conflict.expected, "actual": conflict.actual})


def listeners(context: Context) -> tuple[object, ...]:
    """Return those whose level is enabled: operations pay for their listeners."""
    wanted: list[object] = []
    if context.logger.isEnabledFor(logging.INFO):
        wanted.append(MigrationLog(context))
    if context.logger.isEnabledFor(logging.DEBUG):
        wanted.append(OperationLog(context))
    return tuple(wanted)
