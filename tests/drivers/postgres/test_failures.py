"""What PostgreSQL's errors become, by SQLSTATE; raised by the server, where possible for real."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import attrs
import psycopg
import pytest
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from engine_store.errors import (
    DatabaseError,
    EmailExistsError,
    EngineStoreError,
    InvalidValueError,
    StoreClosedError,
    UnavailableError,
)
from engine_store.models import Status
from engine_store.urls import parse_url
from engine_store_contracts.suite.samples import USAGE, user, workflow
from engine_store_postgres.failures import FAILURES, may_retry

PATIENCE = 30.0

RETRIABLE = {
    "40001": "a concurrent transaction changed what this one had read; run it again",
    "40P01": "this transaction and another one waited for each other; run it again",
    "55P03": "another transaction held a lock for longer than lock_timeout; try again, or keep "
    "transactions short",
    "57014": "the statement was cancelled, or ran for longer than statement_timeout",
    "25006": "the server may not be written: it is a standby, or read-only; try again when it is "
    "not, or name the primary with target_session_attrs=read-write",
    "53200": "the server ran out of memory",
    "53300": "the server has no connection left; lower pool_max_size, or raise max_connections",
    "55006": "the object is in use",
    "58030": "the server could not read or write its files; look at its log",
    "23505": "other writers were faster every time; try again",
    "23503": "other writers were faster every time; try again",
    "53ERR": "the server lacks memory, connections or another resource; look at its log",
    "57ERR": "the server's operator, or a setting of it, ended the statement; look at its log",
    "58ERR": "the server's system failed it; look at its log",
}
LASTING = {
    "53100": "the server's disk is full; make room",
    "42501": "the user lacks a privilege; grant it, or open the store as another user",
    "XX001": "the database is damaged; restore a backup",
    "XX002": "an index is damaged; run REINDEX",
    "XX000": "the server met a mistake of its own, or damaged data; look at its log",
    "XXERR": "the server met a mistake of its own, or damaged data; look at its log",
}
LOST = [
    "57P01",  # admin shutdown
    "57P02",  # crash shutdown
    "57P03",  # cannot connect now
    "57P05",  # idle_session_timeout
    "25P03",  # idle_in_transaction_session_timeout
    "25P04",  # transaction_timeout
    "08000",
    "08003",
    "08006",
    "08P01",
]
TOO_LARGE = ["54000", "54001", "54011"]
OURS = {
    "42601": "syntax",
    "42P01": "no such table",
    "42703": "no such column",
    "42883": "no such function",
    "22P02": "not of that type",
    "22003": "out of range",
    "23502": "not null",
    "23514": "check",
    "25P02": "a transaction that failed already",
    "0A000": "not supported",
    "P0001": "raised by a trigger",
}

LOST_REASON = (
    "PostgreSQL: the connection to the server was lost; whether a write that was under way "
    "happened is not known: read before you write again"
)
LOST_TRANSACTION = (
    "PostgreSQL: the transaction was rolled back by an error, or lost with its connection; run it "
    "again"
)


@pytest.fixture
def raised(postgres_admin: psycopg.Connection) -> Callable[[str], psycopg.Error]:
    """An error with a SQLSTATE, as it comes from the server."""

    def raised(code: str) -> psycopg.Error:
        with pytest.raises(psycopg.Error) as caught:
            postgres_admin.execute(f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$".encode())
        assert caught.value.sqlstate == code
        return caught.value

    return raised


# --- by SQLSTATE ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", RETRIABLE)
def test_what_passes_by_itself_may_be_tried_again(
    raised: Callable[[str], psycopg.Error], code: str
) -> None:
    found = FAILURES.translate(raised(code))
    assert type(found) is UnavailableError
    assert (found.reason, found.retriable) == (f"PostgreSQL: {RETRIABLE[code]}", True)


@pytest.mark.parametrize("code", LASTING)
def test_what_somebody_must_mend_is_not_worth_trying_again(
    raised: Callable[[str], psycopg.Error], code: str
) -> None:
    found = FAILURES.translate(raised(code))
    assert type(found) is UnavailableError
    assert (found.reason, found.retriable) == (f"PostgreSQL: {LASTING[code]}", False)


@pytest.mark.parametrize("code", LOST)
def test_a_connection_that_is_lost_is_made_anew_by_trying_again(
    raised: Callable[[str], psycopg.Error], code: str
) -> None:
    found = FAILURES.translate(raised(code))
    assert type(found) is UnavailableError
    assert (found.reason, found.retriable) == (LOST_REASON, True)


@pytest.mark.parametrize("code", TOO_LARGE)
def test_a_value_too_large_for_the_database_is_the_callers(
    raised: Callable[[str], psycopg.Error], code: str
) -> None:
    found = FAILURES.translate(raised(code))
    assert type(found) is InvalidValueError
    assert (found.path, found.reason) == (
        "value",
        "larger than PostgreSQL can hold in one row",
    )


@pytest.mark.parametrize("code", OURS, ids=OURS.get)
def test_what_nobody_can_expect_is_named_by_its_class_and_code(
    raised: Callable[[str], psycopg.Error], code: str
) -> None:
    error = raised(code)
    found = FAILURES.translate(error)
    assert type(found) is DatabaseError
    assert found.reason == f"{error.diag.message_primary} ({type(error).__name__} {code})"


def test_an_error_without_a_code_is_a_lost_connection_only_where_psycopg_says_so() -> None:
    found = FAILURES.translate(psycopg.OperationalError("the connection is closed"))
    assert type(found) is UnavailableError
    assert (found.reason, found.retriable) == (LOST_REASON, True)
    for kind in (psycopg.ProgrammingError, psycopg.DataError, psycopg.InterfaceError):
        found = FAILURES.translate(kind("the connection is closed"))
        assert type(found) is DatabaseError
        assert found.reason == f"the connection is closed ({kind.__name__})"


def test_the_text_of_an_error_counts_for_nothing(raised: Callable[[str], psycopg.Error]) -> None:
    error = psycopg.ProgrammingError("deadlock detected; canceling statement due to lock timeout")
    assert type(FAILURES.translate(error)) is DatabaseError
    assert not may_retry(error, in_transaction=False)


def test_what_is_no_error_of_the_database_stays_as_it_is() -> None:
    for error in (KeyError("x"), UnavailableError("busy"), OSError(28, "No space left on device")):
        assert FAILURES.translate(error) is error
        assert not may_retry(error, in_transaction=False)


def test_a_pool_without_a_connection_to_give_may_have_one_later() -> None:
    for error, reason in (
        (PoolTimeout("x"), "PostgreSQL: no connection was free in time; try again"),
        (
            TooManyRequests("x"),
            "PostgreSQL: pool_max_waiting calls wait for a connection already; try again, or raise "
            "it",
        ),
    ):
        found = FAILURES.translate(error)
        assert type(found) is UnavailableError
        assert (found.reason, found.retriable) == (reason, True)
    assert type(FAILURES.translate(PoolClosed("x"))) is StoreClosedError


RETRIED = {"40001", "40P01", "23505", "23503"}


@pytest.mark.parametrize("code", [*RETRIABLE, *LASTING, *LOST, *TOO_LARGE, *OURS])
def test_an_operation_runs_again_only_where_it_lost_to_a_concurrent_one(
    raised: Callable[[str], psycopg.Error], code: str
) -> None:
    assert may_retry(raised(code), in_transaction=False) == (code in RETRIED)


@pytest.mark.parametrize("code", sorted(RETRIED))
def test_in_a_transaction_it_does_so_only_where_its_locks_and_snapshot_are_not_in_the_way(
    raised: Callable[[str], psycopg.Error], code: str
) -> None:
    assert may_retry(raised(code), in_transaction=True) == (code in {"23505", "23503"})


def test_the_cause_is_kept(raised: Callable[[str], psycopg.Error]) -> None:
    error = raised("53100")
    with pytest.raises(UnavailableError) as caught, FAILURES.translated():
        raise error
    assert caught.value.__cause__ is error


def test_an_error_of_no_database_goes_through_unchanged() -> None:
    error = KeyError("x")
    with pytest.raises(KeyError) as caught, FAILURES.translated():
        raise error
    assert caught.value is error


# --- connections that cannot be made -------------------------------------------------------------


def test_where_no_connection_can_be_made_the_place_and_libpqs_words_are_given() -> None:
    with pytest.raises(UnavailableError) as caught, FAILURES.reaching("one, database engine", None):
        raise psycopg.OperationalError("connection failed:\n\tno such place\n")
    expected = "PostgreSQL at one, database engine: connection failed: no such place"
    assert (caught.value.reason, caught.value.retriable) == (expected, True)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_libpqs_words_are_shown_without_the_password() -> None:
    with pytest.raises(UnavailableError) as caught, FAILURES.reaching("one", "S3CRET"):
        raise psycopg.OperationalError('invalid port "S3CRET", and again "S3CRET"')
    assert caught.value.reason == 'PostgreSQL at one: invalid port "***", and again "***"'


def test_a_password_that_is_a_part_of_a_word_leaves_the_word() -> None:
    with pytest.raises(UnavailableError) as caught, FAILURES.reaching("one", "es"):
        raise psycopg.OperationalError('postgresql://yes:es@les refuses "yes", and password=es')
    assert caught.value.reason == (
        'PostgreSQL at one: postgresql://yes:***@les refuses "yes", and password=***'
    )


def test_an_empty_password_hides_nothing() -> None:
    with pytest.raises(UnavailableError) as caught, FAILURES.reaching("one", ""):
        raise psycopg.OperationalError("no")
    assert caught.value.reason == "PostgreSQL at one: no"


def test_reaching_is_about_connections_alone(raised: Callable[[str], psycopg.Error]) -> None:
    for error in (raised("42601"), KeyError("x")):
        with pytest.raises(type(error)) as caught, FAILURES.reaching("one", None):
            raise error
        assert caught.value is error


# --- made for real -------------------------------------------------------------------------------


@pytest.fixture
def name() -> str:
    """What a store's connections call themselves, so that they are found at the server."""
    return f"test_{uuid4().hex}"


@pytest.fixture
def rival(postgres_url: str, store: Any, postgres_store_url: str) -> Iterator[psycopg.Connection]:
    """A transaction of another program, in the schema of a store with the workflow `w`."""
    store.workflows.create(workflow())
    with psycopg.connect(postgres_url) as connection:
        schema = parse_url(postgres_store_url).options["schema"]
        connection.execute(f"SET search_path = {schema}".encode())
        yield connection
        connection.rollback()


@pytest.fixture
def schema(postgres_store_url: str) -> str:
    return parse_url(postgres_store_url).options["schema"]


LOCK = "SELECT FROM workflows WHERE workflow_exec_id = 'w' FOR UPDATE"


@contextmanager
def unavailable(reason: str, cause: type[psycopg.Error] | None = None) -> Iterator[None]:
    """The block raises a retriable `UnavailableError`, with this reason and cause."""
    with pytest.raises(UnavailableError) as caught:
        yield
    assert caught.value.reason == reason
    assert caught.value.retriable
    if cause is not None:
        assert type(caught.value.__cause__) is cause


@contextmanager
def meanwhile(function: Callable[..., Any], *args: object) -> Iterator[Future[Any]]:
    """`function` runs in a thread of its own during the block, and has ended after it."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(function, *args)


@pytest.mark.parametrize(
    ("timeouts", "code"),
    [
        ({"lock_timeout": 0.02}, "55P03"),
        ({"lock_timeout": 0, "statement_timeout": 0.02}, "57014"),
    ],
    ids=["lock_timeout", "statement_timeout"],
)
def test_a_write_that_waits_too_long_may_be_tried_again(
    open_store: Callable[..., Any],
    postgres_store_url: str,
    rival: psycopg.Connection,
    timeouts: dict[str, float],
    code: str,
) -> None:
    impatient = open_store(postgres_store_url, **timeouts)
    rival.execute(LOCK)
    with unavailable(f"PostgreSQL: {RETRIABLE[code]}", psycopg.errors.lookup(code)):
        impatient.workflows.set_status("w", Status.RUNNING)
    rival.rollback()
    assert impatient.workflows.get("w").status is Status.PENDING
    assert impatient.workflows.set_status("w", Status.RUNNING).version == 2


def test_a_statement_that_was_cancelled_may_be_tried_again(
    open_store: Callable[..., Any],
    postgres_store_url: str,
    postgres_admin: psycopg.Connection,
    rival: psycopg.Connection,
    until_it_waits: Callable[[str], int],
    name: str,
) -> None:
    store = open_store(postgres_store_url, application_name=name)
    rival.execute(LOCK)
    with meanwhile(store.workflows.set_status, "w", Status.RUNNING) as setting:
        postgres_admin.execute("SELECT pg_cancel_backend(%s)", [until_it_waits(name)])
        with unavailable(f"PostgreSQL: {RETRIABLE['57014']}", psycopg.errors.QueryCanceled):
            setting.result(PATIENCE)
    rival.rollback()
    assert store.workflows.set_status("w", Status.RUNNING).version == 2


def test_a_connection_that_the_server_ended_is_replaced(
    open_store: Callable[..., Any],
    postgres_store_url: str,
    postgres_admin: psycopg.Connection,
    rival: psycopg.Connection,
    until_it_waits: Callable[[str], int],
    name: str,
) -> None:
    store = open_store(postgres_store_url, application_name=name)
    rival.execute(LOCK)
    with meanwhile(store.workflows.set_status, "w", Status.RUNNING) as setting:
        postgres_admin.execute("SELECT pg_terminate_backend(%s)", [until_it_waits(name)])
        with unavailable(LOST_REASON, psycopg.errors.AdminShutdown):
            setting.result(PATIENCE)
    rival.rollback()
    assert store.workflows.set_status("w", Status.RUNNING).version == 2


def test_a_transaction_that_lost_its_connection_is_lost_as_a_whole(
    open_store: Callable[..., Any],
    postgres_store_url: str,
    postgres_admin: psycopg.Connection,
    name: str,
) -> None:
    store = open_store(postgres_store_url, application_name=name)
    with pytest.raises(UnavailableError) as caught, store.transaction() as tx:
        tx.workflows.create(workflow("first"))
        postgres_admin.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE application_name = %s",
            [name],
        )
        with unavailable(LOST_REASON):
            tx.workflows.create(workflow("second"))
        with unavailable(LOST_TRANSACTION):
            tx.workflows.create(workflow("third"))
        with unavailable(LOST_TRANSACTION), tx.transaction() as inner:
            inner.workflows.create(workflow("fourth"))
    assert (caught.value.reason, caught.value.retriable) == (LOST_TRANSACTION, True)
    assert store.workflows.list().items == ()
    assert store.workflows.create(workflow("first")).version == 1


def test_a_transaction_whose_connection_was_lost_before_the_commit_did_nothing(
    open_store: Callable[..., Any],
    postgres_store_url: str,
    postgres_admin: psycopg.Connection,
    name: str,
) -> None:
    store = open_store(postgres_store_url, application_name=name)
    with unavailable(LOST_REASON), store.transaction() as tx:
        tx.workflows.create(workflow())
        postgres_admin.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE application_name = %s",
            [name],
        )
    assert store.workflows.list().items == ()


@pytest.mark.parametrize("setting", ["idle_in_transaction_session_timeout", "transaction_timeout"])
def test_a_transaction_that_the_server_found_too_long_may_be_run_again(
    open_store: Callable[..., Any],
    make_schema: Callable[..., str],
    postgres_admin: psycopg.Connection,
    setting: str,
) -> None:
    if setting == "transaction_timeout" and postgres_admin.info.server_version < 170000:
        pytest.skip("the server does not know it")
    url = make_schema(options=f"-c%20{setting}%3D100")
    lock = f"LOCK TABLE {parse_url(url).options['schema']}.workflows"
    store = open_store(url)
    with pytest.raises(UnavailableError) as caught, store.transaction() as tx:
        tx.workflows.create(workflow())
        # Its last statement is no pipeline: psycopg sends a Flush after one, at which the server's
        # clock for idle transactions stops.
        tx.workflows.merge_usage("w", USAGE)
        with postgres_admin.transaction():
            postgres_admin.execute("SET LOCAL lock_timeout = '30s'")
            postgres_admin.execute(lock.encode())  # free when the server has ended the other one
    assert caught.value.retriable
    assert store.workflows.list().items == ()


def test_in_a_transaction_a_lock_time_out_undoes_only_its_operation(
    open_store: Callable[..., Any], postgres_store_url: str, rival: psycopg.Connection
) -> None:
    store = open_store(postgres_store_url, lock_timeout=0.02)
    rival.execute(LOCK)
    with store.transaction() as tx:
        tx.workflows.create(workflow("before"))
        with unavailable(f"PostgreSQL: {RETRIABLE['55P03']}", psycopg.errors.LockNotAvailable):
            tx.workflows.set_status("w", Status.RUNNING)
        assert tx.workflows.get("before").version == 1
        tx.workflows.create(workflow("after"))
    rival.rollback()
    assert {item.workflow_exec_id for item in store.workflows.list().items} == {
        "before",
        "after",
        "w",
    }
    assert store.workflows.get("w").status is Status.PENDING


def test_in_a_transaction_the_first_operation_may_time_out_too(
    open_store: Callable[..., Any], postgres_store_url: str, rival: psycopg.Connection
) -> None:
    store = open_store(postgres_store_url, lock_timeout=0.02)
    rival.execute(LOCK)
    with store.transaction() as tx:
        with unavailable(f"PostgreSQL: {RETRIABLE['55P03']}"):
            tx.workflows.get_for_update("w")
        rival.rollback()
        assert tx.workflows.get_for_update("w").version == 1
        tx.workflows.set_status("w", Status.RUNNING)
    assert store.workflows.get("w").status is Status.RUNNING


def test_a_time_out_in_a_nested_transaction_that_comes_out_of_it_undoes_the_nested_one(
    open_store: Callable[..., Any], postgres_store_url: str, rival: psycopg.Connection
) -> None:
    store = open_store(postgres_store_url, lock_timeout=0.02)
    rival.execute(LOCK)
    with store.transaction() as tx:
        tx.workflows.create(workflow("outer"))
        with (
            unavailable(f"PostgreSQL: {RETRIABLE['55P03']}"),
            tx.transaction() as inner,
        ):
            inner.workflows.create(workflow("inner"))
            inner.workflows.set_status("w", Status.RUNNING)
    assert {item.workflow_exec_id for item in store.workflows.list().items} == {"outer", "w"}


def test_of_two_transactions_that_wait_for_each_other_one_is_told_and_one_goes_on(
    open_store: Callable[..., Any], make_schema: Callable[..., str]
) -> None:
    store = open_store(make_schema(options="-c%20deadlock_timeout%3D10ms"))
    for number in "01":
        store.workflows.create(workflow(number))
    both_hold_one = threading.Barrier(2)

    def take(first: str, second: str) -> UnavailableError | None:
        try:
            with store.transaction() as tx:
                tx.workflows.set_status(first, Status.RUNNING)
                both_hold_one.wait(PATIENCE)
                tx.workflows.set_status(second, Status.RUNNING)
        except UnavailableError as error:
            return error
        return None

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(take, "01", "10"))
    [error] = [outcome for outcome in outcomes if outcome is not None]
    assert error.reason == f"PostgreSQL: {RETRIABLE['40P01']}"
    assert error.retriable
    assert type(error.__cause__) is psycopg.errors.DeadlockDetected
    assert [store.workflows.get(number).version for number in "01"] == [2, 2]


def test_an_operation_of_its_own_runs_again_by_itself_where_its_snapshot_is_out_of_date(
    open_store: Callable[..., Any],
    make_schema: Callable[..., str],
    postgres_url: str,
    until_it_waits: Callable[[str], int],
    name: str,
) -> None:
    url = make_schema(
        options="-c%20default_transaction_isolation%3Drepeatable%5C%20read", application_name=name
    )
    store = open_store(url)
    store.workflows.create(workflow())
    schema = parse_url(url).options["schema"]
    with psycopg.connect(postgres_url) as rival:
        rival.execute(f"UPDATE {schema}.workflows SET version = 7".encode())
        with meanwhile(store.workflows.set_status, "w", Status.RUNNING) as setting:
            until_it_waits(name)
            rival.commit()
            assert setting.result(PATIENCE).version == 8


@pytest.mark.parametrize("in_transaction", [False, True])
def test_who_loses_the_race_for_an_email_is_told_so_and_its_transaction_goes_on(
    open_store: Callable[..., Any],
    postgres_store_url: str,
    rival: psycopg.Connection,
    until_it_waits: Callable[[str], int],
    name: str,
    in_transaction: bool,
) -> None:
    store = open_store(postgres_store_url, application_name=name)
    store.users.create(user("ann"))
    bob = store.users.create(user("bob"))
    rival.execute(
        "UPDATE users SET email = 'x@example.org', email_folded = 'x@example.org' "
        "WHERE user_id = 'ann'"
    )

    def lose() -> None:
        change = attrs.evolve(bob, email="X@example.org")
        if not in_transaction:
            with pytest.raises(EmailExistsError):
                store.users.update(change)
            return
        with store.transaction() as tx:
            with pytest.raises(EmailExistsError):
                tx.users.update(change)
            tx.users.create(user("carla"))

    with meanwhile(lose) as losing:
        until_it_waits(name)
        rival.commit()
        losing.result(PATIENCE)
    assert store.users.get("bob") == bob
    expected = ["ann", "bob", *(["carla"] if in_transaction else [])]
    assert [item.user_id for item in store.users.list().items] == expected


def test_who_lacks_a_privilege_is_told_and_the_transaction_goes_on(
    store: Any,
    postgres_admin: psycopg.Connection,
    schema: str,
    open_store: Callable[..., Any],
    postgres_store_url: str,
) -> None:
    role = f"test_{uuid4().hex}"
    postgres_admin.execute(
        f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA {schema} TO {role};"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};"
        f"GRANT INSERT ON {schema}.users TO {role}".encode()
    )
    try:
        limited = open_store(f"{postgres_store_url}&options=-c%20role%3D{role}")
        with limited.transaction() as tx:
            tx.users.create(user())
            with pytest.raises(UnavailableError) as caught:
                tx.workflows.create(workflow())
        assert caught.value.reason == f"PostgreSQL: {LASTING['42501']}"
        assert not caught.value.retriable
        assert store.users.get("ann").version == 1
    finally:
        postgres_admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_an_error_that_nobody_foresaw_is_typed_and_the_store_goes_on(
    store: Any, postgres_admin: psycopg.Connection, schema: str
) -> None:
    table = f"{schema}.workflows"
    postgres_admin.execute(f"ALTER TABLE {table} RENAME COLUMN output TO gone".encode())
    with pytest.raises(DatabaseError) as caught:
        store.workflows.create(workflow())
    assert type(caught.value.__cause__) is psycopg.errors.UndefinedColumn
    with store.transaction() as tx:
        tx.users.create(user())
        with pytest.raises(DatabaseError):
            tx.workflows.get("w")
    assert store.users.get("ann").version == 1
    postgres_admin.execute(f"ALTER TABLE {table} RENAME COLUMN gone TO output".encode())
    assert store.workflows.create(workflow()).version == 1


def test_a_refused_write_leaves_no_transaction_open(
    store: Any, postgres_admin: psycopg.Connection, rival: psycopg.Connection, schema: str
) -> None:
    with pytest.raises(EngineStoreError):
        store.workflows.create(workflow())
    rival.execute(f"LOCK TABLE {schema}.workflows NOWAIT".encode())
