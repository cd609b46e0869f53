"""What goes wrong with a server: what a caller is told, and that the store goes on afterwards."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

import engine_store
from engine_store.errors import UnavailableError, WorkflowNotFoundError
from engine_store.models import ErrorInfo, Status, WorkflowState
from engine_store.protocols import Store
from mariadb_server import MariadbServer

pytestmark = pytest.mark.xdist_group("mariadb")  # one server for all

LOST = (
    "MariaDB: the connection to the server was lost; whether a write that was under way happened "
    "is not known: read before you write again"
)


def workflow(key: str, **fields: object) -> WorkflowState:
    return WorkflowState(key, "report", **fields)  # type: ignore[arg-type]


def test_a_statement_that_is_too_large_names_the_setting_and_keeps_the_connection(
    server: MariadbServer, store: Store
) -> None:
    with closing(server.connect()) as admin, admin.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        ((limit,),) = cursor.fetchall()
    store.workflows.create(workflow("w"))
    with store.transaction() as tx:
        tx.workflows.set_status("w", Status.RUNNING)
        third = {"text": "x" * (limit // 3)}
        large = workflow("large", input=third, output=third, error=ErrorInfo("", details=third))
        with pytest.raises(UnavailableError) as caught:
            tx.workflows.create(large)
    assert caught.value.retriable is False
    assert str(caught.value) == (
        "MariaDB: a statement with its values is larger than the server's max_allowed_packet; "
        "raise it there"
    )
    assert store.workflows.get("w").status is Status.RUNNING
    with pytest.raises(WorkflowNotFoundError):
        store.workflows.get("large")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_while_a_server_restarts_calls_are_told_and_the_next_ones_work(
    server: MariadbServer, open_store: Callable[..., Store], how: signal.Signals
) -> None:
    store = open_store(connect_timeout="1")
    store.workflows.create(workflow("w"))
    transaction = store.transaction()
    tx = transaction.__enter__()
    tx.workflows.set_status("w", Status.RUNNING)
    server.stop(how)
    with pytest.raises(UnavailableError) as caught:
        tx.workflows.get("w")
    assert (str(caught.value), caught.value.retriable) == (LOST, True)
    with pytest.raises(UnavailableError) as ended:
        transaction.__exit__(None, None, None)
    assert str(ended.value) == (
        "MariaDB: the transaction was rolled back by an error, or lost with its connection; run it "
        "again"
    )
    assert why_unavailable(store).startswith(f"MariaDB at {server.socket}, database test_")
    assert store.health().ok is False
    server.start()
    assert store.workflows.get("w").status is Status.PENDING
    assert store.workflows.set_status("w", Status.SUCCESS).version == 2
    gc.collect()  # PyMySQL leaves the sockets of refused connections to it


def why_unavailable(store: Store) -> str:
    try:
        store.workflows.get("w")
    except UnavailableError as error:
        assert error.retriable is True
        return str(error)
    raise AssertionError("the server was reached")


def test_a_wrong_password_is_refused_for_good_and_not_shown(
    server: MariadbServer, database: str
) -> None:
    with closing(server.connect()) as admin, admin.cursor() as cursor:
        cursor.execute("CREATE USER IF NOT EXISTS ann IDENTIFIED BY 'right'")
        cursor.execute("GRANT ALL ON *.* TO ann")
    url = server.url(database).replace("root", "ann:{password}")
    with pytest.raises(UnavailableError) as caught:
        engine_store.open(url.replace("{password}", "wr0ng"))
    assert caught.value.retriable is False
    assert str(caught.value) == (
        f"MariaDB at {server.socket}, database {database}: Access denied for user "
        "'ann'@'localhost' (using password: YES)"
    )
    with engine_store.open(url.replace("{password}", "right")) as store:
        assert store.health().ok


def test_a_deadlock_ends_one_transaction_as_a_whole(store: Store) -> None:
    for key in ("a", "b"):
        store.workflows.create(workflow(key))
    both = threading.Barrier(2)

    def lock_crosswise(first: str, second: str) -> str:
        try:
            with store.transaction() as tx:
                tx.workflows.set_status(first, Status.RUNNING)
                both.wait(30)
                try:
                    tx.workflows.set_status(second, Status.RUNNING)
                except UnavailableError:
                    with pytest.raises(UnavailableError, match="was rolled back by an error"):
                        tx.workflows.get(first)
                    raise
        except UnavailableError as error:
            return str(error)
        return "committed"

    with ThreadPoolExecutor(2) as threads:
        outcomes = sorted(threads.map(lock_crosswise, "ab", "ba"))
    assert outcomes == [
        "MariaDB: this transaction and another one waited for each other; run it again",
        "committed",
    ]
    assert [store.workflows.get(key).version for key in ("a", "b")] == [2, 2]


def test_a_lock_that_is_held_too_long_is_told_and_the_transaction_goes_on(
    open_store: Callable[..., Store],
) -> None:
    store = open_store(lock_timeout="1")
    store.workflows.create(workflow("held"))
    with store.transaction() as holder, store.transaction() as tx:
        holder.workflows.get_for_update("held")
        tx.workflows.create(workflow("mine"))
        with pytest.raises(UnavailableError) as caught:
            tx.workflows.set_status("held", Status.RUNNING)
        assert caught.value.retriable is True
        assert "held a lock for longer than lock_timeout" in str(caught.value)
        tx.workflows.set_status("mine", Status.RUNNING)
    assert store.workflows.get("mine").version == 2
