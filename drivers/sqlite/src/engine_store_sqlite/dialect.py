"""The dialect of SQLite, its statements and its steps."""

from __future__ import annotations

from datetime import datetime

import orjson

from engine_store.migrations import load_migrations
from engine_store.sql.dialect import Dialect
from engine_store.sql.queries import load_queries
from engine_store.sql.rows import Codec
from engine_store_sqlite.failures import FAILURES

QUERIES = load_queries("engine_store_sqlite.queries", schema="main")
MIGRATIONS = load_migrations("engine_store_sqlite.migrations")

DIALECT = Dialect(
    name="sqlite",
    failures=FAILURES,
    codec=Codec(
        # Fixed width, so that text sorts as time does; always the same offset: checks see to it.
        write_time=lambda time: time.isoformat(timespec="microseconds"),
        read_time=datetime.fromisoformat,
        write_collection=lambda values: orjson.dumps(list(values)).decode(),
    ),
    begin=(),
    begin_migration=(),
    commits_each_statement=False,
)
