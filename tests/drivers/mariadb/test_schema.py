"""The schema: steps without transactions, what verify sees, foreign databases, trees, keys."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

import engine_store
from engine_store import DatabaseConfig
from engine_store.errors import (
    ConfigurationError,
    ForeignDatabaseError,
    MigrationDriftError,
    SchemaBehindError,
)
from engine_store.models import TaskState, User, WorkflowState
from engine_store.protocols import Store
from engine_store.sql.dbapi import DbapiConnection
from mariadb_server import MariadbServer

pytestmark = pytest.mark.xdist_group("mariadb")  # one server for all


class Killed(BaseException):
    """What ends a process in the middle."""


def run(server: MariadbServer, *statements: str) -> None:
    with closing(server.connect()) as admin, admin.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.mark.parametrize("statement", ['"usage" LONGTEXT', "SET name ="])
def test_a_step_that_ended_early_does_not_count_and_runs_again(
    server: MariadbServer,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
) -> None:
    """Before the second step has made its table, and before it is recorded as applied."""
    original = DbapiConnection._execute

    def die(self: DbapiConnection, cursor: object, text: str, *values: object) -> None:
        if statement in text and (not values or values[0][3] == 2):  # type: ignore[index]
            raise Killed
        original(self, cursor, text, *values)

    with monkeypatch.context() as patch:
        patch.setattr(DbapiConnection, "_execute", die)
        with pytest.raises(Killed):
            engine_store.open(server.url(database))
    with pytest.raises(SchemaBehindError) as caught:
        engine_store.open(DatabaseConfig(url=server.url(database), auto_migrate=False))
    assert (caught.value.database, caught.value.code) == (1, 4)
    with engine_store.open(server.url(database)) as store:
        assert store.health().schema_version == 4
        store.migrator.verify()


def test_verify_names_what_differs(server: MariadbServer, store: Store, database: str) -> None:
    store.migrator.verify()
    run(
        server,
        f"ALTER TABLE {database}.users DROP KEY users_by_creation, MODIFY email VARCHAR(400)",
        f"CREATE VIEW {database}.admins AS SELECT 1",
    )
    with pytest.raises(MigrationDriftError) as caught:
        store.migrator.verify()
    assert caught.value.differences == (
        'missing: users: "email" varchar(320) NOT NULL',
        'missing: users: KEY "users_by_creation" ("created_at")',
        "not ours: admins: VIEW",
        'not ours: users: "email" varchar(400) DEFAULT NULL',
    )


def test_tables_of_another_program_are_left_alone(server: MariadbServer, database: str) -> None:
    run(server, f"CREATE DATABASE {database}", f"CREATE TABLE {database}.users (id INT)")
    with pytest.raises(ForeignDatabaseError, match=r"tables of another program \(users\)"):
        engine_store.open(server.url(database))
    run(server, f"CREATE TABLE {database}.engine_store_migrations (id INT)")
    with pytest.raises(ForeignDatabaseError, match="a table engine_store_migrations of another"):
        engine_store.open(server.url(database))


def test_a_scratch_database_is_gone_afterwards(server: MariadbServer) -> None:
    from engine_store_mariadb.driver import DRIVER

    with DRIVER.scratch(server.url("engine")) as url, engine_store.open(url) as store:
        assert store.health().ok
    with closing(server.connect()) as admin, admin.cursor() as cursor:
        cursor.execute("SHOW DATABASES LIKE 'engine%'")
        assert cursor.fetchall() == ()


def test_a_chain_deeper_than_a_cascade_and_a_recursion_reach_is_read_and_deleted(
    store: Store,
) -> None:
    depth = 1_200
    store.workflows.create(WorkflowState("w", "report"))
    with store.transaction() as tx:
        for number in range(depth):
            parent = f"t{number - 1}" if number else None
            tx.tasks.create(TaskState("w", f"t{number}", "t", "report", parent_state_id=parent))
    tree = store.tasks.tree("t0", max_depth=depth)
    assert [task.task_exec_id for task in tree] == [f"t{number}" for number in range(depth)]
    store.workflows.delete("w")
    assert store.tasks.list().items == ()


def test_emails_whose_folding_is_three_times_as_long_are_keys(store: Store) -> None:
    email = "\N{GREEK SMALL LETTER IOTA WITH DIALYTIKA AND TONOS}" * 300 + "@example.org"
    assert len(email.casefold()) > 900
    store.users.create(User("ann", email))
    assert store.users.get_by_email(email).user_id == "ann"


@pytest.mark.parametrize("name", ["", "/Upper", "/a-b", f"/{'a' * 65}"])
def test_a_database_has_a_plain_name(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        engine_store.open(f"mariadb://localhost{name}")
    assert caught.value.field == "options.database"


def test_a_store_can_be_opened_by_settings_without_a_url(
    server: MariadbServer, store: Store, database: str
) -> None:
    store.users.create(User("ann", "ann@example.org"))
    options: dict[str, object] = {"socket": server.socket, "user": "root", "database": database}
    with engine_store.open(DatabaseConfig(driver="mariadb", options=options)) as again:
        assert again.users.get("ann").version == 1


def test_a_page_begins_in_the_index(
    server: MariadbServer, open_store: Callable[..., Store], database: str
) -> None:
    """MariaDB compares rows without an index; created_at says again where a page begins."""
    from engine_store_mariadb.migrator import queries_of

    open_store()
    given = {"after_created_at": "2026-01-01", "after_id": "m", "limit": 10}
    for name, statement in queries_of(database).all().items():
        if name in ("list_users", "list_api_keys", "list_tasks"):
            others = dict.fromkeys(statement.parameters)
            text = statement.text({**others, **given}).replace(":limit", "10")
            text = text.replace(":after_created_at", "'2026-01-01'").replace(":after_id", "'m'")
            with closing(server.connect()) as admin, admin.cursor() as cursor:
                cursor.execute("SET sql_mode = 'ANSI_QUOTES'")
                cursor.execute(f"EXPLAIN {text}")
                plan, *_ = cursor.fetchall()
            assert plan[3] == "range", name
