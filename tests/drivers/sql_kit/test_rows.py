"""Models to rows and back."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_store.clock import UNSAVED
from engine_store.models import (
    ApiKey,
    Component,
    ErrorInfo,
    ExecutionType,
    Role,
    Status,
    TaskState,
    UsageEntry,
    UsageSummary,
    User,
    WorkflowState,
)
from engine_store.rules.entities import API_KEY, ENTITIES, TASK, USER, WORKFLOW, Entity
from engine_store.sql.rows import (
    Codec,
    Rows,
    read_usage,
    write_document,
    write_error,
    write_usage,
)
from engine_store_contracts.exact import exact

# How long an example takes says nothing on a machine with other work.
checked = settings(deadline=None, max_examples=40)

ROWS = Rows(Codec(datetime.isoformat, datetime.fromisoformat, sorted))
NOW = datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
times = st.datetimes(timezones=st.just(UTC))
documents = st.dictionaries(
    texts,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)
counts = st.integers(0, 2**53)
usages = st.builds(
    UsageSummary.of,
    st.lists(
        st.builds(
            UsageEntry,
            provider=st.sampled_from(["openai", "Anthropic"]),
            model=st.sampled_from(["small", "large"]),
            prompt_tokens=counts,
            completion_tokens=counts,
            total_tokens=st.none() | counts,
            reasoning_tokens=st.none() | counts,
            cached_prompt_tokens=st.none() | counts,
            input_audio_tokens=st.none() | counts,
            output_audio_tokens=st.none() | counts,
            agent_ids=st.lists(texts, max_size=2).map(tuple),
            captured_at=st.none() | times,
            updated_at=st.none() | times,
            source=st.none() | st.sampled_from(["api", "estimate"]),
        ),
        max_size=3,
    ),
)
payload: dict[str, Any] = {
    "status": st.sampled_from(Status),
    "input": st.none() | documents,
    "output": st.none() | documents,
    "error": st.none() | st.builds(ErrorInfo, texts, st.none() | texts, st.none() | documents),
    "usage": usages,
    "version": st.integers(1, 2**40),
    "created_at": times,
    "updated_at": times,
}
ids = st.none() | texts
workflows = st.builds(WorkflowState, texts, texts, **payload)
tasks = st.builds(
    TaskState,
    texts,
    texts,
    texts,
    texts,
    component=st.sampled_from(Component),
    execution_type=st.sampled_from(ExecutionType),
    parent_state_id=ids,
    agent_id=ids,
    action_id=ids,
    tool_id=ids,
    queue=texts,
    priority=st.integers(-100, 100),
    due_at=st.none() | times,
    attempt=st.integers(0, 2**31 - 1),
    **payload,
)
users = st.builds(User, texts, texts, st.sampled_from(Role), st.integers(1), times, times)
api_keys = st.builds(
    ApiKey, texts, texts, texts, st.binary(), st.binary(), times, st.none() | times
)


def row(entity: Entity[Any, Any], state: Any) -> list[Any]:
    """What a database returns of a state that was written, with the times it set."""
    parameters = ROWS.encoder(entity)(state)
    for name in {"created_at", "updated_at"}.intersection(entity.fields):
        parameters[name] = ROWS.time(getattr(state, name))
    parameters |= {name: getattr(state, name) for name in entity.counters}
    return [parameters[field] for field in entity.fields]


@checked
@given(st.data())
@pytest.mark.parametrize(
    ("entity", "states"),
    [(USER, users), (API_KEY, api_keys), (WORKFLOW, workflows), (TASK, tasks)],
    ids=["user", "api key", "workflow", "task"],
)
def test_a_state_is_read_as_it_was_written(
    entity: Entity[Any, Any], states: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    state = data.draw(states)
    assert exact(ROWS.decoder(entity)(row(entity, state))) == exact(state)


@checked
@given(workflows)
def test_json_may_come_back_as_bytes(state: WorkflowState) -> None:
    found = [
        value.encode() if field in ("input", "output", "error", "usage") and value else value
        for field, value in zip(WORKFLOW.fields, row(WORKFLOW, state), strict=True)
    ]
    assert exact(ROWS.decoder(WORKFLOW)(found)) == exact(state)


def test_bytes_may_come_back_as_a_memoryview() -> None:
    found = ["k", "u", "p", memoryview(b"f"), memoryview(b"h"), NOW.isoformat(), None]
    key = ROWS.decoder(API_KEY)(found)
    assert (key.fingerprint, key.hash) == (b"f", b"h")


def test_a_codec_that_changes_no_times_leaves_them_as_they_are() -> None:
    rows = Rows(Codec())
    encoded = rows.encoder(USER)(User("u", "a@b", created_at=NOW))
    assert encoded["created_at"] is NOW
    assert rows.decoder(USER)(["u", "a@b", "user", 1, NOW, NOW]).updated_at is NOW


def test_a_time_that_is_not_set_is_no_parameter() -> None:
    assert ROWS.time(None) is None
    assert ROWS.time(UNSAVED) == "0001-01-01T00:00:00+00:00"  # in a filter it is a time
    assert ROWS.time(NOW) == "2026-01-31T12:00:00.000001+00:00"
    assert ROWS.encoder(USER)(User("u", "a@b"))["created_at"] is None


def test_a_collection_goes_through_the_codec_and_none_is_no_filter() -> None:
    assert ROWS.collection(None) is None
    assert ROWS.collection([]) == []
    assert ROWS.collection({"b", "a"}) == ["a", "b"]


def test_the_email_is_a_parameter_as_given_and_folded() -> None:
    parameters = ROWS.encoder(USER)(User("u", "Straße@Example.ORG"))
    assert parameters["email"] == "Straße@Example.ORG"
    assert parameters["email_folded"] == "strasse@example.org"


def test_nothing_and_the_empty_document_are_two_things() -> None:
    assert write_document(None) is None
    assert write_document({}) == "{}"


def test_numbers_keep_their_type_in_json() -> None:
    assert write_document({"a": 1, "b": 1.0, "c": -0.0, "d": 1e17}) == (
        '{"a":1,"b":1.0,"c":-0.0,"d":1e+17}'
    )
    error = write_error(ErrorInfo("m", details={"zero": -0.0}))
    assert error == '{"message":"m","code":null,"details":{"zero":-0.0}}'
    state = WorkflowState("w", "i", input={"zero": -0.0}, version=1, created_at=NOW, updated_at=NOW)
    found = ROWS.decoder(WORKFLOW)(row(WORKFLOW, state))
    assert found.input is not None
    assert math.copysign(1, found.input["zero"]) == -1


def test_no_usage_is_an_empty_array_and_the_same_object_when_read() -> None:
    assert write_usage(UsageSummary()) == "[]"
    assert read_usage("[]") == UsageSummary()
    assert read_usage(b"[]") is read_usage("[]")


def test_a_usage_entry_leaves_out_what_was_never_reported() -> None:
    usage = UsageSummary.of([UsageEntry("openai", "gpt", 10, 5, updated_at=NOW)])
    assert write_usage(usage) == (
        '[{"provider":"openai","model":"gpt","prompt_tokens":10,"completion_tokens":5,'
        '"total_tokens":15,"agent_ids":[],"updated_at":"2026-01-31T12:00:00.000001+00:00"}]'
    )
    assert read_usage(write_usage(usage)) == usage


def test_times_within_usage_are_read_in_the_zone_they_were_written_in() -> None:
    captured = datetime(2026, 1, 31, tzinfo=timezone(timedelta(0)))
    usage = UsageSummary.of([UsageEntry("openai", "gpt", captured_at=captured)])
    (entry,) = read_usage(write_usage(usage)).entries
    assert entry.captured_at == captured
    assert entry.captured_at is not None
    assert entry.captured_at.tzinfo is UTC


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)
def test_stores_of_one_codec_share_what_is_compiled(entity: Entity[Any, Any]) -> None:
    again = Rows(ROWS.codec)
    assert again.decoder(entity) is ROWS.decoder(entity)
    assert again.encoder(entity) is ROWS.encoder(entity)
