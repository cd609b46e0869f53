"""The context of a run: its configuration and its logger, for code deep below that needs them.

    with engine_store.context(config=config, logger=logger):
        ...
            engine_store.current().logger.info("...")

It is a `contextvars` context: each thread and each asyncio task has its own, nothing is global.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from attrs import field, frozen

from engine_store.config import Config

Logger: TypeAlias = "logging.Logger | logging.LoggerAdapter[Any]"

LOGGER = "engine_store"
"""The name of the logger that is used where none was given."""


_TAKEN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What a record has already; a field of such a name would be refused by `logging`."""


class Fields(logging.LoggerAdapter[Any]):
    """A logger that adds fields to each record: as attributes, and behind the message."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a message with the fields; those of the call's `extra` are fields, too."""
        if not self.isEnabledFor(level):
            return
        given = {**(self.extra or {}), **kwargs.pop("extra", {})}
        shown = " ".join(f"{name}={value}" for name, value in given.items())
        if args:  # else nothing is put in for a % sign
            shown = shown.replace("%", "%%")
        extra = {f"{name}_" if name in _TAKEN else name: given[name] for name in given}
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # not this line but the caller's
        self.logger.log(level, f"{msg} {shown}".rstrip(), *args, extra=extra, **kwargs)


@frozen
class Context:
    """What a run works with."""

    config: Config = field(factory=Config)
    logger: Logger = field(factory=lambda: logging.getLogger(LOGGER))

    def bound(self, **fields: object) -> Fields:
        """The logger, with fields that each of its records has, beside those it had."""
        if isinstance(self.logger, Fields):
            return Fields(self.logger.logger, {**(self.logger.extra or {}), **fields})
        return Fields(self.logger, fields)


_CURRENT = ContextVar[Context]("engine_store")


def current() -> Context:
    """The context of the caller; one with defaults where none was set."""
    return _CURRENT.get(Context())


@contextmanager
def context(*, config: Config | None = None, logger: Logger | None = None) -> Iterator[Context]:
    """Set the configuration, the logger or both for the block; the rest stays as it was."""
    before = current()
    made = Context(
        before.config if config is None else config, before.logger if logger is None else logger
    )
    token = _CURRENT.set(made)
    try:
        yield made
    finally:
        _CURRENT.reset(token)
