"""Transactions where several write at once: what only a database of many writers can show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from threading import Barrier
from typing import TypeVar

import attrs
import psycopg
import pytest

import engine_store
from engine_store.errors import (
    EmailExistsError,
    InvalidReferenceError,
    TransactionClosedError,
    UnavailableError,
    UserNotFoundError,
    VersionConflictError,
    WorkflowNotReadyError,
)
from engine_store.models import Role, Status, WorkflowState
from engine_store.protocols import AsyncTransaction, Store
from engine_store.rules.claims import ended
from engine_store_contracts.suite.case import raises
from engine_store_contracts.suite.samples import USAGE, api_key, task, user, workflow
from engine_store_postgres.connection import PostgresConnection

T = TypeVar("T")
PATIENCE = 30.0
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@pytest.fixture
def store(make_schema: Callable[..., str], request: pytest.FixtureRequest) -> Iterator[Store]:
    with engine_store.open(make_schema(application_name=request.node.name[:60])) as store:
        yield store


@pytest.fixture
def waits(
    postgres_admin: psycopg.Connection, request: pytest.FixtureRequest
) -> Callable[[Future[T]], Future[T]]:
    """Returns when a call of this test's store waits for a lock in the server."""
    query = b"""SELECT count(*) FROM pg_stat_activity
                WHERE application_name = %s AND wait_event_type = 'Lock'"""
    name = request.node.name[:60]

    def wait(running: Future[T]) -> Future[T]:
        while postgres_admin.execute(query, [name]).fetchone() == (0,):
            assert not running.done(), running.result()
        return running

    return wait


def test_a_rival_for_an_email_is_told_when_the_other_transaction_commits(
    store: Store, waits: Callable[[Future[T]], Future[T]]
) -> None:
    bob = store.users.create(user("bob"))
    with ThreadPoolExecutor(1) as thread:
        with store.transaction() as tx:
            tx.users.create(user("ann", "ann@example.org"))
            rival = attrs.evolve(bob, email="ANN@example.org")
            waiting = waits(thread.submit(store.users.update, rival))
        with raises(EmailExistsError("user", "email", "ANN@example.org")):
            waiting.result(PATIENCE)
    assert store.users.get("bob") == bob


def test_a_rival_for_an_email_gets_it_when_the_other_transaction_rolls_back(
    store: Store, waits: Callable[[Future[T]], Future[T]]
) -> None:
    bob = store.users.create(user("bob"))
    with ThreadPoolExecutor(1) as thread:
        with pytest.raises(ZeroDivisionError), store.transaction() as tx:
            tx.users.create(user("ann", "ann@example.org"))
            rival = attrs.evolve(bob, email="ANN@example.org")
            waiting = waits(thread.submit(store.users.update, rival))
            raise ZeroDivisionError
        assert waiting.result(PATIENCE).email == "ANN@example.org"


def test_in_a_transaction_a_rival_is_told_and_the_transaction_goes_on(
    store: Store, waits: Callable[[Future[T]], Future[T]]
) -> None:
    bob = store.users.create(user("bob"))

    def try_in_a_transaction() -> None:
        with store.transaction() as tx:
            tx.users.create(user("cleo"))
            with raises(EmailExistsError("user", "email", "ann@example.org")):
                tx.users.upsert(attrs.evolve(bob, email="ann@example.org"))
            tx.users.create(user("dan"))

    with ThreadPoolExecutor(1) as thread:
        with store.transaction() as tx:
            tx.users.create(user("ann", "ann@example.org"))
            waiting = waits(thread.submit(try_in_a_transaction))
        waiting.result(PATIENCE)
    assert {u.user_id for u in store.users.list().items} == {"ann", "bob", "cleo", "dan"}


def test_a_task_of_a_workflow_that_is_being_deleted_waits_and_is_refused(
    store: Store, waits: Callable[[Future[T]], Future[T]]
) -> None:
    store.workflows.create(workflow())
    with ThreadPoolExecutor(1) as thread:
        with store.transaction() as tx:
            tx.workflows.delete("w")
            waiting = waits(thread.submit(store.tasks.create, task()))
        with raises(InvalidReferenceError("task execution", "workflow_exec_id", "w")):
            waiting.result(PATIENCE)
    assert store.tasks.list().items == ()


def test_a_key_of_a_user_that_is_being_deleted_waits_and_is_refused(
    store: Store, waits: Callable[[Future[T]], Future[T]]
) -> None:
    store.users.create(user("ann"))
    with ThreadPoolExecutor(1) as thread:
        with store.transaction() as tx:
            tx.users.delete("ann")
            waiting = waits(thread.submit(store.api_keys.create, api_key()))
        with raises(InvalidReferenceError("api key", "user_id", "ann")):
            waiting.result(PATIENCE)


def test_a_workflow_that_is_being_completed_gets_no_new_task_meanwhile(
    store: Store, waits: Callable[[Future[T]], Future[T]]
) -> None:
    store.workflows.create(workflow())
    store.tasks.create(task("t", status=Status.SUCCESS))
    with ThreadPoolExecutor(1) as thread:
        with store.transaction() as tx:
            done = tx.workflows.complete("w")
            waiting = waits(thread.submit(store.tasks.create, task("late")))
        with raises(ended(done)):
            waiting.result(PATIENCE)
    assert done.status is Status.SUCCESS
    assert list(done.tasks) == ["t"]


def test_a_first_admin_waits_for_one_that_is_being_made(
    store: Store, waits: Callable[[Future[T]], Future[T]]
) -> None:
    with ThreadPoolExecutor(1) as thread:
        with store.transaction() as tx:
            tx.users.create(user("root", role=Role.ADMIN))
            bootstrap = store.users.create_initial_admin_if_none
            waiting = waits(thread.submit(bootstrap, user("other", role=Role.ADMIN)))
        with raises(engine_store.errors.AlreadyBootstrappedError()):
            waiting.result(PATIENCE)
    assert [u.user_id for u in store.users.list().items] == ["root"]


def test_an_update_of_a_row_that_is_being_written_waits_and_finds_the_new_version(
    store: Store, waits: Callable[[Future[T]], Future[T]]
) -> None:
    created = store.workflows.create(workflow())
    with ThreadPoolExecutor(1) as thread:
        with store.transaction() as tx:
            tx.workflows.set_status("w", Status.RUNNING)
            waiting = waits(thread.submit(store.workflows.update, created))
        with raises(VersionConflictError("workflow execution", "w", expected=1, actual=2)):
            waiting.result(PATIENCE)


def test_of_two_transactions_that_wait_for_each_other_one_is_told_to_run_again(
    store: Store,
) -> None:
    for key in ("a", "b"):
        store.workflows.create(workflow(key))
    both_hold_one = Barrier(2)

    def write(first: str, second: str) -> bool:
        try:
            with store.transaction() as tx:
                tx.workflows.set_status(first, Status.RUNNING)
                both_hold_one.wait(PATIENCE)
                tx.workflows.set_status(second, Status.RUNNING)
        except UnavailableError as error:
            assert error.retriable
            assert "waited for each other" in str(error)
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(write, *keys) for keys in (("a", "b"), ("b", "a"))]
        assert sorted(thread.result(PATIENCE) for thread in running) == [False, True]
    assert [store.workflows.get(key).version for key in ("a", "b")] == [2, 2]


def end_the_connection(admin: psycopg.Connection, name: str) -> None:
    """End the server's process that has a transaction open."""
    query = b"""SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                WHERE application_name = %s AND state = 'idle in transaction'"""
    assert admin.execute(query, [name]).fetchall() == [(True,)]


def test_a_transaction_that_lost_its_connection_says_so_to_its_end_and_wrote_nothing(
    store: Store, postgres_admin: psycopg.Connection, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(UnavailableError) as at_the_end, store.transaction() as tx:
        tx.users.create(user("ann"))
        end_the_connection(postgres_admin, request.node.name[:60])
        for _ in range(2):
            with pytest.raises(UnavailableError) as caught:
                tx.users.create(user("bob"))
            assert caught.value.retriable is True
        with pytest.raises(UnavailableError), tx.transaction() as inner:
            inner.users.list()
    assert at_the_end.value.retriable is True
    with raises(UserNotFoundError("ann")):
        store.users.get("ann")
    assert store.users.create(user("ann")).version == 1


def test_a_commit_that_lost_its_connection_says_so(
    store: Store, postgres_admin: psycopg.Connection, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(UnavailableError, match="whether a write"), store.transaction() as tx:
        tx.users.create(user("ann"))
        end_the_connection(postgres_admin, request.node.name[:60])
    assert store.users.create(user("ann")).version == 1


def test_savepoints_in_which_nothing_was_done_cost_nothing(store: Store) -> None:
    with store.transaction() as tx:
        with tx.transaction():
            pass
        with pytest.raises(ZeroDivisionError), tx.transaction():
            raise ZeroDivisionError
        tx.users.create(user("ann"))
        with tx.transaction() as inner, inner.transaction() as innermost:
            innermost.users.create(user("bob"))
        with pytest.raises(ZeroDivisionError), tx.transaction() as inner:
            with inner.transaction() as innermost:
                innermost.users.create(user("cleo"))
            raise ZeroDivisionError
    assert [u.user_id for u in store.users.list().items] == ["ann", "bob"]


def test_a_transaction_in_which_nothing_was_done_sends_nothing(
    store: Store, postgres_admin: psycopg.Connection, request: pytest.FixtureRequest
) -> None:
    store.users.list()
    with store.transaction() as tx:
        query = b"SELECT DISTINCT state FROM pg_stat_activity WHERE application_name = %s"
        states = postgres_admin.execute(query, [request.node.name[:60]]).fetchall()
        assert states == [("idle",)]
    with pytest.raises(TransactionClosedError):
        tx.users.list()


def test_the_last_statement_of_an_operation_takes_the_commit_along(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.workflows.create(workflow())
    store.tasks.create(task(status=Status.SUCCESS))
    alone: list[str] = []
    original = PostgresConnection.execute

    async def execute(self: PostgresConnection, script: str) -> None:
        alone.append(script)
        await original(self, script)

    monkeypatch.setattr(PostgresConnection, "execute", execute)
    store.tasks.merge_usage("t", USAGE)
    store.workflows.merge_usage("w", USAGE)
    assert store.workflows.complete("w").status is Status.SUCCESS
    assert store.workflows.purge(END_OF_TIME).workflows == 1
    assert alone == []
    store.workflows.create(workflow())
    store.tasks.create(task())
    with pytest.raises(WorkflowNotReadyError):
        store.workflows.complete("w")
    assert alone == ["ROLLBACK"]
    assert store.tasks.merge_usage("t", USAGE).version == 2  # nobody holds the row


def test_a_thousand_writes_fit_into_one_transaction(store: Store) -> None:
    with store.transaction() as tx:
        tx.workflows.create(workflow())
        for number in range(1000):
            tx.tasks.create(task(f"{number:04}"))
    assert len(store.tasks.in_workflow("w")) == 1000


# --- tasks of one event loop in one transaction --------------------------------------------------


def test_tasks_that_share_a_transaction_take_turns(postgres_store_url: str) -> None:
    async def main() -> None:
        async with await engine_store.open_async(postgres_store_url) as store:
            async with store.transaction() as tx:

                async def write(number: int) -> None:
                    await tx.users.create(user(f"{number}"))
                    with suppress(ZeroDivisionError):
                        async with tx.transaction() as inner:
                            await inner.users.create(user(f"{number}-nested"))
                            if number % 2:
                                raise ZeroDivisionError

                await asyncio.gather(*map(write, range(8)))
            found = {state.user_id for state in (await store.users.list()).items}
            # What one wrote while another's savepoint was open may have gone with it.
            assert {f"{number}-nested" for number in (0, 2, 4, 6)} <= found
            assert not {f"{number}-nested" for number in (1, 3, 5, 7)} & found

    asyncio.run(main())


async def get_late(tx: AsyncTransaction) -> WorkflowState:
    """Get a workflow when the loop has gone round a few times."""
    for _ in range(3):
        await asyncio.sleep(0)
    return await tx.workflows.get("w")


def test_a_call_that_waits_for_its_turn_beyond_the_end_is_refused(postgres_store_url: str) -> None:
    async def main() -> None:
        async with await engine_store.open_async(postgres_store_url) as store:
            async with store.transaction() as tx:
                await tx.workflows.create(workflow())
                # They begin when this task waits the next time: for the answer to COMMIT.
                calls = [asyncio.create_task(get_late(tx)) for _ in range(20)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {TransactionClosedError}
            async with asyncio.timeout(10):  # what tells waiters of the commit may have one
                while True:
                    if store.stats()["pool_available"]:  # type: ignore[attr-defined]
                        break
                    await asyncio.sleep(0.001)
            assert (await store.workflows.get("w")).version == 1

    asyncio.run(main())
