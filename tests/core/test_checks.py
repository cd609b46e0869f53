"""Whole arguments against the value domain: every field refused with its path (contract 1.4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from itertools import product
from typing import Any

import attrs
import pytest

from engine_store.errors import InvalidReferenceError, InvalidValueError
from engine_store.models import (
    TERMINAL,
    ApiKey,
    ApiKeyFilter,
    Component,
    ErrorInfo,
    ExecutionType,
    Role,
    Status,
    TaskFilter,
    TaskState,
    UsageEntry,
    UsageSummary,
    User,
    UserFilter,
    WorkflowFilter,
    WorkflowState,
)
from engine_store.rules.checks import (
    PURGED_BY_DEFAULT,
    check_model,
    check_purge,
    check_usage,
)
from engine_store.rules.entities import TASK as TASKS

NOW = datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC)
NAIVE = NOW.replace(tzinfo=None)
ELSEWHERE = NOW.astimezone(timezone(timedelta(hours=2)))


class Other(StrEnum):
    """Has the texts of the real enumerations, and is none of them."""

    ADMIN = "admin"
    RUNNING = "RUNNING"
    TASK = "task"
    BASIC = "basic"


class Name(str):
    __slots__ = ()


@attrs.frozen
class Bad:
    """An illegal value of a field, and how the path goes on behind the field's name."""

    value: Any
    path: str = ""


def each(*values: object) -> list[Bad]:
    return [Bad(value) for value in values]


OPTIONAL_ID = each("", "x" * 256, "nul\0", "\ud800", 7, b"id", Name("id"))
ID = [*OPTIONAL_ID, Bad(None)]
OPTIONAL_TIME = each(NAIVE, ELSEWHERE, "2024-05-06T07:08:09Z", NOW.date(), 0)
TIME = [*OPTIONAL_TIME, Bad(None)]
COUNT = each(-1, 2**63, True, 1.0, "1", None)
OPTIONAL_COUNT = each(-1, 2**63, True, 1.0, "1")
VERSION = COUNT
DOCUMENT = [
    *each([], (), "text", 0, Name("x")),
    Bad({"a": math.nan}, ".a"),
    Bad({"a": [{"b": ()}]}, ".a[0].b"),
    Bad({1: "a"}),
]
ERROR = [
    *each("failed", {"message": "failed"}, ValueError("failed")),
    Bad(ErrorInfo(None), ".message"),
    Bad(ErrorInfo("nul\0"), ".message"),
    Bad(ErrorInfo("m", code=7), ".code"),
    Bad(ErrorInfo("m", code="\udfff"), ".code"),
    Bad(ErrorInfo("m", details=[]), ".details"),
    Bad(ErrorInfo("m", details={"at": NOW}), ".details.at"),
]
IDS = [*each("id", 7, b"id"), Bad(["ok", ""], "[1]"), Bad([None], "[0]")]
STATUSES = [*each("RUNNING", 7, Status.FAILED), Bad([Status.FAILED, "FAILED"], "[1]")]


def bad_entry(path: str = "", **fields: Any) -> Bad:
    entry = attrs.evolve(UsageSummary.of([UsageEntry("p", "m")]).entries[0], **fields)
    return Bad(UsageSummary((entry,)), f".entries[0]{path}")


USAGE = [
    *each(None, (), {}, [UsageEntry("p", "m")]),
    Bad(UsageSummary([]), ".entries"),
    Bad(UsageSummary(None), ".entries"),
    Bad(UsageSummary([UsageEntry("p", "m")]), ".entries"),
    Bad(UsageSummary(("entry",)), ".entries[0]"),
    *(
        bad_entry(f".{name}", **{name: bad.value})
        for names, values in (
            (("provider", "model"), ID),
            (("source",), OPTIONAL_ID),
            (("prompt_tokens", "completion_tokens"), COUNT),
            (
                (
                    "total_tokens",
                    "reasoning_tokens",
                    "cached_prompt_tokens",
                    "input_audio_tokens",
                    "output_audio_tokens",
                ),
                OPTIONAL_COUNT,
            ),
            (("captured_at", "updated_at"), OPTIONAL_TIME),
        )
        for name in names
        for bad in values
    ),
    *(bad_entry(".agent_ids", agent_ids=value) for value in (None, 7, "agent", ["agent"], {"a"})),
    *(
        bad_entry(".agent_ids[1]", agent_ids=("ok", bad))
        for bad in ("", "x" * 256, "nul\0", 7, None)
    ),
]
PAYLOAD = {
    "status": each("RUNNING", Other.RUNNING, Component.TASK, None),
    "input": DOCUMENT,
    "output": DOCUMENT,
    "error": ERROR,
    "usage": USAGE,
    "version": VERSION,
    "created_at": TIME,
    "updated_at": TIME,
}

USER = User("u", "ada@example.org")
KEY = ApiKey("k", "u", "prefix", b"f" * 32, b"hash")
WORKFLOW = WorkflowState("we", "w")
TASK = TaskState("we", "te", "t", "w")

Check = Callable[..., None]
FIELDS: list[tuple[str, Any, dict[str, list[Bad]]]] = [
    (
        "user",
        USER,
        {
            "user_id": ID,
            "email": each("", "ada", "a b@c", "nul\0@c", "\ud800@c", None, 7, "a" * 320 + "@c"),
            "role": each("admin", Other.ADMIN, Status.FAILED, None),
            "version": VERSION,
            "created_at": TIME,
            "updated_at": TIME,
        },
    ),
    (
        "key",
        KEY,
        {
            "key_id": ID,
            "user_id": ID,
            "prefix": ID,
            "fingerprint": each(b"", b"f" * 31, b"f" * 33, "f" * 32, bytearray(32), None),
            "hash": each(b"", "hash", bytearray(b"hash"), None),
            "created_at": TIME,
            "last_used": OPTIONAL_TIME,
        },
    ),
    ("workflow", WORKFLOW, {"workflow_exec_id": ID, "workflow_id": ID, **PAYLOAD}),
    (
        "task",
        TASK,
        {
            "workflow_exec_id": ID,
            "task_exec_id": ID,
            "task_id": ID,
            "workflow_id": ID,
            "component": each("task", Other.TASK, ExecutionType.BASIC, None),
            "execution_type": each("basic", Other.BASIC, Component.TASK, None),
            "parent_state_id": OPTIONAL_ID,
            "agent_id": OPTIONAL_ID,
            "action_id": OPTIONAL_ID,
            "tool_id": OPTIONAL_ID,
            "queue": ID,
            "priority": each(-101, 101, True, 1.0, "1", None),
            "due_at": OPTIONAL_TIME,
            "attempt": each(-1, 2**63, True, 1.0, None),
            **PAYLOAD,
        },
    ),
    (
        "filter",
        UserFilter(),
        {"role": each("admin", Other.ADMIN, Status.FAILED, [Role.ADMIN])},
    ),
    ("filter", ApiKeyFilter(), {"user_id": OPTIONAL_ID}),
    (
        "filter",
        WorkflowFilter(),
        {
            "workflow_id": OPTIONAL_ID,
            "statuses": STATUSES,
            "workflow_exec_ids": IDS,
            "created_from": OPTIONAL_TIME,
            "created_before": OPTIONAL_TIME,
        },
    ),
    (
        "filter",
        TaskFilter(),
        {
            "workflow_exec_id": OPTIONAL_ID,
            "statuses": STATUSES,
            "task_exec_ids": IDS,
            "task_id": OPTIONAL_ID,
            "parent_state_id": OPTIONAL_ID,
            "agent_id": OPTIONAL_ID,
            "action_id": OPTIONAL_ID,
            "tool_id": OPTIONAL_ID,
            "execution_type": each("basic", Other.BASIC, Component.TASK),
        },
    ),
]


def cases() -> Iterator[object]:
    for argument, model, fields in FIELDS:
        for name, values in fields.items():
            for number, bad in enumerate(values):
                label = f"{type(model).__name__}.{name}{bad.path}-{number}"
                yield pytest.param(
                    argument, attrs.evolve(model, **{name: bad.value}), name, bad, id=label
                )


def refusal(check: Check, *arguments: object) -> InvalidValueError:
    with pytest.raises(InvalidValueError) as caught:
        check(*arguments)
    return caught.value


@pytest.mark.parametrize(("argument", "model", "name", "bad"), list(cases()))
def test_a_field_outside_the_domain_is_refused_with_its_path(argument, model, name, bad):
    error = refusal(check_model, model, type(model), argument)
    assert error.path == f"{argument}.{name}{bad.path}"


@pytest.mark.parametrize(("argument", "model", "fields"), FIELDS)
def test_no_field_is_forgotten(argument, model, fields):
    read_only = {"tasks"}  # filled by reads, ignored by writes
    assert set(fields) == {field.name for field in attrs.fields(type(model))} - read_only


@pytest.mark.parametrize(("argument", "model", "fields"), FIELDS)
def test_the_argument_is_of_exactly_its_class(argument, model, fields):
    kind = type(model)
    derived = attrs.make_class("Derived", [], bases=(kind,), frozen=True)
    other = TASK if model is WORKFLOW else WORKFLOW
    same = derived(**attrs.asdict(model, recurse=False))
    for value in (None, {}, other, same, kind):
        error = refusal(check_model, value, kind, argument)
        assert error.path == argument
        assert error.reason == f"expected {kind.__name__}, found {type(value).__name__}"


FULL_USAGE = UsageSummary.of(
    [
        UsageEntry("p", "m", 2**63 - 1, 0, 0, 1, 2, 3, 4, ("b", "a"), NOW, NOW, "SDK"),
        UsageEntry("p", "m"),
        UsageEntry("p", "n", agent_ids=("agent",)),
    ]
)
FULL_PAYLOAD = {
    "status": Status.TIMED_OUT,
    "input": {},
    "output": {"deep": [{"er": None}]},
    "error": ErrorInfo("", code="", details={"at": [1, 2.5]}),
    "usage": FULL_USAGE,
    "version": 2**63 - 1,
    "created_at": NOW,
    "updated_at": NOW,
}


@pytest.mark.parametrize(
    "model",
    [
        *(model for _, model, _ in FIELDS),
        User("u", "Ada@B", Role.ADMIN, 7, NOW, NOW),
        ApiKey("k", "u", "p", b"\0" * 32, b"\0", NOW, NOW),
        WorkflowState("é" * 255, "w", **FULL_PAYLOAD, tasks={"ignored": None}),
        TaskState("we", "te", "t", "w", parent_state_id="p", tool_id="tool", **FULL_PAYLOAD),
        UserFilter(Role.USER),
        ApiKeyFilter("u"),
        WorkflowFilter("w", {Status.FAILED}, ["a", "b"], NOW, NOW),
        WorkflowFilter(statuses=[], workflow_exec_ids=()),
        TaskFilter("we", [], {"a"}, "t", "p", "a", "c", "o", ExecutionType.WAIT),
    ],
)
def test_what_is_inside_the_domain_passes_unchanged(model):
    before = repr(model)
    check_model(model, type(model), "it")
    assert repr(model) == before


# --- contract 6: tasks -------------------------------------------------------------------------


def may_run(execution_type: ExecutionType, named: set[str]) -> bool:
    """Contract 6.2, read literally."""
    if execution_type is ExecutionType.BASIC:
        return named in ({"agent_id", "action_id"}, {"tool_id"}, set())
    if execution_type is ExecutionType.ROUTER:
        return named == set()
    return True


@pytest.mark.parametrize("execution_type", list(ExecutionType))
@pytest.mark.parametrize(("agent", "action", "tool"), list(product([None, "x"], repeat=3)))
def test_who_may_run_a_task_of_each_execution_type(execution_type, agent, action, tool):
    actors = {"agent_id": agent, "action_id": action, "tool_id": tool}
    task = attrs.evolve(TASK, execution_type=execution_type, **actors)
    if may_run(execution_type, {name for name, value in actors.items() if value}):
        TASKS.check(task)
    else:
        error = refusal(TASKS.check, task)
        assert error.path == "task"
        assert execution_type.value in error.reason


def test_a_task_is_not_its_own_parent():
    with pytest.raises(InvalidReferenceError) as caught:
        TASKS.check(attrs.evolve(TASK, parent_state_id=TASK.task_exec_id))
    assert caught.value.entity == "task execution"
    assert caught.value.field == "parent_state_id"
    assert caught.value.key == TASK.task_exec_id


def test_values_are_refused_before_references():
    task = attrs.evolve(TASK, parent_state_id=TASK.task_exec_id, output={"a": math.nan})
    assert refusal(TASKS.check, task).path == "task.output.a"


# --- contract 7: usage -------------------------------------------------------------------------

ENTRY = UsageEntry("p", "m", total_tokens=0)


@pytest.mark.parametrize(
    "entries",
    [
        (UsageEntry("p", "m"),),  # the total is missing
        (UsageEntry(" p", "m", total_tokens=0),),
        (UsageEntry("p", "m\t", total_tokens=0),),
        (UsageEntry("p", "m", total_tokens=0, source="SDK"),),
        (UsageEntry("p", "m", total_tokens=0, agent_ids=("b", "a")),),
        (UsageEntry("p", "m", total_tokens=0, agent_ids=("a", "a")),),
        (ENTRY, ENTRY),
        (UsageEntry("q", "m", total_tokens=0), ENTRY),
    ],
)
def test_usage_that_is_not_in_canonical_form_is_refused_with_the_way_to_it(entries):
    usage = UsageSummary(entries)
    error = refusal(check_usage, usage)
    assert error.path == "usage"
    assert "UsageSummary.of(entries)" in error.reason
    check_usage(UsageSummary.of(entries))


@pytest.mark.parametrize("name", ["provider", "model"])
def test_a_name_of_blanks_alone_is_no_name(name):
    usage = UsageSummary.of([attrs.evolve(ENTRY, **{name: "  "})])
    assert refusal(check_usage, usage).path == f"usage.entries[0].{name}"


def test_a_sum_beyond_64_bits_is_refused():
    most = UsageSummary.of([UsageEntry("p", "m", prompt_tokens=2**63 - 1)])
    check_usage(most)
    both = most.merge(UsageSummary.of([UsageEntry("p", "m", prompt_tokens=1)]))
    assert refusal(check_usage, both).path == "usage.entries[0].prompt_tokens"


# --- contract 5.6: purge -----------------------------------------------------------------------


def test_purge_takes_a_time_statuses_and_a_batch_size():
    check_purge(NOW, PURGED_BY_DEFAULT, 1)
    check_purge(NOW, [], 1000)
    check_purge(NOW, set(Status), 100)


def test_purge_takes_only_terminal_workflows_unless_told_otherwise():
    assert set(PURGED_BY_DEFAULT) == TERMINAL
    assert len(PURGED_BY_DEFAULT) == 4


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        *(((bad.value, [], 1), "older_than") for bad in TIME),
        *(((NOW, bad.value, 1), f"statuses{bad.path}") for bad in STATUSES),
        ((NOW, None, 1), "statuses"),
        *(((NOW, [], size), "batch_size") for size in (0, -1, 1001, True, None, "1", 1.0)),
    ],
)
def test_any_other_argument_of_purge_is_refused(arguments, path):
    assert refusal(check_purge, *arguments).path == path
