"""How a workflow ends: status, output and error by its root tasks (contract 5.5)."""

from __future__ import annotations

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_store.errors import WorkflowNotReadyError
from engine_store.models import (
    TERMINAL,
    ErrorInfo,
    ExecutionType,
    Status,
    TaskState,
    UsageEntry,
    UsageSummary,
    WorkflowState,
)
from engine_store.rules.entities import WORKFLOW
from engine_store.rules.outcomes import OUTPUT_TRANSFORMATION_FAILED, completed

ROOT = TaskState("we", "te-1", "root", "w", status=Status.SUCCESS, output={"n": 1})
CHILD = TaskState(
    "we",
    "te-2",
    "child",
    "w",
    execution_type=ExecutionType.ROUTER,
    status=Status.FAILED,
    parent_state_id="te-1",
)
EMPTY = TaskState("we", "te-3", "empty", "w", status=Status.SUCCESS, output={})
STATE = WorkflowState(
    "we",
    "w",
    status=Status.RUNNING,
    input={"in": True},
    output={"old": True},
    error=ErrorInfo("old"),
    usage=UsageSummary.of([UsageEntry("p", "m", 1)]),
    version=7,
    tasks={"root": ROOT, "child": CHILD, "empty": EMPTY},
)
DEFAULT_OUTPUT = {
    "root": {"output": {"n": 1}, "parent_state_id": None, "execution_type": "basic"},
    "child": {"output": None, "parent_state_id": "te-1", "execution_type": "router"},
    "empty": {"output": {}, "parent_state_id": None, "execution_type": "basic"},
}
SUCCEEDED = {"root": Status.SUCCESS, "empty": Status.SUCCESS}


@pytest.mark.parametrize(
    ("roots", "status"),
    [
        ([Status.SUCCESS], Status.SUCCESS),
        ([Status.SUCCESS, Status.SUCCESS], Status.SUCCESS),
        ([Status.FAILED], Status.FAILED),
        ([Status.TIMED_OUT], Status.FAILED),
        ([Status.CANCELED], Status.CANCELED),
        ([Status.SUCCESS, Status.FAILED], Status.FAILED),
        ([Status.SUCCESS, Status.TIMED_OUT], Status.FAILED),
        ([Status.SUCCESS, Status.CANCELED], Status.CANCELED),
        ([Status.CANCELED, Status.FAILED], Status.FAILED),
        ([Status.CANCELED, Status.TIMED_OUT, Status.SUCCESS], Status.FAILED),
        ([], Status.SUCCESS),
    ],
)
@pytest.mark.parametrize("transform", [None, lambda state: {"made": state.workflow_id}])
def test_the_status_follows_from_the_root_tasks(roots, status, transform):
    named = {f"task-{number}": root for number, root in enumerate(roots)}
    assert completed(STATE, named, transform).status is status


@given(st.lists(st.sampled_from(sorted(TERMINAL)), max_size=5))
def test_any_failure_outweighs_any_cancellation_and_that_any_success(roots):
    named = {f"task-{number}": root for number, root in enumerate(roots)}
    if Status.FAILED in roots or Status.TIMED_OUT in roots:
        expected = Status.FAILED
    elif Status.CANCELED in roots:
        expected = Status.CANCELED
    else:
        expected = Status.SUCCESS
    assert completed(STATE, named).status is expected


@pytest.mark.parametrize("status", sorted(set(Status) - TERMINAL))
def test_a_workflow_is_not_ready_while_a_root_task_is_not_terminal(status):
    called = []
    roots = {"z": status, "done": Status.FAILED, "a": Status.PENDING}
    with pytest.raises(WorkflowNotReadyError) as caught:
        completed(STATE, roots, called.append)
    assert caught.value.key == "we"
    assert caught.value.unfinished == ("a", "z")
    assert called == []


def test_only_status_and_output_change():
    ended = completed(STATE, SUCCEEDED)
    assert ended == attrs.evolve(STATE, status=Status.SUCCESS, output=DEFAULT_OUTPUT)


def test_by_default_the_output_is_that_of_every_task():
    assert completed(STATE, SUCCEEDED).output == DEFAULT_OUTPUT
    assert completed(attrs.evolve(STATE, tasks={}), {}).output == {}


def test_a_transform_makes_the_output_from_the_state_with_its_tasks():
    seen = []

    def transform(state):
        seen.append(state)
        return {"total": state.tasks["root"].output["n"]}

    ended = completed(STATE, SUCCEEDED, transform)
    assert seen == [STATE]
    assert ended == attrs.evolve(STATE, status=Status.SUCCESS, output={"total": 1})


@pytest.mark.parametrize("output", [None, {}])
def test_a_transform_may_make_no_output_or_an_empty_one(output):
    ended = completed(STATE, SUCCEEDED, lambda _: output)
    assert ended.status is Status.SUCCESS
    assert ended.output == output


def test_a_transform_may_come_with_a_failed_workflow():
    ended = completed(STATE, {"root": Status.FAILED}, lambda _: {"partial": 1})
    assert ended == attrs.evolve(STATE, status=Status.FAILED, output={"partial": 1})


@pytest.mark.parametrize("root", sorted(TERMINAL))
def test_a_transform_that_raises_fails_the_workflow(root):
    def transform(state):
        raise KeyError("total")

    ended = completed(STATE, {"root": root}, transform)
    assert ended == attrs.evolve(
        STATE,
        status=Status.FAILED,
        output=DEFAULT_OUTPUT,
        error=ErrorInfo("'total'", OUTPUT_TRANSFORMATION_FAILED, {"type": "KeyError"}),
    )


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ([1], "output: expected dict or None, found list"),
        ("text", "output: expected dict or None, found str"),
        ({"at": {1, 2}}, "output.at: expected a JSON value, found set"),
        ({"rate": float("nan")}, "output.rate: expected a finite float, found nan"),
    ],
)
def test_a_transform_that_makes_no_document_fails_the_workflow(output, message):
    ended = completed(STATE, SUCCEEDED, lambda _: output)
    assert ended.status is Status.FAILED
    assert ended.output == DEFAULT_OUTPUT
    assert ended.error == ErrorInfo(
        message, OUTPUT_TRANSFORMATION_FAILED, {"type": "InvalidValueError"}
    )


def test_an_output_that_is_too_large_fails_the_workflow_with_its_size():
    state = attrs.evolve(STATE, tasks={"root": ROOT.evolve(output={"text": "x" * 2000})})
    size = len(orjson.dumps(completed(state, SUCCEEDED).output))
    assert completed(state, SUCCEEDED, max_document_bytes=size).status is Status.SUCCESS
    ended = completed(state, SUCCEEDED, max_document_bytes=size - 1)
    assert (ended.status, ended.output) == (Status.FAILED, None)
    assert ended.error.code == OUTPUT_TRANSFORMATION_FAILED
    assert f"at most {size - 1} bytes" in ended.error.message
    assert f"found {size}" in ended.error.message
    assert ended.error.details == {"type": "InvalidValueError"}


def test_a_transform_may_make_an_output_that_fits():
    ended = completed(STATE, SUCCEEDED, lambda state: {"n": 1}, max_document_bytes=10)
    assert (ended.status, ended.output) == (Status.SUCCESS, {"n": 1})


def test_an_error_of_a_transform_is_kept_though_no_output_is():
    ended = completed(STATE, SUCCEEDED, lambda state: 1 / 0, max_document_bytes=10**2)
    assert (ended.status, ended.output) == (Status.FAILED, None)
    assert ended.error.details == {"type": "ZeroDivisionError"}


@pytest.mark.parametrize("text", ["x", "\x01", "\0", "\ud800", '"', "\U00010000"])
def test_the_text_of_an_exception_is_cut_to_what_a_store_takes(text):
    def transform(state):
        raise type("E" * 10**6, (Exception,), {})(text * 10**6)

    ended = completed(STATE, SUCCEEDED, transform, max_document_bytes=2**16)
    assert len(ended.error.message) >= 2**13
    WORKFLOW.check_sizes(ended, 2**16)


def test_what_a_transform_changes_later_is_not_in_the_output():
    output = {"a": [1]}
    ended = completed(STATE, SUCCEEDED, lambda state: output)
    output["a"].append(2)
    assert ended.output == {"a": [1]}


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError(), "ValueError"),
        (ValueError("nul \0 and \ud800"), "nul \\0 and \\ud800"),
        (ValueError("größer 🜛"), "größer 🜛"),
        (Unspeakable(), "Unspeakable"),
    ],
)
def test_the_text_of_any_exception_is_brought_into_the_value_domain(error, message):
    def transform(state):
        raise error

    ended = completed(STATE, SUCCEEDED, transform)
    assert ended.error.message == message
    assert ended.error.details == {"type": type(error).__name__}
    WORKFLOW.check(ended)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_comes_out_of_a_transform(stop):
    def transform(state):
        raise stop

    with pytest.raises(stop):
        completed(STATE, SUCCEEDED, transform)
