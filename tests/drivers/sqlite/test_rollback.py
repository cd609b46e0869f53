"""When SQLite fails in the middle of a transaction: nothing is half committed, and all is said."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pytest

from engine_store.errors import (
    AlreadyExistsError,
    DatabaseError,
    UnavailableError,
)
from engine_store.protocols import Store
from engine_store_contracts.suite.samples import task, workflow

Full = Callable[[int], AbstractContextManager[None]]

BIG = {"text": "x" * 200_000}


def ids(store: Any) -> list[str]:
    return sorted(state.workflow_exec_id for state in store.workflows.list().items)


# --- a full disk ---------------------------------------------------------------------------------


@pytest.fixture
def full(store: Store, writer_of: Callable[[Any], sqlite3.Connection]) -> Full:
    """The disk has no room for more than so many new pages."""

    @contextmanager
    def full(pages: int) -> Iterator[None]:
        (used,) = writer_of(store).execute("PRAGMA page_count").fetchone()
        writer_of(store).execute(f"PRAGMA max_page_count = {used + pages}")
        yield
        writer_of(store).execute("PRAGMA max_page_count = 4294967294")

    return full


@contextmanager
def says_full() -> Iterator[None]:
    with pytest.raises(UnavailableError) as caught:
        yield
    assert caught.value.reason.startswith("SQLite: the disk is full; free some 20 MB of it")
    assert not caught.value.retriable


def test_a_write_that_finds_no_room_changes_nothing(store: Store, full: Full) -> None:
    stored = store.workflows.create(workflow())
    with full(0):
        with says_full():
            store.workflows.create(workflow("big", input=BIG))
        with says_full():
            store.workflows.modify("w", lambda state: workflow("w", input=BIG))
    assert store.workflows.get("w") == stored
    assert store.workflows.create(workflow("big", input=BIG)).version == 1


def test_a_transaction_that_finds_no_room_is_undone(store: Store, full: Full) -> None:
    with full(2):
        with says_full(), store.transaction() as tx:
            tx.workflows.create(workflow())
            tx.workflows.create(workflow("big", input=BIG))
        assert ids(store) == []
        assert store.workflows.create(workflow("small")).version == 1


def test_a_transaction_that_finds_no_room_and_goes_on_keeps_the_rest_or_nothing(
    store: Store, full: Full
) -> None:
    rolled_back = False
    with full(2):
        try:
            with store.transaction() as tx:
                tx.workflows.create(workflow("before"))
                with says_full():
                    tx.workflows.create(workflow("big", input=BIG))
                with suppress(UnavailableError):
                    tx.workflows.create(workflow("after"))
        except UnavailableError as error:
            assert error.retriable
            rolled_back = True
    assert ids(store) == ([] if rolled_back else ["after", "before"])


def test_a_savepoint_that_finds_no_room_says_so(store: Store, full: Full) -> None:
    with full(2), says_full(), store.transaction() as tx:
        tx.workflows.create(workflow())
        with tx.transaction() as inner:
            inner.workflows.create(workflow("big", input=BIG))
    assert ids(store) == []


# --- SQLite rolls back by itself -----------------------------------------------------------------


@pytest.fixture
def fragile(store: Store, writer_of: Callable[[Any], sqlite3.Connection]) -> Store:
    """A store where SQLite rolls the whole transaction back when the workflow `boom` is written.

    A trigger stands in for what else makes it do so: a disk that fails, or memory that runs out.
    """
    writer_of(store).execute(
        "CREATE TRIGGER boom BEFORE INSERT ON workflows WHEN NEW.workflow_id = 'boom' "
        "BEGIN SELECT RAISE(ROLLBACK, 'boom'); END"
    )
    return store


def boom(tx: Any) -> None:
    tx.workflows.create(workflow("b", workflow_id="boom"))


@contextmanager
def says_rolled_back() -> Iterator[None]:
    with pytest.raises(UnavailableError) as caught:
        yield
    assert caught.value.reason == (
        "SQLite: the transaction was rolled back by an error, or lost with its connection; "
        "run it again"
    )
    assert caught.value.retriable


def test_a_failed_statement_that_rolled_back_leaves_the_writer_free(fragile: Store) -> None:
    with pytest.raises(DatabaseError, match="boom"):
        boom(fragile)
    assert fragile.workflows.create(workflow()).version == 1


def test_the_error_that_rolled_a_transaction_back_comes_out_of_it(fragile: Store) -> None:
    with pytest.raises(DatabaseError, match="boom"), fragile.transaction() as tx:
        tx.workflows.create(workflow())
        boom(tx)
    assert ids(fragile) == []


def test_a_transaction_that_was_rolled_back_can_do_nothing_more_and_does_not_commit(
    fragile: Store,
) -> None:
    with says_rolled_back(), fragile.transaction() as tx:
        tx.workflows.create(workflow())
        with suppress(DatabaseError):
            boom(tx)
        with says_rolled_back():
            tx.workflows.create(workflow("more"))
        with says_rolled_back():
            tx.workflows.list()
    assert ids(fragile) == []
    assert fragile.workflows.create(workflow()).version == 1


def test_a_savepoint_cannot_begin_where_its_transaction_was_rolled_back(fragile: Store) -> None:
    with says_rolled_back(), fragile.transaction() as tx:
        tx.workflows.create(workflow())
        with suppress(DatabaseError):
            boom(tx)
        with says_rolled_back(), tx.transaction() as inner:
            inner.workflows.create(workflow("half"))
    assert ids(fragile) == []


def test_the_error_that_rolled_back_inside_a_savepoint_comes_out_of_both(fragile: Store) -> None:
    with pytest.raises(DatabaseError, match="boom"), fragile.transaction() as tx:
        tx.workflows.create(workflow())
        with tx.transaction() as inner:
            boom(inner)
    assert ids(fragile) == []


def test_a_savepoint_left_as_if_nothing_happened_says_that_all_was_rolled_back(
    fragile: Store,
) -> None:
    with says_rolled_back(), fragile.transaction() as tx:
        tx.workflows.create(workflow())
        with tx.transaction() as inner, suppress(DatabaseError):
            boom(inner)
    assert ids(fragile) == []


# --- a commit that fails -------------------------------------------------------------------------


def break_a_reference(connection: sqlite3.Connection) -> None:
    """Leave a foreign key unfulfilled that is looked at when the transaction commits."""
    connection.execute("PRAGMA defer_foreign_keys = ON")
    connection.execute(
        "INSERT INTO api_keys VALUES ('k', 'nobody', 'p', zeroblob(32), x'00', ?, NULL)",
        ["2026-01-01T00:00:00.000000+00:00"],
    )


def test_a_commit_that_fails_rolls_back_and_leaves_the_writer_free(
    store: Store, writer_of: Callable[[Any], sqlite3.Connection]
) -> None:
    writer = writer_of(store)
    with pytest.raises(DatabaseError, match="FOREIGN KEY"), store.transaction() as tx:
        tx.workflows.create(workflow())
        break_a_reference(writer)
    assert ids(store) == []
    assert store.workflows.create(workflow()).version == 1


# --- the caller's own errors ---------------------------------------------------------------------


def test_an_error_of_one_statement_undoes_that_statement_alone(store: Store) -> None:
    with store.transaction() as tx:
        tx.workflows.create(workflow())
        with pytest.raises(AlreadyExistsError):
            tx.workflows.create(workflow())
        with pytest.raises(KeyError), tx.transaction() as inner:
            inner.tasks.create(task())
            raise KeyError
        with tx.transaction() as inner:
            inner.tasks.create(task("kept"))
    assert list(store.tasks.in_workflow("w")) == ["kept"]


def test_savepoints_in_savepoints_undo_their_own(store: Store) -> None:
    with store.transaction() as tx:
        with pytest.raises(KeyError), tx.transaction() as outer:
            outer.workflows.create(workflow("outer"))
            with outer.transaction() as inner:
                inner.workflows.create(workflow("inner"))
            raise KeyError
        with tx.transaction() as outer:
            outer.workflows.create(workflow("kept"))
            with pytest.raises(KeyError), outer.transaction() as inner:
                inner.workflows.create(workflow("undone"))
                raise KeyError
    assert ids(store) == ["kept"]
