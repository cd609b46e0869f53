"""What a started store does, told to the logger of the context."""

from __future__ import annotations

import logging

from engine_store.errors import VersionConflictError
from engine_store.migrations import Direction, Migration
from engine_store.plugins import hookimpl
from engine_store.run_context import Context


class MigrationLog:
    """A listener that logs each step of the schema, as information."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @hookimpl
    def engine_store_migration_applied(
        self, driver: str, migration: Migration, direction: Direction
    ) -> None:
        """A step was committed."""
        logger = self._context.bound(driver=driver, step=migration.version, name=migration.name)
        logger.info("schema step %s", direction.value)


class OperationLog:
    """A listener that logs each operation, for finding out what goes on."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @hookimpl
    def engine_store_operation_finished(
        self, driver: str, operation: str, seconds: float, error: BaseException | None
    ) -> None:
        """An operation ended."""
        # The error's text is not told: it may hold what is stored.
        fields = {} if error is None else {"error": type(error).__name__}
        logger = self._context.bound(driver=driver, operation=operation, **fields)
        logger.debug("operation", extra={"seconds": round(seconds, 6)})

    @hookimpl
    def engine_store_conflict(
        self, driver: str, operation: str, conflict: VersionConflictError
    ) -> None:
        """A compare-and-set lost."""
        logger = self._context.bound(driver=driver, operation=operation)
        logger.debug("conflict", extra={"expected": conflict.expected, "actual": conflict.actual})


def listeners(context: Context) -> tuple[object, ...]:
    """Those that the logger has an ear for: operations pay for being heard."""
    wanted: list[object] = []
    if context.logger.isEnabledFor(logging.INFO):
        wanted.append(MigrationLog(context))
    if context.logger.isEnabledFor(logging.DEBUG):
        wanted.append(OperationLog(context))
    return tuple(wanted)
