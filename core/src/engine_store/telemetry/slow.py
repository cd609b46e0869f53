"""A log of the operations that took long."""

from __future__ import annotations

import logging

from engine_store.errors import ConfigurationError
from engine_store.plugins import Hooks, hookimpl


class SlowOperations(Hooks):
    """A plugin that logs, as a warning, each operation of at least `threshold` seconds.

    A line names the driver, the operation, its seconds and the class of what it raised; the same
    is in the record's `driver`, `operation`, `seconds` and `error`. `logger` is `engine_store`'s
    unless given. Raises `ConfigurationError` for a negative threshold.
    """

    def __init__(self, threshold: float = 0.5, logger: logging.Logger | None = None) -> None:
        """Log operations of `threshold` seconds and more; 0 logs each."""
        if not threshold >= 0:  # also what is no number
            raise ConfigurationError("threshold", f"expected seconds, 0 or more, found {threshold}")
        self._threshold = threshold
        self._logger = logger or logging.getLogger("engine_store")

    @hookimpl
    def engine_store_operation_finished(
        self, driver: str, operation: str, seconds: float, error: BaseException | None
    ) -> None:
        """Log it if it was slow."""
        if seconds < self._threshold:
            return
        kind = None if error is None else type(error).__name__
        facts = {"driver": driver, "operation": operation, "seconds": seconds, "error": kind}
        raised = "" if kind is None else f" and raised {kind}"
        self._logger.warning(
            "slow operation: %s on %s took %.3f s%s",
            operation,
            driver,
            seconds,
            raised,
            extra=facts,
        )
