"""Hypothesis strategies for what may be stored, and for what may not.

Ids come from small pools, so that what is generated collides; documents are as hostile as the
contract allows.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
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
from engine_store.values import INT_MAX, INT_MIN, MAX_VERSION
from engine_store_contracts.clock import START

# --- values ------------------------------------------------------------------------------------

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")

texts = st.one_of(
    st.sampled_from(
        ["", "a", "A", "e\u0301", "\u00e9", "\U0001f600", '"\\/\n', "null", "\u2028", "\uffff"]
    ),
    st.text(characters, max_size=12),
)

integers = st.one_of(
    st.sampled_from([0, 1, -1, 2**53 + 1, INT_MAX, INT_MIN]), st.integers(INT_MIN, INT_MAX)
)

floats = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1e17, 5e-324, 1.7976931348623157e308, 2.0**63]),
    st.floats(allow_nan=False, allow_infinity=False),
)

scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts)

json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)

documents = st.dictionaries(texts, json_values, max_size=3)

optional_documents = st.none() | documents

error_infos = st.builds(ErrorInfo, texts, st.none() | texts, optional_documents)

times = st.integers(-3, 3).map(lambda seconds: START + timedelta(seconds=seconds))

saved_fields = st.fixed_dictionaries(
    {
        "version": st.sampled_from([0, 1, 2, 3, MAX_VERSION - 1000]),
        "created_at": st.just(UNSAVED) | times,
        "updated_at": st.just(UNSAVED) | times | times.map(lambda time: time + timedelta(days=1)),
        "attempt": st.integers(0, 2),
    }
)
"""What a store sets of a state; not all of it can be restored."""

statuses = st.sampled_from(Status)

# --- ids: small pools, so that they collide ----------------------------------------------------

user_ids = st.sampled_from(["ann", "Ann", "b"])
key_ids = st.sampled_from(["key", "KEY", "k\u00e9"])
workflow_exec_ids = st.sampled_from(["w", "W", "w", "W", "\U0001f600"])
workflow_ids = st.sampled_from(["report", "Report"])
task_exec_ids = st.sampled_from(["t1", "t2", "t3", "t4", "T1", "\uff5a", "\U00010000"])
prefixes = st.sampled_from(["p1", "p2", "P1"])
fingerprints = st.sampled_from([b"\x00" * 32, b"\xff" * 32, bytes(range(32))])
task_ids = st.sampled_from(["draft", "check"])
agent_ids = st.sampled_from(["writer", "Writer"])
action_ids = st.just("write")
tool_ids = st.sampled_from(["search", "SEARCH"])

queues = st.sampled_from(["default", "default", "Default", "x"])
workers = st.sampled_from(["ann", "bob"])
priorities = st.sampled_from([0, 0, 1, -100, 100])
seconds = st.sampled_from([1, 2.5, 10])

event_kinds = st.sampled_from(["started", "token"])
event_keys = st.sampled_from(["once", "Once", "again"])

emails = st.sampled_from(
    ["ann@example.org", "ANN@Example.org", "stra\u00dfe@x", "STRASSE@x", "\u0131@x", "I@x"]
)

# --- states ------------------------------------------------------------------------------------

users = st.builds(User, user_ids, emails, st.sampled_from(Role))

api_keys = st.builds(
    ApiKey,
    key_ids,
    user_ids,
    prefix=prefixes,
    fingerprint=fingerprints,
    hash=st.binary(min_size=1, max_size=4),
    last_used=st.none() | times,
)

counts = st.integers(0, 1000) | st.integers(0, 10) | st.sampled_from([INT_MAX, INT_MAX // 2])
optional_counts = st.none() | counts

usage_entries = st.builds(
    UsageEntry,
    provider=st.sampled_from(["openai", " openai ", "OpenAI"]),
    model=st.sampled_from(["gpt", "claude"]),
    prompt_tokens=counts,
    completion_tokens=st.integers(0, 10),
    total_tokens=optional_counts,
    reasoning_tokens=optional_counts,
    cached_prompt_tokens=optional_counts,
    agent_ids=st.lists(agent_ids, max_size=2).map(tuple),
    captured_at=st.none() | times,
    updated_at=st.none() | times,
    source=st.sampled_from([None, "api", "API", "stra\u00dfe", "STRASSE"]),
)

usages = st.lists(usage_entries, max_size=3).map(UsageSummary.of)
"""Canonical summaries; some have sums beyond 64 bits, which a store refuses."""

workflows = st.builds(
    WorkflowState,
    workflow_exec_ids,
    workflow_ids,
    statuses,
    input=optional_documents,
    output=optional_documents,
    error=st.none() | error_infos,
    usage=st.just(UsageSummary()) | usages,
)

actors = st.sampled_from(
    [
        {},
        {"agent_id": "writer", "action_id": "write"},
        {"agent_id": "Writer", "action_id": "write"},
        {"tool_id": "search"},
        {"tool_id": "SEARCH"},
        {"agent_id": "writer"},
    ]
)
"""Who runs a task. The last is not for basic tasks, and a router has none: refused by a store."""

tasks = st.builds(
    lambda state, given: attrs.evolve(state, **given),
    st.builds(
        TaskState,
        workflow_exec_id=workflow_exec_ids,
        task_exec_id=task_exec_ids,
        task_id=task_ids,
        workflow_id=workflow_ids,
        component=st.sampled_from(Component),
        execution_type=st.just(ExecutionType.BASIC) | st.sampled_from(ExecutionType),
        status=statuses,
        parent_state_id=st.none() | task_exec_ids,
        queue=queues,
        priority=priorities,
        due_at=st.none() | times,
        input=optional_documents,
        output=optional_documents,
        error=st.none() | error_infos,
        usage=st.just(UsageSummary()) | usages,
    ),
    actors,
)

# --- what may not be stored --------------------------------------------------------------------

illegal_ids: st.SearchStrategy[Any] = st.sampled_from(
    ["", "x" * 256, "a\0", "\ud800", None, 7, b"id", True]
)

illegal_scalars: st.SearchStrategy[Any] = st.sampled_from(
    [
        float("nan"),
        float("inf"),
        2**63,
        -(2**63) - 1,
        "a\0",
        "\udfff",
        (),
        {1, 2},
        b"x",
        1j,
        {1: 2},
        {"\0": 1},
        START,
    ]
)


@st.composite
def illegal_documents(draw: st.DrawFn) -> Any:
    """A document with something illegal at a random place, or no document at all."""
    value = draw(illegal_scalars)
    for _ in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            value = {**draw(documents), draw(texts): value}
        else:
            value = [*draw(st.lists(scalars, max_size=2)), value]
    return value
