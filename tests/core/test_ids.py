"""New ids: UUIDv7, unique, sorting by time (contract 1.1)."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from engine_store import ids
from engine_store.clock import UNSAVED, utc_now
from engine_store.ids import new_id
from engine_store.values import check_id

COUNTER_LIMIT = 2**42


def millisecond(made: str) -> int:
    return uuid.UUID(made).int >> 80


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still: the test turns its hands, in milliseconds."""

    class Hands:
        now = 1_700_000_000_000

    monkeypatch.setattr(ids, "_last", 0)
    monkeypatch.setattr(time, "time_ns", lambda: Hands.now * 1_000_000 + 999_999)
    return Hands


def test_10000_ids_are_unique_and_sorted():
    made = [new_id() for _ in range(10_000)]
    assert len(set(made)) == 10_000
    assert made == sorted(made)


def test_ids_are_unique_across_threads_and_sorted_in_each():
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: [new_id() for _ in range(1250)], range(8)))
    assert len({one for batch in made for one in batch}) == 10_000
    for batch in made:
        assert batch == sorted(batch)


def test_an_id_is_a_uuid_of_version_7_in_its_usual_spelling():
    for made in (new_id() for _ in range(1000)):
        parsed = uuid.UUID(made)
        assert str(parsed) == made
        assert len(made) == 36
        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122
        check_id(made, "id")


def test_an_id_carries_the_millisecond_it_was_made_in(clock):
    assert millisecond(new_id()) == clock.now


def test_the_millisecond_is_the_clocks():
    before = time.time_ns() // 1_000_000
    made = millisecond(new_id())
    # Ids made so fast that they used up a millisecond's counter would run ahead by one.
    assert before <= made <= time.time_ns() // 1_000_000 + 1


def test_ids_of_a_later_millisecond_sort_later(clock):
    made = []
    for _ in range(100):
        made.append(new_id())
        clock.now += 1
    assert made == sorted(made)
    assert [millisecond(one) for one in made] == list(range(clock.now - 100, clock.now))


def test_ids_of_one_millisecond_differ_and_sort(clock):
    made = [new_id() for _ in range(1000)]
    assert {millisecond(one) for one in made} == {clock.now}
    assert made == sorted(set(made))


def test_ids_go_on_sorting_when_the_clock_goes_back(clock):
    before = [new_id() for _ in range(10)]
    clock.now -= 60_000
    after = [new_id() for _ in range(10)]
    assert before + after == sorted(set(before + after))


def test_a_counter_that_is_used_up_borrows_the_next_millisecond(clock, monkeypatch):
    monkeypatch.setattr(ids, "_last", clock.now * COUNTER_LIMIT + COUNTER_LIMIT - 2)
    last, borrowed = new_id(), new_id()
    assert last < borrowed
    assert millisecond(last) == clock.now
    assert millisecond(borrowed) == clock.now + 1
    assert uuid.UUID(borrowed).version == 7


def test_ids_of_two_processes_in_one_millisecond_differ(clock, monkeypatch):
    made = set()
    for _ in range(1000):
        monkeypatch.setattr(ids, "_last", 0)
        made.add(new_id())
    assert len(made) == 1000


def test_a_forked_child_makes_ids_of_its_own_even_where_a_thread_held_the_lock(run_python):
    printed = run_python(
        """
        import json, os, sys
        from engine_store import ids

        ids.new_id()
        reader, writer = os.pipe()
        with ids._lock:
            child = os.fork()
            if not child:
                os.write(writer, json.dumps([ids.new_id() for _ in range(1000)]).encode())
                sys.exit()
        os.close(writer)
        with os.fdopen(reader) as pipe:
            theirs = json.load(pipe)
        assert os.waitpid(child, 0)[1] == 0
        print(json.dumps([theirs, [ids.new_id() for _ in range(1000)]]))
        """
    )
    theirs, ours = json.loads(printed)
    assert len({*theirs, *ours}) == 2000
    assert theirs == sorted(theirs)
    assert ours == sorted(ours)


def test_ids_are_made_where_there_is_no_fork(run_python):
    printed = run_python(
        """
        import os

        del os.fork, os.register_at_fork
        from engine_store import ids

        print(ids.new_id() < ids.new_id())
        """
    )
    assert printed == "True"


def test_the_systems_clock_is_in_utc():
    before = datetime.now(UTC)
    now = utc_now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_unsaved_is_before_every_time_of_a_store():
    assert UNSAVED.tzinfo is UTC
    assert utc_now() > UNSAVED
    assert datetime.min.replace(tzinfo=UTC) == UNSAVED
