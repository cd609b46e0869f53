"""Leases that are renewed again and again: what that writes to the table of tasks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from attrs import frozen

import engine_store
from benchmarks.claims import LEASE, add_waiting
from benchmarks.databases import POSTGRES, Databases
from engine_store import Claim
from engine_store.protocols import Store

THREADS = 8
_PAGE = 8192
"""Bytes of a page of PostgreSQL."""


class Tasks(NamedTuple):
    """The state of the table of tasks: the rows written until now, and its pages."""

    writes: int
    dead_rows: int | None
    pages: dict[int, bytes]


@frozen
class Beats:
    """So many renewals, and what they have written to the table of tasks."""

    leases: int
    renewals: int
    rows: int
    pages: int
    dead_rows: int | None
    """Rows that a vacuum would remove; None: the database knows no such rows."""


def heartbeats(databases: Databases, leases: int, seconds: float) -> Beats:
    """Renew so many leases again and again for so many seconds."""
    watch = _on_postgres if databases.engine.driver == POSTGRES else _on_sqlite
    with databases.new() as url:
        add_waiting(databases, url, leases)
        with engine_store.open(url) as store:
            claims = store.tasks.claim("worker", lease=LEASE, limit=leases)
        databases.rows(url, "VACUUM")
        before = watch(databases, url)
        with engine_store.open(url) as store:
            renewals = _renew(store, claims, seconds)
        after = watch(databases, url)
    pages = sum(
        before.pages.get(number) != after.pages.get(number)
        for number in before.pages.keys() | after.pages.keys()
    )
    return Beats(len(claims), renewals, after.writes - before.writes, pages, after.dead_rows)


def _renew(store: Store, claims: Sequence[Claim], seconds: float) -> int:
    """Renew all leases in turn, and each once at least, in some threads; return how often."""
    until = time.monotonic() + seconds

    def renew(share: Sequence[Claim]) -> int:
        renewals = 0
        while not renewals or time.monotonic() < until:
            for claim in share:
                store.tasks.renew(claim, lease=LEASE)
            renewals += len(share)
        return renewals

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(renew, [claims[number::THREADS] for number in range(THREADS)]))


def _on_postgres(databases: Databases, url: str) -> Tasks:
    """By the server's statistics, which a connection reports when it ends, and by the file."""
    while databases.rows(
        url,
        "SELECT 1 FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    ):
        time.sleep(0.01)
    databases.rows(url, "CHECKPOINT")
    [(writes, dead, content)] = databases.rows(
        url,
        "SELECT n_tup_ins + n_tup_upd + n_tup_del, n_dead_tup, "
        "pg_read_binary_file(pg_relation_filepath(relid)) FROM pg_stat_user_tables "
        f"WHERE schemaname || '.' || relname = '{databases.schema}tasks'",
    )
    pages = {place: content[place : place + _PAGE] for place in range(0, len(content), _PAGE)}
    return Tasks(writes, dead, pages)


def _on_sqlite(databases: Databases, url: str) -> Tasks:
    """By the versions, of which each write makes a new one, and by the file."""
    [(writes,)] = databases.rows(url, "SELECT sum(version) FROM tasks")
    [(size,)] = databases.rows(url, "PRAGMA page_size")
    numbers = databases.rows(url, "SELECT pageno FROM dbstat WHERE name = 'tasks'")
    content = Path(url.removeprefix("sqlite:///")).read_bytes()
    pages = {number: content[(number - 1) * size : number * size] for (number,) in numbers}
    return Tasks(writes, None, pages)
