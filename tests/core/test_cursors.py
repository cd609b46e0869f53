"""Cursors: opaque to callers, exact for the store, and of one kind of list (contract 5.2)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine_store.errors import InvalidValueError
from engine_store.rules.checks import decode_cursor, encode_cursor

NOW = datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC)

TIMES = st.datetimes(timezones=st.just(UTC))
KEYS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=255
)
GARBAGE = "expected the next_cursor of a page"


def encoded(content: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(content)).decode()


def refusal(cursor: object) -> InvalidValueError:
    with pytest.raises(InvalidValueError) as caught:
        decode_cursor("tasks", cursor)
    assert caught.value.path == "cursor"
    return caught.value


@given(TIMES, KEYS)
@example(datetime.min.replace(tzinfo=UTC), "x")
@example(datetime.max.replace(tzinfo=UTC), "x")
@example(NOW.replace(microsecond=0), '"],\\ \u2028 漢 🜛')
def test_a_cursor_gives_back_the_position_it_was_made_from(created_at, key):
    cursor = encode_cursor("tasks", created_at, key)
    assert decode_cursor("tasks", cursor) == (created_at, key)


@given(TIMES, KEYS)
def test_a_cursor_can_stand_in_a_url_as_it_is(created_at, key):
    cursor = encode_cursor("tasks", created_at, key)
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").rstrip("=").isalnum()


def test_no_cursor_is_the_first_page():
    assert decode_cursor("tasks", None) is None


@given(TIMES, KEYS)
def test_the_cursor_of_another_list_is_refused(created_at, key):
    error = refusal(encode_cursor("workflows", created_at, key))
    assert error.reason == "expected a cursor of tasks, found another list's"


@given(st.text())
@example("")
@example("not base64 at all")
@example("AAAA")
def test_garbage_is_refused(text):
    assert refusal(text).reason


@given(st.binary())
@example(b"")
@example(b"[")
@example(b"null")
@example(b'"abc"')
@example(b"{}")
@example(b"[" * 5000)
def test_base64_of_garbage_is_refused(content):
    assert refusal(base64.urlsafe_b64encode(content).decode()).reason == GARBAGE


@pytest.mark.parametrize(
    "content",
    [
        [],
        ["tasks", NOW.isoformat()],
        ["tasks", NOW.isoformat(), "key", "more"],
        ["tasks", 7, "key"],
        ["tasks", None, "key"],
        ["tasks", "yesterday", "key"],
        ["tasks", "2024-05-06T07:08:09", "key"],
        ["tasks", "2024-05-06T07:08:09+02:00", "key"],
        ["tasks", NOW.isoformat(), ""],
        ["tasks", NOW.isoformat(), "x" * 256],
        ["tasks", NOW.isoformat(), "nul\0"],
        ["tasks", NOW.isoformat(), 7],
        ["tasks", NOW.isoformat(), None],
        {"tasks": 1, "b": 2, "c": 3},
    ],
)
def test_a_cursor_with_anything_else_inside_is_refused(content):
    assert refusal(encoded(content)).reason == GARBAGE


def test_a_kind_that_is_no_text_is_another_list():
    error = refusal(encoded([["tasks"], NOW.isoformat(), "key"]))
    assert error.reason == "expected a cursor of tasks, found another list's"


@pytest.mark.parametrize("cursor", [7, b"abc", ["a"], ("tasks", NOW, "key")])
def test_a_cursor_is_a_str(cursor):
    assert refusal(cursor).reason.startswith("expected str, found ")


def test_a_damaged_cursor_is_refused():
    cursor = encode_cursor("tasks", NOW, "key")
    for damaged in (cursor[:-1], cursor[1:], cursor + "A", cursor[:8] + "\n" + cursor[8:]):
        refusal(damaged)
