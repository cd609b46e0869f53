"""The statements of the SQL drivers: all have those that operations use, and none for nobody."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import attrs
import pytest

import engine_store
import engine_store_mariadb.migrator
import engine_store_postgres.driver
from engine_store.drivers.discovery import load_driver
from engine_store.errors import AlreadyExistsError, ClaimLostError, EngineStoreError
from engine_store.models import (
    ApiKeyFilter,
    ExecutionType,
    NewEvent,
    Role,
    Status,
    TaskFilter,
    UserFilter,
    WorkflowFilter,
)
from engine_store.protocols import Store
from engine_store.sql.catalogue import MIGRATIONS, STATEMENTS
from engine_store.sql.statements import Call, Queries, Statement
from engine_store_contracts.suite.samples import USAGE, api_key, child, task, user, workflow
from engine_store_sqlite.dialect import QUERIES

DRIVERS = {
    "sqlite": QUERIES.all(),
    "postgres": engine_store_postgres.driver.queries_of("any").all(),
    "mariadb": engine_store_mariadb.migrator.queries_of("any").all(),
}
EACH_DRIVER = pytest.mark.parametrize("driver", DRIVERS)

# What `create` binds beside its own: the parameters of a state serve every statement of its kind.
SHARED = {"version", "created_at"}

# What the code calls its statements.
QUERIES_ARE = {"_q", "queries", "_queries", "QUERIES"}

WRITING = re.compile(
    r"INSERT INTO|DELETE FROM|CREATE (TABLE|SCHEMA|DATABASE|EXTENSION)|PRAGMA \w+ =|^UPDATE",
    re.MULTILINE,
)


def names_used_in(package: str) -> set[str]:
    """Each NAME in `queries.NAME` in the modules of a package."""
    return {
        node.attr
        for source in files(package).iterdir()
        if source.name.endswith(".py")
        for node in ast.walk(ast.parse(source.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute | ast.Name)
        and (node.value.attr if isinstance(node.value, ast.Attribute) else node.value.id)
        in QUERIES_ARE
    } - set(dir(Queries))


NEEDED = {name for name, entry in STATEMENTS.items() if not entry.needed_if}
USED_BY_KIT = names_used_in("engine_store.sql")


# --- what there is, and who uses it --------------------------------------------------------------


def test_the_catalogue_has_what_operations_and_the_migrator_use_and_nothing_else() -> None:
    by_migrator = {entry.name for entry in MIGRATIONS}
    assert names_used_in("engine_store.sql.operations") == STATEMENTS.keys() - by_migrator
    assert by_migrator <= USED_BY_KIT


@EACH_DRIVER
def test_what_a_driver_has_beyond_the_catalogue_is_used_and_there(driver: str) -> None:
    own = DRIVERS[driver].keys() - STATEMENTS.keys()
    used = names_used_in(f"engine_store_{driver}") - STATEMENTS.keys()
    assert used <= own <= used | USED_BY_KIT


@EACH_DRIVER
def test_a_statement_writes_if_its_name_says_so(driver: str) -> None:
    statements = DRIVERS[driver].values()
    texts = {one.name: "\n".join(line for line, _ in one.lines) for one in statements}
    writing = {name for name, text in texts.items() if WRITING.search(text)}
    assert writing == {one.name for one in statements if one.writes}


# --- what the statements are given ---------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Every call that an operation or a driver makes, as it makes it."""
    made: list[Call] = []
    original = Statement.__call__

    def call(self: Statement, **parameters: Any) -> Call:
        made.append(original(self, **parameters))
        return made[-1]

    monkeypatch.setattr(Statement, "__call__", call)
    return made


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    """The name of each driver."""
    name: str = request.param
    return name


@pytest.fixture
def store(driver: str, request: pytest.FixtureRequest, calls: list[Call]) -> Iterator[Store]:
    """A fresh store of the driver, whose calls are noted from its opening on."""
    memory = "sqlite:///:memory:"
    url = memory if driver == "sqlite" else request.getfixturevalue(f"{driver}_url")
    with load_driver(driver).scratch(url) as scratch, engine_store.open(scratch) as store:
        yield store


def use_everything(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operation, where it succeeds and where it is refused."""
    change = attrs.evolve
    year_1 = datetime(1, 1, 2, tzinfo=UTC)  # no state's `created_at`: such a write is refused

    def refused(call: Any, *args: Any, **kwargs: Any) -> None:
        with pytest.raises(EngineStoreError):
            call(*args, **kwargs)

    ann = store.users.create(user("ann"))
    store.users.create_initial_admin_if_none(user("root", role=Role.ADMIN))
    refused(store.users.create, ann)
    refused(store.users.restore, ann)
    store.users.get("ann")
    store.users.get_by_email("ann@example.org")
    page = store.users.list(UserFilter(Role.USER), limit=1)
    store.users.list(limit=1, cursor=store.users.list(limit=1).next_cursor)
    assert page.items == (ann,)
    refused(store.users.update, change(ann, created_at=year_1))
    refused(store.users.upsert, change(ann, created_at=year_1))
    store.users.upsert(store.users.update(ann))
    store.users.modify("ann", lambda state: change(state, email="new@example.org"))
    monkeypatch.setattr(store.users._operations, "_lock_after", 0)  # type: ignore[attr-defined]
    store.users.modify("ann", lambda state: change(state, email="newer@example.org"))
    store.api_keys.create(api_key("k"))
    refused(store.api_keys.create, api_key("k"))
    refused(store.api_keys.restore, store.api_keys.get("k"))
    store.api_keys.get("k")
    store.api_keys.get_by_prefix("p-k")
    store.api_keys.get_by_fingerprint(api_key("k").fingerprint)
    store.api_keys.list(ApiKeyFilter("ann"))
    store.api_keys.touch("k")
    store.api_keys.delete("k")
    store.users.delete("ann")

    made = store.workflows.create(workflow("w"))
    refused(store.workflows.create, made)
    refused(store.workflows.restore, made)
    refused(store.workflows.update, change(made, created_at=year_1))
    refused(store.workflows.upsert, change(made, created_at=year_1))
    store.workflows.upsert(store.workflows.update(made))
    store.workflows.merge_usage("w", USAGE)
    store.workflows.modify("w", lambda state: change(state, input={}))
    refused(store.workflows.set_status, "w", Status.PAUSED, expected_version=99)
    store.workflows.set_status("w", Status.RUNNING, expected_statuses=[Status.PENDING])
    store.workflows.list(WorkflowFilter(statuses=[Status.RUNNING]))
    store.workflows.latest("report")

    root = store.tasks.create(task("t"))
    refused(store.tasks.create, root)
    refused(store.tasks.restore, root)
    refused(store.tasks.update, change(root, created_at=year_1))
    refused(store.tasks.upsert, change(root, created_at=year_1))
    store.tasks.upsert(store.tasks.update(root))
    claim_everything(store)
    append_everything(store)
    store.tasks.create(child("c", "t", output={}))
    store.tasks.modify("c", lambda state: change(state, status=Status.SUCCESS))
    store.tasks.merge_usage("c", USAGE)
    store.tasks.usage("c")
    store.tasks.get("c")
    store.tasks.list(TaskFilter(execution_type=ExecutionType.BASIC))
    store.tasks.children("t")
    store.tasks.child("t", "c")
    store.tasks.children_outputs("t")
    store.tasks.in_workflow("w")
    store.tasks.by_status("w", Status.SUCCESS)
    store.tasks.by_agent("w", "a")
    store.tasks.by_tool("w", "a")
    store.tasks.tree("t")
    store.tasks.progress("t")
    with store.transaction() as tx:
        tx.workflows.get_for_update("w")
        tx.tasks.get_for_update("t")
    store.tasks.modify("t", lambda state: change(state, status=Status.SUCCESS))
    store.workflows.complete("w")
    store.workflows.get("w", with_tasks=True)
    store.workflows.purge(datetime(9999, 1, 1, tzinfo=UTC), dry_run=True)
    store.workflows.purge(datetime(9999, 1, 1, tzinfo=UTC))
    store.workflows.create(workflow("w"))
    store.workflows.delete("w")
    store.workflows.create(workflow("w"))
    monkeypatch.setattr("engine_store.sql.operations.workflows.DELETED_AT_ONCE", -1)
    store.workflows.delete("w")


def claim_everything(store: Store) -> None:
    store.workflows.create(workflow("claims"))
    for key in ("c1", "c2", "c3"):
        store.tasks.create(task(key, "claims", queue="claims"))
    claims = store.tasks.claim(
        "ann", lease=60, queues=["claims"], filter=TaskFilter(workflow_exec_id="claims"), limit=3
    )
    store.tasks.renew(claims[0], lease=60)
    store.tasks.finish(claims[0])
    with pytest.raises(ClaimLostError):
        store.tasks.finish(claims[0])
    store.tasks.finish(claims[1], usage=USAGE)
    store.tasks.release(claims[2])
    store.tasks.expired()
    store.tasks.next_due()
    store.tasks.queues()
    store.tasks.cancel("c3")
    store.tasks.cancel("c3", subtree=False)
    store.workflows.cancel("claims")
    store.workflows.delete("claims")


def append_everything(store: Store) -> None:
    event = store.events.append("w", "x", {}, task_exec_id="t", key="k")
    assert store.events.append("w", "x", key="k") == event
    store.events.append_many("w", [NewEvent("x"), NewEvent("y")])
    store.events.append_many("w", [NewEvent("x", task_exec_id="t", key="k"), NewEvent("y")])
    store.events.list("w", after=1, kinds=["x"])
    store.workflows.wait("w", statuses=tuple(Status), timeout=0)
    store.events.wait("w", after=1)
    with pytest.raises(AlreadyExistsError):
        store.events.restore(event)


def test_every_statement_gets_exactly_what_it_binds(
    driver: str, store: Store, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_everything(store, monkeypatch)
    store.health()
    store.migrator.verify()
    store.migrator.down(0)
    for statement, parameters in calls:
        wanted = statement.parameters | set(statement.optional)
        given = parameters.keys()
        assert wanted <= given, statement.name
        assert given - wanted <= (
            SHARED if statement.name.startswith(("create_", "upsert_")) else set()
        ), statement.name
    unasked = {"server_state"} if driver == "sqlite" else set()  # it has no server
    assert {statement.name for statement, _ in calls} >= NEEDED - unasked
