"""Sections 1.5, 1.7 and 1.8: what is stored of a value, and that it is nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

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
from engine_store.protocols import AsyncStore, Store
from engine_store.values import MAX_DOCUMENT_BYTES, Document
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.faces import Face
from engine_store_contracts.suite.asynchronous import asynchronous
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, refuses
from engine_store_contracts.suite.samples import METERED, Kind, api_key, each, task, user, workflow

Write = Callable[[Any, Any], Any]


class _Time(datetime):
    """A time as libraries have it, and those that freeze time in tests."""


LATER = _Time(2030, 1, 1, 12, 30, 15, 123_456, tzinfo=UTC)
PLAIN = datetime(2030, 1, 1, 12, 30, 15, 123_456, tzinfo=UTC)

WRITES: dict[str, Write] = {
    "create": lambda repository, state: repository.create(state),
    "restore": lambda repository, state: repository.restore(state),
    "update": lambda repository, state: repository.update(attrs.evolve(state, version=1)),
    "upsert": lambda repository, state: repository.upsert(state),
    "modify": lambda repository, state: repository.modify("x", lambda stored: state),
}
NEW = ("create", "restore")
"""Calls that store a new row."""


def written(kind: Kind, repository: Any, write: str, **fields: Any) -> Any:
    """Write a row x with these fields, over one that is there unless a new one is meant."""
    if write not in NEW:
        repository.create(kind.make("x"))
    state = kind.exported() if write == "restore" else kind.make("x")
    return WRITES[write](repository, attrs.evolve(state, **fields))


class CopyCases(ContractCase):
    """Contract 1.8, and times of subclasses (1.5)."""

    @clause("1.8", "1.3")
    @each(METERED)
    @pytest.mark.parametrize("write", WRITES)
    def test_what_is_returned_shares_nothing_with_what_was_given(
        self, repository: Any, kind: Kind, write: str
    ) -> None:
        given: Document = {"a": [{"b": 1}]}
        error = ErrorInfo("it broke", details={"a": [1]})
        fields: dict[str, Any] = {"input": given, "output": given, "error": error}
        returned = written(kind, repository, write, **fields)
        stored = repository.get("x")

        given["a"][0]["b"] = 2
        error.details["a"].append(2)  # type: ignore[index]
        assert_same(returned, stored)
        returned.input["a"].append("of the result")
        returned.error.details["b"] = "of the result"
        assert_same(repository.get("x"), stored)
        assert_same((given, error.details), ({"a": [{"b": 2}]}, {"a": [1, 2]}))
        assert_same(returned.output, {"a": [{"b": 1}]})  # nor have its own fields one in common

    @clause("1.8", "1.4")
    @each(METERED)
    @pytest.mark.parametrize("write", [name for name in WRITES if name != "restore"])
    def test_what_is_stored_is_what_was_checked(
        self, store: Store, clock: ManualClock, kind: Kind, write: str
    ) -> None:
        """A clock that changes the document stands for a thread that does so at that moment."""
        given: Document = {"a": 1.0, "b": [{"c": 1}]}
        repository = kind.repository(store)
        if write not in NEW:
            repository.create(kind.make("x"))
        clock.when_asked = lambda: given.update(a=float("nan"), b=[{(None, 1.0): {1}}], new=(1,))
        returned = WRITES[write](repository, attrs.evolve(kind.make("x"), input=given))
        assert given["new"] == (1,)
        for found in (returned, repository.get("x")):
            assert_same(found.input, {"a": 1.0, "b": [{"c": 1}]})

    @clause("1.8", "5.5")
    def test_what_complete_returns_shares_nothing_with_the_output_given(self, store: Store) -> None:
        output: Document = {"a": [1]}
        store.workflows.create(workflow())
        done = store.workflows.complete("w", lambda state: output)
        output["a"].append(2)
        assert_same(done.output, {"a": [1]})
        assert_same(store.workflows.get("w").output, {"a": [1]})

    @clause("1.8", "2.6")
    def test_modify_that_writes_nothing_returns_the_state_of_its_function(
        self, store: Store
    ) -> None:
        store.workflows.create(workflow(input={"a": [1]}))
        seen: list[WorkflowState] = []

        def keep(state: WorkflowState) -> WorkflowState:
            seen.append(state)
            assert state.input is not None
            state.input["a"].append(2)
            return state

        assert store.workflows.modify("w", keep) is seen[0]
        assert_same(store.workflows.get("w").input, {"a": [1]})

    @clause("1.5", "1.4")
    def test_a_time_of_a_subclass_comes_back_as_a_plain_one(
        self, store: Store, clock: ManualClock
    ) -> None:
        stamps: dict[str, Any] = {"version": 3, "created_at": LATER, "updated_at": LATER}
        entry = UsageEntry("openai", "gpt", 1, 2, 3, captured_at=LATER, updated_at=LATER)
        usage = UsageSummary.of([entry])
        restored = store.workflows.restore(workflow(usage=usage, **stamps))
        assert_same((restored.created_at, restored.updated_at), (PLAIN, PLAIN))
        merged = store.tasks.create(task(usage=usage))
        merged = store.tasks.merge_usage("t", UsageSummary.of([attrs.evolve(entry, model="b")]))
        for found in (restored, store.workflows.get("w"), merged, store.tasks.get("t")):
            for stored in found.usage.entries:
                assert_same((stored.captured_at, stored.updated_at), (PLAIN, PLAIN))
        key = api_key("k", "ann")
        store.users.create(user())
        store.api_keys.create(key)
        assert_same(store.api_keys.touch("k", LATER).last_used, PLAIN)
        assert store.workflows.list(WorkflowFilter(created_from=LATER)).items == (restored,)
        assert store.workflows.list(WorkflowFilter(created_before=LATER)).items == ()
        assert store.workflows.update(restored).version == 4
        clock.time = LATER
        assert_same(store.workflows.set_status("w", Status.SUCCESS).updated_at, PLAIN)
        assert store.workflows.purge(LATER).workflows == 0

    @clause("1.4", "5.2", "6.3")
    def test_a_filter_takes_any_collection(self, store: Store) -> None:
        store.workflows.create(workflow())
        created = store.tasks.create(task())
        for collection in (list, tuple, set, frozenset, dict.fromkeys):
            wanted: Any = collection(["t", "other"])
            assert store.tasks.list(TaskFilter(task_exec_ids=wanted)).items == (created,)


class SizeCases(ContractCase):
    """Contract 1.7."""

    @clause("1.7", "1.4")
    def test_a_document_above_the_limit_is_refused_and_nothing_is_written(
        self, store: Store
    ) -> None:
        large = too_large()
        stored = store.workflows.create(workflow("x"))
        for name, write in WRITES.items():
            state = attrs.evolve(stored, workflow_exec_id="new") if name in NEW else stored
            with refuses("workflow.output"):
                write(store.workflows, attrs.evolve(state, output=large))
        with refuses("task.error"):
            store.tasks.create(task("t", "x", error=ErrorInfo("x" * MAX_DOCUMENT_BYTES)))
        assert_same(store.workflows.list().items, (stored,))
        assert store.tasks.list().items == ()

    @clause("1.7", "5.5")
    def test_a_workflow_whose_output_is_too_large_ends_as_failed(self, store: Store) -> None:
        store.workflows.create(workflow())
        kept = store.tasks.create(task(status=Status.SUCCESS, output={"a": 1}))
        done = store.workflows.complete("w", lambda state: too_large())
        assert done.error is not None
        assert (done.status, done.error.code) == (Status.FAILED, "OUTPUT_TRANSFORMATION_FAILED")
        assert str(MAX_DOCUMENT_BYTES + 1) in done.error.message
        assert done.output is not None
        assert done.output["t"]["output"] == {"a": 1}
        assert_same(
            store.workflows.get("w", with_tasks=True), attrs.evolve(done, tasks={"t": kept})
        )

    @clause("1.7", "5.5")
    def test_outputs_that_are_too_large_together_are_left_to_the_tasks(self, store: Store) -> None:
        store.workflows.create(workflow())
        half: Document = {"text": "x" * (MAX_DOCUMENT_BYTES // 2)}
        for key in ("one", "two"):
            store.tasks.create(TaskState("w", key, key, "report", status=Status.SUCCESS))
            store.tasks.modify(key, lambda state: attrs.evolve(state, output=half))
        done = store.workflows.complete("w")
        assert done.error is not None
        assert (done.status, done.output) == (Status.FAILED, None)
        assert done.error.code == "OUTPUT_TRANSFORMATION_FAILED"
        assert str(MAX_DOCUMENT_BYTES) in done.error.message
        found = store.workflows.get("w")
        assert (found.status, found.output, found.error) == (Status.FAILED, None, done.error)
        assert store.tasks.get("two").output == half


def too_large() -> Document:
    """Return a document that is larger than the limit by one byte."""
    return {"text": "x" * (MAX_DOCUMENT_BYTES + 1 - len('{"text":""}'))}


class WaitingCases(ContractCase, faces=(Face.ASYNC,)):
    """Contract 1.8: a call that waits."""

    @clause("1.8", "9.3")
    @asynchronous
    async def test_what_was_given_is_stored_though_the_caller_goes_on_with_it(
        self, store: AsyncStore
    ) -> None:
        items: list[Any] = [{"f": 1.0} for _ in range(20_000)]
        saving = asyncio.create_task(store.workflows.create(workflow(input={"items": items})))
        await asyncio.sleep(0)  # it is under way
        items[-1]["f"] = float("nan")
        items.append({1, 2})
        created = await saving
        assert created.input is not None
        assert (len(created.input["items"]), created.input["items"][-1]) == (20_000, {"f": 1.0})

    @clause("1.8", "9.3", "3.1")
    @asynchronous
    async def test_what_was_given_in_a_transaction_is_stored_likewise(
        self, store: AsyncStore
    ) -> None:
        items: list[Any] = [{"f": 1.0} for _ in range(20_000)]
        async with store.transaction() as tx:
            await tx.workflows.create(workflow())
            saving = asyncio.create_task(tx.tasks.create(task(output={"items": items})))
            await asyncio.sleep(0)
            items[-1]["f"] = float("nan")
            items.append({1, 2})
            await saving
        stored = (await store.tasks.get("t")).output
        assert stored is not None
        assert (len(stored["items"]), stored["items"][-1]) == (20_000, {"f": 1.0})
