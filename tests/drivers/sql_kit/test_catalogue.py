"""What a driver's author is told of statements that are not as the kit calls them."""

from __future__ import annotations

import re

import pytest

from engine_store.errors import ConfigurationError
from engine_store.sql.queries import check_queries
from engine_store.sql.statements import Queries, Result, Statement, parse_statements
from engine_store_sqlite.driver import QUERIES


def with_text(name: str, text: str) -> Queries:
    """SQLite's statements, with another text of one of them."""
    [statement] = parse_statements(text)
    return Queries({**QUERIES.all(), name: statement}.values())


def refusal(queries: Queries) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_queries(queries)
    assert caught.value.field == "queries"
    return caught.value.reason


def test_every_statement_that_is_missing_is_named_at_once() -> None:
    others = {name: QUERIES.all()[name] for name in QUERIES.all().keys() - {"get_user", "get_task"}}
    assert set(re.split("; ", refusal(Queries(others.values())))) == {
        "get_user is missing",
        "get_task is missing",
    }


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        (
            "get_user",
            "-- name: get_user :many\nSELECT :user_id",
            "get_user gives :many, expected :one",
        ),
        ("get_user", "-- name: get_user! :one\nSELECT :user_id", "get_user has a ! after its name"),
        (
            "delete_user",
            "-- name: delete_user :one\nSELECT :user_id",
            "delete_user needs a ! after its name",
        ),
        (
            "get_user",
            "-- name: get_user :one\nSELECT :id",
            "get_user does not use user_id; get_user is not given id",
        ),
        (
            "get_user",
            "-- name: get_user :one\nSELECT 1\nWHERE user_id = :user_id --? user_id",
            "get_user is never called without user_id",
        ),
    ],
)
def test_a_statement_that_is_not_as_operations_call_it_is_refused(
    name: str, text: str, reason: str
) -> None:
    assert refusal(with_text(name, text)) == reason


def test_a_driver_may_have_statements_of_its_own_and_bind_names_of_its_migrator() -> None:
    own = Statement("own", Result.ONE, (("SELECT :anything", None),))
    check_queries(Queries({**QUERIES.all(), "own": own}.values()))
    check_queries(with_text("has_schema", "-- name: has_schema :one\nSELECT :schema"))
