"""A write that did nothing for a reason that is gone by the time it is looked for runs again.

Such a moment, in which a rival commits between two statements, is too short to be hit on purpose.
So the first answer of a write is withheld here: the operation sees what it would see then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import attrs
import pytest

import engine_store
from engine_store.errors import UnavailableError
from engine_store.models import Status
from engine_store.plugins import hookimpl
from engine_store.protocols import Repositories, Store
from engine_store.sql.operation import Backoff, Request
from engine_store.sql.statements import Call
from engine_store_contracts.suite.samples import api_key, child, task, user, workflow
from engine_store_postgres.connection import PostgresConnection
from engine_store_postgres.driver import DIALECT

WRITES: dict[str, Callable[[Repositories], Any]] = {
    "create_user": lambda s: s.users.create(user("new")),
    "update_user": lambda s: s.users.update(s.users.get("ann")),
    "upsert_user": lambda s: s.users.upsert(user("ann")),
    "create_api_key": lambda s: s.api_keys.create(api_key("new")),
    "update_workflow": lambda s: s.workflows.update(s.workflows.get("w")),
    "upsert_workflow": lambda s: s.workflows.upsert(workflow("w")),
    "set_workflow_status": lambda s: s.workflows.set_status(
        "w", Status.RUNNING, expected_version=1, expected_statuses=[Status.PENDING]
    ),
    "create_task": lambda s: s.tasks.create(child("new", "t")),
    "update_task": lambda s: s.tasks.update(s.tasks.get("t")),
    "upsert_task": lambda s: s.tasks.upsert(task("t")),
}


@pytest.fixture
def store(postgres_store_url: str) -> Iterator[Store]:
    with engine_store.open(postgres_store_url) as store:
        store.users.create(user("ann"))
        store.workflows.create(workflow())
        store.tasks.create(task())
        yield store


@pytest.fixture
def withhold(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], list[str]]:
    """Withholds the first so many answers of a statement; returns the names of all that ran."""
    original = PostgresConnection.run

    def prepare(name: str, times: int) -> list[str]:
        ran: list[str] = []

        async def run(
            self: PostgresConnection,
            request: Request,
            before: Sequence[str] = (),
            after: Sequence[str] = (),
        ) -> Any:
            calls = (request,) if isinstance(request, Call) else request
            names = [call.statement.name for call in calls]
            ran.extend(names)
            if names == [name] and ran.count(name) <= times:
                if before:
                    await self.execute(";\n".join(before))
                return None
            return await original(self, request, before, after)

        monkeypatch.setattr(PostgresConnection, "run", run)
        return ran

    return prepare


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "in a transaction"])
@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_finds_no_reason_for_having_done_nothing_runs_again(
    store: Store, withhold: Callable[[str, int], list[str]], name: str, inside: bool
) -> None:
    ran = withhold(name, 2)
    with store.transaction() if inside else nullcontext(store) as scope:
        written = WRITES[name](scope)
    assert ran.count(name) == 3
    assert getattr(written, "version", 1) in (1, 2)


def test_listeners_hear_of_each_time_a_write_runs_again(
    store: Store, withhold: Callable[[str, int], list[str]], postgres_store_url: str
) -> None:
    retried = []

    class Listener:
        @hookimpl
        def engine_store_retried(self, driver: str, operation: str) -> None:
            retried.append((driver, operation))

    with engine_store.open(postgres_store_url, plugins=[Listener()]) as listened:
        withhold("create_user", 2)
        listened.users.create(user("new"))
    assert retried == [("postgres", "users.create")] * 2


def test_one_that_never_finds_a_reason_gives_up(
    store: Store, withhold: Callable[[str, int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    retries = Backoff(4, first=0.0001, longest=0.0001)
    session = store.engine.session  # type: ignore[attr-defined]
    monkeypatch.setattr(session, "dialect", attrs.evolve(DIALECT, retries=retries))
    before = store.users.get("ann")
    ran = withhold("update_user", 1000)
    with pytest.raises(UnavailableError) as caught:
        store.users.update(attrs.evolve(before, email="new@example.org"))
    assert caught.value.retriable is True
    assert "other writers were faster every time" in str(caught.value)
    assert ran.count("update_user") == 1 + retries.attempts
    assert store.users.get("ann") == before
