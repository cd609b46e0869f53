"""The models: frozen, equal by value, and silent about secrets."""

from __future__ import annotations

import copy
import pickle
import re
from typing import get_args, get_type_hints

import attrs
import mypy.api as mypy
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
    for name in (
        set(models.__all__) - enumerations - {"TERMINAL", "DEFAULT_QUEUE", "STATUS_CHANGED"}
    ):
        model = getattr(models, name)
        first = attrs.fields(model)[0].name
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(model.__new__(model), first, "other")


@pytest.mark.parametrize("state", STATES)
def test_a_state_equals_another_with_the_same_values(state):
    assert attrs.evolve(state) == state
    assert copy.deepcopy(state) == state
    assert pickle.loads(pickle.dumps(state)) == state


@pytest.mark.parametrize("model", [User, TaskState, WorkflowState])
def test_evolve_takes_the_fields_of_its_model(model):
    changes = get_type_hints(model.evolve)["changes"]
    (fields,) = get_args(changes)
    assert get_type_hints(fields) == get_type_hints(model)
    assert fields.__required_keys__ == frozenset()


def test_evolve_makes_a_changed_copy():
    task = TaskState("we", "te", "t", "w")
    assert task.evolve(status=Status.RUNNING, version=2) == TaskState(
        "we", "te", "t", "w", status=Status.RUNNING, version=2
    )
    assert task == TaskState("we", "te", "t", "w")
    with pytest.raises(TypeError, match="statuss"):
        task.evolve(statuss=Status.RUNNING)


EVOLVED = """
from engine_store import Role, Status, TaskState, User, WorkflowState


def evolve(task: TaskState, workflow: WorkflowState, user: User) -> None:
    right: tuple[TaskState, WorkflowState, User] = (
        task.evolve(status=Status.RUNNING, output={"a": 1}, parent_state_id=None),
        workflow.evolve(status=Status.PAUSED, tasks={"t": task}),
        user.evolve(role=Role.ADMIN),
    )
    task.evolve(statuss=Status.RUNNING)
    task.evolve(status="RUNNING")
    workflow.evolve(statuss=Status.RUNNING)
    workflow.evolve(status="RUNNING")
    user.evolve(rolle=Role.ADMIN)
    user.evolve(role="admin")
"""


def test_a_type_checker_refuses_a_wrong_change(tmp_path):
    snippet = tmp_path / "snippet.py"
    snippet.write_text(EVOLVED)
    out, _, _ = mypy.run(
        [
            "--strict",
            "--config-file=",
            f"--cache-dir={tmp_path}",
            "--hide-error-context",
            str(snippet),
        ]
    )
    assert re.findall(r"snippet.py:(\d+): error: .*\[(.*)\]", out) == [
        ("11", "call-arg"),
        ("12", "arg-type"),
        ("13", "call-arg"),
        ("14", "arg-type"),
        ("15", "call-arg"),
        ("16", "arg-type"),
    ]


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


def test_a_model_whose_annotations_were_resolved_is_stored_and_read_as_before(run_python):
    # As cattrs does, for the command line, for exports and for whoever uses it with the models.
    printed = run_python(
        """
        import attrs, engine_store
        from engine_store.models import TaskState, User, WorkflowState

        for model in (User, WorkflowState, TaskState):
            attrs.resolve_types(model)
        with engine_store.open("sqlite:///:memory:") as store:
            made = store.workflows.create(WorkflowState("w", "report", input={"a": 1}))
            found = store.workflows.get("w")
        print(found == made, type(found.created_at).__name__, found.input)
        """
    )
    assert printed == "True datetime {'a': 1}"
