"""Migrations on PostgreSQL: schemas apart, the lock, indexes built beside writers, drift."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest

import engine_store
from engine_store.clock import utc_now
from engine_store.config import DatabaseConfig
from engine_store.errors import DatabaseError, MigrationDriftError, MigrationLockError
from engine_store.migrations import NO_TRANSACTION, Direction, Migration
from engine_store.plugins import Plugins, hookimpl
from engine_store.protocols import OpenContext
from engine_store.sql.blocking import run
from engine_store.sql.stores import BlockingMigrator
from engine_store_contracts.suite.case import all_at_once, raises, successes
from engine_store_contracts.suite.samples import child, task, user, workflow
from engine_store_postgres.driver import DIALECT, MIGRATIONS, queries_of
from engine_store_postgres.migrator import PostgresMigrator
from engine_store_postgres.options import read_options
from engine_store_postgres.pool import PostgresPool

NEWEST = len(MIGRATIONS)

ONE_EMAIL_DOMAIN = Migration(
    NEWEST + 1,
    "one_user_for_each_role",
    f"{NO_TRANSACTION}\n"
    "-- A rule that the tests can break, so that building the index fails.\n"
    "CREATE UNIQUE INDEX CONCURRENTLY users_by_role ON {schema}.users (role);\n"
    "CREATE INDEX CONCURRENTLY users_by_version ON {schema}.users (version);\n",
    f"{NO_TRANSACTION}\n"
    "DROP INDEX CONCURRENTLY IF EXISTS {schema}.users_by_version;\n"
    "DROP INDEX CONCURRENTLY IF EXISTS {schema}.users_by_role;\n",
)
"""A step as a later version may bring one: indexes on tables that are in use."""


class Applied:
    """A listener that notes which steps were committed."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, Direction]] = []

    @hookimpl
    def engine_store_migration_applied(self, migration: Migration, direction: Direction) -> None:
        self.steps.append((migration.version, direction))


@pytest.fixture
def schema_of() -> Callable[[str], str]:
    """The name of the schema in a store's URL."""
    return lambda url: read_options(DatabaseConfig(url=url))[1].schema


@pytest.fixture
def migrator(schema_of: Callable[[str], str]) -> Iterator[Callable[..., BlockingMigrator]]:
    """Makes the migrator of newer code, which has a step more."""
    pools: list[PostgresPool] = []

    def make(url: str, *, timeout: float = 60.0, listener: object = None) -> BlockingMigrator:
        target, options = read_options(DatabaseConfig(url=url))
        pools.append(PostgresPool(target, options))
        context = OpenContext(utc_now, Plugins([] if listener is None else [listener]))
        steps, schema = (*MIGRATIONS, ONE_EMAIL_DOMAIN), schema_of(url)
        queries = queries_of(schema)
        return BlockingMigrator(
            PostgresMigrator(pools[-1], DIALECT, queries, steps, context, timeout, schema)
        )

    yield make
    for pool in pools:
        run(pool.close())


def index_states(admin: psycopg.Connection, schema: str) -> dict[str, bool]:
    """Whether each of the indexes of the newer step is valid."""
    query = b"""SELECT relname, indisvalid FROM pg_index
                JOIN pg_class ON pg_class.oid = indexrelid
                WHERE relnamespace = %s::regnamespace
                AND relname IN ('users_by_role', 'users_by_version')"""
    return dict(admin.execute(query, [schema]).fetchall())


# --- schemas -------------------------------------------------------------------------------------


def test_two_schemas_of_one_database_are_independent(make_schema: Callable[..., str]) -> None:
    with engine_store.open(make_schema()) as one, engine_store.open(make_schema()) as other:
        one.users.create(user("ann"))
        other.users.create(user("ann", "ann@elsewhere.example"))
        one.migrator.down(0)
        assert other.users.get("ann").email == "ann@elsewhere.example"
        other.migrator.verify()
        one.migrator.up()
        assert one.users.list().items == ()


def test_a_schema_made_beforehand_is_used(
    postgres_store_url: str, postgres_admin: psycopg.Connection, schema_of: Callable[[str], str]
) -> None:
    postgres_admin.execute(f"CREATE SCHEMA {schema_of(postgres_store_url)}".encode())
    with engine_store.open(postgres_store_url) as store:
        assert store.users.create(user()).version == 1


def test_the_name_of_a_schema_does_not_change_a_checksum(
    make_schema: Callable[..., str], postgres_admin: psycopg.Connection
) -> None:
    url, other = make_schema(), make_schema()
    with engine_store.open(url) as store:
        assert "test_" in store.migrator.plan(0).sql
        store.workflows.create(workflow())
    names = [read_options(DatabaseConfig(url=found))[1].schema for found in (url, other)]
    # As a dump that is restored under another name.
    postgres_admin.execute(f"ALTER SCHEMA {names[0]} RENAME TO {names[1]}".encode())
    with engine_store.open(other) as store:
        store.migrator.verify()
        assert store.workflows.get("w").version == 1


def test_every_text_that_is_compared_or_ordered_is_so_by_code_point(
    postgres_store_url: str, postgres_admin: psycopg.Connection, schema_of: Callable[[str], str]
) -> None:
    """The server of the tests has the locale C, so that a missing collation shows nowhere else."""
    engine_store.open(postgres_store_url).close()
    in_indexes = b"""SELECT DISTINCT relname || '.' || attname, collname
                     FROM pg_index
                     JOIN pg_class ON pg_class.oid = indrelid
                     JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
                     JOIN pg_collation ON pg_collation.oid = attcollation
                     WHERE relnamespace = %s::regnamespace"""
    found = dict(postgres_admin.execute(in_indexes, [schema_of(postgres_store_url)]).fetchall())
    assert {"users.user_id", "users.email_folded", "tasks.parent_state_id"} <= found.keys()
    assert {name: collation for name, collation in found.items() if collation != "C"} == {}


# --- the lock ------------------------------------------------------------------------------------


@pytest.fixture
def hold_the_lock(
    postgres_url: str, schema_of: Callable[[str], str]
) -> Iterator[Callable[[str], None]]:
    """Takes the migration lock of a store in another connection, until the end of the test."""
    with psycopg.connect(postgres_url) as connection:

        def hold(url: str) -> None:
            statement = queries_of(schema_of(url)).try_migration_lock
            query = statement.text({}).replace(":schema", "%s::text")
            assert connection.execute(query.encode(), [schema_of(url)]).fetchone() == (True,)

        yield hold
        connection.rollback()


def test_who_does_not_get_the_lock_in_time_says_so_and_has_changed_nothing(
    postgres_store_url: str,
    hold_the_lock: Callable[[str], None],
    postgres_admin: psycopg.Connection,
    schema_of: Callable[[str], str],
) -> None:
    hold_the_lock(postgres_store_url)
    config = DatabaseConfig(url=postgres_store_url, migration_timeout=0.05)
    with raises(MigrationLockError(timeout=0.05)):
        engine_store.open(config)
    query = b"SELECT count(*) FROM pg_namespace WHERE nspname = %s"
    found = postgres_admin.execute(query, [schema_of(postgres_store_url)]).fetchone()
    assert found == (0,)


def test_the_asynchronous_face_waits_for_the_lock_without_holding_up_the_loop(
    postgres_store_url: str, hold_the_lock: Callable[[str], None]
) -> None:
    async def main() -> int:
        turns = 0
        config = DatabaseConfig(url=postgres_store_url, migration_timeout=0.2)
        opening = asyncio.create_task(engine_store.open_async(config))
        while not opening.done():
            await asyncio.sleep(0)
            turns += 1
        with raises(MigrationLockError(timeout=0.2)):
            await opening
        return turns

    hold_the_lock(postgres_store_url)
    assert asyncio.run(main()) > 100


def test_a_cancelled_wait_for_the_lock_gives_its_connection_back(
    postgres_store_url: str, hold_the_lock: Callable[[str], None]
) -> None:
    async def main() -> None:
        config = DatabaseConfig(url=postgres_store_url, auto_migrate=False, check_schema=False)
        async with await engine_store.open_async(config) as store:
            for turns in range(100):
                waiting = asyncio.create_task(store.migrator.up())
                for _ in range(turns):
                    await asyncio.sleep(0.0001)
                waiting.cancel()
                await asyncio.wait([waiting])
                stats = store.stats()
                assert (turns, stats["pool_available"]) == (turns, stats["pool_size"])

    hold_the_lock(postgres_store_url)
    asyncio.run(main())


def test_where_there_is_nothing_to_do_nobody_waits_for_the_lock(
    postgres_store_url: str, hold_the_lock: Callable[[str], None]
) -> None:
    engine_store.open(postgres_store_url).close()
    hold_the_lock(postgres_store_url)
    with engine_store.open(postgres_store_url) as store:
        assert store.migrator.up().steps == ()


def test_the_lock_of_one_schema_is_not_that_of_another(
    make_schema: Callable[..., str], hold_the_lock: Callable[[str], None]
) -> None:
    hold_the_lock(make_schema())
    with engine_store.open(make_schema()) as store:
        assert store.users.create(user()).version == 1


# --- indexes built beside writers ----------------------------------------------------------------


def test_a_step_outside_of_a_transaction_is_applied_reverted_and_verified(
    postgres_store_url: str,
    migrator: Callable[..., BlockingMigrator],
    postgres_admin: psycopg.Connection,
    schema_of: Callable[[str], str],
) -> None:
    schema, listener = schema_of(postgres_store_url), Applied()
    newer = migrator(postgres_store_url, listener=listener)
    assert [step.version for step in newer.up().steps] == [*range(1, NEWEST + 2)]
    newer.verify()
    assert index_states(postgres_admin, schema) == {"users_by_role": True, "users_by_version": True}
    assert [step.version for step in newer.down(NEWEST).steps] == [NEWEST + 1]
    assert index_states(postgres_admin, schema) == {}
    newer.up()
    newer.verify()
    assert listener.steps == [
        *((version, Direction.UP) for version in range(1, NEWEST + 2)),
        (NEWEST + 1, Direction.DOWN),
        (NEWEST + 1, Direction.UP),
    ]


def test_an_index_that_could_not_be_built_is_dropped_and_built_again(
    postgres_store_url: str,
    migrator: Callable[..., BlockingMigrator],
    postgres_admin: psycopg.Connection,
    schema_of: Callable[[str], str],
) -> None:
    schema = schema_of(postgres_store_url)
    with engine_store.open(postgres_store_url) as store:
        store.users.create(user("ann"))
        store.users.create(user("bob"))  # the same role: the unique index cannot be built
    newer = migrator(postgres_store_url)
    with pytest.raises(engine_store.EngineStoreError):
        newer.up()
    assert index_states(postgres_admin, schema) == {"users_by_role": False}
    assert newer.status()[-1].applied_at is None

    postgres_admin.execute(f"DELETE FROM {schema}.users WHERE user_id = 'bob'".encode())
    assert [step.version for step in newer.up().steps] == [NEWEST + 1]
    assert index_states(postgres_admin, schema) == {"users_by_role": True, "users_by_version": True}
    newer.verify()


def test_a_crash_between_the_index_and_its_record_is_made_good(
    postgres_store_url: str,
    migrator: Callable[..., BlockingMigrator],
    postgres_admin: psycopg.Connection,
    schema_of: Callable[[str], str],
) -> None:
    schema = schema_of(postgres_store_url)
    engine_store.open(postgres_store_url).close()
    postgres_admin.execute(f"CREATE UNIQUE INDEX users_by_role ON {schema}.users (role)".encode())
    oid = postgres_admin.execute(f"SELECT '{schema}.users_by_role'::regclass::oid".encode())
    built = oid.fetchone()
    newer = migrator(postgres_store_url)
    assert [step.version for step in newer.up().steps] == [NEWEST + 1]
    again = postgres_admin.execute(f"SELECT '{schema}.users_by_role'::regclass::oid".encode())
    assert again.fetchone() == built  # what was whole was kept
    newer.verify()


def test_many_that_build_indexes_at_once_neither_hang_nor_build_them_twice(
    postgres_store_url: str, migrator: Callable[..., BlockingMigrator]
) -> None:
    migrators = [migrator(postgres_store_url) for _ in range(6)]
    plans = successes(all_at_once([partial(each.up) for each in migrators]))
    ran = sorted(step.version for plan in plans for step in plan.steps)
    assert ran == [*range(1, NEWEST + 2)]
    migrators[0].verify()


# --- drift ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("ALTER TABLE {s}.users ADD COLUMN nickname text", "not ours: column of users: nickname"),
        ("DROP INDEX {s}.tasks_by_agent", "missing: index of tasks"),
        ("ALTER TABLE {s}.tasks ALTER COLUMN input TYPE jsonb", "not ours: column of tasks: input"),
        ("ALTER TABLE {s}.users DROP CONSTRAINT users_role_check", "missing: constraint of users"),
        ("CREATE TABLE {s}.unknown (id int)", "not ours: column of unknown"),
        ("CREATE VIEW {s}.seen AS SELECT 1 AS one", "not ours: column of seen"),
        (
            'ALTER TABLE {s}.users ALTER COLUMN email_folded TYPE text COLLATE "default"',
            "missing: column of users: email_folded",
        ),
        ("ALTER TABLE {s}.workflows ALTER COLUMN status DROP NOT NULL", "workflows: status"),
    ],
)
def test_a_schema_that_was_changed_by_hand_is_told(
    postgres_store_url: str,
    postgres_admin: psycopg.Connection,
    schema_of: Callable[[str], str],
    change: str,
    found: str,
) -> None:
    with engine_store.open(postgres_store_url) as store:
        store.migrator.verify()
        postgres_admin.execute(change.format(s=schema_of(postgres_store_url)).encode())
        with pytest.raises(MigrationDriftError) as caught:
            store.migrator.verify()
    assert any(found in difference for difference in caught.value.differences)


def test_verifying_leaves_nothing_behind(
    postgres_store_url: str, postgres_admin: psycopg.Connection
) -> None:
    before = postgres_admin.execute(b"SELECT nspname FROM pg_namespace ORDER BY 1").fetchall()
    with engine_store.open(postgres_store_url) as store:
        store.migrator.verify()
    after = postgres_admin.execute(b"SELECT nspname FROM pg_namespace ORDER BY 1").fetchall()
    assert len(after) == len(before) + 1  # the store's own


def test_what_was_written_before_a_step_is_readable_after_it(postgres_store_url: str) -> None:
    with engine_store.open(postgres_store_url) as store:
        store.workflows.create(workflow())
        parent = store.tasks.create(task())
        below = store.tasks.create(child("c", "t"))
        store.migrator.down(3)
        store.migrator.up()
        assert store.workflows.get("w", with_tasks=True).tasks == {"t": parent, "c": below}
        store.migrator.down(1)
        with pytest.raises(DatabaseError):
            store.workflows.list()
        ann = store.users.create(user("ann"))
        store.migrator.up()
        assert store.users.get("ann") == ann


@pytest.mark.parametrize("name", ["default", "user", "order", "engine_store_scratch"])
def test_a_schema_may_have_any_name(
    name: str, postgres_url: str, postgres_admin: psycopg.Connection
) -> None:
    url = f"{postgres_url}{'&' if '?' in postgres_url else '?'}schema={name}"
    try:
        with engine_store.open(url) as store:
            store.migrator.verify()
            postgres_admin.execute(f'DROP INDEX "{name}".tasks_by_agent'.encode())
            with pytest.raises(MigrationDriftError, match="missing: index of tasks"):
                store.migrator.verify()
    finally:
        postgres_admin.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'.encode())


def test_a_role_that_may_not_make_schemas_verifies_its_own(
    postgres_url: str, postgres_admin: psycopg.Connection
) -> None:
    postgres_admin.execute("CREATE ROLE least LOGIN")
    postgres_admin.execute("CREATE SCHEMA leasts AUTHORIZATION least")
    try:
        url = postgres_url.replace("postgres@", "least@")
        with engine_store.open(f"{url}{'&' if '?' in url else '?'}schema=leasts") as store:
            store.migrator.verify()
    finally:
        postgres_admin.execute("DROP SCHEMA leasts CASCADE")
        postgres_admin.execute("DROP ROLE least")
