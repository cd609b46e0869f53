"""Sections 2, 4 and 5 among threads: nothing is lost, and of those who race one wins."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from functools import partial
from threading import Event
from typing import Any, TypeAlias

import attrs
import pytest

from engine_store.errors import (
    AlreadyBootstrappedError,
    EmailExistsError,
    EngineStoreError,
    NotFoundError,
    StatusConflictError,
    UnavailableError,
)
from engine_store.models import PurgeReport, Role, Status, UsageEntry, UsageSummary
from engine_store.protocols import Repositories, Store, Transaction
from engine_store.rules.entities import BY_MODEL
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.hanging import Threads
from engine_store_contracts.patience import PATIENCE
from engine_store_contracts.suite.case import (
    ContractCase,
    all_at_once,
    assert_same,
    clause,
    failures,
    raises,
    successes,
)
from engine_store_contracts.suite.samples import (
    METERED,
    VERSIONED,
    Kind,
    child,
    each,
    increment,
    task,
    user,
    workflow,
)


def begun_beside(
    store: Store, work: Callable[[Transaction], object], call: Callable[[], Any]
) -> Any:
    """What `call` returns or raises, begun by another thread beside a transaction that did `work`.

    It may wait for the end of the transaction or not. What it looked at before, it must not trust.
    """
    begun = Event()

    def begin() -> Any:
        begun.set()
        return call()

    with Threads() as thread:
        with store.transaction() as tx:
            work(tx)
            rival = thread.submit(begin)
            begun.wait(PATIENCE.seconds)
            wait([rival], timeout=0.05)
        error = rival.exception(PATIENCE.seconds)
        return error if isinstance(error, EngineStoreError) else rival.result()


Race: TypeAlias = Callable[[Repositories, int], Any]
"""A call of which one at most is done, whoever makes it."""

RACES = pytest.mark.parametrize(
    ("call", "lost"),
    [
        pytest.param(
            lambda s, n: s.users.create_initial_admin_if_none(user(str(n), role=Role.ADMIN)),
            AlreadyBootstrappedError(),
            marks=clause("4.2"),
            id="first admins",
        ),
        pytest.param(
            lambda s, n: s.users.create(user(str(n), "ann@example.org")),
            EmailExistsError("user", "email", "ann@example.org"),
            marks=clause("4.1"),
            id="emails",
        ),
        pytest.param(
            lambda s, n: s.workflows.set_status(
                "w", Status.RUNNING, expected_statuses={Status.PENDING}
            ),
            StatusConflictError("w", frozenset({"PENDING"}), "RUNNING"),
            marks=clause("5.4"),
            id="claims by status",
        ),
    ],
)


class ConcurrencyCases(ContractCase):
    """Contract 2.2, 2.4 to 2.7 among threads."""

    @clause("2.2", "2.5")
    @each(VERSIONED)
    @pytest.mark.parametrize("write", ["create", "update"])
    def test_of_many_writes_of_one_version_one_wins(
        self, repository: Any, kind: Kind, write: str
    ) -> None:
        before = kind.make("x") if write == "create" else repository.create(kind.make("x"))
        states = [kind.change(before, number) for number in range(8)]
        outcomes = all_at_once([partial(getattr(repository, write), state) for state in states])

        [winner] = successes(outcomes)
        lost = kind.taken() if write == "create" else kind.conflict(expected=1, actual=2)
        assert_same(failures(outcomes), [lost] * 7)
        assert_same(repository.get("x"), winner)

    @clause("2.4")
    @each(VERSIONED)
    def test_of_many_upserts_each_counts(self, repository: Any, kind: Kind) -> None:
        states = [kind.change(kind.make("x"), number) for number in range(8)]
        outcomes = all_at_once([partial(repository.upsert, state) for state in states])
        by_version = {state.version: state for state in successes(outcomes)}
        assert sorted(by_version) == [1, 2, 3, 4, 5, 6, 7, 8]
        assert_same(repository.get("x"), by_version[8])

    @clause("2.4")
    @each(VERSIONED)
    def test_an_upsert_beside_a_transaction_replaces_what_that_created(
        self, store: Store, repository: Any, kind: Kind
    ) -> None:
        given = kind.change(kind.make("x"), 1)
        stored = begun_beside(
            store,
            lambda tx: kind.entity.of(tx).create(kind.make("x")),
            partial(repository.upsert, given),
        )
        expected = attrs.evolve(given, version=2, created_at=START, updated_at=START)
        assert_same(stored, expected)
        assert_same(repository.get("x"), expected)

    @clause("2.6")
    @each(METERED)
    def test_modify_loses_no_increment_among_threads(self, repository: Any, kind: Kind) -> None:
        repository.create(attrs.evolve(kind.make("x"), input={"n": 0}))

        def increment_often() -> None:
            for _ in range(25):
                repository.modify("x", increment)

        assert all_at_once([increment_often] * 4) == [None] * 4
        stored = repository.get("x")
        assert (stored.input, stored.version) == ({"n": 100}, 101)

    @clause("2.6")
    @each(METERED)
    def test_transactions_that_follow_each_other_do_not_keep_modify_out(
        self, store: Store, repository: Any, kind: Kind
    ) -> None:
        repository.create(attrs.evolve(kind.make("x"), input={"n": 0}))
        done = Event()

        def change_often() -> None:
            while not done.is_set():
                with store.transaction() as tx:
                    rows = kind.repository(tx)
                    rows.update(increment(rows.get_for_update("x")))

        tried: list[int] = []

        def noted(state: Any) -> Any:
            tried[-1] += 1
            return increment(state)

        with Threads() as threads:
            rivals = [threads.submit(change_often) for _ in range(2)]
            try:
                for _ in range(10):
                    tried.append(0)
                    repository.modify("x", noted)
            finally:
                done.set()
            for rival in rivals:
                rival.result(PATIENCE.seconds)
        assert max(tried) <= 20, "how often it tried, each time"

    @clause("2.7")
    @each(METERED)
    def test_merge_usage_loses_nothing_among_threads(self, repository: Any, kind: Kind) -> None:
        repository.create(attrs.evolve(kind.make("x"), usage=UsageSummary()))

        def add(number: int) -> None:
            entry = UsageEntry("openai", f"gpt-{number % 2}", 1, 10, agent_ids=(str(number),))
            for _ in range(20):
                repository.merge_usage("x", UsageSummary.of([entry]))

        assert all_at_once([partial(add, number) for number in range(4)]) == [None] * 4
        stored = repository.get("x")
        assert stored.version == 81
        assert stored.usage.entries == (
            UsageEntry("openai", "gpt-0", 40, 400, 440, agent_ids=("0", "2")),
            UsageEntry("openai", "gpt-1", 40, 400, 440, agent_ids=("1", "3")),
        )

    @clause("2.7")
    @each(METERED)
    def test_usage_merged_beside_a_transaction_adds_up(
        self, store: Store, repository: Any, kind: Kind
    ) -> None:
        repository.create(attrs.evolve(kind.make("x"), usage=UsageSummary()))
        one, other = (UsageSummary.of([UsageEntry("openai", "gpt", tokens)]) for tokens in (1, 10))
        begun_beside(
            store,
            lambda tx: kind.entity.of(tx).merge_usage("x", one),
            partial(repository.merge_usage, "x", other),
        )
        stored = repository.get("x")
        assert (stored.usage, stored.version) == (one.merge(other), 3)

    @clause("3.5", "2.5")
    @each(METERED)
    def test_get_for_update_holds_the_row_until_the_end(self, store: Store, kind: Kind) -> None:
        created = kind.repository(store).create(kind.make("x"))
        with Threads() as thread:
            with store.transaction() as tx:
                held = kind.entity.of(tx).get_for_update("x")
                rival = thread.submit(kind.entity.of(store).update, created)
                with pytest.raises(TimeoutError):
                    rival.result(timeout=0.05)
                updated = kind.entity.of(tx).update(kind.change(held, 1))
            with raises(kind.conflict(expected=1, actual=2)):
                rival.result(timeout=PATIENCE.seconds)
        assert_same(kind.entity.of(store).get("x"), updated)

    @clause("3.1", "3.5")
    def test_transactions_on_the_same_rows_lose_nothing(self, store: Store) -> None:
        store.workflows.create(workflow(input={"n": 0}))
        store.tasks.create(task(input={"n": 0}))

        def both() -> None:
            for _ in range(10):
                with store.transaction() as tx:
                    tx.workflows.update(increment(tx.workflows.get_for_update("w")))
                    tx.tasks.update(increment(tx.tasks.get_for_update("t")))

        assert all_at_once([both] * 4) == [None] * 4
        found = store.workflows.get("w"), store.tasks.get("t")
        assert [(state.input, state.version) for state in found] == [({"n": 40}, 41)] * 2

    @clause("3.1", "3.5")
    def test_of_transactions_that_wait_for_each_other_none_commits_a_half(
        self, store: Store
    ) -> None:
        halfway = {key: Event() for key in "ab"}
        for key in halfway:
            store.workflows.create(workflow(key))

        def write(own: str, other: str) -> None:
            with store.transaction() as tx:
                for key in (own, other):
                    held = tx.workflows.get_for_update(key)
                    tx.workflows.update(attrs.evolve(held, input={"by": own}))
                    halfway[own].set()
                    halfway[other].wait(0.3)  # in vain if one transaction writes at a time

        outcomes = all_at_once([partial(write, "a", "b"), partial(write, "b", "a")])
        for lost in failures(outcomes):
            assert isinstance(lost, UnavailableError)
            assert lost.retriable
        written = len(successes(outcomes))
        assert written > 0
        a, b = (store.workflows.get(key) for key in "ab")
        assert (a.version, b.version, a.input) == (1 + written, 1 + written, b.input)

    @clause("3.4", "5.1")
    def test_a_workflow_and_its_tasks_are_read_from_one_snapshot(self, store: Store) -> None:
        store.workflows.create(workflow(input={"n": 0}))
        store.tasks.create(task(input={"n": 0}))
        done = Event()

        def write() -> None:
            try:
                for number in range(1, 60):
                    with store.transaction() as tx:
                        t, w = tx.tasks.get("t"), tx.workflows.get("w")
                        tx.tasks.update(attrs.evolve(t, input={"n": number}))
                        tx.workflows.update(attrs.evolve(w, input={"n": number}))
            finally:
                done.set()

        def read() -> set[tuple[int, int]]:
            seen = set()
            while not done.is_set():
                state = store.workflows.get("w", with_tasks=True)
                seen.add((state.version, state.tasks["t"].version))
            return seen

        with Threads() as threads:
            reading = [threads.submit(read) for _ in range(2)]
            threads.submit(write).result(timeout=PATIENCE.seconds)
            seen = set[tuple[int, int]]().union(*(reader.result() for reader in reading))
        assert [pair for pair in seen if pair[0] != pair[1]] == []
        assert store.workflows.get("w", with_tasks=True).tasks["t"].version == 60

    @RACES
    def test_of_many_who_race_one_wins(
        self, store: Store, call: Race, lost: EngineStoreError
    ) -> None:
        store.workflows.create(workflow())
        outcomes = all_at_once([partial(call, store, number) for number in range(8)])
        [winner] = successes(outcomes)
        assert_same(failures(outcomes), [lost] * 7)
        assert_same(BY_MODEL[type(winner)].of(store).list().items, (winner,))

    @RACES
    def test_who_races_a_transaction_loses_to_it(
        self, store: Store, call: Race, lost: EngineStoreError
    ) -> None:
        store.workflows.create(workflow())
        won: list[Any] = []
        rival = partial(call, store, 1)
        assert_same(begun_beside(store, lambda tx: won.append(call(tx, 0)), rival), lost)
        assert_same(BY_MODEL[type(won[0])].of(store).list().items, tuple(won))

    @clause("5.5")
    def test_beside_a_transaction_that_completes_nothing_is_completed_again(
        self, store: Store
    ) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task(status=Status.SUCCESS))
        found = begun_beside(
            store,
            lambda tx: tx.workflows.complete("w"),
            partial(store.workflows.complete, "w", lambda state: {"again": True}),
        )
        assert found.version == 2
        assert_same(store.workflows.get("w", with_tasks=True), found)

    @clause("5.5")
    def test_of_many_completions_one_writes(self, store: Store) -> None:
        store.workflows.create(workflow())
        store.tasks.create(task(status=Status.SUCCESS))
        outcomes = all_at_once([partial(store.workflows.complete, "w")] * 8)
        assert failures(outcomes) == []
        assert {(state.version, state.status) for state in successes(outcomes)} == {
            (2, Status.SUCCESS)
        }

    @clause("5.6")
    def test_racing_purges_delete_and_count_each_workflow_once(
        self, store: Store, clock: ManualClock
    ) -> None:
        for number in range(20):
            store.workflows.create(workflow(f"w{number}", status=Status.SUCCESS))
            store.tasks.create(task(f"t{number}", f"w{number}"), allow_ended=True)
        purge = partial(store.workflows.purge, clock.tick(), batch_size=3)
        outcomes = all_at_once([purge] * 4)
        assert failures(outcomes) == []
        reports = successes(outcomes)
        assert sum(report.workflows for report in reports) == 20
        assert sum(report.tasks for report in reports) == 20
        assert store.workflows.list().items == ()
        assert store.tasks.list().items == ()

    @clause("5.6")
    @pytest.mark.parametrize("how", ["delete", "purge"])
    def test_of_an_execution_that_is_being_deleted_nobody_reads_a_part(
        self, store: Store, clock: ManualClock, how: str
    ) -> None:
        tasks = 1_500
        with store.transaction() as tx:
            tx.workflows.create(workflow())
            tx.tasks.create(task("root"))
            for number in range(tasks - 1):
                tx.tasks.create(child(f"t{number}", "root"))
            tx.workflows.set_status("w", Status.SUCCESS)
        reads: list[Callable[[], int]] = [
            lambda: len(store.tasks.in_workflow("w")),
            lambda: len(store.tasks.children("root")) + 1,
            lambda: store.tasks.progress("root").total + 1,
            lambda: len(store.tasks.tree("root")),
            lambda: len(store.workflows.get("w", with_tasks=True).tasks),
        ]
        begun = Event()

        def sizes(read: Callable[[], int]) -> list[int]:
            found: list[int] = []
            while not found or found[-1] > 1:
                try:
                    found.append(read())
                except NotFoundError:
                    found.append(0)
                begun.set()
            return found

        with Threads() as threads:
            seen = [threads.submit(sizes, read) for read in reads]
            begun.wait(PATIENCE.seconds)
            if how == "delete":
                store.workflows.delete("w")
            else:
                assert_same(store.workflows.purge(clock.tick()), PurgeReport(1, tasks, False))
            found = [each.result(PATIENCE.seconds) for each in seen]
        assert [set(each) - {tasks, 0, 1} for each in found] == [set()] * len(reads)
        assert store.tasks.list().items == ()
        store.workflows.create(workflow())
        assert store.tasks.in_workflow("w") == {}
