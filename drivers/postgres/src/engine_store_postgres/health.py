"""Whether a PostgreSQL store can be used, and its statistics."""

from __future__ import annotations

import psycopg

from engine_store.errors import EngineStoreError, StoreClosedError
from engine_store.migrations import current_version
from engine_store.models import Health
from engine_store_postgres.migrator import PostgresMigrator
from engine_store_postgres.pools import Pool


async def health(pool: Pool, migrator: PostgresMigrator) -> Health:
    """The health of a store. Raises `StoreClosedError`; every other trouble is in the answer."""
    pool.check_open()
    try:
        async with migrator.wire() as wire:
            version = current_version(await migrator.applied_on(wire))
            state = await wire.fetch(migrator.queries.server_state(schema=migrator.schema))
    except StoreClosedError:
        raise
    except (EngineStoreError, psycopg.Error) as error:
        return Health("postgres", False, False, 0, " ".join(str(error).split()))
    server, standby, read_only, may_write = state
    problem = None
    if standby:
        problem = "the server is a standby"
    elif read_only == "on":
        problem = "transactions are read-only by default_transaction_read_only"
    elif may_write is False:
        problem = f"the user lacks a privilege to write the tables of schema {migrator.schema}"
    details = {"server_version": server, **pool.stats()}
    return Health("postgres", True, problem is None, version, problem, details)
