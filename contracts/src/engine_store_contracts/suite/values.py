"""Section 1: what is written is what is read, and what may not be written is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import attrs
import pytest

from engine_store.errors import WorkflowNotFoundError
from engine_store.models import (
    ErrorInfo,
    Status,
    TaskFilter,
    TaskState,
    UsageEntry,
    UsageSummary,
    WorkflowFilter,
    WorkflowState,
)
from engine_store.protocols import Store
from engine_store.values import Document
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.calls import CALLS_WITHOUT_AN_ID, outcomes
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, raises, refuses
from engine_store_contracts.suite.hostile import (
    BAD_DOCUMENTS,
    BAD_IDS,
    BAD_INTS,
    DOCUMENTS,
    IDS,
    TIMES,
    TWINS,
    in_every_field,
)
from engine_store_contracts.suite.samples import (
    CHOICES,
    KINDS,
    METERED,
    SAVED_FIELDS,
    Kind,
    api_key,
    child,
    each,
    fingerprint,
    rows_of_choices,
    task,
    user,
    workflow,
)

BAD_FIELDS: dict[str, tuple[Any, str]] = {
    "error message with NUL": (workflow(error=ErrorInfo("a\0")), "workflow.error.message"),
    "error code with surrogate": (workflow(error=ErrorInfo("a", "\ud800")), "workflow.error.code"),
    "error details": (workflow(error=ErrorInfo("a", None, {"x": {1}})), "workflow.error.details.x"),
    "error of another type": (workflow(error="it broke"), "workflow.error"),
    "status as text": (workflow(status="RUNNING"), "workflow.status"),
    "version as bool": (workflow(version=True), "workflow.version"),
    "version below zero": (workflow(version=-1), "workflow.version"),
    "naive created_at": (workflow(created_at=datetime(2024, 1, 1)), "workflow.created_at"),
    "updated_at elsewhere": (
        workflow(updated_at=datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2)))),
        "workflow.updated_at",
    ),
    "usage of None": (workflow(usage=None), "workflow.usage"),
    "a task": (task(), "workflow"),
    "None": (None, "workflow"),
}


READS: dict[str, Callable[[Store], Any]] = {
    "get": lambda s: s.tasks.get("t").output,
    "list": lambda s: s.tasks.list(TaskFilter(task_id="t")).items[0].output,
    "modify": lambda s: s.tasks.modify("t", lambda t: t).output,
    "update": lambda s: s.tasks.update(s.tasks.get("t")).output,
    "children": lambda s: s.tasks.children("parent")[0].output,
    "child": lambda s: s.tasks.child("parent", "t").output,
    "children_outputs": lambda s: s.tasks.children_outputs("parent")["t"],
    "in_workflow": lambda s: s.tasks.in_workflow("w")["t"].output,
    "tree": lambda s: s.tasks.tree("parent")[1].output,
    "workflow with tasks": lambda s: s.workflows.get("w", with_tasks=True).tasks["t"].output,
}


class ValueCases(ContractCase):
    """Contract 1."""

    @clause("1.1", "1.3")
    @pytest.mark.parametrize("text", IDS.values(), ids=IDS)
    def test_any_text_of_1_to_255_characters_is_an_id(self, store: Store, text: str) -> None:
        store.users.create(user(text, "ann@example.org"))
        store.workflows.create(WorkflowState(text, text))
        parent = store.tasks.create(TaskState(text, "parent", text, text))
        given = TaskState(
            text, text, text, text, parent_state_id="parent", agent_id=text, action_id=text
        )
        store.tasks.create(given)
        store.tasks.create(TaskState(text, "tool", "tool", text, tool_id=text))
        store.api_keys.create(api_key(text, text, prefix=text))

        assert store.users.get(text).user_id == text
        assert store.workflows.get(text).workflow_id == text
        found = store.tasks.get(text, workflow_exec_id=text)
        assert (found.task_id, found.agent_id, found.action_id) == (text, text, text)
        assert store.tasks.children("parent") == (found,)
        assert store.tasks.by_agent(text, text) == (found,)
        assert [t.task_exec_id for t in store.tasks.by_tool(text, text)] == ["tool"]
        assert parent.workflow_id == text
        assert store.api_keys.get_by_prefix(text).user_id == text

    @clause("1.1")
    @each(KINDS)
    @pytest.mark.parametrize("twins", TWINS.values(), ids=TWINS)
    def test_ids_that_look_alike_are_different(
        self, repository: Any, kind: Kind, twins: tuple[str, str]
    ) -> None:
        for key in twins:
            repository.create(kind.make(key))
        assert [kind.entity.key(repository.get(key)) for key in twins] == list(twins)

    @clause("1.1", "1.4")
    @pytest.mark.parametrize("bad", BAD_IDS.values(), ids=BAD_IDS)
    def test_what_is_no_id_is_refused(self, store: Store, bad: Any) -> None:
        with refuses("workflow_exec_id"):
            store.workflows.get(bad)
        with refuses("workflow.workflow_exec_id"):
            store.workflows.create(workflow(bad))
        with refuses("filter.workflow_exec_ids[1]"):
            store.workflows.list(WorkflowFilter(workflow_exec_ids=["good", bad]))

    @clause("1.4")
    @pytest.mark.parametrize("bad", BAD_INTS.values(), ids=BAD_INTS)
    def test_what_is_no_integer_is_refused(self, store: Store, bad: Any) -> None:
        calls: dict[str, Callable[[], object]] = {
            "limit": lambda: store.workflows.list(limit=bad),
            "max_depth": lambda: store.tasks.tree("t", max_depth=bad),
            "batch_size": lambda: store.workflows.purge(START, batch_size=bad),
            "expected_version": lambda: store.workflows.set_status(
                "w", Status.RUNNING, expected_version=bad
            ),
            "workflow.version": lambda: store.workflows.update(workflow(version=bad)),
            "usage.entries[0].prompt_tokens": lambda: store.tasks.merge_usage(
                "t", UsageSummary((UsageEntry("openai", "gpt", bad, 0, 0),))
            ),
        }
        for path, call in calls.items():
            with refuses(path):
                call()

    @clause("1.4")
    @pytest.mark.parametrize("bad", BAD_IDS.values(), ids=BAD_IDS)
    def test_no_text_that_is_no_id_is_a_cursor(self, store: Store, bad: Any) -> None:
        if bad is not None:
            with refuses("cursor"):
                store.workflows.list(cursor=bad)

    @clause("1.4")
    def test_every_call_refuses_a_bad_id_by_its_name(self, store: Store) -> None:
        with store.transaction() as tx:
            refused = outcomes(CALLS_WITHOUT_AN_ID, tx)
        paths = {name: getattr(error, "path", error) for name, error in refused.items()}
        assert paths == {name: name.split()[-1] for name in CALLS_WITHOUT_AN_ID}

    @clause("1.2", "1.3", "2.9")
    @pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
    def test_documents_come_back_to_the_type(self, store: Store, document: Document) -> None:
        given = in_every_field(document)
        for kind in METERED:
            repository = kind.repository(store)
            repository.create(attrs.evolve(kind.make("created"), **given))
            repository.restore(attrs.evolve(kind.exported("restored"), **given))
            for key in ("created", "restored"):
                found = repository.get(key)
                assert_same({name: getattr(found, name) for name in given}, given)

    @clause("1.2")
    @each(METERED)
    def test_absent_and_empty_documents_stay_apart(self, repository: Any, kind: Kind) -> None:
        repository.create(attrs.evolve(kind.make("x"), **in_every_field(None)))
        changes: list[Document | None] = [None, {}, None]
        for document in changes:
            given = in_every_field(document)
            repository.update(attrs.evolve(repository.get("x"), **given))
            found = repository.get("x")
            assert_same({name: getattr(found, name) for name in given}, given)

    @clause("1.4", "2.9")
    @pytest.mark.parametrize(("bad", "where"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
    def test_other_documents_are_refused_by_their_path(
        self, store: Store, bad: Any, where: str
    ) -> None:
        with refuses(f"workflow.input{where}"):
            store.workflows.create(workflow(input=bad))
        with refuses(f"workflow.input{where}"):
            store.workflows.restore(workflow(input=bad, **SAVED_FIELDS))
        with raises(WorkflowNotFoundError("w")):
            store.workflows.get("w")
        stored = store.workflows.create(workflow())
        with refuses(f"task.output{where}"):
            store.tasks.upsert(task(output=bad))
        with refuses(f"workflow.error.details{where}"):
            store.workflows.update(attrs.evolve(stored, error=ErrorInfo("a", details=bad)))
        assert_same(store.workflows.get("w", with_tasks=True), stored)

    @clause("1.4")
    @pytest.mark.parametrize(("bad", "path"), BAD_FIELDS.values(), ids=BAD_FIELDS)
    def test_fields_of_another_kind_are_refused(self, store: Store, bad: Any, path: str) -> None:
        stored = store.workflows.create(workflow())
        for write in (store.workflows.create, store.workflows.update, store.workflows.upsert):
            with refuses(path):
                write(bad)
        assert_same(store.workflows.list().items, (stored,))

    @clause("1.3", "4.1", "5.1", "6.3")
    @pytest.mark.parametrize(
        ("kind", "field", "choices"), CHOICES, ids=[f"{k.name}.{f}" for k, f, _ in CHOICES]
    )
    def test_every_choice_is_stored(
        self, repository: Any, kind: Kind, field: str, choices: type[StrEnum]
    ) -> None:
        for row, choice in zip(rows_of_choices(kind, field, choices), choices, strict=True):
            repository.create(row)
            assert getattr(repository.get(kind.entity.key(row)), field) is choice

    @clause("1.3", "2.3")
    def test_what_is_stored_shares_nothing_with_what_was_given(self, store: Store) -> None:
        document = {"a": [1]}
        store.workflows.create(workflow(input=document, error=ErrorInfo("a", details=document)))
        store.tasks.create(task(output=document))
        document["a"].append(2)

        assert store.workflows.get("w").input == {"a": [1]}
        assert store.workflows.get("w").error == ErrorInfo("a", details={"a": [1]})
        assert store.tasks.get("t").output == {"a": [1]}

    @clause("1.3")
    @pytest.mark.parametrize("read", READS)
    def test_what_is_read_shares_nothing_with_what_is_stored(self, store: Store, read: str) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task("parent"))
        store.tasks.create(child("t", "parent", output={"a": [1]}))
        output = READS[read](store)
        assert output == {"a": [1]}
        output["a"].append(2)
        assert READS[read](store) == {"a": [1]}

    @clause("1.5")
    @pytest.mark.parametrize("time", TIMES, ids=str)
    def test_times_keep_every_microsecond(
        self, store: Store, clock: ManualClock, time: datetime
    ) -> None:
        clock.time = time
        created = store.workflows.create(workflow())
        assert_same(created.created_at, time)
        found = store.workflows.get("w")
        assert_same((found.created_at, found.updated_at), (time, time))
        assert found.created_at.tzinfo is UTC
        assert store.workflows.list(WorkflowFilter(created_from=time)).items == (found,)
        assert store.workflows.list(WorkflowFilter(created_before=time)).items == ()

    @clause("1.5")
    def test_a_clock_of_another_zone_is_read_in_utc(self, store: Store, clock: ManualClock) -> None:
        clock.time = START.astimezone(timezone(timedelta(hours=5, minutes=30)))
        created = store.users.create(user())
        assert_same(created.created_at, START)
        assert created.created_at.utcoffset() == timedelta()
        assert store.users.get("ann").updated_at.utcoffset() == timedelta()

    @clause("1.7")
    def test_a_large_document_is_read_as_it_was_written(self, store: Store) -> None:
        given: Document = {"texts": ["été \U00010000 " * 1000] * 1000, "text": "x" * 9_000_000}
        expected = _digest(given)
        assert expected[0] > 20_000_000
        store.workflows.create(workflow(input=given))
        assert _digest(store.workflows.get("w").input) == expected
        created = store.tasks.create(task())
        store.tasks.update(attrs.evolve(created, output=given))
        assert _digest(store.tasks.get("t").output) == expected


def _digest(document: Document | None) -> tuple[int, bytes]:
    """Return the size of the document as JSON, and its SHA-256: to show both would take minutes."""
    text = json.dumps(document, ensure_ascii=False)
    return len(text.encode()), fingerprint(text)
