"""A schema to try things on, beside another one and gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import psycopg
from psycopg import sql

from engine_store.config import DatabaseConfig
from engine_store.errors import UnavailableError
from engine_store_postgres.failures import translated
from engine_store_postgres.options import Target, read_options

_LONGEST_PREFIX = 30
"""Of a name of at most 63 characters, 33 of which tell the schemas apart."""


@contextmanager
def scratch(url: str) -> Iterator[str]:
    """`url` with a schema of its own, which is dropped at the end. Raises `UnavailableError`."""
    target, options = read_options(DatabaseConfig(url=url))
    schema = f"{options.schema[:_LONGEST_PREFIX]}_{uuid4().hex}"
    address, _, query = url.partition("?")
    others = [pair for pair in query.split("&") if pair and not pair.startswith("schema=")]
    try:
        yield f"{address}?{'&'.join([*others, f'schema={schema}'])}"
    except BaseException:
        with suppress(UnavailableError):  # what happened before is what matters
            _drop(target, schema)
        raise
    _drop(target, schema)


def _drop(target: Target, schema: str) -> None:
    drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))
    with translated(), psycopg.connect(target.conninfo, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")  # not what it drops, one by one
        connection.execute(drop)
