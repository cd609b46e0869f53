"""On 100,000 tasks, every statement finds its rows by an index, and by the one made for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, combinations
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from attrs import frozen
from psycopg import RawCursor, sql

import engine_store
from engine_store.sql.statements import Call, Queries, Statement, parse_statements
from engine_store_postgres.connection import ADAPTERS, numbered
from engine_store_postgres.driver import queries_of

# --- a store that has run for a while ------------------------------------------------------------

# A workflow each second, with ten tasks in three levels. The first 500 had a bad day, and what has
# not ended was begun lately, as everywhere. Since PostgreSQL last counted, one more has grown
# larger than it thinks any is: a tree of 2,000 tasks with four children each.
FILL = """
INSERT INTO {schema}.users
SELECT
  'user-' || n, 'User' || n || '@example.org', 'user' || n || '@example.org',
  CASE WHEN n % 1000 = 0 THEN 'admin' ELSE 'user' END, 1, at, at
FROM generate_series(1, 10000) AS n,
LATERAL (SELECT timestamptz '2026-01-01Z' + n * interval '1 s') AS clock (at);

INSERT INTO {schema}.api_keys
SELECT
  'key-' || n, 'user-' || 1 + n % 10000, 'p-' || n, sha256(n::text::bytea), '-',
  timestamptz '2026-01-01Z' + n * interval '1 s', NULL
FROM generate_series(1, 20000) AS n;

CREATE FUNCTION {schema}.status_of(n bigint, i bigint) RETURNS text IMMUTABLE
RETURN CASE
  WHEN n <= 500 THEN ('{{TIMED_OUT,CANCELED}}'::text[])[1 + (n + i) % 2]
  WHEN n > 9800 THEN ('{{RUNNING,PENDING,WAITING,PAUSED}}'::text[])[1 + (n + i) % 4]
  WHEN (n + i) % 10 = 0 THEN 'FAILED'
  ELSE 'SUCCESS'
END;

INSERT INTO {schema}.workflows
SELECT
  'w-' || n, 'kind-' || n % 100,
  {schema}.status_of(n, 0), '{{}}', NULL, NULL, '[]', 1, at, at + interval '1 min'
FROM generate_series(1, 10000) AS n,
LATERAL (SELECT timestamptz '2026-01-01Z' + n * interval '1 s') AS clock (at);

INSERT INTO {schema}.tasks
SELECT
  'w-' || n, 't-' || n || '-' || i, 'step-' || i, 'kind-' || n % 100, 'task',
  CASE WHEN i < 3 THEN 'composite' ELSE 'basic' END, {schema}.status_of(n, i),
  CASE WHEN i > 0 THEN 't-' || n || '-' || i / 4 END,
  CASE WHEN i % 2 = 1 THEN 'agent-' || n % 10 * 5 + i / 2 END,
  CASE WHEN i % 2 = 1 THEN 'act' END,
  CASE WHEN i % 2 = 0 AND i > 0 THEN 'tool-' || n % 10 * 5 + i / 2 END,
  '{{}}', CASE WHEN i > 0 THEN '{{}}'::json END, NULL, '[]', 1, at, at
FROM generate_series(1, 10000) AS n, generate_series(0, 9) AS i,
LATERAL (SELECT timestamptz '2026-01-01Z' + n * interval '1 s' + i * interval '1 ms') AS clock (at);

DROP FUNCTION {schema}.status_of;

INSERT INTO {schema}.leases
SELECT
  'w-' || n, 't-' || n || '-0', 'queue-' || n % 10, 'worker-' || n % 40, 'token-' || n,
  timestamptz '2026-01-02Z' - interval '1 min' + n * interval '1 s'
FROM generate_series(1, 10000) AS n;

INSERT INTO {schema}.events
SELECT
  'w-' || n, i, 'kind-' || i % 3, '{{}}', NULL, CASE WHEN i % 2 = 0 THEN 'key-' || i END,
  '2026-01-02Z'
FROM generate_series(1, 10000) AS n, generate_series(1, 5) AS i;

ANALYZE {schema}.users, {schema}.api_keys, {schema}.workflows, {schema}.tasks, {schema}.leases,
  {schema}.events;

INSERT INTO {schema}.workflows
VALUES ('grown', 'kind-7', 'RUNNING', '{{}}', NULL, NULL, '[]', 1, '2026-01-02Z', '2026-01-02Z');

INSERT INTO {schema}.tasks
SELECT
  'grown', 'g-' || i, 'step-' || i % 10, 'kind-7', 'task', 'composite', 'SUCCESS',
  CASE WHEN i > 0 THEN 'g-' || (i - 1) / 4 END, NULL, NULL, NULL, '{{}}', '{{}}', NULL, '[]', 1,
  '2026-01-02Z', '2026-01-02Z'
FROM generate_series(0, 1999) AS i
"""
TABLES = ("users", "api_keys", "workflows", "tasks", "leases", "events")

MIDDLE = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=5007)
NOW = datetime(2026, 1, 2, tzinfo=UTC)

# What the driver would bind: of all rows, or of those in the middle.
VALUES: dict[str, Any] = {
    "action_id": "act",
    "after": 3,
    "after_created_at": MIDDLE,
    "after_id": "t-5007-0",
    "agent_id": "agent-37",
    "attempt": 1,
    "before_created_at": MIDDLE,
    "before_id": "w-5007",
    "by_task": "step-7",
    "component": "task",
    "created_at": MIDDLE,
    "created_before": MIDDLE,
    "created_from": MIDDLE - timedelta(minutes=10),
    "data": "{}",
    "due_at": MIDDLE,
    "ended_statuses": ["SUCCESS", "FAILED", "TIMED_OUT", "CANCELED"],
    "email": "User5000@example.org",
    "email_folded": "user5000@example.org",
    "error": None,
    "execution_type": "basic",
    "expected_statuses": ["PENDING", "PAUSED"],
    "expected_version": 1,
    "expires_at": NOW,
    "fingerprint": bytes(32),
    "hash": b"-",
    "input": "{}",
    "key": "key-2",
    "key_id": "key-5000",
    "keys": ["key-2", "key-4"],
    "kind": "kind-1",
    "kinds": ["kind-1"],
    "last_used": None,
    "limit": 101,
    "max_depth": 100,
    "now": NOW,
    "number": 4,
    "one": True,
    "older_than": MIDDLE - timedelta(seconds=4800),
    "output": "{}",
    "parent_state_id": "t-5007-1",
    "prefix": "p-5000",
    "priority": 0,
    "queue": "queue-7",
    "queues": ["queue-7"],
    "role": "admin",
    "root": "t-5007-0",
    "status": "RUNNING",
    "statuses": ["RUNNING"],
    "task_exec_id": "t-5007-4",
    "task_exec_ids": ["t-5007-4", "t-77-3"],
    "task_id": "step-4",
    "token": "token-5007",
    "tool_id": "tool-37",
    "updated_at": NOW,
    "usage": "[]",
    "used": NOW,
    "user_id": "user-5000",
    "version": 1,
    "worker": "worker-7",
    "workflow_exec_id": "w-5007",
    "workflow_exec_ids": ["w-5007", "w-77"],
    "workflow_id": "kind-7",
}


@frozen
class Node:
    """A node of PostgreSQL's plan."""

    fields: dict[str, Any]

    def all(self) -> Iterator[Node]:
        """This node and those below it."""
        yield self
        for below in self.fields.get("Plans", ()):
            yield from Node(below).all()

    @property
    def kind(self) -> str:
        kind: str = self.fields["Node Type"]
        return kind

    @property
    def index(self) -> str | None:
        return self.fields.get("Index Name")

    @property
    def indexes(self) -> set[str]:
        """The indexes that it and those below it use."""
        return {node.index for node in self.all() if node.index}

    @property
    def reads_a_table(self) -> bool:
        """Whether it reads rows of a table itself."""
        return "Relation Name" in self.fields and self.kind != "ModifyTable"

    @property
    def rows_read(self) -> float:
        """How many rows and entries of indexes it and those below it looked at when they ran."""
        seen = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        return sum(
            sum(node.fields.get(name, 0) for name in seen) * node.fields["Actual Loops"]
            for node in self.all()
            if node.reads_a_table or node.index
        )


def bound(call: Call) -> tuple[bytes, list[Any]]:
    """What the driver sends for a call."""
    query, names = numbered(call.statement.text(call.parameters))
    return query, [call.parameters[name] for name in names]


@frozen
class Crowd:
    """The tables, and the connection to ask PostgreSQL about them."""

    connection: psycopg.Connection[Any]
    queries: Queries
    schema: str

    def call(self, name: str, *present: str, **values: Any) -> Call:
        """A call with the optional parameters `present`, and `values` in place of the usual."""
        statement = self.queries.all()[name]
        left_out = set(statement.optional) - set(present) - values.keys()
        given = {name: VALUES[name] for name in statement.parameters | set(statement.optional)}
        return statement(**{**given, **dict.fromkeys(left_out), **values})

    def plan(self, call: Call) -> Node:
        """PostgreSQL's plan for a call, bound as the driver binds it."""
        query, values = bound(call)
        return self._explained(b"EXPLAIN (FORMAT JSON) " + query, values)

    def plan_when_run(self, call: Call) -> Node:
        """The plan, with what was read."""
        query, values = bound(call)
        return self._explained(b"EXPLAIN (ANALYZE, FORMAT JSON) " + query, values)

    def plan_when_prepared(self, call: Call) -> Node:
        """The plan that PostgreSQL settles for when the same statement comes again and again."""
        query, values = bound(call)
        given = sql.SQL(", ").join(map(sql.Literal, values))
        execute = sql.SQL("EXPLAIN (FORMAT JSON) EXECUTE probe ")
        if values:
            execute += sql.SQL("({})").format(given)
        text = execute.as_bytes(self.connection)
        self.connection.execute(b"PREPARE probe AS " + query)
        try:
            for _ in range(5):  # plans for the very values, whose costs it then knows
                self.connection.execute(text)
            return self._explained(text)
        finally:
            self.connection.execute("DEALLOCATE probe")

    def _explained(self, text: bytes, values: list[Any] | None = None) -> Node:
        row = self.connection.execute(text, values).fetchone()
        assert row is not None
        return Node(row[0][0]["Plan"])


@pytest.fixture(scope="module")
def crowd(postgres_url: str, postgres_admin: psycopg.Connection[Any]) -> Iterator[Crowd]:
    """The tables full."""
    schema = f"test_{uuid4().hex}"
    try:
        engine_store.open(
            f"{postgres_url}{'&' if '?' in postgres_url else '?'}schema={schema}"
        ).close()
        postgres_admin.execute(FILL.format(schema=schema).encode())
        with psycopg.connect(
            postgres_url,
            autocommit=True,
            cursor_factory=RawCursor,
            context=ADAPTERS,
            prepare_threshold=None,
        ) as connection:
            yield Crowd(connection, queries_of(schema), schema)
    finally:
        postgres_admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


# --- the calls -----------------------------------------------------------------------------------


def has_a_plan(statement: Statement) -> bool:
    """Whether a statement is about the tables, and has a plan."""
    if statement.name == "queue_stats":
        return False  # it counts all that waits, and so reads it
    text = statement.text(dict.fromkeys(statement.optional))
    return any(f'"any".{table}' in text for table in TABLES) and not text.startswith("LOCK")


STATEMENTS = {
    name: statement for name, statement in queries_of("any").all().items() if has_a_plan(statement)
}
EACH_STATEMENT = pytest.mark.parametrize("name", STATEMENTS)

# A list without a filter, or with one that no index serves, walks the index of its order.
LISTS = {"list_users", "list_api_keys", "list_workflows", "list_tasks"}

DELETED = "workflows_deleted"
"""The index of what is being removed: most statements leave its tasks out."""

# What operations read whole; every other list has a limit.
WHOLE = [
    ("parent_state_id",),
    ("workflow_exec_id", "parent_state_id"),
    ("workflow_exec_id", "statuses"),
    ("workflow_exec_id", "agent_id"),
    ("workflow_exec_id", "tool_id"),
]


def shown(values: str | Collection[str]) -> str:
    """Names in the id of a case."""
    return values if isinstance(values, str) else " ".join(sorted(values)) or "alone"


def variants(name: str) -> Iterator[tuple[str, ...]]:
    """The optional parameters of every call that operations can make."""
    optional = STATEMENTS[name].optional
    free = [parameter for parameter in optional if parameter not in ("limit", "by_task")]
    sizes = (0, 1, len(free)) if name == "claim_tasks" else range(len(free) + 1)
    for chosen in chain.from_iterable(combinations(free, size) for size in sizes):
        limit = ("limit",) if "limit" in optional else ()
        by_task = ("by_task",) if "by_task" in optional and chosen else ()
        yield (*chosen, *limit, *by_task)
    if "limit" in optional:
        yield from WHOLE


# --- no table and no index is read from end to end -----------------------------------------------


def scans(plan: Node) -> list[Node]:
    """The nodes that read a table otherwise than by an index."""
    by_index = ("Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Tid Scan")
    return [node for node in plan.all() if node.reads_a_table and node.kind not in by_index]


def walks(plan: Node) -> list[Node]:
    """The nodes that read an index as a whole, but for those that hold a few rows alone."""
    few = (None, "users_admins", DELETED)
    return [
        node for node in plan.all() if node.index not in few and "Index Cond" not in node.fields
    ]


@EACH_STATEMENT
def test_every_statement_reads_tables_by_an_index(crowd: Crowd, name: str) -> None:
    for present in variants(name):
        call = crowd.call(name, *present)
        plan = crowd.plan(call)
        assert scans(plan) == [], present
        if call.statement.text(call.parameters).startswith(("SELECT", "WITH")):
            assert plan.indexes, present


@EACH_STATEMENT
def test_a_prepared_statement_settles_for_a_plan_that_does_so_too(crowd: Crowd, name: str) -> None:
    for present in variants(name):
        plan = crowd.plan_when_prepared(crowd.call(name, *present))
        assert scans(plan) == [], present


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - LISTS))
def test_what_is_no_list_looks_up_rows_by_index_and_never_walks_one(
    crowd: Crowd, name: str
) -> None:
    for present in variants(name):
        assert walks(crowd.plan(crowd.call(name, *present))) == [], present


@pytest.mark.parametrize(
    ("name", "present"),
    [
        ("list_users", ()),
        ("list_users", ("after_id",)),
        ("list_api_keys", ()),
        ("list_api_keys", ("after_id",)),
        ("list_workflows", ()),
        ("list_workflows", ("before_id",)),
        ("list_workflows", ("created_from", "created_before", "before_id")),
        ("list_workflows", ("workflow_id",)),
        ("list_workflows", ("workflow_id", "before_id")),
        ("list_tasks", ()),
        ("list_tasks", ("after_id",)),
        ("list_tasks", ("task_id", "action_id", "execution_type", "after_id")),
        ("list_tasks", ("agent_id", "after_id")),
        ("list_tasks", ("tool_id", "after_id")),
        ("latest_workflow", ()),
        ("latest_workflow", ("by_task", "task_id")),
    ],
    ids=shown,
)
def test_rows_come_from_the_index_in_their_order_and_are_not_sorted(
    crowd: Crowd, name: str, present: tuple[str, ...]
) -> None:
    plan = crowd.plan(crowd.call(name, *present, limit=21))
    assert "Sort" not in [node.kind for node in plan.all()]


# --- the index made for it -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "present", "indexes"),
    [
        ("get_user", (), {"users_pkey"}),
        ("get_user_by_email", (), {"users_email_folded_key"}),
        ("find_admin", (), {"users_admins"}),
        ("list_users", ("role",), {"users_admins"}),
        ("get_api_key", (), {"api_keys_pkey"}),
        ("get_api_key_by_fingerprint", (), {"api_keys_fingerprint_key"}),
        ("get_api_key_by_prefix", (), {"api_keys_prefix_key"}),
        ("list_api_keys", ("user_id",), {"api_keys_by_user"}),
        ("list_api_keys", ("user_id", "after_id"), {"api_keys_by_user"}),
        ("get_workflow", (), {"workflows_pkey"}),
        ("list_workflows", ("workflow_id",), {"workflows_by_workflow"}),
        ("list_workflows", ("statuses", "before_id"), {"workflows_by_status"}),
        ("list_workflows", ("workflow_exec_ids",), {"workflows_pkey"}),
        ("latest_workflow", (), {"workflows_by_workflow"}),
        ("latest_workflow", ("by_task", "task_id"), {"workflows_by_workflow", "tasks_pkey"}),
        ("lock_purgeable", (), {"workflows_by_end"}),
        ("count_purgeable", (), {"workflows_by_end", "tasks_by_workflow"}),
        ("delete_small_workflow", (), {"workflows_pkey", "tasks_by_workflow", "events_pkey"}),
        ("mark_deleted", (), {"workflows_pkey"}),
        ("remove_tasks", (), {"tasks_by_workflow"}),
        ("get_task", (), {"tasks_by_id"}),
        ("get_task", ("workflow_exec_id",), {"tasks_by_id"}),
        ("get_task_usage", (), {"tasks_by_id"}),
        ("list_tasks", ("limit", "task_exec_ids"), {"tasks_by_id"}),
        ("list_tasks", ("limit", "statuses"), {"tasks_by_status"}),
        ("list_tasks", ("limit", "agent_id"), {"tasks_by_agent"}),
        ("list_tasks", ("limit", "tool_id"), {"tasks_by_tool"}),
        ("list_tasks", ("limit", "workflow_exec_id"), {"tasks_by_workflow"}),
        ("list_tasks", ("limit", "workflow_exec_id", "task_id"), {"tasks_by_workflow"}),
        ("list_tasks", ("parent_state_id",), {"tasks_by_parent"}),
        ("list_tasks", ("parent_state_id", "workflow_exec_id"), {"tasks_by_parent"}),
        ("latest_child", (), {"tasks_by_parent"}),
        ("children_outputs", (), {"tasks_by_parent"}),
        ("children_outputs", ("workflow_exec_id",), {"tasks_by_parent"}),
        ("count_children", (), {"tasks_by_parent"}),
        ("count_children", ("workflow_exec_id",), {"tasks_by_parent"}),
        ("task_tree", (), {"tasks_by_id", "tasks_by_parent"}),
        ("task_tree", ("workflow_exec_id",), {"tasks_by_id", "tasks_by_parent"}),
        ("latest_tasks", (), {"tasks_by_workflow"}),
        ("latest_tasks_and_roots", (), {"tasks_by_workflow"}),
        ("get_workflow_with_tasks", (), {"workflows_pkey", "tasks_by_workflow"}),
        ("create_task", (), {"workflows_pkey", "tasks_by_id"}),
    ],
    ids=shown,
)
def test_a_look_up_uses_the_index_made_for_it(
    crowd: Crowd, name: str, present: tuple[str, ...], indexes: set[str]
) -> None:
    assert crowd.plan(crowd.call(name, *present)).indexes - {DELETED} == indexes


def calls_of_foreign_keys(crowd: Crowd) -> Iterator[Call]:
    """What PostgreSQL asks for each foreign key: the rows that refer, and the one referred to."""
    rows = crowd.connection.execute(
        b"SELECT conname, conrelid::regclass::text, confrelid::regclass::text,"
        b" ARRAY(SELECT attname FROM unnest(conkey) AS k JOIN pg_attribute"
        b" ON attrelid = conrelid AND attnum = k)::text[],"
        b" ARRAY(SELECT attname FROM unnest(confkey) AS k JOIN pg_attribute"
        b" ON attrelid = confrelid AND attnum = k)::text[]"
        b" FROM pg_constraint WHERE contype = 'f' AND connamespace = $1::regnamespace",
        [crowd.schema],
    )
    for name, table, other_table, columns, other_columns in rows:
        for place, keys in ((table, columns), (other_table, other_columns)):
            having = " AND ".join(f"{key} = :{key}" for key in keys)
            text = f"-- name: {name} :many\nSELECT 1 FROM ONLY {place} WHERE {having} FOR KEY SHARE"
            [statement] = parse_statements(text)
            yield statement(**{key: VALUES[key] for key in keys})


def test_a_foreign_key_finds_the_rows_of_both_its_ends_by_an_index(crowd: Crowd) -> None:
    calls = list(calls_of_foreign_keys(crowd))
    assert len(calls) == 6
    for call in calls:
        plan = crowd.plan(call)
        assert (scans(plan), walks(plan)) == ([], []), call.statement


def test_no_index_is_there_for_nothing(crowd: Crowd) -> None:
    indexes = dict(
        crowd.connection.execute(
            b"SELECT relname, indisunique FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            b" WHERE relnamespace = $1::regnamespace",
            [crowd.schema],
        ).fetchall()
    )
    calls = [crowd.call(name, *present) for name in STATEMENTS for present in variants(name)]
    calls += calls_of_foreign_keys(crowd)
    used = set().union(*(crowd.plan(call).indexes for call in calls))
    unique = {name for name, is_unique in indexes.items() if is_unique}
    assert indexes.keys() - used - unique == set()


# --- what is read --------------------------------------------------------------------------------

LATELY = ["RUNNING", "PENDING", "WAITING", "PAUSED"]
ENDED = ["SUCCESS", "FAILED", "CANCELED", "TIMED_OUT"]


@pytest.mark.parametrize("statuses", [LATELY[:1], LATELY[:2], LATELY], ids=shown)
def test_a_list_of_what_is_left_to_do_does_not_read_what_is_done(
    crowd: Crowd, statuses: list[str]
) -> None:
    plan = crowd.plan_when_run(crowd.call("list_tasks", statuses=statuses, limit=101))
    assert plan.fields["Actual Rows"] == 101
    assert plan.rows_read <= 2 * 500 * len(statuses)  # there are 500 tasks in each


@pytest.mark.parametrize("statuses", [["TIMED_OUT"], ["TIMED_OUT", "CANCELED"]], ids=shown)
def test_a_list_of_what_happened_long_ago_does_not_read_all_that_happened_since(
    crowd: Crowd, statuses: list[str]
) -> None:
    plan = crowd.plan_when_run(crowd.call("list_workflows", statuses=statuses, limit=101))
    assert plan.fields["Actual Rows"] == 101
    assert plan.rows_read <= 2 * 250 * len(statuses)  # there are 250 executions in each


@pytest.mark.parametrize("statuses", [ENDED[:1], ENDED], ids=shown)
def test_a_batch_of_a_purge_does_not_read_what_later_batches_will(
    crowd: Crowd, statuses: list[str]
) -> None:
    call = crowd.call("lock_purgeable", statuses=statuses, older_than=NOW, limit=100)
    plan = crowd.plan_when_run(call)
    assert plan.fields["Actual Rows"] == 100
    assert plan.rows_read <= 2 * 100 * len(statuses)


@pytest.mark.parametrize("known", [{}, {"workflow_exec_id": "grown"}], ids=shown)
def test_a_tree_reads_each_of_its_tasks_a_few_times_however_many_they_are(
    crowd: Crowd, known: dict[str, str]
) -> None:
    plan = crowd.plan_when_run(crowd.call("task_tree", root="g-0", **known))
    assert plan.fields["Actual Rows"] == 2000
    assert plan.rows_read <= 4 * 2000


@pytest.mark.parametrize("name", ["list_tasks", "children_outputs"])
@pytest.mark.parametrize("known", [{}, {"workflow_exec_id": "grown"}], ids=shown)
def test_children_are_found_without_reading_the_rest_of_their_workflow(
    crowd: Crowd, name: str, known: dict[str, str]
) -> None:
    plan = crowd.plan_when_run(crowd.call(name, parent_state_id="g-7", **known))
    assert plan.fields["Actual Rows"] == 4
    assert plan.rows_read <= 2 * 4


def test_a_page_of_a_workflow_does_not_read_the_rest_of_it(crowd: Crowd) -> None:
    where = {"workflow_exec_id": "grown", "after_created_at": NOW, "after_id": "g-10", "limit": 21}
    plan = crowd.plan_when_run(crowd.call("list_tasks", **where))
    assert plan.fields["Actual Rows"] == 21
    assert plan.rows_read <= 2 * 21
