"""The driver of engine-store that keeps everything in memory, for URLs such as `memory://NAME`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

from attrs import frozen

from engine_store.concurrency.threads import threaded
from engine_store.config import DatabaseConfig, Seconds, setting
from engine_store.protocols import AsyncStore, Capability, OpenContext, Store
from engine_store.urls import parse_url
from engine_store_memory.database import forget, named
from engine_store_memory.store import BUSY_TIMEOUT, MemoryStore

__version__ = "0.1.0"

_CANNOT = {
    "processes": "memory belongs to one process",
    "migrations": "there is no schema to migrate",
    "concurrent_writers": "one transaction writes at a time; others wait",
}


@frozen
class MemoryOptions:
    """The settings, from the URL's query or the configuration's `options`."""

    busy_timeout: Seconds = setting(
        default=BUSY_TIMEOUT,
        minimum=0,
        maximum=int(threading.TIMEOUT_MAX),
        unit="seconds",
        help="How long a write waits for another thread's transaction.",
    )


class MemoryDriver:
    """`engine_store.protocols.Driver`.

    `memory://NAME` names a database that lives as long as the process and may be opened any
    number of times; `memory://` is one that lives as long as its store.
    """

    name = "memory"
    settings = MemoryOptions

    def capabilities(self, config: DatabaseConfig) -> Mapping[str, Capability]:
        reasons = dict(_CANNOT)
        if not _location(config):
            reasons["reopen"] = "memory:// is gone with its store; give it a name: memory://NAME"
        return {name: Capability(name, False, reason) for name, reason in reasons.items()}

    @contextmanager
    def scratch(self, url: str) -> Iterator[str]:
        place, mark, options = url.partition("?")
        if not _location(DatabaseConfig(url=url)):
            yield url  # a new database whenever it is opened
            return
        place = f"{place}-{uuid4().hex}"
        try:
            yield f"{place}{mark}{options}"
        finally:
            forget(parse_url(place).location)

    def open(self, config: DatabaseConfig, context: OpenContext) -> Store:
        options = config.settings(MemoryOptions)
        database = named(_location(config))
        return MemoryStore(
            context.clock,
            database=database,
            busy_timeout=options.busy_timeout,
            max_document_bytes=context.max_document_bytes,
            poll_interval=config.poll_interval,
            history=config.history,
        )

    async def open_async(self, config: DatabaseConfig, context: OpenContext) -> AsyncStore:
        return threaded(self.open(config, context))


def _location(config: DatabaseConfig) -> str:
    """Return the name of the database; empty if it has none."""
    return "" if config.url is None else parse_url(config.url).location


DRIVER = MemoryDriver()
