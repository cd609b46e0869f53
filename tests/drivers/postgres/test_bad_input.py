"""What cannot be opened is refused with a typed error, and is left as it was, to the row."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from engine_store.errors import (
    ConfigurationError,
    EngineStoreError,
    ForeignDatabaseError,
    MigrationDriftError,
    SchemaAheadError,
    SchemaBehindError,
    UnavailableError,
)
from engine_store.urls import parse_url
from engine_store_contracts.suite.samples import workflow
from engine_store_postgres.driver import DRIVER, MIGRATIONS
from postgres_server import PostgresServer

PATIENCE = 30.0

LACKS_A_PRIVILEGE = UnavailableError(
    "PostgreSQL: the user lacks a privilege; grant it, or open the store as another user", False
)
READ_ONLY = UnavailableError(
    "PostgreSQL: the server may not be written: it is a standby, or read-only; try again when it "
    "is not, or name the primary with target_session_attrs=read-write"
)


def contents(admin: psycopg.Connection, schema: str = "%") -> list[object]:
    """The schemas like `schema` with their relations and rows, and the extensions there are."""
    found: list[object] = admin.execute(
        "SELECT nspname::text, relname::text, relkind::text, pg_class.oid "
        "FROM pg_namespace LEFT JOIN pg_class ON relnamespace = pg_namespace.oid "
        "WHERE nspname LIKE %s AND nspname !~ '^(pg_|information_schema)' ORDER BY 1, 2",
        [schema],
    ).fetchall()
    for name, relation, kind, _ in list(found):  # type: ignore[misc]
        if kind in {"r", "p", "v", "m"}:
            rows = f'SELECT stored::text FROM "{name}"."{relation}" AS stored ORDER BY 1'
            found += admin.execute(rows.encode()).fetchall()
    return found + admin.execute("SELECT extname FROM pg_extension ORDER BY 1").fetchall()


@contextmanager
def refused(
    expected: EngineStoreError, admin: psycopg.Connection, schema: str = "%"
) -> Iterator[None]:
    """The block raises exactly this, and nothing in the database changes."""
    before = contents(admin, schema)
    with pytest.raises(type(expected)) as caught:
        yield
    fields = [getattr(caught.value, name) for name in type(expected).__match_args__]
    assert fields == [getattr(expected, name) for name in type(expected).__match_args__]
    assert contents(admin, schema) == before


@contextmanager
def unreachable(place: str, *reasons: str, retriable: bool) -> Iterator[None]:
    """The block raises an `UnavailableError` that names the place and gives libpq's reason."""
    with pytest.raises(UnavailableError) as caught:
        yield
    assert caught.value.reason.startswith(f"PostgreSQL at {place}: ")
    for reason in reasons:
        assert reason in caught.value.reason
    assert "\n" not in caught.value.reason
    assert caught.value.retriable is retriable
    assert caught.value.__cause__ is None  # libpq's own words could show a password


# --- no server -----------------------------------------------------------------------------------


def test_where_no_socket_is_nobody_listens(open_store: Callable[..., Any], tmp_path: Path) -> None:
    place = f"{tmp_path}, database engine"
    with unreachable(place, "No such file or directory", retriable=True):
        open_store(f"postgresql:///engine?host={tmp_path}")


@pytest.fixture
def port() -> Iterator[Callable[[Callable[[socket.socket], object] | None], int]]:
    """A TCP port of this machine where the first connection is given to a function, or to nobody.

    The connection stays open until the test ends, or is closed by the function.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        threads: list[threading.Thread] = []

        def serve(answer: Callable[[socket.socket], object]) -> None:
            connection, _ = listener.accept()
            with connection:
                answer(connection)

        def make(answer: Callable[[socket.socket], object] | None) -> int:
            if answer is not None:
                listener.listen()
                threads.append(threading.Thread(target=serve, args=[answer]))
                threads[-1].start()
            number: int = listener.getsockname()[1]
            return number

        yield make
        for thread in threads:
            thread.join(PATIENCE)


def test_where_no_port_is_open_nobody_listens(
    open_store: Callable[..., Any], port: Callable[..., int]
) -> None:
    number = port(None)
    place = "127.0.0.1, database engine"
    with unreachable(place, f"port {number}", "Connection refused", retriable=True):
        open_store(f"postgresql://127.0.0.1:{number}/engine?sslmode=disable")


def test_a_server_of_something_else_is_none(
    open_store: Callable[..., Any], port: Callable[..., int]
) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    number = port(answer)
    with unreachable("127.0.0.1, database engine", f"port {number}", retriable=True):
        open_store(f"postgresql://127.0.0.1:{number}/engine?sslmode=disable&gssencmode=disable")


def test_a_server_that_hangs_up_is_none(
    open_store: Callable[..., Any], port: Callable[..., int]
) -> None:
    number = port(lambda connection: connection.recv(1000))
    with unreachable("127.0.0.1, database engine", f"port {number}", retriable=True):
        open_store(f"postgresql://127.0.0.1:{number}/engine?sslmode=disable&gssencmode=disable")


def test_a_server_that_says_nothing_is_not_waited_for_longer_than_asked(
    open_store: Callable[..., Any], port: Callable[..., int]
) -> None:
    given_up = threading.Event()
    number = port(lambda _: given_up.wait(PATIENCE))
    try:
        with unreachable("127.0.0.1, database engine", "timeout", retriable=True):
            open_store(
                f"postgresql://127.0.0.1:{number}/engine?sslmode=disable&gssencmode=disable",
                connect_timeout=1,
            )
    finally:
        given_up.set()


# --- a server that does not let one in -----------------------------------------------------------


@pytest.fixture(scope="module")
def server(start_server: Callable[..., PostgresServer]) -> Iterator[PostgresServer]:
    """A server that asks two users for their password, and nobody else."""
    folder = Path(tempfile.mkdtemp(prefix="es-hba-"))
    folder.chmod(0o755)
    rules = folder / "pg_hba.conf"
    rules.write_text("local all known,known_in_a_crowd scram-sha-256\nlocal all all trust\n")
    try:
        with start_server(hba_file=str(rules)) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def superuser(server: PostgresServer) -> Iterator[psycopg.Connection]:
    """A connection to that server which may do all."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for role in (
            "limited",
            "known PASSWORD 'S3CRET'",
            "crowded CONNECTION LIMIT 0",
            "known_in_a_crowd PASSWORD 'S3CRET' CONNECTION LIMIT 0",
            "reader SUPERUSER",  # stopped by no privilege
        ):
            connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        connection.execute("ALTER ROLE reader SET default_transaction_read_only = on")
        yield connection


@pytest.fixture
def database(superuser: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A connection of the superuser to a database with nothing in it."""
    yield superuser
    superuser.execute(
        "DROP EXTENSION IF EXISTS vector; DROP SCHEMA IF EXISTS engine_store, public CASCADE;"
        "CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC"
    )


def as_user(connection: psycopg.Connection, user: str, **options: object) -> dict[str, Any]:
    """Options that open a store in the database of a connection as another user."""
    place = conninfo_to_dict(connection.info.dsn)
    return {"host": place["host"], "dbname": connection.info.dbname, "user": user, **options}


# libpq gives no SQLSTATE where no connection is made: what is refused for good looks the same as a
# server without a free connection, and may be tried again.


def test_a_database_that_is_not_there_is_named(
    open_store: Callable[..., Any], server: PostgresServer
) -> None:
    place = f"{server.socket_folder}, database missing"
    with unreachable(place, 'FATAL: database "missing" does not exist', retriable=True):
        open_store(server.url("missing"))


def test_a_user_who_is_not_there_is_named(
    open_store: Callable[..., Any], superuser: psycopg.Connection
) -> None:
    asked = as_user(superuser, "nobody_here")
    place = f"{asked['host']}, database postgres"
    with unreachable(place, 'FATAL: role "nobody_here" does not exist', retriable=True):
        open_store(**asked)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"password": "S3CRET!"}, 'FATAL: password authentication failed for user "known"'),
        ({"password": "known"}, 'FATAL: password authentication failed for user "***"'),
        ({"password": "S3CRET", "dbname": "missing"}, 'FATAL: database "missing" does not exist'),
    ],
    ids=["wrong password", "password in the message", "wrong database"],
)
def test_who_is_not_let_in_with_a_password_is_told_why(
    open_store: Callable[..., Any],
    superuser: psycopg.Connection,
    options: dict[str, object],
    reason: str,
) -> None:
    asked = as_user(superuser, "known", **options)
    place = f"{asked['host']}, database {asked['dbname']}"
    with unreachable(place, reason, retriable=True):
        open_store(**asked)


def test_a_password_that_is_asked_for_and_missing_does_not_come_by_trying_again(
    open_store: Callable[..., Any], superuser: psycopg.Connection
) -> None:
    asked = as_user(superuser, "known")
    place = f"{asked['host']}, database postgres"
    with unreachable(place, "no password supplied", retriable=False):
        open_store(**asked)


def test_the_right_password_opens_the_store(
    open_store: Callable[..., Any], database: psycopg.Connection
) -> None:
    database.execute("CREATE SCHEMA engine_store AUTHORIZATION known")
    assert open_store(**as_user(database, "known", password="S3CRET")).health().ok


@pytest.mark.parametrize(
    "user", ["crowded", "known_in_a_crowd"], ids=["trusted", "by its password"]
)
def test_a_server_without_a_free_connection_may_have_one_later(
    open_store: Callable[..., Any], superuser: psycopg.Connection, user: str
) -> None:
    asked = as_user(superuser, user, password="S3CRET")
    place = f"{asked['host']}, database postgres"
    with unreachable(place, f'FATAL: too many connections for role "{user}"', retriable=True):
        open_store(**asked)


# --- databases that do not fit -------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_character_is_refused(
    open_store: Callable[..., Any],
    server: PostgresServer,
    superuser: psycopg.Connection,
    encoding: str,
) -> None:
    name = f"test_{uuid4().hex}"
    superuser.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode()
    )
    expected = ConfigurationError(
        "options.dbname",
        f"expected a database with the encoding UTF8, found {encoding}; make one with CREATE "
        "DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
    )
    with (
        psycopg.connect(server.url(name), autocommit=True, client_encoding="utf8") as admin,
        refused(expected, admin),
    ):
        open_store(server.url(name))


def schema_of(url: str) -> str:
    return parse_url(url).options["schema"]


@pytest.mark.parametrize("auto_migrate", [True, False])
def test_a_schema_with_another_programs_tables_is_foreign(
    open_store: Callable[..., Any],
    postgres_store_url: str,
    postgres_admin: psycopg.Connection,
    auto_migrate: bool,
) -> None:
    schema = schema_of(postgres_store_url)
    postgres_admin.execute(
        f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.users (name text);"
        f"INSERT INTO {schema}.users VALUES ('theirs');"
        f"CREATE TABLE {schema}.tasks (a int); CREATE TABLE {schema}.songs (a int)".encode()
    )
    found = "tables of another program (tasks, users)"
    with refused(ForeignDatabaseError(f"schema {schema}", found), postgres_admin, schema):
        open_store(postgres_store_url, auto_migrate=auto_migrate)


@pytest.mark.parametrize(
    "relation",
    [
        "VIEW {schema}.workflows AS SELECT 1",
        "MATERIALIZED VIEW {schema}.workflows AS SELECT 1",
        "TABLE {schema}.workflows (a int) PARTITION BY LIST (a)",
        "SEQUENCE {schema}.workflows",
        "TYPE {schema}.workflows AS (a int)",
        "TYPE {schema}.workflows AS ENUM ('a')",
    ],
    ids=["view", "materialized view", "partitioned table", "sequence", "composite type", "enum"],
)
def test_whatever_else_has_the_name_of_a_table_is_foreign_too(
    open_store: Callable[..., Any],
    postgres_store_url: str,
    postgres_admin: psycopg.Connection,
    relation: str,
) -> None:
    schema = schema_of(postgres_store_url)
    postgres_admin.execute(f"CREATE SCHEMA {schema}".encode())
    postgres_admin.execute(f"CREATE {relation.format(schema=schema)}".encode())
    before = contents(postgres_admin, schema)
    with pytest.raises(ForeignDatabaseError) as caught:
        open_store(postgres_store_url)
    assert caught.value.location == f"schema {schema}"
    assert "workflows" in caught.value.found
    assert contents(postgres_admin, schema) == before


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_a_record_of_steps_that_is_not_like_ours_is_foreign(
    open_store: Callable[..., Any],
    postgres_store_url: str,
    postgres_admin: psycopg.Connection,
    kind: str,
) -> None:
    schema = schema_of(postgres_store_url)
    postgres_admin.execute(f"CREATE SCHEMA {schema}".encode())
    postgres_admin.execute(
        f"CREATE {kind} {schema}.engine_store_migrations AS SELECT 'theirs' AS step".encode()
    )
    before = contents(postgres_admin, schema)
    with pytest.raises(ForeignDatabaseError) as caught:
        open_store(postgres_store_url)
    assert caught.value.location == f"schema {schema}"
    assert contents(postgres_admin, schema) == before


def test_a_schema_may_be_shared_with_tables_of_other_names(
    open_store: Callable[..., Any], postgres_store_url: str, postgres_admin: psycopg.Connection
) -> None:
    schema = schema_of(postgres_store_url)
    postgres_admin.execute(
        f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.songs (title text);"
        f"INSERT INTO {schema}.songs VALUES ('theirs')".encode()
    )
    assert open_store(postgres_store_url).health().ok
    songs = postgres_admin.execute(f"SELECT * FROM {schema}.songs".encode()).fetchall()
    assert songs == [("theirs",)]


def test_another_programs_tables_in_another_schema_are_no_concern_of_ours(
    open_store: Callable[..., Any], database: psycopg.Connection, server: PostgresServer
) -> None:
    database.execute("CREATE TABLE public.users (name text); CREATE TABLE public.tasks (a int)")
    before = contents(database, "public")
    assert open_store(server.url()).health().ok
    assert contents(database, "public") == before


# --- other schemas -------------------------------------------------------------------------------


@pytest.fixture
def migrated(open_sync: Callable[..., Any], postgres_store_url: str) -> str:
    """The URL of a store at the code's schema, closed."""
    open_sync(postgres_store_url).close()
    return postgres_store_url


def record(admin: psycopg.Connection, url: str, statement: str) -> None:
    """Change the record of applied steps behind the driver's back."""
    admin.execute(statement.format(record=f"{schema_of(url)}.engine_store_migrations").encode())


@pytest.mark.parametrize("auto_migrate", [True, False])
def test_a_newer_schema_is_refused(
    open_store: Callable[..., Any],
    migrated: str,
    postgres_admin: psycopg.Connection,
    auto_migrate: bool,
) -> None:
    later = "INSERT INTO {record} VALUES (99, 'later', 'x', now())"
    record(postgres_admin, migrated, later)
    expected = SchemaAheadError(database=99, code=len(MIGRATIONS))
    with refused(expected, postgres_admin, schema_of(migrated)):
        open_store(migrated, auto_migrate=auto_migrate)


@pytest.mark.parametrize("auto_migrate", [True, False])
def test_a_changed_step_is_refused(
    open_store: Callable[..., Any],
    migrated: str,
    postgres_admin: psycopg.Connection,
    auto_migrate: bool,
) -> None:
    record(postgres_admin, migrated, "UPDATE {record} SET checksum = 'other' WHERE version = 2")
    differences = ("step 2 was applied as 'workflows' with another checksum",)
    with refused(MigrationDriftError(differences), postgres_admin, schema_of(migrated)):
        open_store(migrated, auto_migrate=auto_migrate)


def test_a_skipped_step_is_refused(
    open_store: Callable[..., Any], migrated: str, postgres_admin: psycopg.Connection
) -> None:
    record(postgres_admin, migrated, "DELETE FROM {record} WHERE version = 2")
    expected = MigrationDriftError(("step 2 was skipped",))
    with refused(expected, postgres_admin, schema_of(migrated)):
        open_store(migrated)


def test_without_auto_migration_a_missing_schema_is_not_made(
    open_store: Callable[..., Any], postgres_store_url: str, postgres_admin: psycopg.Connection
) -> None:
    expected = SchemaBehindError(database=0, code=len(MIGRATIONS))
    with refused(expected, postgres_admin, schema_of(postgres_store_url)):
        open_store(postgres_store_url, auto_migrate=False)
    assert contents(postgres_admin, schema_of(postgres_store_url)) == contents(postgres_admin, "")


@pytest.mark.parametrize("version", [0, 1, 2])
def test_without_auto_migration_a_schema_that_is_behind_stays_there(
    open_store: Callable[..., Any],
    open_sync: Callable[..., Any],
    postgres_store_url: str,
    postgres_admin: psycopg.Connection,
    version: int,
) -> None:
    open_sync(postgres_store_url).migrator.down(version)
    expected = SchemaBehindError(database=version, code=len(MIGRATIONS))
    with refused(expected, postgres_admin, schema_of(postgres_store_url)):
        open_store(postgres_store_url, auto_migrate=False)


def test_without_auto_migration_a_current_schema_is_opened(
    open_store: Callable[..., Any], migrated: str
) -> None:
    assert open_store(migrated, auto_migrate=False).health().schema_version == len(MIGRATIONS)


# --- without the rights --------------------------------------------------------------------------


def test_a_user_who_may_not_make_the_schema_is_told(
    open_store: Callable[..., Any], database: psycopg.Connection
) -> None:
    with refused(LACKS_A_PRIVILEGE, database):
        open_store(**as_user(database, "limited"))


def test_a_user_who_may_not_make_tables_is_told(
    open_store: Callable[..., Any], database: psycopg.Connection
) -> None:
    database.execute("CREATE SCHEMA engine_store; GRANT USAGE ON SCHEMA engine_store TO limited")
    with refused(LACKS_A_PRIVILEGE, database):
        open_store(**as_user(database, "limited"))


@pytest.mark.parametrize("granted", ["", "GRANT USAGE ON SCHEMA engine_store TO limited"])
@pytest.mark.parametrize("auto_migrate", [True, False])
def test_a_user_who_may_not_read_the_record_of_steps_is_told(
    open_store: Callable[..., Any],
    open_sync: Callable[..., Any],
    server: PostgresServer,
    database: psycopg.Connection,
    granted: str,
    auto_migrate: bool,
) -> None:
    open_sync(server.url()).close()
    database.execute(granted.encode())
    with refused(LACKS_A_PRIVILEGE, database):
        open_store(auto_migrate=auto_migrate, **as_user(database, "limited"))


def test_a_user_needs_no_right_to_make_what_is_there(
    open_store: Callable[..., Any],
    open_sync: Callable[..., Any],
    server: PostgresServer,
    database: psycopg.Connection,
) -> None:
    open_sync(server.url()).close()
    database.execute(
        "GRANT USAGE ON SCHEMA engine_store TO limited;"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA engine_store TO limited"
    )
    store = open_store(**as_user(database, "limited"))
    assert store.workflows.create(workflow()).version == 1


def test_a_server_that_may_not_be_written_is_said(
    open_store: Callable[..., Any], database: psycopg.Connection
) -> None:
    with refused(READ_ONLY, database):
        open_store(**as_user(database, "reader"))


def test_a_server_that_may_not_be_written_can_still_be_read(
    open_store: Callable[..., Any],
    open_sync: Callable[..., Any],
    server: PostgresServer,
    database: psycopg.Connection,
) -> None:
    open_sync(server.url()).workflows.create(workflow())
    store = open_store(**as_user(database, "reader"))
    assert store.workflows.get("w").version == 1
    with refused(READ_ONLY, database):
        store.workflows.create(workflow("late"))


# --- pgvector ------------------------------------------------------------------------------------


@pytest.fixture
def vector(superuser: psycopg.Connection) -> None:
    """That the server offers pgvector, as the wheel's does."""
    found = superuser.execute("SELECT FROM pg_available_extensions WHERE name = 'vector'")
    if found.fetchone() is None:
        pytest.skip("the server has no pgvector")


def extensions(admin: psycopg.Connection) -> list[str]:
    return [name for (name,) in admin.execute("SELECT extname FROM pg_extension ORDER BY 1")]


NOT_ALLOWED = ConfigurationError(
    "options.pgvector",
    "this user may not make extensions; run CREATE EXTENSION vector as a superuser",
)
NOT_OFFERED = ConfigurationError(
    "options.pgvector",
    "the server does not offer the extension vector; install pgvector there, or use another "
    "vector database",
)
NOT_THERE = ConfigurationError(
    "options.pgvector",
    "the extension vector is not there and auto_migrate is off; run CREATE EXTENSION vector as a "
    "superuser",
)


def test_pgvector_is_not_made_unless_asked_for(
    open_store: Callable[..., Any], server: PostgresServer, database: psycopg.Connection
) -> None:
    open_store(server.url())
    assert extensions(database) == ["plpgsql"]


@pytest.mark.usefixtures("vector")
def test_pgvector_is_made_where_it_is_asked_for(
    open_store: Callable[..., Any], server: PostgresServer, database: psycopg.Connection
) -> None:
    url = server.url(pgvector="true")
    open_store(url)
    assert extensions(database) == ["plpgsql", "vector"]
    assert database.execute("SELECT '[1,2]'::vector <-> '[1,4]'::vector").fetchone() == (2.0,)
    open_store(url)


@pytest.mark.usefixtures("vector")
def test_a_schema_that_was_there_before_gets_pgvector_too(
    open_store: Callable[..., Any], server: PostgresServer, database: psycopg.Connection
) -> None:
    open_store(server.url())
    open_store(server.url(), pgvector=True)
    assert extensions(database) == ["plpgsql", "vector"]


@pytest.mark.usefixtures("vector")
def test_pgvector_that_is_there_needs_no_right_to_make_it(
    open_store: Callable[..., Any], database: psycopg.Connection
) -> None:
    database.execute("CREATE EXTENSION vector; CREATE SCHEMA engine_store AUTHORIZATION limited")
    assert open_store(**as_user(database, "limited", pgvector=True)).health().ok
    assert open_store(auto_migrate=False, **as_user(database, "limited", pgvector=True)).health().ok


@pytest.mark.usefixtures("vector")
def test_a_user_who_may_not_make_extensions_is_told_before_anything_is_changed(
    open_store: Callable[..., Any], database: psycopg.Connection
) -> None:
    database.execute("CREATE SCHEMA engine_store AUTHORIZATION limited")
    with refused(NOT_ALLOWED, database):
        open_store(**as_user(database, "limited", pgvector=True))


def test_a_server_without_pgvector_is_refused_before_anything_is_changed(
    open_store: Callable[..., Any], server: PostgresServer, database: psycopg.Connection
) -> None:
    if database.info.server_version >= 180000:  # older ones come without it
        nowhere = {"options": "-c%20extension_control_path%3D/nowhere"}
    else:
        nowhere = {}
    with refused(NOT_OFFERED, database):
        open_store(server.url(**nowhere), pgvector=True)


@pytest.mark.usefixtures("vector")
def test_a_database_with_no_schema_to_make_pgvector_in_is_refused_before_anything_is_changed(
    open_store: Callable[..., Any], server: PostgresServer, database: psycopg.Connection
) -> None:
    database.execute("DROP SCHEMA public")
    before = contents(database)
    with pytest.raises(ConfigurationError) as caught:
        open_store(server.url(), pgvector=True)
    assert caught.value.field == "options.pgvector"
    assert contents(database) == before


@pytest.mark.usefixtures("vector")
@pytest.mark.parametrize("auto_migrate", [True, False])
def test_pgvector_that_cannot_be_had_is_refused_for_a_schema_that_was_there_too(
    open_store: Callable[..., Any],
    open_sync: Callable[..., Any],
    server: PostgresServer,
    database: psycopg.Connection,
    auto_migrate: bool,
) -> None:
    open_sync(server.url()).close()
    database.execute(
        "GRANT USAGE ON SCHEMA engine_store TO limited;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA engine_store TO limited"
    )
    with refused(NOT_ALLOWED if auto_migrate else NOT_THERE, database):
        open_store(auto_migrate=auto_migrate, **as_user(database, "limited", pgvector=True))


def test_what_fails_on_a_scratch_schema_is_not_hidden_by_a_server_that_is_away() -> None:
    with pytest.raises(ZeroDivisionError), DRIVER.scratch("postgresql://127.0.0.1:1/none"):
        raise ZeroDivisionError
