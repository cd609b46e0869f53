"""Documents: what may be stored, and that a refusal leads to the value (contract 1.2 to 1.4)."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, defaultdict, namedtuple
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine_store.errors import InvalidValueError
from engine_store.values import INT_MAX, INT_MIN, check_document


class Text(str):
    __slots__ = ()


class Object(dict):
    __slots__ = ()


class Array(list):
    __slots__ = ()


class Integer(int):
    __slots__ = ()


class Real(float):
    __slots__ = ()


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


Point = namedtuple("Point", "x y")

ILLEGAL_NUMBERS = [
    math.nan,
    math.inf,
    -math.inf,
    INT_MAX + 1,
    INT_MIN - 1,
    10**30,
    Decimal(1),
    1j,
]
ILLEGAL_STRINGS = ["\0", "a\0b", "é\0", "\ud800", "a\udfff", "\ud83d \ude00", "\udc80"]
ILLEGAL_KINDS = [
    (),
    (1, 2),
    set(),
    {1},
    frozenset(),
    b"bytes",
    bytearray(),
    range(3),
    datetime(2024, 1, 1, tzinfo=UTC),
    date(2024, 1, 1),
    UUID(int=0),
    object(),
    Ellipsis,
    dict,
]
SUBCLASSES = [
    Text("text"),
    Object(a=1),
    Array([1]),
    Integer(1),
    Real(1.5),
    Colour.RED,
    Level.LOW,
    OrderedDict(),
    defaultdict(int),
    Point(1, 2),
]
ILLEGAL_VALUES = [*ILLEGAL_NUMBERS, *ILLEGAL_STRINGS, *ILLEGAL_KINDS, *SUBCLASSES]
NOT_STRINGS = [None, 1, 1.5, True, b"key", (1,), Text("key"), Colour.RED]

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(INT_MIN, INT_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(TEXT, VALUES, max_size=5)


def kind(value: object) -> str:
    return type(value).__name__


@st.composite
def planted(draw: st.DrawFn, seed: object) -> tuple[dict, str]:
    """A document with `seed` inside, among legal values, and the path that leads to it."""
    value, path = seed, ""
    for in_object in [*draw(st.lists(st.booleans(), max_size=6)), True]:
        if in_object:
            key = draw(TEXT)
            siblings = draw(st.dictionaries(TEXT, VALUES, max_size=2))
            siblings.pop(key, None)
            value, path = {**siblings, key: value}, f".{key}{path}"
        else:
            before, after = draw(st.lists(SCALARS, max_size=2)), draw(st.lists(VALUES, max_size=2))
            value, path = [*before, value, *after], f"[{len(before)}]{path}"
    return value, path


def refusal(document: object) -> InvalidValueError:
    with pytest.raises(InvalidValueError) as caught:
        check_document(document, "task.input")
    return caught.value


@given(DOCUMENTS)
@example({})
@example({"": None})
@example({"1": 1, "1.0": 1.0, "1e17": 1e17, "-0.0": -0.0, "least": INT_MIN, "most": INT_MAX})
@example({"tiny": 5e-324, "huge": 1.7976931348623157e308})
@example({"é": "e\u0301 is not é", "\u2028": "\ufffe\uffff", "control": "\x01\x1f\x7f"})
def test_every_legal_document_passes_unchanged(document):
    before = repr(document)
    check_document(document, "task.input")
    assert repr(document) == before


def test_none_is_the_absent_document():
    check_document(None, "task.input")


@pytest.mark.parametrize("value", [[], [{}], "text", 1, 1.5, True, *ILLEGAL_VALUES], ids=kind)
def test_a_document_is_an_object(value):
    error = refusal(value)
    assert error.path == "task.input"
    assert error.reason == f"expected dict or None, found {kind(value)}"


@given(st.data())
def test_an_illegal_value_is_refused_with_the_path_that_leads_to_it(data):
    seed = data.draw(st.sampled_from(ILLEGAL_VALUES))
    document, path = data.draw(planted(seed))
    assert refusal(document).path == f"task.input{path}"


@pytest.mark.parametrize("value", ILLEGAL_VALUES, ids=kind)
def test_each_illegal_value_is_refused_in_an_object_and_in_an_array(value):
    assert refusal({"a": {"b": value}}).path == "task.input.a.b"
    assert refusal({"a": [0, value]}).path == "task.input.a[1]"


@given(st.data())
def test_a_key_that_is_no_string_is_refused_with_the_path_of_its_object(data):
    key = data.draw(st.sampled_from(NOT_STRINGS))
    document, path = data.draw(planted({"before": 1, key: 2}))
    error = refusal(document)
    assert error.path == f"task.input{path}"
    found = "None" if key is None else kind(key)
    assert error.reason == f"expected string keys, found {found}"


@given(st.data())
def test_a_key_outside_the_domain_is_refused_with_its_escaped_path(data):
    key = data.draw(st.sampled_from(ILLEGAL_STRINGS))
    document, path = data.draw(planted({"before": 1, key: 2}))
    assert refusal(document).path == f"task.input{path}.{key!a}"


@given(st.data())
def test_every_refusal_can_be_shown(data):
    seed = data.draw(st.sampled_from([*ILLEGAL_VALUES, *({key: 1} for key in ILLEGAL_STRINGS)]))
    document, path = data.draw(planted(seed))
    assert str(refusal(document)).encode().startswith(f"task.input{path}".encode())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "expected a finite float, found nan"),
        (-math.inf, "expected a finite float, found -inf"),
        (INT_MAX + 1, "expected an integer from -2^63 to 2^63-1, found one beyond"),
        ("a\0", "a string may not hold NUL"),
        ("é\ud800", "a string may not hold a lone surrogate"),
        ((), "expected a JSON value, found tuple"),
        (Text("x"), "expected a JSON value, found Text"),
    ],
)
def test_the_reason_says_what_was_expected_and_found(value, reason):
    assert refusal({"a": value}).reason == reason


# --- depth -------------------------------------------------------------------------------------


def nested(levels: int, kinds: str) -> tuple[dict, str]:
    """An object nested to `levels`, of objects and arrays as `kinds` says in turn, and the path
    to the innermost."""
    value, path = ({} if kinds[(levels - 1) % len(kinds)] == "o" else []), ""
    for level in range(levels - 1, 0, -1):
        if level == 1 or kinds[(level - 1) % len(kinds)] == "o":
            value, path = {"k": value}, f".k{path}"
        else:
            value, path = [value], f"[0]{path}"
    return value, path


@pytest.mark.parametrize("kinds", ["o", "a", "oa", "aao"])
def test_a_document_nests_to_100_levels_and_no_deeper(kinds):
    check_document(nested(100, kinds)[0], "task.input")
    document, path = nested(101, kinds)
    error = refusal(document)
    assert error.path == f"task.input{path}"
    assert error.reason == "nested deeper than 100 levels"


def test_scalars_do_not_count_as_a_level():
    document, _ = nested(100, "o")
    inner = document
    while "k" in inner:
        inner = inner["k"]
    inner["leaf"] = "text"
    check_document(document, "task.input")


def test_a_document_that_holds_itself_is_refused():
    document: dict = {}
    document["me"] = document
    error = refusal(document)
    assert error.path == "task.input" + ".me" * 100
    assert error.reason == "nested deeper than 100 levels"


def test_a_cycle_through_an_array_is_refused():
    array: list = []
    document = {"list": array}
    array.append(document)
    assert refusal(document).path == "task.input" + ".list[0]" * 50
    array[0] = array
    assert refusal(document).path == "task.input.list" + "[0]" * 99


@given(DOCUMENTS)
def test_a_checked_document_is_a_copy_that_shares_nothing(document):
    checked = check_document(document, "task.input")
    assert checked == document
    assert json.dumps(checked) == json.dumps(document)  # in the same order, to the type
    assert not containers(checked) & containers(document)


def containers(value):
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = {id(value)} if isinstance(value, dict | list) else set()
    return own.union(*map(containers, inside))


def test_a_value_that_stands_in_two_places_is_no_cycle():
    shared = {"a": [1]}
    check_document({"one": shared, "two": shared, "both": [shared, shared]}, "task.input")
