"""`read_only`: a store that is opened to be read, on both drivers."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import engine_store
from engine_store import DatabaseConfig, transfer
from engine_store.errors import (
    ConfigurationError,
    EngineStoreError,
    NotInTransactionError,
    ReadOnlyError,
    SchemaBehindError,
)
from engine_store.protocols import Store

DAMAGE = runpy.run_path(str(Path(__file__).parent / "sqlite" / "damage.py"))

WRITES = {
    *(f"{name}.create" for name in ("users", "api_keys", "workflows", "tasks")),
    *(f"{name}.restore" for name in ("users", "api_keys", "workflows", "tasks")),
    *(f"{name}.{how}" for name in ("users", "workflows", "tasks") for how in ("update", "upsert")),
    *(f"{name}.modify" for name in ("users", "workflows", "tasks")),
    *(f"{name}.delete" for name in ("users", "api_keys", "workflows")),
    "users.create_initial_admin_if_none",
    "api_keys.touch",
    "workflows.set_status",
    "workflows.merge_usage",
    "workflows.complete",
    *(f"tasks.{name}" for name in ("claim", "renew", "finish", "release")),
    *(f"{name}.cancel" for name in ("workflows", "tasks")),
    *(f"events.{name}" for name in ("append", "append_many", "restore")),
    "tasks.merge_usage",
}
HOLDS = {"workflows.get_for_update", "tasks.get_for_update"}


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with rows; more settings may follow."""
    found: str = f"sqlite:///{tmp_path}/engine.db?synchronous=off"
    if request.param == "postgres":
        found = request.getfixturevalue("postgres_store_url")
    with engine_store.open(found) as store:
        DAMAGE["fill"](store)
    return found


@pytest.fixture
def read_only(url: str) -> Iterator[Store]:
    with engine_store.open(f"{url}&read_only=true") as store:
        yield store


def refused(call: Callable[[], Any]) -> str | None:
    """Return the operation that was refused because it writes."""
    try:
        call()
    except ReadOnlyError as error:
        return error.operation
    except EngineStoreError:
        pass
    return None


def exported(store: Store) -> bytes:
    file = BytesIO()
    transfer.export(store, file)
    return file.getvalue()


def test_every_write_is_refused_and_everything_else_works(url: str, read_only: Store) -> None:
    with engine_store.open(url) as store:
        before = exported(store)
    calls = DAMAGE["calls"]() | {
        "workflows.purge": lambda s: s.workflows.purge(DAMAGE["LATER"], dry_run=True)
    }
    found = {name for name, call in calls.items() if refused(lambda call=call: call(read_only))}
    assert found == WRITES
    assert refused(lambda: read_only.workflows.purge(DAMAGE["LATER"]))
    assert exported(read_only) == before


def test_a_transaction_reads_and_holds_nothing(read_only: Store) -> None:
    calls = DAMAGE["calls"]() | DAMAGE["IN_TRANSACTIONS"]
    calls.pop("workflows.purge")
    with read_only.transaction() as tx:
        with tx.transaction() as inner:
            assert inner.users.get("user-1").user_id == "user-1"
        found = {name for name, call in calls.items() if refused(lambda call=call: call(tx))}
    assert found == WRITES | HOLDS
    with pytest.raises(NotInTransactionError):
        read_only.tasks.get_for_update("w-1-t-1")  # type: ignore[attr-defined]


def test_the_asynchronous_side_refuses_the_same(url: str) -> None:
    async def look() -> set[str]:
        found = set()
        async with await engine_store.open_async(f"{url}&read_only=true") as store:
            for name, call in DAMAGE["calls"]().items():
                try:
                    await call(store)
                except ReadOnlyError:
                    found.add(name)
                except EngineStoreError:
                    pass
            async with store.transaction() as tx:
                assert (await tx.workflows.get("w-1")).workflow_exec_id == "w-1"
                with pytest.raises(ReadOnlyError):
                    await tx.workflows.get_for_update("w-1")
        return found - {"workflows.purge"}

    assert asyncio.run(look()) == WRITES


def test_modify_that_changes_nothing_writes_nothing(read_only: Store) -> None:
    assert read_only.users.modify("user-1", lambda user: user).user_id == "user-1"


def test_health_is_well_without_a_right_to_write(url: str, read_only: Store) -> None:
    health = read_only.health()
    assert (health.ok, health.can_read, health.can_write) == (True, True, False)
    assert (health.read_only, health.problem) == (True, None)
    with engine_store.start({"database": {"url": f"{url}&read_only=true"}}) as started:
        assert started.users.list().items


def test_the_schema_is_verified_and_stays_as_it_is(url: str, read_only: Store) -> None:
    read_only.migrator.verify()
    assert read_only.migrator.up().steps == ()
    assert refused(lambda: read_only.migrator.down(0)) == "migrator.down"
    with engine_store.open(url) as store:
        store.migrator.down(3)
    with pytest.raises(SchemaBehindError):
        engine_store.open(f"{url}&read_only=true")
    config = DatabaseConfig(f"{url}&read_only=true", auto_migrate=False, check_schema=False)
    with engine_store.open(config) as behind:
        assert refused(behind.migrator.up) == "migrator.up"


def test_a_reader_sees_what_others_write(url: str, read_only: Store) -> None:
    with engine_store.open(url) as store:
        store.users.delete("user-1")
        assert {user.user_id for user in read_only.users.list().items} == {
            user.user_id for user in store.users.list().items
        }


@pytest.mark.parametrize("where", ["sqlite:///:memory:", "sqlite:///none.db"])
def test_sqlite_makes_no_database_to_read(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError):
        engine_store.open(f"{where}?read_only=true")
    assert list(tmp_path.iterdir()) == []
