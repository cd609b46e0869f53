"""PostgreSQL as it is run: roles with settings, migrations, switch-overs, crowds."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

import engine_store
from engine_store import Status
from engine_store.errors import UnavailableError
from engine_store.urls import parse_url
from engine_store_contracts.suite.samples import task, workflow

# --- isolation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [r"repeatable\ read", "serializable"])
def test_a_default_isolation_of_the_role_changes_no_transaction(
    make_schema: Callable[..., str], open_sync: Callable[..., Any], level: str
) -> None:
    store = open_sync(make_schema(options=quote(f"-c default_transaction_isolation={level}")))
    store.workflows.create(workflow())
    with store.transaction() as tx:
        assert tx.workflows.get("w").status is Status.PENDING
        other = threading.Thread(target=store.workflows.set_status, args=("w", Status.RUNNING))
        other.start()
        other.join()
        assert tx.workflows.get("w").status is Status.RUNNING
        tx.workflows.modify("w", lambda state: state.evolve(status=Status.PAUSED))
    assert store.workflows.get("w").status is Status.PAUSED


# --- plans ---------------------------------------------------------------------------------------


def with_plans(store: Any) -> Any:
    """Let the server keep plans of a workflow's statements: from the fifth run on it does."""
    store.workflows.create(workflow())
    for _ in range(8):
        store.workflows.get("w")
        store.workflows.set_status("w", Status.RUNNING)
    return store


@pytest.fixture
def widen(postgres_admin: psycopg.Connection) -> Callable[[str], None]:
    """Changes the type of a column, as a migration step of another process may."""

    def widen(url: str) -> None:
        schema = parse_url(url).options["schema"]
        for table in ("workflows", "tasks"):
            change = 'ALTER workflow_id TYPE varchar(300) COLLATE "C"'
            postgres_admin.execute(f"ALTER TABLE {schema}.{table} {change}".encode())

    return widen


def test_calls_go_on_after_a_column_changed_its_type(
    make_schema: Callable[..., str], open_store: Callable[..., Any], widen: Callable[[str], None]
) -> None:
    url = make_schema(pool_max_size=1)
    store = with_plans(open_store(url))
    version = store.workflows.get("w").version
    widen(url)
    assert store.workflows.get("w").version == version
    assert store.workflows.set_status("w", Status.PAUSED).version == version + 1


def test_a_transaction_whose_plans_are_too_old_may_be_run_again(
    make_schema: Callable[..., str], open_sync: Callable[..., Any], widen: Callable[[str], None]
) -> None:
    url = make_schema(pool_max_size=1)
    store = with_plans(open_sync(url))
    version = store.workflows.get("w").version
    widen(url)

    def run() -> None:
        with store.transaction() as tx:
            tx.workflows.get("w")
            tx.workflows.set_status("w", Status.RUNNING)

    with pytest.raises(UnavailableError, match="columns of a table changed") as caught:
        run()
    assert caught.value.retriable
    run()
    assert store.workflows.get("w").version == version + 1


def test_a_statement_that_the_server_does_not_know_is_prepared_anew(
    make_schema: Callable[..., str], open_sync: Callable[..., Any]
) -> None:
    store = with_plans(open_sync(make_schema(pool_max_size=1)))
    version = store.workflows.get("w").version
    (raw,) = store.engine.pool._pool._pool
    raw.pgconn.exec_(b"DEALLOCATE ALL")  # psycopg does not hear of it
    assert store.workflows.get("w").version == version


# --- options of libpq's surroundings -------------------------------------------------------------


READ_ONLY = "-c default_transaction_read_only=on"


@pytest.fixture(params=["PGOPTIONS", "service"])
def read_only_url(
    request: pytest.FixtureRequest,
    postgres_store_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    """The URL of a store that only reads, by what stands outside of the URL."""
    engine_store.open(postgres_store_url).close()
    if request.param == "PGOPTIONS":
        monkeypatch.setenv("PGOPTIONS", READ_ONLY)
        return postgres_store_url
    services = tmp_path / "services"
    services.write_text(f"[mine]\noptions={READ_ONLY}\n", encoding="utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    return f"{postgres_store_url}&service=mine"


def test_options_of_the_environment_and_of_a_service_file_count(
    read_only_url: str, open_sync: Callable[..., Any]
) -> None:
    store = open_sync(read_only_url)
    with pytest.raises(UnavailableError, match="may not be written"):
        store.workflows.create(workflow())


# --- switch-over ---------------------------------------------------------------------------------


@pytest.fixture
def read_only(postgres_admin: psycopg.Connection) -> Iterator[Callable[[bool], None]]:
    """Makes the whole server read-only, as a primary is after a switch-over; or not."""
    postgres_admin.execute("SET default_transaction_read_only = off")

    def set_(on: bool) -> None:
        setting = "default_transaction_read_only"
        change = f"SET {setting} = on" if on else f"RESET {setting}"
        postgres_admin.execute(f"ALTER SYSTEM {change}".encode())
        postgres_admin.execute("SELECT pg_reload_conf()")

    yield set_
    set_(False)


def test_a_connection_to_a_server_that_is_no_primary_any_more_is_closed(
    make_schema: Callable[..., str],
    open_store: Callable[..., Any],
    read_only: Callable[[bool], None],
    backends: Callable[[str], dict[int, str]],
    wait_until: Callable[[Callable[[], object]], None],
) -> None:
    url = make_schema(
        target_session_attrs="read-write", pool_timeout="0.5s", application_name="switched"
    )
    store = open_store(url)
    store.workflows.create(workflow())
    before = backends("switched").keys()
    read_only(True)
    with pytest.raises(UnavailableError, match="no server that can be written") as caught:
        while True:  # the server takes a moment to read its configuration
            store.workflows.set_status("w", Status.RUNNING)
    assert caught.value.retriable
    assert not before & backends("switched").keys()
    read_only(False)
    wait_until(lambda: writes(store))


def writes(store: Any) -> bool:
    try:
        store.workflows.set_status("w", Status.PAUSED)
    except UnavailableError:
        return False
    return True


# --- crowds --------------------------------------------------------------------------------------


def test_a_crowd_is_told_that_every_connection_is_busy(make_schema: Callable[..., str]) -> None:
    async def main() -> Counter[str]:
        url = make_schema(pool_timeout="0.2s", pool_max_size=2)
        async with await engine_store.open_async(url) as store:
            await store.workflows.create(workflow())
            calls = (store.tasks.create(task(f"t{number}")) for number in range(1000))
            found = await asyncio.gather(*calls, return_exceptions=True)
        return Counter(
            answer.reason[:31] if isinstance(answer, UnavailableError) else type(answer).__name__
            for answer in found
        )

    assert set(asyncio.run(main())) <= {"TaskState", "all 2 connections were busy for"[:31]}
