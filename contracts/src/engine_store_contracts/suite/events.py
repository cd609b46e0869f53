"""Section 11: events of workflow executions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any

import attrs
import pytest

from engine_store.clock import UNSAVED
from engine_store.errors import (
    AlreadyExistsError,
    EngineStoreError,
    InvalidReferenceError,
    WorkflowNotFoundError,
)
from engine_store.models import Event, NewEvent
from engine_store.protocols import Store
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import (
    ContractCase,
    all_at_once,
    assert_same,
    clause,
    raises,
    refuses,
    successes,
)
from engine_store_contracts.suite.hostile import DOCUMENTS, IDS
from engine_store_contracts.suite.samples import CREATED, task, workflow


def begun(store: Store) -> Any:
    """The events of a store with the workflows w and other, and the tasks t and o in them."""
    for key, task_key in (("w", "t"), ("other", "o")):
        store.workflows.create(workflow(key))
        store.tasks.create(task(task_key, key))
    return store.events


def numbers(events: tuple[Event, ...]) -> list[int]:
    """The numbers of events."""
    return [event.number for event in events]


def missing_task(key: str) -> InvalidReferenceError:
    """The error about a task that is not in the workflow of an event."""
    return InvalidReferenceError("event", "task_exec_id", key)


WRONG: dict[str, tuple[Callable[[Any], object], EngineStoreError]] = {
    "a missing workflow": (lambda e: e.append("none", "x"), WorkflowNotFoundError("none")),
    "a missing task": (lambda e: e.append("w", "x", task_exec_id="none"), missing_task("none")),
    "a task of another workflow": (
        lambda e: e.append("w", "x", task_exec_id="o"),
        missing_task("o"),
    ),
    "one of several": (
        lambda e: e.append_many("w", [NewEvent("x", key="new"), NewEvent("y", None, "none")]),
        missing_task("none"),
    ),
    "one whose key comes later": (
        lambda e: e.append_many("w", [NewEvent("x", None, "none", "k"), NewEvent("y", key="k")]),
        missing_task("none"),
    ),
    "several of a missing workflow": (
        lambda e: e.append_many("none", [NewEvent("x"), NewEvent("y")]),
        WorkflowNotFoundError("none"),
    ),
}
"""Calls that append nothing, and what they raise."""


class EventCases(ContractCase):
    """Contract 11."""

    @clause("11.1")
    def test_events_are_numbered_from_1_in_each_workflow(
        self, store: Store, clock: ManualClock
    ) -> None:
        events = begun(store)
        first = events.append("w", "started", {"by": "ann"}, task_exec_id="t", key="k")
        expected = Event("w", 1, "started", {"by": "ann"}, "t", "k", created_at=START)
        assert_same(first, expected)
        clock.tick()
        second = events.append("w", "token")
        assert_same(second, Event("w", 2, "token", created_at=clock.time))
        assert events.append("other", "started").number == 1
        assert_same(events.list("w"), (first, second))

    @clause("11.1")
    def test_several_events_are_appended_in_their_order(self, store: Store) -> None:
        events = begun(store)
        events.append("w", "before")
        made = events.append_many("w", [NewEvent("a", {"n": 1}), NewEvent("b", None, "t", "k")])
        expected = (
            Event("w", 2, "a", {"n": 1}, created_at=START),
            Event("w", 3, "b", None, "t", "k", START),
        )
        assert_same(made, expected)
        assert_same(events.list("w", after=1), expected)
        assert events.append_many("w", []) == ()

    @clause("11.1")
    @pytest.mark.parametrize(("call", "error"), WRONG.values(), ids=WRONG)
    def test_what_cannot_be_appended_changes_nothing(
        self, store: Store, call: Callable[[Any], object], error: EngineStoreError
    ) -> None:
        events = begun(store)
        kept = events.append("w", "kept")
        with raises(error):
            call(events)
        assert_same(events.list("w"), (kept,))
        assert events.append("w", "next").number == 2

    @clause("11.1", "2.1")
    def test_an_event_leaves_its_workflow_and_its_task_as_they_are(self, store: Store) -> None:
        events = begun(store)
        before = store.workflows.get("w", with_tasks=True)
        events.append("w", "x", task_exec_id="t")
        assert_same(store.workflows.get("w", with_tasks=True), before)

    @clause("11.1")
    def test_events_of_many_threads_have_no_gap(self, store: Store) -> None:
        events = begun(store)

        def append(name: str) -> list[int]:
            made = [events.append("w", name, {"n": n}).number for n in range(10)]
            pair = events.append_many("w", [NewEvent(name), NewEvent(name)])
            return made + numbers(pair)

        found = successes(all_at_once([partial(append, f"k{n}") for n in range(4)]))
        assert all(made == sorted(made) and made[-1] == made[-2] + 1 for made in found)
        assert sorted(chain.from_iterable(found)) == list(range(1, 49))
        assert numbers(events.list("w")) == list(range(1, 49))

    @clause("11.2")
    def test_a_key_is_appended_once(self, store: Store, clock: ManualClock) -> None:
        events = begun(store)
        first = events.append("w", "approved", {"by": "ann"}, key="k")
        clock.tick()
        assert_same(events.append("w", "other", {"by": "bob"}, task_exec_id="t", key="k"), first)
        assert_same(events.append("w", "other", task_exec_id="none", key="k"), first)
        assert events.append("w", "approved", key="K").number == 2
        assert events.append("other", "approved", key="k").number == 1
        new = [NewEvent("a", key="k"), NewEvent("b", key="n"), NewEvent("c", key="n")]
        assert numbers(events.append_many("w", new)) == [1, 3, 3]
        assert [event.kind for event in events.list("w")] == ["approved", "approved", "b"]

    @clause("11.2")
    def test_of_many_callers_with_one_key_one_appends(self, store: Store) -> None:
        events = begun(store)
        calls = [partial(events.append, "w", f"k{n}", key="once") for n in range(8)]
        found = successes(all_at_once(calls))
        assert len(found) == 8
        [event] = events.list("w")
        assert_same(found, [event] * 8)

    @clause("11.3")
    def test_events_are_listed_after_a_number_and_by_kind(self, store: Store) -> None:
        events = begun(store)
        events.append_many("w", [NewEvent(kind) for kind in "abcab"])
        events.append("other", "a")
        assert numbers(events.list("w", limit=2)) == [1, 2]
        assert numbers(events.list("w", after=2)) == [3, 4, 5]
        assert numbers(events.list("w", after=5)) == []
        assert numbers(events.list("w", after=2**40)) == []
        assert numbers(events.list("w", kinds=["b"])) == [2, 5]
        assert numbers(events.list("w", after=1, kinds={"a", "c"}, limit=1)) == [3]
        assert numbers(events.list("w", kinds=["A"])) == []
        assert numbers(events.list("w", kinds=[])) == []
        assert events.list("none") == ()

    @clause("11.3", "1.4")
    def test_other_arguments_of_events_are_refused(self, store: Store) -> None:
        events = begun(store)
        wrong: list[tuple[str, Callable[[], object]]] = [
            ("workflow_exec_id", lambda: events.append("", "x")),
            ("kind", lambda: events.append("w", "")),
            ("data.x", lambda: events.append("w", "x", {"x": {1}})),
            ("key", lambda: events.append("w", "x", key="")),
            ("task_exec_id", lambda: events.append("w", "x", task_exec_id=7)),
            ("events", lambda: events.append_many("w", "xy")),
            ("events", lambda: events.append_many("w", [NewEvent("x")] * 1001)),
            ("events[1]", lambda: events.append_many("w", [NewEvent("x"), "x"])),
            ("events[0].data.x", lambda: events.append_many("w", [NewEvent("x", {"x": {1}})])),
            ("after", lambda: events.list("w", after=-1)),
            ("kinds", lambda: events.list("w", kinds="x")),
            ("limit", lambda: events.list("w", limit=0)),
        ]
        for path, call in wrong:
            with refuses(path):
                call()
        assert events.list("w") == ()

    @clause("11.4", "3.1", "3.2")
    def test_events_are_committed_and_rolled_back_with_the_rest(self, store: Store) -> None:
        events = begun(store)
        with store.transaction() as tx:
            assert tx.events.append("w", "a").number == 1
            with suppress(LookupError), tx.transaction() as inner:
                assert numbers(inner.events.append_many("w", [NewEvent("b")])) == [2]
                raise_lookup_error()
            assert tx.events.append("w", "c").number == 2
            with raises(missing_task("none")):
                tx.events.append("w", "d", task_exec_id="none")
            assert tx.events.append("w", "e").number == 3
        with suppress(LookupError), store.transaction() as tx:
            tx.events.append("w", "f", key="k")
            raise_lookup_error()
        assert events.append("w", "g", key="k").number == 4
        assert [event.kind for event in events.list("w")] == ["a", "c", "e", "g"]

    @clause("11.1", "3.3")
    def test_of_several_events_none_is_appended_if_one_is_refused(self, store: Store) -> None:
        """Also inside a transaction, which goes on."""
        events = begun(store)
        with store.transaction() as tx:
            with raises(missing_task("none")):
                tx.events.append_many("w", [NewEvent("a"), NewEvent("b", None, "none")])
            with raises(missing_task("none")):
                tx.events.append_many(
                    "w", [NewEvent("a", None, "none", "k"), NewEvent("b", key="k")]
                )
            assert numbers(tx.events.append_many("w", [NewEvent("c", None, "t")])) == [1]
        assert [event.kind for event in events.list("w")] == ["c"]

    @clause("11.4", "5.6")
    @pytest.mark.parametrize("how", ["delete", "purge"])
    def test_events_go_with_their_workflow(
        self, store: Store, clock: ManualClock, how: str
    ) -> None:
        events = begun(store)
        events.append_many("w", [NewEvent("x", {"n": n}) for n in range(20)])
        kept = events.append("other", "kept")
        if how == "delete":
            store.workflows.delete("w")
        else:
            store.workflows.cancel("w")
            assert store.workflows.purge(clock.tick()).workflows == 1
        assert events.list("w") == ()
        assert_same(events.list("other"), (kept,))
        store.workflows.create(workflow("w"))
        assert events.append("w", "x").number == 1

    @clause("11.4", "2.9")
    def test_an_event_is_restored_as_it_was(self, store: Store) -> None:
        events = begun(store)
        event = Event("w", 7, "x", {"n": 1}, "t", "k", CREATED)
        assert_same(events.restore(event), event)
        assert_same(events.list("w"), (event,))
        assert events.append("w", "y").number == 8
        other = attrs.evolve(event, number=3, key=None)
        assert_same(events.restore(other), other)
        assert numbers(events.list("w")) == [3, 7, 8]

    @clause("11.4", "2.9")
    def test_what_stands_against_a_restored_event_is_told(self, store: Store) -> None:
        events = begun(store)
        event = events.restore(Event("w", 7, "x", None, "t", "k", CREATED))
        wrong: dict[str, tuple[dict[str, Any], EngineStoreError]] = {
            "number": ({"key": "n"}, AlreadyExistsError("event", "number", "7")),
            "key": ({"number": 8}, AlreadyExistsError("event", "key", "k")),
            "workflow": (
                {"workflow_exec_id": "none"},
                InvalidReferenceError("event", "workflow_exec_id", "none"),
            ),
            "task": ({"number": 8, "key": None, "task_exec_id": "o"}, missing_task("o")),
        }
        for fields, error in wrong.values():
            with raises(error):
                events.restore(attrs.evolve(event, **fields))
        for path, bad in {"number": 0, "created_at": UNSAVED, "kind": None, "data": []}.items():
            with refuses(f"event.{path}"):
                events.restore(attrs.evolve(event, **{path: bad}))
        assert_same(events.list("w"), (event,))

    @clause("11.1", "1.1", "1.2", "1.3")
    def test_an_event_is_read_as_it_was_written(self, store: Store) -> None:
        events = begun(store)
        made = [events.append("w", "x", document) for document in DOCUMENTS.values()]
        made += [events.append("w", key, key=key) for key in IDS.values()]
        assert_same(events.list("w", limit=1000), tuple(made))
        assert_same([event.data for event in made][: len(DOCUMENTS)], list(DOCUMENTS.values()))

    @clause("11.1", "1.8")
    def test_an_event_shares_nothing_with_what_was_given(self, store: Store) -> None:
        events = begun(store)
        document: dict[str, Any] = {"list": [1]}
        made = events.append("w", "x", document, key="k")
        for shared in (document, made.data, events.append("w", "x", key="k").data):
            shared["list"].append(2)
        assert events.list("w")[0].data == {"list": [1]}


def raise_lookup_error() -> None:
    raise LookupError
