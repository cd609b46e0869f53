"""One writer at a time: who waits for itself is told so at once, and who waits for another waits.

Beside the contract, which promises it of no database: on PostgreSQL both would write.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

import engine_store
from engine_store import Status, User, WorkflowState
from engine_store.errors import UnavailableError
from engine_store.protocols import Store

PATIENCE = 30.0
"""Seconds after which something that must happen is taken as not happening."""


def user(user_id: str) -> User:
    return User(user_id, f"{user_id}@example.org")


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    place = f"{tmp_path}/engine.db" if request.param == "file" else ":memory:"
    with engine_store.open(f"sqlite:///{place}") as store:
        store.workflows.create(WorkflowState("w", "report"))
        yield store


WRITES: dict[str, Callable[[Store], object]] = {
    "create": lambda store: store.users.create(user("cleo")),
    "set_status": lambda store: store.workflows.set_status("w", Status.RUNNING),
    "transaction": lambda store: store.transaction().__enter__(),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_past_the_open_transaction_of_its_own_thread_fails_at_once(
    store: Store, write: str
) -> None:
    with store.transaction() as tx:
        tx.users.create(user("ann"))
        with pytest.raises(UnavailableError) as caught:
            WRITES[write](store)
        assert caught.value.retriable is False
        tx.users.create(user("bob"))
    assert {u.user_id for u in store.users.list().items} == {"ann", "bob"}


def test_a_write_waits_for_the_transaction_of_another_thread(store: Store) -> None:
    with store.transaction() as tx:
        tx.users.create(user("ann"))
        waiting = Thread(target=store.users.create, args=(user("bob"),))
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        tx.users.create(user("cleo"))
    waiting.join(PATIENCE)
    assert {u.user_id for u in store.users.list().items} == {"ann", "bob", "cleo"}
