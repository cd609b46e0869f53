"""Section 10: what waits in queues."""

from __future__ import annotations

from engine_store.models import (
    QueueStats,
    Status,
)
from engine_store.protocols import Store
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import (
    ContractCase,
    assert_same,
    clause,
)
from engine_store_contracts.suite.claims import after, claimed, ids, stored
from engine_store_contracts.suite.samples import (
    task,
)


class QueueCases(ContractCase):
    """Contract 10.8: what waits."""

    @clause("10.8")
    def test_each_queue_has_its_counts(self, store: Store, clock: ManualClock) -> None:
        assert store.tasks.queues() == {}
        stored(store, task("a"), task("b"), task("c", due_at=after(60)), task("d", queue="x"))
        stored(store, task("e", queue="done", status=Status.SUCCESS))
        stored(store, task("f", queue="own", status=Status.RUNNING))
        clock.tick(5)
        stored(store, task("g", due_at=after(-3)), task("h", due_at=after(5)))
        stored(store, task("i", due_at=after(99), queue="later"))
        expected = {
            "default": QueueStats(ready=4, delayed=1, ready_since=after(-3)),
            "later": QueueStats(delayed=1),
            "x": QueueStats(ready=1, ready_since=START),
        }
        assert_same(dict(store.tasks.queues()), expected)
        store.tasks.claim("ann", lease=10, limit=2)
        store.tasks.claim("ann", lease=3, queues=["x"])
        clock.tick(3)
        expected = {
            "default": QueueStats(ready=2, delayed=1, leased=2, ready_since=START),
            "later": QueueStats(delayed=1),
            "x": QueueStats(leased=1, expired=1),
        }
        assert_same(dict(store.tasks.queues()), expected)

    @clause("10.8")
    def test_the_next_due_time_is_of_the_queues(self, store: Store, clock: ManualClock) -> None:
        assert store.tasks.next_due() is None
        stored(store, task("a", due_at=after(30), priority=5), task("b", due_at=after(20)))
        stored(store, task("c", queue="x", due_at=after(10)))
        assert store.tasks.next_due() == after(20)
        assert store.tasks.next_due(queues=["x", "default"]) == after(10)
        assert store.tasks.next_due(queues=["other"]) is None
        assert store.tasks.next_due(queues=[]) is None
        clock.tick(20)
        assert store.tasks.next_due() == after(20)
        claimed(store, lease=3)
        assert store.tasks.next_due() == after(23)
        assert store.tasks.next_due(queues=["x"]) == after(10)

    @clause("10.8")
    def test_leases_that_have_expired_are_listed_oldest_first(
        self, store: Store, clock: ManualClock
    ) -> None:
        stored(store, *(task(name) for name in "abcd"), task("e", queue="x"))
        claims = [claimed(store, lease=lease) for lease in (9, 5, 7, 30)]
        claims.append(claimed(store, lease=1, queues=["x"]))
        clock.tick(9)
        assert_same(store.tasks.expired(), (claims[1], claims[2], claims[0]))
        assert_same(store.tasks.expired(limit=1), (claims[1],))
        assert_same(store.tasks.expired(queues=["x"]), (claims[4],))
        assert store.tasks.expired(queues=[]) == ()
        store.tasks.finish(claims[2])
        assert ids(store.tasks.expired()) == "b a"

    @clause("10.8")
    def test_leases_that_end_together_are_in_the_order_of_their_ids(
        self, store: Store, clock: ManualClock
    ) -> None:
        stored(store, *(task(name, priority=-number) for number, name in enumerate("cab")))
        claimed(store, lease=5, limit=1)
        store.tasks.claim("bob", lease=5, limit=2)
        clock.tick(5)
        assert ids(store.tasks.expired()) == "a b c"
        assert [claim.worker for claim in store.tasks.expired()] == ["bob", "bob", "ann"]
