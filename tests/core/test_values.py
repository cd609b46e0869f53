"""The value domain: ids, text, numbers, times, choices, emails (contract 1.1, 1.5, 4.1)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from enum import IntEnum, StrEnum
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_store.errors import InvalidValueError
from engine_store.models import Role, Status
from engine_store.values import (
    INT_MAX,
    INT_MIN,
    check_bytes,
    check_choice,
    check_choices,
    check_email,
    check_id,
    check_ids,
    check_int,
    check_limit,
    check_optional_id,
    check_text,
    check_time,
    fold_email,
    plain_time,
)

LEGAL_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
SURROGATES = st.characters(categories=["Cs"])


class Name(str):
    __slots__ = ()


class Colour(StrEnum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


def refused(check, *arguments, path="here", **named) -> str:
    """The reason of the refusal, whose path must be `path`."""
    with pytest.raises(InvalidValueError) as caught:
        check(*arguments, **named)
    assert caught.value.path == path
    return caught.value.reason


# --- ids and text ------------------------------------------------------------------------------


@given(st.text(LEGAL_CHARACTERS, min_size=1, max_size=255))
def test_an_id_is_any_string_of_1_to_255_characters(value):
    check_id(value, "here")
    check_optional_id(value, "here")


@pytest.mark.parametrize("character", ["a", "é", "漢", "🜛"])
def test_the_length_of_an_id_is_counted_in_code_points(character):
    check_id(character * 255, "here")
    assert refused(check_id, character * 256, "here") == "expected 1 to 255 characters, found 256"


def test_an_id_is_not_empty():
    assert refused(check_id, "", "here") == "expected 1 to 255 characters, found 0"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "None"),
        (7, "int"),
        (b"id", "bytes"),
        (["id"], "list"),
        (Name("id"), "Name"),
        (Colour.RED, "Colour"),
    ],
)
@pytest.mark.parametrize("check", [check_id, check_text])
def test_an_id_or_text_is_exactly_a_str(check, value, kind):
    assert refused(check, value, "here") == f"expected str, found {kind}"


@given(st.text(LEGAL_CHARACTERS, max_size=20), st.text(LEGAL_CHARACTERS, max_size=20))
def test_no_string_holds_nul(before, after):
    for check in (check_id, check_optional_id, check_text, check_email):
        reason = refused(check, f"{before}\0{after}", "here")
        assert reason == "a string may not hold NUL"


@given(
    st.text(LEGAL_CHARACTERS, max_size=20),
    SURROGATES,
    st.text(LEGAL_CHARACTERS, max_size=20),
)
def test_no_string_holds_a_lone_surrogate(before, surrogate, after):
    for check in (check_id, check_optional_id, check_text, check_email):
        reason = refused(check, before + surrogate + after, "here")
        assert reason == "a string may not hold a lone surrogate"


@given(st.text(LEGAL_CHARACTERS))
def test_text_may_be_empty_and_of_any_length(value):
    check_text(value, "here")
    check_text(value * 100, "here")


def test_an_optional_id_may_be_none():
    check_optional_id(None, "here")
    assert refused(check_optional_id, "", "here") == "expected 1 to 255 characters, found 0"


@pytest.mark.parametrize("values", [None, [], (), {"a"}, ["a", "b"], ("a",), frozenset("ab")])
def test_ids_are_any_collection_of_ids_or_none(values):
    check_ids(values, "here")


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ("ab", "here"),
        (7, "here"),
        (iter(["a"]), "here"),
        (["a", ""], "here[1]"),
        (["a", "b", 3], "here[2]"),
        ([None], "here[0]"),
        (b"ab", "here"),
    ],
)
def test_anything_else_is_no_collection_of_ids(values, path):
    assert refused(check_ids, values, "here", path=path)


# --- numbers and bytes -------------------------------------------------------------------------


@given(st.integers(INT_MIN, INT_MAX))
def test_an_integer_has_64_bits(value):
    check_int(value, "here")


@given(st.integers(min_value=INT_MAX + 1) | st.integers(max_value=INT_MIN - 1))
def test_an_integer_beyond_64_bits_is_refused(value):
    assert "expected an integer from" in refused(check_int, value, "here")


def test_an_integer_may_have_a_minimum():
    check_int(0, "here", minimum=0)
    assert refused(check_int, -1, "here", minimum=0) == "expected an integer from 0 to 2^63-1"


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, Number.ONE])
def test_nothing_but_int_is_an_integer(value):
    assert refused(check_int, value, "here").startswith("expected int, found ")


@pytest.mark.parametrize("limit", [1, 2, 999, 1000])
def test_a_limit_goes_from_1_to_1000(limit):
    check_limit(limit)


@pytest.mark.parametrize("limit", [0, -1, 1001, 2**63, True, None, 10.0, "10"])
def test_any_other_limit_is_refused(limit):
    assert refused(check_limit, limit, path="limit")
    assert refused(check_limit, limit, "batch_size", path="batch_size")


def test_bytes_are_not_empty_and_may_have_a_length():
    check_bytes(b"\0", "here")
    check_bytes(b"x" * 32, "here", length=32)
    assert refused(check_bytes, b"", "here") == "expected bytes, found none"
    assert refused(check_bytes, b"x", "here", length=32) == "expected 32 bytes, found 1"


@pytest.mark.parametrize("value", [bytearray(b"x"), memoryview(b"x"), "x", None, 5])
def test_nothing_but_bytes_is_bytes(value):
    assert refused(check_bytes, value, "here").startswith("expected bytes, found ")


# --- times -------------------------------------------------------------------------------------


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_is_an_aware_datetime_in_utc(value):
    check_time(value, "here")


@given(st.datetimes())
def test_a_naive_time_is_refused(value):
    assert "aware datetime in UTC" in refused(check_time, value, "here")


@given(
    st.datetimes(), st.integers(-23 * 60, 23 * 60).filter(bool).map(lambda m: timedelta(minutes=m))
)
def test_a_time_of_another_zone_is_refused(value, offset):
    reason = refused(check_time, value.replace(tzinfo=timezone(offset)), "here")
    assert "aware datetime in UTC" in reason


@pytest.mark.parametrize("value", [None, "2024-01-01T00:00:00Z", 0, 1.5, date(2024, 1, 1)])
def test_nothing_but_datetime_is_a_time(value):
    assert refused(check_time, value, "here").startswith("expected a datetime, found ")


# --- choices -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", list(Status))
def test_a_choice_is_a_member_of_its_enumeration(value):
    check_choice(value, Status, "here")


@pytest.mark.parametrize("value", ["RUNNING", "running", None, 1, Role.ADMIN])
def test_its_text_or_another_member_is_not(value):
    reason = refused(check_choice, value, Status, "here")
    assert reason.startswith("expected a Status (CANCELED, FAILED, PAUSED,")


@pytest.mark.parametrize(
    "values", [None, [], (), {Status.FAILED}, [Status.FAILED, Status.FAILED], frozenset(Status)]
)
def test_choices_are_any_collection_of_members_or_none(values):
    check_choices(values, Status, "here")


@pytest.mark.parametrize(
    ("values", "path"),
    [
        (Status.FAILED, "here"),
        ("FAILED", "here"),
        (3, "here"),
        (iter([Status.FAILED]), "here"),
        ([Status.FAILED, "FAILED"], "here[1]"),
        ([Role.ADMIN], "here[0]"),
        (b"", "here"),
    ],
)
def test_anything_else_is_no_collection_of_members(values, path):
    assert refused(check_choices, values, Status, "here", path=path)


class Frozen(datetime):
    """A time as those of libraries."""


def test_a_time_of_a_subclass_or_another_zone_is_made_a_plain_one_in_utc():
    plain = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
    assert check_time(plain, "here") is plain
    for zone in (UTC, timezone(timedelta()), ZoneInfo("UTC")):
        found = check_time(Frozen(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=zone), "here")
        assert (type(found), found.tzinfo, found) == (datetime, UTC, plain)
    at_five = Frozen(2024, 2, 29, 5, tzinfo=timezone(timedelta(hours=5)))
    assert type(plain_time(at_five)) is datetime
    assert plain_time(at_five) == datetime(2024, 2, 29, tzinfo=UTC)


def test_checked_collections_are_no_longer_those_that_were_given():
    given = ["a", "b"]
    checked = check_ids(given, "here")
    given.clear()
    assert checked == ("a", "b")
    assert check_choices({Status.FAILED: 1}, Status, "here") == (Status.FAILED,)


# --- emails ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "email",
    [
        "a@b",
        "Ada.Lovelace+notes@example.org",
        "josé@exämple.org",
        '"two@signs"@example.org',
        "a" * 308 + "@example.org",
    ],
)
def test_an_email_has_something_on_both_sides_of_its_last_at(email):
    check_email(email, "here")


@pytest.mark.parametrize(
    "email",
    [
        "",
        "@",
        "ada",
        "ada@",
        "@example.org",
        "ada @example.org",
        " ada@example.org",
        "ada@example.org\n",
        "ada\u00a0@example.org",
        "ada\u2003@example.org",
        "a" * 309 + "@example.org",
    ],
)
def test_any_other_email_is_refused(email):
    assert refused(check_email, email, "here").startswith("expected name@domain")


def test_an_email_is_exactly_a_str():
    assert refused(check_email, None, "here") == "expected str, found None"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.org", "aDA@eXAMPLE.ORG"),
        ("straße@example.org", "STRASSE@EXAMPLE.ORG"),
        ("Σίσυφος@example.org", "ΣΊΣΥΦΟΣ@example.org"),
    ],
)
def test_emails_are_compared_by_unicode_case_folding(one, other):
    assert fold_email(one) == fold_email(other)


def test_emails_that_differ_in_more_than_case_stay_apart():
    assert fold_email("ada@example.org") != fold_email("adá@example.org")


@given(st.text(LEGAL_CHARACTERS))
def test_folding_twice_folds_no_further(text):
    assert fold_email(fold_email(text)) == fold_email(text)
