"""Statements kept as text: headings, fragments, lines that are there only where they are needed."""

import re
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from engine_store.errors import ConfigurationError
from engine_store.sql.catalogue import STATEMENTS
from engine_store.sql.queries import check_queries, load_queries
from engine_store.sql.statements import Call, Queries, Result, parse_statements
from engine_store_sqlite.driver import QUERIES

DEFAULTS = list(Path(str(files("engine_store.sql.queries"))).glob("*.sql"))

LIST = """
-- fragment: columns
id, name

-- name: list_things :many
-- Things in creation order.
SELECT {columns}
FROM things
WHERE true
  AND name = :name --? name
  AND (created_at, id) > (:after_at, :after) --? after
ORDER BY id;
"""


def test_a_name_heads_a_statement_and_its_kind_says_how_many_rows_it_gives() -> None:
    one, many, none = parse_statements(
        "-- name: a :one\nSELECT 1\n-- name: b :many\nSELECT 2\n-- name: c :none\nDELETE FROM t\n"
    )
    assert [(s.name, s.result) for s in (one, many, none)] == [
        ("a", Result.ONE),
        ("b", Result.MANY),
        ("c", Result.NONE),
    ]
    assert none.text({}) == "DELETE FROM t"


def test_text_before_the_first_heading_is_no_statement() -> None:
    assert parse_statements("-- Users of the engine.\n\nSELECT 0") == []


def test_comments_of_their_own_line_and_the_last_semicolon_do_not_reach_the_database() -> None:
    (statement,) = parse_statements("-- name: a :one\n-- why\nSELECT 1,\n  -- why not\n  2;\n")
    assert statement.text({}) == "SELECT 1,\n  2"


def test_a_fragment_stands_in_for_its_name_wherever_it_is_defined() -> None:
    first, second = parse_statements(
        "-- name: a :one\nSELECT {columns} FROM t\n"
        "-- fragment: columns\nid,\nname\n"
        "-- name: b :one\nINSERT INTO t ({columns}) VALUES (:id, :name) RETURNING {columns}\n"
    )
    assert first.text({}) == "SELECT id,\nname FROM t"
    assert second.text({}).count("id,\nname") == 2


def test_a_missing_fragment_is_named_with_the_statement_that_asks_for_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_statements("-- name: a :one\nSELECT {columns} FROM t")
    assert (caught.value.field, caught.value.reason) == ("a", "no fragment is named 'columns'")


def test_an_optional_line_is_left_out_where_its_parameter_is_none() -> None:
    (statement,) = parse_statements(LIST)
    every, none = "SELECT id, name\nFROM things\nWHERE true", "\nORDER BY id"
    by_name, behind = "\n  AND name = :name", "\n  AND (created_at, id) > (:after_at, :after)"

    def text(name: object, after: object) -> str:
        return statement.text({"name": name, "after": after, "after_at": None})

    assert text(None, None) == every + none
    assert text("n", None) == every + by_name + none
    assert text(None, "a") == every + behind + none
    assert text("n", "a") == every + by_name + behind + none


def test_what_counts_is_whether_a_parameter_is_none_not_whether_it_is_true() -> None:
    (statement,) = parse_statements(LIST)
    assert "AND name = :name" in statement.text({"name": "", "after": None})
    assert ":after_at" in statement.text({"name": None, "after": 0})


def test_a_text_is_made_once_for_each_set_of_lines() -> None:
    (statement,) = parse_statements(LIST)
    first = statement.text({"name": "a", "after": None})
    assert statement.text({"name": "b", "after": None}) is first
    assert statement.text({"name": None, "after": None}) is not first


def test_a_forgotten_optional_parameter_is_an_error_not_a_missing_condition() -> None:
    (statement,) = parse_statements(LIST)
    with pytest.raises(KeyError, match="after"):
        statement.text({"name": "n"})


def test_several_lines_may_depend_on_one_parameter() -> None:
    (statement,) = parse_statements(
        "-- name: a :one\nSELECT 1\nWHERE EXISTS ( --? by\n  SELECT 2 --? by\n) --? by\n"
    )
    assert statement.optional == ("by",)
    assert statement.text({"by": None}) == "SELECT 1"
    assert statement.text({"by": 1}) == "SELECT 1\nWHERE EXISTS (\n  SELECT 2\n)"


def test_parameters_are_all_that_any_line_binds_and_a_cast_is_none() -> None:
    (statement,) = parse_statements(
        "-- name: a :one\nSELECT :id::text, :Name, :now_2\n  AND x = :x --? x\n"
    )
    assert statement.parameters == {"id", "now_2", "x"}
    assert statement.optional == ("x",)


def test_a_call_keeps_statement_and_parameters_apart() -> None:
    (statement,) = parse_statements(LIST)
    assert statement(name="n", after=None) == Call(statement, {"name": "n", "after": None})


def test_queries_offer_each_statement_by_its_name() -> None:
    (statement,) = parse_statements(LIST)
    queries = Queries([statement])
    assert queries.list_things is statement
    assert queries.all() == {"list_things": statement}


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="no statement is named 'get_thing'"):
        _ = Queries([]).get_thing


@pytest.mark.parametrize(
    "text",
    [
        "-- name: a :one\nSELECT 1\n-- name: a! :many\nSELECT 2\n",
        "-- fragment: a\nx\n-- name: b :one\nSELECT 1\n-- fragment: a\ny\n",
    ],
    ids=["statements", "fragments"],
)
def test_two_of_one_name_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_statements(text)
    assert caught.value.field == "a"
    assert caught.value.reason == "two statements or fragments have this name"


def test_a_drivers_statements_and_fragments_override_the_defaults_of_their_names() -> None:
    defaults = (
        "-- fragment: columns\nid\n"
        "-- name: get :one\nSELECT {columns} FROM {schema}.t\n"
        "-- name: list :many\nSELECT {columns} FROM {schema}.t ORDER BY id\n"
    )
    own = "-- name: list :many\nSELECT {columns} FROM t\n-- fragment: columns\nid, name\n"
    found = parse_statements(own, defaults=defaults, schema="main")
    assert {statement.name: statement.text({}) for statement in found} == {
        "list": "SELECT id, name FROM t",
        "get": "SELECT id, name FROM main.t",
    }


def test_an_exclamation_mark_after_its_name_says_that_a_statement_writes() -> None:
    reads, writes = parse_statements(
        "-- name: a :one\nSELECT 1\n-- name: b! :none\nDELETE FROM t\n"
    )
    assert (reads.name, reads.writes) == ("a", False)
    assert (writes.name, writes.writes) == ("b", True)


def test_a_statement_may_have_parts_each_but_the_last_ended_at_the_end_of_its_line() -> None:
    one, two = parse_statements(
        "-- name: a :one\nSELECT ';'\n"
        "-- name: b! :one\nUPDATE t SET x = :x\nWHERE y = :y;\nSELECT x FROM t;\n"
    )
    assert not one.has_parts
    assert one.parts({}) == ["SELECT ';'"]
    assert two.has_parts
    assert two.parameters == {"x", "y"}
    assert two.parts({"x": 1, "y": 2}) == ["UPDATE t SET x = :x\nWHERE y = :y", "SELECT x FROM t"]


@pytest.mark.parametrize(
    "heading",
    ["-- name: a", "-- name: a :lots", "-- name a :one", "--name: a :one", "-- fragment: a :one"],
)
def test_a_heading_that_is_none_is_refused_and_joins_no_statement(heading: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_statements(f"-- name: first :one\nSELECT 1\n{heading}\nSELECT 2\n")
    assert caught.value.field == heading
    assert caught.value.reason == "expected '-- name: x :one' or '-- fragment: x'"


def test_a_packages_sql_files_are_one_text_over_the_defaults_and_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "kit_test_queries"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a.sql").write_text("-- name: get_user :one\nSELECT {columns}, :user_id, 'é'")
    (package / "b.sql").write_text("-- fragment: columns\nid")
    (package / "README.md").write_text("-- name: no_sql :one\nSELECT 1")
    of_a_dialect = re.findall(r"\{(in_\w+|schema)\}", "".join(map(Path.read_text, DEFAULTS)))
    given: list[Queries] = []
    monkeypatch.setattr("engine_store.sql.queries.check_queries", given.append)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        queries = load_queries("kit_test_queries", **dict.fromkeys(of_a_dialect, "x"))
    finally:
        sys.modules.pop("kit_test_queries", None)
    assert given == [queries]
    assert queries.get_user.text({}) == "SELECT id, :user_id, 'é'"
    assert "no_sql" not in queries.all()
    assert "FROM x.users" in queries.find_admin.text({}), "one of the kit's defaults"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("get_user :many\nSELECT :user_id", "get_user gives :many, expected :one"),
        ("get_user! :one\nSELECT :user_id", "get_user has a ! after its name"),
        ("delete_user :one\nSELECT :user_id", "delete_user needs a ! after its name"),
        ("get_user :one\nSELECT 1", "get_user does not use user_id"),
        ("get_user :one\nSELECT :user_id, :id", "get_user is not given id"),
        (
            "get_user :one\nSELECT :user_id --? user_id",
            "get_user is never called without user_id",
        ),
    ],
)
def test_a_statement_that_is_not_as_operations_use_it_is_named(text: str, problem: str) -> None:
    [statement] = parse_statements(f"-- name: {text}")
    with pytest.raises(ConfigurationError) as caught:
        check_queries(Queries((QUERIES.all() | {statement.name: statement}).values()))
    assert (caught.value.field, caught.value.reason) == ("queries", problem)


def test_every_missing_statement_is_named_but_those_of_other_kinds_of_databases() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_queries(Queries([]))
    missing = [f"{name} is missing" for name, entry in STATEMENTS.items() if not entry.needed_if]
    assert caught.value.reason.split("; ") == missing
