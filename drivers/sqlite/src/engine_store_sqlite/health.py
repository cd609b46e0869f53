"""Whether a SQLite store can be used, and its statistics."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from engine_store.errors import EngineStoreError, StoreClosedError, UnavailableError
from engine_store.migrations import current_version
from engine_store.models import Health
from engine_store_sqlite.connections import Connections
from engine_store_sqlite.migrator import SqliteMigrator

_PRAGMAS = ("page_count", "page_size", "freelist_count", "journal_mode")


def health(connections: Connections, migrator: SqliteMigrator) -> Health:
    """The health of a store. Raises `StoreClosedError`; every other trouble is in the answer."""
    connections.check_open()
    try:
        version = current_version(migrator.applied())
        details = stats(connections)
    except StoreClosedError:
        raise
    except (EngineStoreError, sqlite3.Error, OSError) as error:
        return Health("sqlite", False, False, 0, str(error))
    problem = _write_problem(connections)
    return Health("sqlite", True, problem is None, version, problem, details)


def stats(connections: Connections) -> dict[str, int | float | str]:
    """Return what changes as it is used. Raises `StoreClosedError`, `UnavailableError`."""
    connections.check_open()
    reader = connections.readers.take()
    try:
        found = {name: reader.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS}
    finally:
        connections.readers.give(reader)
    found["file_bytes"] = (
        found["page_count"] * found["page_size"]  # the file of :memory: has no name
        if connections.location.path is None
        else _size(connections.path)
    )
    found["wal_bytes"] = _size(connections.path.with_name(connections.path.name + "-wal"))
    found["sqlite_version"] = sqlite3.sqlite_version
    return found


def _size(path: Path) -> int:
    """Bytes of a file; 0 where it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _write_problem(connections: Connections) -> str | None:
    """Why no transaction could begin and write; None: one could, or another one is writing."""
    if connections.location.path is not None and not os.access(connections.path, os.W_OK):
        return f"{connections.path} may not be written or is gone"
    writer = connections.writer
    if writer.mine:  # in the middle of a transaction
        return None
    try:
        writer.begin(timeout=0)
    except UnavailableError as error:
        return None if error.retriable else str(error)
    writer.rollback()
    return None
