"""Section 3: transactions and savepoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial

import pytest

from engine_store.errors import (
    AlreadyBootstrappedError,
    AlreadyExistsError,
    ApiKeyNotFoundError,
    EmailExistsError,
    EngineStoreError,
    ImmutableFieldError,
    InvalidReferenceError,
    InvalidValueError,
    NotInTransactionError,
    StatusConflictError,
    TaskNotFoundError,
    TransactionClosedError,
    UserNotFoundError,
    VersionConflictError,
    WorkflowNotFoundError,
    WorkflowNotReadyError,
)
from engine_store.models import Role, Status
from engine_store.protocols import Repositories, Store, Transaction
from engine_store_contracts.exact import exact
from engine_store_contracts.suite.calls import CALLS, Call, outcomes
from engine_store_contracts.suite.case import ContractCase, all_at_once, assert_same, clause, raises
from engine_store_contracts.suite.samples import (
    ADMIN,
    API_KEYS,
    KINDS,
    SAVED_FIELDS,
    USAGE,
    USERS,
    WORKFLOWS,
    Kind,
    api_key,
    child,
    task,
    user,
    workflow,
    writes_of,
)


class _Abort(BaseException):
    """Not even an `Exception`, as KeyboardInterrupt is not."""


FAILING: dict[str, tuple[Callable[[Repositories], object], type[EngineStoreError]]] = {
    "taken id": (lambda s: s.workflows.create(workflow()), AlreadyExistsError),
    "taken id, restored": (
        lambda s: s.workflows.restore(workflow(**SAVED_FIELDS)),
        AlreadyExistsError,
    ),
    "taken email": (lambda s: s.users.create(user("x", "ANN@example.org")), EmailExistsError),
    "taken prefix": (lambda s: s.api_keys.create(api_key("x", prefix="p-key")), AlreadyExistsError),
    "missing user": (lambda s: s.users.get("x"), UserNotFoundError),
    "missing workflow": (lambda s: s.workflows.delete("x"), WorkflowNotFoundError),
    "missing task": (lambda s: s.tasks.merge_usage("x", USAGE), TaskNotFoundError),
    "missing key": (lambda s: s.api_keys.touch("x"), ApiKeyNotFoundError),
    "missing owner": (lambda s: s.api_keys.create(api_key("x", "x")), InvalidReferenceError),
    "missing parent": (lambda s: s.tasks.create(child("x", "x")), InvalidReferenceError),
    "stale version": (lambda s: s.workflows.update(workflow(version=9)), VersionConflictError),
    "immutable field": (
        lambda s: s.workflows.upsert(workflow(workflow_id="x")),
        ImmutableFieldError,
    ),
    "wrong status": (
        lambda s: s.workflows.set_status("w", Status.PAUSED, expected_statuses=[Status.FAILED]),
        StatusConflictError,
    ),
    "not ready": (lambda s: s.workflows.complete("w"), WorkflowNotReadyError),
    "bootstrapped": (
        lambda s: s.users.create_initial_admin_if_none(user("x", role=Role.ADMIN)),
        AlreadyBootstrappedError,
    ),
    "invalid value": (lambda s: s.workflows.create(workflow("x", input=[])), InvalidValueError),
}

END_OF_TIME = datetime.max.replace(tzinfo=UTC)

UNDONE: dict[str, tuple[Kind, Call]] = {
    **{f"{kind.name}.{name}": (kind, write) for kind in KINDS for name, write in writes_of(kind)},
    "users.delete": (USERS, lambda rows: rows.delete("x")),
    "api_keys.delete": (API_KEYS, lambda rows: rows.delete("x")),
    "workflows.delete": (WORKFLOWS, lambda rows: rows.delete("x")),
    "workflows.purge": (WORKFLOWS, lambda rows: rows.purge(END_OF_TIME, statuses=Status)),
}


def write_everywhere(repositories: Repositories) -> None:
    """A row of each kind."""
    repositories.users.create(ADMIN)
    repositories.users.create(user())
    repositories.api_keys.create(api_key())
    repositories.workflows.create(workflow())
    repositories.tasks.create(task())
    repositories.tasks.restore(child("restored", "t", **SAVED_FIELDS))


def everything(repositories: Repositories) -> dict[str, object]:
    """Every row there is."""
    return {kind.name: kind.entity.of(repositories).list().items for kind in KINDS}


NOTHING: dict[str, object] = {kind.name: () for kind in KINDS}


@contextmanager
def aborted(repositories: Repositories) -> Iterator[Transaction]:
    """A transaction that fails at its end, whatever its body did."""
    try:
        with repositories.transaction() as tx:
            yield tx
            raise _Abort
    except _Abort:
        return
    raise AssertionError("the exception did not come out")


class TransactionCases(ContractCase):
    """Contract 3."""

    @clause("3.1")
    def test_all_writes_of_a_transaction_are_there_after_it(self, store: Store) -> None:
        with store.transaction() as tx:
            write_everywhere(tx)
            written = everything(tx)
        assert_same(everything(store), written)
        assert store.api_keys.get("key").user_id == "ann"

    @clause("3.1", "3.2")
    def test_no_write_of_a_failed_transaction_is_there_after_it(self, store: Store) -> None:
        with aborted(store) as tx:
            write_everywhere(tx)
            assert everything(tx) != NOTHING
        assert everything(store) == NOTHING

    @clause("3.1")
    @pytest.mark.parametrize(("kind", "write"), UNDONE.values(), ids=UNDONE)
    def test_each_write_is_undone_by_a_rollback(
        self, store: Store, kind: Kind, write: Call
    ) -> None:
        for each in KINDS:
            each.repository(store).create(each.make("x"))
        before = everything(store)
        with aborted(store) as tx:
            write(kind.entity.of(tx))
            assert everything(tx) != before
        assert_same(everything(store), before)

    @clause("3.2")
    @pytest.mark.parametrize(
        "error",
        [ValueError("of the caller"), UserNotFoundError("x"), _Abort("not even an Exception")],
        ids=["another's", "the store's", "no Exception"],
    )
    def test_an_exception_comes_out_unchanged(self, store: Store, error: BaseException) -> None:
        with pytest.raises(type(error)) as caught, store.transaction() as tx:  # noqa: PT012
            tx.users.create(user())
            with tx.transaction() as inner:
                inner.workflows.create(workflow())
                raise error
        assert caught.value is error
        assert everything(store) == NOTHING

    @clause("3.1")
    def test_a_transaction_reads_its_own_writes(self, store: Store) -> None:
        with store.transaction() as tx:
            write_everywhere(tx)
            assert tx.users.get_by_email("ANN@EXAMPLE.ORG").user_id == "ann"
            assert tx.tasks.get("t").version == 1
            assert tx.tasks.update(tx.tasks.get("t")).version == 2
            assert tx.workflows.get("w", with_tasks=True).tasks["t"].version == 2
            tx.users.delete("ann")
            with raises(ApiKeyNotFoundError("key")):
                tx.api_keys.get("key")
        assert store.tasks.get("t").version == 2
        assert store.api_keys.list().items == ()

    @clause("3.4")
    def test_nothing_uncommitted_is_visible_outside(self, store: Store) -> None:
        store.workflows.create(workflow())
        before = everything(store)
        with store.transaction() as tx:
            tx.workflows.set_status("w", Status.RUNNING)
            tx.tasks.create(task())
            tx.users.create(user())
            assert_same(everything(store), before)
            with raises(TaskNotFoundError("t")):
                store.tasks.get("t")
            [seen] = all_at_once([partial(everything, store)])  # nor does a reader wait
            assert_same(seen, before)
        assert store.workflows.get("w").status is Status.RUNNING
        assert store.tasks.get("t").version == 1

    @clause("3.3")
    @pytest.mark.parametrize(("statement", "error"), FAILING.values(), ids=FAILING)
    def test_a_failed_statement_changes_nothing_and_a_transaction_goes_on_after_it(
        self,
        store: Store,
        statement: Callable[[Repositories], object],
        error: type[EngineStoreError],
    ) -> None:
        write_everywhere(store)
        with store.transaction() as tx:
            tx.users.create(user("before"))
            unchanged = everything(tx)
            with pytest.raises(error):
                statement(tx)
            assert_same(everything(tx), unchanged)
            tx.users.create(user("after"))
        unchanged = everything(store)
        with pytest.raises(error):
            statement(store)
        assert_same(everything(store), unchanged)
        assert {u.user_id for u in store.users.list().items} == {"root", "ann", "before", "after"}

    @clause("3.5")
    @pytest.mark.parametrize("key", ["stored", "missing"])
    def test_get_for_update_needs_a_transaction(self, store: Store, key: str) -> None:
        store.workflows.create(workflow("stored"))
        store.tasks.create(task("stored", "stored"))
        with raises(NotInTransactionError("workflows.get_for_update")):
            store.workflows.get_for_update(key)
        with raises(NotInTransactionError("tasks.get_for_update")):
            store.tasks.get_for_update(key)

    @clause("3.5")
    def test_get_for_update_reads_what_is_stored(self, store: Store) -> None:
        created = store.workflows.create(workflow(input={"a": 1}))
        created_task = store.tasks.create(task(output={"b": 2}))
        with store.transaction() as tx:
            assert_same(tx.workflows.get_for_update("w"), created)
            assert_same(tx.tasks.get_for_update("t"), created_task)
            assert_same(tx.tasks.get_for_update("t", workflow_exec_id="w"), created_task)
            with raises(TaskNotFoundError("t")):
                tx.tasks.get_for_update("t", workflow_exec_id="x")
            with tx.transaction() as inner:
                assert_same(inner.tasks.get_for_update("t"), created_task)

    @clause("3.5")
    @pytest.mark.parametrize("end", ["commit", "rollback"])
    @pytest.mark.parametrize("what", ["transaction", "savepoint"])
    def test_a_transaction_and_a_savepoint_cannot_be_used_after_their_end(
        self, store: Store, what: str, end: str
    ) -> None:
        write_everywhere(store)
        before = everything(store)
        with nullcontext(store) if what == "transaction" else store.transaction() as outer:
            with outer.transaction() if end == "commit" else aborted(outer) as tx:
                users = tx.users
                assert users.get("ann").version == 1
            with raises(TransactionClosedError()):
                users.get("ann")
            expected = dict.fromkeys(CALLS, TransactionClosedError())
            assert exact(outcomes(CALLS, tx)) == exact(expected)
            assert_same(everything(outer), before)

    @clause("3.1")
    def test_a_transaction_may_write_nothing(self, store: Store) -> None:
        write_everywhere(store)
        before = everything(store)
        with store.transaction():
            pass
        with store.transaction() as tx, tx.transaction():
            assert_same(everything(tx), before)
        assert_same(everything(store), before)

    @clause("2.1", "3.1")
    def test_each_write_in_a_transaction_adds_1(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.workflows.create(workflow())
            for _ in range(3):
                tx.workflows.update(tx.workflows.get("w"))
            with aborted(tx) as inner:
                assert inner.workflows.update(inner.workflows.get("w")).version == 5
            assert tx.workflows.update(tx.workflows.get("w")).version == 5
        assert store.workflows.get("w").version == 5

    @clause("4.2", "3.2")
    def test_an_admin_rolled_back_is_no_admin(self, store: Store) -> None:
        with aborted(store) as tx:
            tx.users.create_initial_admin_if_none(ADMIN)
        assert store.users.create_initial_admin_if_none(ADMIN).version == 1

    @clause("1.6", "3.1")
    def test_pages_inside_a_transaction_have_its_rows(self, store: Store) -> None:
        store.users.create(user("a"))
        with store.transaction() as tx:
            tx.users.create(user("c"))
            first = tx.users.list(limit=1)
            tx.users.create(user("b"))
            second = tx.users.list(limit=1, cursor=first.next_cursor)
            third = tx.users.list(limit=1, cursor=second.next_cursor)
        found = [page.items[0].user_id for page in (first, second, third)]
        assert (found, third.next_cursor) == (["a", "b", "c"], None)

    @clause("3.2")
    def test_a_failed_savepoint_undoes_only_itself(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.workflows.create(workflow())
            with aborted(tx) as inner:
                inner.workflows.set_status("w", Status.RUNNING)
                inner.tasks.create(task())
                inner.users.create(user())
            assert tx.workflows.get("w").version == 1
            tx.tasks.create(task("later"))
        assert store.workflows.get("w").status is Status.PENDING
        assert [t.task_exec_id for t in store.tasks.list().items] == ["later"]
        assert store.users.list().items == ()

    @clause("3.2")
    def test_a_kept_savepoint_goes_with_a_failed_transaction(self, store: Store) -> None:
        with aborted(store) as tx:
            tx.users.create(user())
            with tx.transaction() as inner:
                inner.workflows.create(workflow())
        assert everything(store) == NOTHING

    @clause("3.2")
    def test_savepoints_nest(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.users.create(user("one"))
            with tx.transaction() as second:
                second.users.create(user("two"))
                with aborted(second) as third:
                    third.users.create(user("three"))
                    with third.transaction() as fourth:
                        fourth.users.create(user("four"))
                with second.transaction() as third:
                    third.users.create(user("five"))
            with aborted(tx) as second, second.transaction() as third:
                third.users.create(user("six"))
        assert {u.user_id for u in store.users.list().items} == {"one", "two", "five"}
