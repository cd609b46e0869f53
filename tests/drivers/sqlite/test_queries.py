"""The driver's statements: operations use every one of them, and give each what it binds."""

from __future__ import annotations

import ast
import importlib
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
import pytest

import engine_store
from engine_store.errors import EngineStoreError
from engine_store.models import (
    ApiKeyFilter,
    ExecutionType,
    Role,
    Status,
    TaskFilter,
    UserFilter,
    WorkflowFilter,
)
from engine_store.protocols import Store
from engine_store.sql.statements import Call, Statement
from engine_store_contracts.suite.samples import USAGE, api_key, child, task, user, workflow
from engine_store_sqlite.driver import QUERIES

STATEMENTS = QUERIES.all()
OPERATIONS = [
    f"engine_store.sql.operations.{name}" for name in ("users", "api_keys", "workflows", "tasks")
]
OF_MIGRATIONS = {
    "create_migrations",
    "has_migrations",
    "list_applied",
    "record_applied",
    "forget_applied",
}

# What `create` binds beside its own: the parameters of a state serve every statement of its kind.
SHARED = {"version", "created_at"}


def names_used_by(module: str) -> set[str]:
    """Each NAME in `self._q.NAME` in a module of operations."""
    source = importlib.import_module(module).__file__
    assert source is not None
    return {
        node.attr
        for node in ast.walk(ast.parse(Path(source).read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "_q"
    }


def test_operations_use_every_statement_and_no_other() -> None:
    used = set(chain.from_iterable(map(names_used_by, OPERATIONS)))
    assert used == STATEMENTS.keys() - OF_MIGRATIONS


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Every call that an operation makes, as it makes it."""
    made: list[Call] = []
    original = Statement.__call__

    def call(self: Statement, **parameters: Any) -> Call:
        made.append(original(self, **parameters))
        return made[-1]

    monkeypatch.setattr(Statement, "__call__", call)
    return made


def use_everything(store: Store) -> None:
    """Every operation, where it succeeds and where it is refused."""
    change = attrs.evolve
    year_1 = datetime(1, 1, 2, tzinfo=UTC)  # no state's `created_at`: such a write is refused

    def refused(call: Any, *args: Any, **kwargs: Any) -> None:
        with pytest.raises(EngineStoreError):
            call(*args, **kwargs)

    ann = store.users.create(user("ann"))
    store.users.create_initial_admin_if_none(user("root", role=Role.ADMIN))
    refused(store.users.create, ann)
    store.users.get("ann")
    store.users.get_by_email("ann@example.org")
    page = store.users.list(UserFilter(Role.USER), limit=1)
    store.users.list(limit=1, cursor=store.users.list(limit=1).next_cursor)
    assert page.items == (ann,)
    refused(store.users.update, change(ann, created_at=year_1))
    refused(store.users.upsert, change(ann, created_at=year_1))
    store.users.upsert(store.users.update(ann))
    store.users.modify("ann", lambda state: change(state, email="new@example.org"))
    store.api_keys.create(api_key("k"))
    refused(store.api_keys.create, api_key("k"))
    store.api_keys.get("k")
    store.api_keys.get_by_prefix("p-k")
    store.api_keys.get_by_fingerprint(api_key("k").fingerprint)
    store.api_keys.list(ApiKeyFilter("ann"))
    store.api_keys.touch("k")
    store.api_keys.delete("k")
    store.users.delete("ann")

    made = store.workflows.create(workflow("w"))
    refused(store.workflows.create, made)
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
    refused(store.tasks.update, change(root, created_at=year_1))
    refused(store.tasks.upsert, change(root, created_at=year_1))
    store.tasks.upsert(store.tasks.update(root))
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


def test_every_statement_gets_exactly_what_it_binds(calls: list[Call]) -> None:
    with engine_store.open("sqlite:///:memory:") as store:
        use_everything(store)
        store.migrator.down(0)
    for statement, parameters in calls:
        wanted = statement.parameters | set(statement.optional)
        given = parameters.keys()
        assert wanted <= given, statement.name
        assert given - wanted <= (
            SHARED if statement.name.startswith(("create_", "upsert_")) else set()
        ), statement.name
    assert {statement.name for statement, _ in calls} == STATEMENTS.keys()
