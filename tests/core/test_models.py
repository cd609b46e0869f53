"""The models: frozen, equal by value, and silent about secrets."""

from __future__ import annotations

import copy
import pickle

import attrs
import pytest

from engine_store import models
from engine_store.clock import UNSAVED
from engine_store.models import (
    TERMINAL,
    ApiKey,
    Component,
    ErrorInfo,
    ExecutionType,
    Health,
    Page,
    Role,
    Status,
    Strategy,
    TaskState,
    UsageEntry,
    UsageSummary,
    User,
    WorkflowState,
)

ENUMERATIONS = {
    Status: "PENDING RUNNING SUCCESS FAILED TIMED_OUT CANCELED WAITING PAUSED",
    Component: "workflow task agent tool log",
    ExecutionType: "basic router parallel collection composite wait signal aggregate memory",
    Strategy: "wait_all fail_fast best_effort race",
    Role: "admin user",
}
STATES = [
    User("u", "a@b"),
    ApiKey("k", "u", "p", b"f" * 32, b"h"),
    WorkflowState("we", "w", output={"a": 1}, error=ErrorInfo("m")),
    TaskState("we", "te", "t", "w", usage=UsageSummary.of([UsageEntry("p", "m", 1)])),
]


@pytest.mark.parametrize(("enumeration", "texts"), ENUMERATIONS.items())
def test_the_members_of_an_enumeration_equal_their_texts(enumeration, texts):
    assert list(enumeration) == texts.split()
    assert [str(member) for member in enumeration] == texts.split()


def test_terminal_is_what_nothing_follows():
    assert {"SUCCESS", "FAILED", "TIMED_OUT", "CANCELED"} == TERMINAL


def test_every_model_is_frozen():
    enumerations = {enumeration.__name__ for enumeration in ENUMERATIONS}
    for name in set(models.__all__) - enumerations - {"TERMINAL"}:
        model = getattr(models, name)
        first = attrs.fields(model)[0].name
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(model.__new__(model), first, "other")


@pytest.mark.parametrize("state", STATES)
def test_a_state_equals_another_with_the_same_values(state):
    assert attrs.evolve(state) == state
    assert copy.deepcopy(state) == state
    assert pickle.loads(pickle.dumps(state)) == state


def test_what_the_store_sets_is_unset_in_a_new_state():
    for state in (User("u", "a@b"), WorkflowState("we", "w"), TaskState("we", "te", "t", "w")):
        assert (state.version, state.created_at, state.updated_at) == (0, UNSAVED, UNSAVED)
    for state in (WorkflowState("we", "w"), TaskState("we", "te", "t", "w")):
        assert state.status is Status.PENDING
        assert (state.input, state.output, state.error) == (None, None, None)
        assert state.usage == UsageSummary()


def test_the_repr_of_a_key_shows_neither_fingerprint_nor_hash():
    key = ApiKey("k", "u", "p", b"S3CRET" * 5 + b"xx", b"S3CRET")
    assert "S3CRET" not in repr(key)
    assert repr(key).startswith("ApiKey(key_id='k', user_id='u', prefix='p', created_at=")


@pytest.mark.parametrize(
    ("can_read", "can_write", "ok"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_a_store_is_well_if_it_can_read_and_write(can_read, can_write, ok):
    assert Health("sqlite", can_read, can_write, 1).ok is ok


def test_a_page_without_cursor_is_the_last():
    assert Page((1, 2)).next_cursor is None
