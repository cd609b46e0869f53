"""The checkers of histories accept what a store can answer, and name what none can."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache

import attrs
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine_store_contracts.history import (
    Event,
    check_leases,
    check_pages,
    check_registers,
    check_transactions,
)
from engine_store_contracts.history.events import (
    Completion,
    Fail,
    Info,
    Invoke,
    Observe,
    Ok,
    Write,
    from_json,
    settled,
    to_json,
)

A, B = "workflows/a", "workflows/b"

# --- the words histories are written in: each call took place between two moments ---------------


def event(
    invoked: int, returned: int, completion: Completion, *writes: Write, method: str = "call"
) -> Event:
    return Event(f"at-{invoked}", Invoke(method, writes), invoked, returned, completion)


def seen(version: int, tag: str, status: str = "", usage: int = 0, entity: str = A) -> Observe:
    return Observe(entity, version, tag, status, usage)


def put(kind: str, tag: str, start: int, end: int, version: int, entity: str = A) -> Event:
    """A write of the whole state that stored `version`; an update came from the one before."""
    expected = version - 1 if kind == "update" else None
    write = Write(entity, kind, tag, "", 0, expected=expected)
    return event(start, end, Ok((seen(version, tag, entity=entity),)), write)


def create(tag: str, start: int, end: int, entity: str = A) -> Event:
    return put("create", tag, start, end, 1, entity)


def update(tag: str, start: int, end: int, version: int) -> Event:
    return put("update", tag, start, end, version)


def upsert(tag: str, start: int, end: int, version: int) -> Event:
    return put("upsert", tag, start, end, version)


def set_status(status: str, start: int, end: int, stored: Observe) -> Event:
    return event(start, end, Ok((stored,)), Write(A, "set_status", status=status))


def read(start: int, end: int, *found: Observe) -> Event:
    return event(start, end, Ok(found))


def conflict(expected: int, actual: int, start: int, end: int) -> Event:
    failed = Fail("VersionConflictError", A, expected, actual)
    return event(start, end, failed, Write(A, "update", f"lost-{start}", "", 0, expected=expected))


def missing(start: int, end: int) -> Event:
    return event(start, end, Fail("WorkflowNotFoundError", A, actual=0))


def taken(start: int, end: int) -> Event:
    failed = Fail("AlreadyExistsError", A)
    return event(start, end, failed, Write(A, "create", f"lost-{start}", "", 0))


def killed(call: Event) -> Event:
    """The call, never answered."""
    return attrs.evolve(call, returned=None, completion=Info("killed"))


def unavailable(call: Event) -> Event:
    """The call, answered with an error that does not tell."""
    return attrs.evolve(call, completion=Info("connection lost"))


# --- registers ---------------------------------------------------------------------------------


def test_an_event_survives_its_journey_as_json() -> None:
    events = [
        create("x", 1, 2),
        conflict(1, 2, 3, 4),
        missing(5, 6),
        killed(update("y", 7, 8, 2)),
    ]
    assert [from_json(json.loads(json.dumps(to_json(event)))) for event in events] == events


def test_of_the_reports_about_a_call_the_last_counts() -> None:
    first, second = create("x", 1, 2), update("y", 3, 4, 2)
    assert settled([killed(first), first, killed(second)]) == [first, killed(second)]


def test_an_event_says_who_did_what_when() -> None:
    assert str(create("x", 1, 2)) == (
        "at-1: call(create workflows/a tag x) -> workflows/a at 1: x  0 [1..2]"
    )
    assert str(conflict(1, 2, 3, 4)) == (
        "at-3: call(update workflows/a tag lost-3 from 1) -> "
        "VersionConflictError of workflows/a at 2 [3..4]"
    )
    assert str(killed(upsert("y", 5, 6, 2))) == (
        "at-5: call(upsert workflows/a tag y) -> unknown (killed) [5..]"
    )


EXPLAINABLE = {
    "nothing": [],
    "one after the other": [
        missing(1, 2),
        create("x", 3, 4),
        update("y", 5, 6, 2),
        read(7, 8, seen(2, "y")),
    ],
    "readers beside a writer see the old or the new": [
        create("x", 1, 2),
        upsert("y", 3, 9, 2),
        read(4, 5, seen(1, "x")),
        read(6, 7, seen(2, "y")),
    ],
    "what begins when another ends may be before it": [
        create("x", 1, 2),
        update("y", 3, 4, 2),
        read(4, 5, seen(1, "x")),
    ],
    "losers see the winner, also before it returns": [
        create("x", 1, 2),
        update("y", 3, 9, 2),
        conflict(1, 2, 4, 5),
        taken(4, 5),
    ],
    "a status leaves the tag": [
        create("x", 1, 2),
        set_status("S", 3, 4, seen(2, "x", "S")),
        read(5, 6, seen(2, "x", "S")),
    ],
    "an unknown write was done": [
        create("x", 1, 2),
        killed(update("y", 3, 4, 2)),
        read(5, 6, seen(2, "y")),
        update("z", 7, 8, 3),
    ],
    "an unknown write was done long after": [
        create("x", 1, 2),
        unavailable(upsert("y", 3, 4, 2)),
        read(5, 6, seen(1, "x")),
        read(7, 8, seen(2, "y")),
    ],
    "an unknown write was never done": [
        create("x", 1, 2),
        killed(update("y", 3, 4, 2)),
        update("z", 5, 6, 2),
    ],
    "nobody saw the unknown write, but its status": [
        create("x", 1, 2),
        killed(upsert("y", 3, 4, 2)),
        killed(set_status("S", 5, 6, seen(3, "y", "S"))),
        read(7, 8, seen(3, "y", "S")),
    ],
}


@pytest.mark.parametrize("history", EXPLAINABLE.values(), ids=EXPLAINABLE)
def test_what_can_be_explained_is_accepted(history: Sequence[Event]) -> None:
    assert check_registers(history) == []


def test_a_stale_read_goes_back() -> None:
    old = read(5, 6, seen(1, "x"))
    new = update("y", 3, 4, 2)
    assert check_registers([create("x", 1, 2), new, old]) == [
        f"{A}: went back: {old} came after {new}"
    ]


def test_a_conflict_with_a_version_long_gone_goes_back() -> None:
    new = update("z", 5, 6, 3)
    stale = conflict(1, 2, 7, 8)
    assert check_registers([create("x", 1, 2), update("y", 3, 4, 2), new, stale]) == [
        f"{A}: went back: {stale} came after {new}"
    ]


def test_a_read_from_the_future_has_no_write_yet() -> None:
    early = read(3, 4, seen(2, "y"))
    late = update("y", 5, 6, 2)
    assert check_registers([create("x", 1, 2), early, late]) == [
        f"{A}: stored what was there: {late} came after {early}"
    ]


def test_a_lost_update_stores_a_version_twice() -> None:
    one, other = update("y", 3, 6, 2), update("z", 4, 5, 2)
    assert check_registers([create("x", 1, 2), one, other]) == [
        f"{A}: version 2 was stored twice: {one} and {other}",
        f"{A}: one version, two values: {one} and {other}",
    ]


def test_a_value_nobody_wrote_is_noticed() -> None:
    new, strange = update("y", 3, 4, 2), read(5, 6, seen(2, "?"))
    assert check_registers([create("x", 1, 2), new, strange]) == [
        f"{A}: one version, two values: {new} and {strange}"
    ]


def test_a_version_nobody_stored_is_noticed() -> None:
    third, again = upsert("y", 3, 4, 3), read(5, 6, seen(3, "y"))
    assert check_registers([create("x", 1, 2), third, again]) == [
        f"{A}: no write explains version 2: {third}"
    ]


def test_versions_far_above_the_number_of_calls_are_noticed_at_once() -> None:
    high = upsert("y", 3, 4, 10**15)
    assert check_registers([create("x", 1, 2), high]) == [
        f"{A}: 2 calls cannot lead to {10**15}: {high}"
    ]


def test_a_compare_and_set_that_did_not_compare_is_noticed() -> None:
    first, second = create("x", 1, 2), upsert("y", 3, 4, 2)
    blind = attrs.evolve(update("z", 5, 6, 3), call=update("z", 5, 6, 2).call)
    assert check_registers([first, second, blind]) == [
        f"{A}: does not follow from version 2: {blind} after {second}"
    ]


def test_a_write_that_lost_a_field_is_noticed() -> None:
    first, second = create("x", 1, 2), set_status("S", 3, 4, seen(2, "w", "S"))
    assert check_registers([first, second]) == [
        f"{A}: does not follow from version 1: {second} after {first}"
    ]


def test_a_conflict_that_is_none_is_noticed() -> None:
    itself, other = conflict(1, 1, 3, 4), conflict(2, 1, 5, 6)
    other = attrs.evolve(other, call=conflict(3, 1, 5, 6).call)
    assert check_registers([create("x", 1, 2), itself, other]) == [
        f"a conflict of a version with itself: {itself}",
        f"a conflict with a version not given: {other}",
    ]


def test_a_create_that_found_what_was_not_there_is_noticed() -> None:
    refused, late = taken(1, 2), create("x", 3, 4)
    assert check_registers([refused]) == [f"{A}: no write explains version 1: {refused}"]
    assert check_registers([refused, late]) == [
        f"{A}: stored what was there: {late} came after {refused}"
    ]


def test_an_error_without_a_reason_is_noticed() -> None:
    strange = event(1, 2, Fail("InvalidValueError"))
    assert check_registers([strange]) == [f"no reason to fail: {strange}"]


def test_an_unknown_write_explains_one_version_at_most() -> None:
    last = read(5, 6, seen(3, "y"))
    assert check_registers([create("x", 1, 2), killed(upsert("y", 3, 4, 2)), last]) == [
        f"{A}: no write explains version 3: {last}"
    ]


def test_an_unknown_write_explains_nothing_seen_before_it_was_invoked() -> None:
    early, late = read(3, 4, seen(2, "y")), killed(upsert("y", 5, 6, 2))
    assert check_registers([create("x", 1, 2), early, late]) == [
        f"{A}: no write explains version 2: {early}"
    ]


def test_an_unknown_compare_and_set_follows_the_version_it_expected() -> None:
    late = read(7, 8, seen(3, "z"))
    unknown = killed(update("z", 5, 6, 2))
    assert check_registers([create("x", 1, 2), update("y", 3, 4, 2), unknown, late]) == [
        f"{A}: no write explains version 3: {late}"
    ]


# --- usage -------------------------------------------------------------------------------------


def merge(adds: int, start: int, end: int, version: int, usage: int) -> Event:
    stored = Ok((seen(version, "x", usage=usage),))
    return event(start, end, stored, Write(A, "merge_usage", adds=adds))


ADDING_UP = {
    "merges": [create("x", 1, 2), merge(3, 3, 6, 2, 3), merge(4, 3, 6, 3, 7)],
    "a merge that is unknown and counts": [
        create("x", 1, 2),
        killed(merge(5, 3, 4, 2, 5)),
        merge(3, 3, 6, 3, 8),
    ],
    "one of several unknown merges": [
        create("x", 1, 2),
        *(killed(merge(adds, adds, 9, 2, 0)) for adds in (3, 4, 5)),
        read(8, 9, seen(2, "x", usage=4)),
    ],
    "two of several unknown merges, seen as one sum": [
        create("x", 1, 2),
        *(killed(merge(adds, adds, 9, 2, 0)) for adds in (3, 4, 6)),
        read(8, 9, seen(3, "x", usage=10)),
    ],
}


@pytest.mark.parametrize("history", ADDING_UP.values(), ids=ADDING_UP)
def test_usage_that_adds_up_is_accepted(history: Sequence[Event]) -> None:
    assert check_registers(history) == []


def test_a_lost_merge_is_noticed() -> None:
    one, other = merge(3, 3, 6, 2, 3), merge(4, 3, 6, 3, 4)
    assert check_registers([create("x", 1, 2), one, other]) == [
        f"{A}: does not follow from version 2: {other} after {one}"
    ]


def test_a_merge_that_counts_twice_is_noticed() -> None:
    first, double = create("x", 1, 2), merge(3, 3, 4, 2, 6)
    assert check_registers([first, double]) == [
        f"{A}: does not follow from version 1: {double} after {first}"
    ]


def test_two_merges_into_one_version_are_noticed() -> None:
    one, other = merge(3, 3, 6, 2, 3), merge(4, 4, 5, 2, 4)
    assert check_registers([create("x", 1, 2), one, other]) == [
        f"{A}: version 2 was stored twice: {one} and {other}",
        f"{A}: one version, two values: {one} and {other}",
    ]


def test_a_sum_that_no_unknown_merges_make_is_noticed() -> None:
    unknown = [killed(merge(adds, adds, 9, 2, 0)) for adds in (3, 4)]
    last = read(8, 9, seen(2, "x", usage=7))
    assert check_registers([create("x", 1, 2), *unknown, last]) == [
        f"{A}: no write explains version 2: {last}"
    ]


# --- claims ------------------------------------------------------------------------------------

T = "tasks/t"


def queued(start: int, end: int) -> Event:
    """The task, created and waiting."""
    write = Write(T, "create", "x", "PENDING", 0)
    return event(start, end, Ok((Observe(T, 1, "x", "PENDING"),)), write)


def claim(
    start: int, end: int, version: int, attempt: int, *, at: int = 0, lease: int = 9
) -> Event:
    """A claim that stored `version`; `at` is the time of the store."""
    found = Observe(T, version, "x", "RUNNING", attempt=attempt, until=at + lease)
    write = Write(T, "claim", status="RUNNING", lease=lease)
    return event(start, end, Ok((found,)), write, method="tasks.claim")


def renew(start: int, end: int, of: Event, *, at: int = 0, lease: int = 9) -> Event:
    [held] = of.observed
    write = Write(T, "renew", expected=held.version, lease=lease)
    return event(start, end, Ok((attrs.evolve(held, until=at + lease),)), write)


def ended(start: int, end: int, of: Event, kind: str = "finish") -> Event:
    """The claim's task, finished or given back."""
    [held] = of.observed
    status = "SUCCESS" if kind == "finish" else "PENDING"
    stored = attrs.evolve(held, version=held.version + 1, status=status, until=None)
    return event(start, end, Ok((stored,)), Write(T, kind, status=status, expected=held.version))


def lost(call: Event) -> Event:
    """The call, refused because the claim was lost."""
    [write] = call.call.writes
    return attrs.evolve(call, completion=Fail("ClaimLostError", T, write.expected))


def look(start: int, end: int, version: int, status: str, attempt: int) -> Event:
    return read(start, end, Observe(T, version, "x", status, attempt=attempt))


FIRST, SECOND = claim(3, 4, 2, 1), claim(7, 8, 3, 2, at=9)
"""A claim whose lease is over when the other one takes its task."""

WORK = {
    "claimed, renewed and finished": [
        FIRST,
        renew(5, 6, FIRST, at=5),
        ended(7, 8, FIRST),
        look(9, 10, 3, "SUCCESS", 1),
    ],
    "given back, and claimed before the lease would have been over": [
        FIRST,
        ended(5, 6, FIRST, "release"),
        claim(7, 8, 4, 2, at=3),
    ],
    "too late": [
        FIRST,
        SECOND,
        lost(renew(9, 10, FIRST)),
        lost(ended(9, 10, FIRST)),
        ended(11, 12, SECOND),
        lost(ended(13, 14, SECOND)),
    ],
    "the last renewal counts": [
        FIRST,
        renew(5, 6, FIRST, at=8, lease=5),
        renew(6, 7, FIRST, at=9, lease=1),
        claim(7, 8, 3, 2, at=10),
    ],
    "a renewal beside a claim came before it": [
        FIRST,
        claim(5, 9, 3, 2, at=9),
        renew(6, 8, FIRST, at=8, lease=1),
    ],
    "a renewal that is unknown may have made the lease shorter": [
        FIRST,
        killed(renew(5, 6, FIRST)),
        claim(7, 8, 3, 2, at=2),
    ],
    "a worker that was killed had the task, and gave it back or not": [
        killed(FIRST),
        claim(7, 8, 3, 2, at=2),
        killed(ended(9, 10, SECOND, "release")),
        claim(11, 12, 5, 3, at=3),
    ],
    "what a killed worker finished is done": [
        FIRST,
        killed(ended(5, 6, FIRST)),
        look(7, 8, 3, "SUCCESS", 1),
    ],
    "nobody has to find anything": [event(3, 4, Ok(()), *FIRST.call.writes), FIRST],
}

CLAIM_CHECKERS = [check_registers, check_transactions, check_leases]


def found_in(history: Sequence[Event]) -> list[str]:
    """What is found in a history of the queued task."""
    return [found for check in CLAIM_CHECKERS for found in check([queued(1, 2), *history])]


@pytest.mark.parametrize("history", WORK.values(), ids=WORK)
def test_claims_that_follow_each_other_are_accepted(history: Sequence[Event]) -> None:
    assert found_in(history) == []


def test_a_claim_during_a_lease_is_noticed() -> None:
    early = claim(7, 8, 3, 2, at=7)
    assert found_in([FIRST, early]) == [f"{T}: claimed 2 us too early: {early} after {FIRST}"]


def test_a_claim_that_overlooks_a_renewal_is_noticed_also_beside_it() -> None:
    renewal = renew(7, 9, FIRST, at=8)
    assert found_in([FIRST, renewal, SECOND]) == [
        f"{T}: claimed 8 us too early: {SECOND} after {renewal}"
    ]


def test_one_task_for_two_claims_is_noticed() -> None:
    other = claim(3, 5, 2, 1)
    assert found_in([FIRST, other]) == [f"{T}: version 2 was stored twice: {FIRST} and {other}"]


def test_a_renewal_after_another_claim_is_noticed() -> None:
    late = renew(9, 10, FIRST, at=8, lease=1)
    assert found_in([FIRST, SECOND, late]) == [f"{T}: went back: {late} came after {SECOND}"]


@pytest.mark.parametrize("kind", ["finish", "release"])
def test_an_end_after_another_claim_is_noticed(kind: str) -> None:
    [stored] = ended(9, 10, SECOND, kind).observed
    late = attrs.evolve(ended(9, 10, FIRST, kind), completion=Ok((stored,)))
    assert found_in([FIRST, SECOND, late]) == [
        f"{T}: does not follow from version 3: {late} after {SECOND}"
    ]


def test_an_end_beside_another_claim_takes_no_version_of_its_own() -> None:
    late = ended(7, 9, FIRST)
    assert found_in([FIRST, SECOND, late])[0] == (
        f"{T}: version 3 was stored twice: {SECOND} and {late}"
    )


def test_a_claim_of_what_has_ended_is_noticed() -> None:
    done, again = ended(5, 6, FIRST), claim(7, 8, 4, 2, at=9)
    assert found_in([FIRST, done, again]) == [
        f"{T}: does not follow from version 3: {again} after {done}"
    ]


def test_an_attempt_that_is_not_counted_is_noticed() -> None:
    same = claim(7, 8, 3, 1, at=9)
    assert found_in([FIRST, same]) == [f"{T}: does not follow from version 2: {same} after {FIRST}"]


def test_a_finish_that_is_gone_is_noticed() -> None:
    done, gone = ended(5, 6, FIRST), look(7, 8, 2, "RUNNING", 1)
    assert found_in([FIRST, done, gone]) == [f"{T}: went back: {gone} came after {done}"]
    other = look(7, 8, 3, "PENDING", 1)
    assert found_in([FIRST, done, other]) == [f"{T}: one version, two values: {done} and {other}"]


def test_a_state_that_no_killed_worker_left_is_noticed() -> None:
    left = look(7, 8, 3, "PENDING", 1)
    assert found_in([FIRST, killed(ended(5, 6, FIRST)), left]) == [
        f"{T}: no write explains version 3: {left}"
    ]
    twice = look(9, 10, 4, "RUNNING", 3)
    assert found_in([FIRST, killed(SECOND), twice]) == [
        f"{T}: no write explains version 4: {twice}"
    ]


def test_a_claim_that_was_lost_to_nobody_is_noticed() -> None:
    refused = lost(ended(5, 6, FIRST))
    assert found_in([FIRST, refused]) == [f"{T}: no write explains version 3: {refused}"]
    assert found_in([FIRST, refused, SECOND]) == [
        f"{T}: stored what was there: {SECOND} came after {refused}"
    ]


def test_a_half_of_a_claim_is_noticed() -> None:
    writes = [Write(f"tasks/{key}", "claim", status="RUNNING", lease=9) for key in "tu"]
    tasks = tuple(Observe(f"tasks/{key}", 2, "x", "RUNNING", attempt=1, until=9) for key in "tu")
    both = event(3, 6, Ok(tasks), *writes, method="tasks.claim")
    half = read(4, 5, tasks[0], Observe("tasks/u", 1, "x", "PENDING"))
    other = attrs.evolve(queued(1, 2), completion=Ok((half.observed[1],)))
    other = attrs.evolve(
        other, call=Invoke("call", (Write("tasks/u", "create", "x", "PENDING", 0),))
    )
    assert found_in([other, both, half]) == [
        f"torn: {half} shows ['{T}'] and not ['tasks/u'] of {both}"
    ]


# --- transactions ------------------------------------------------------------------------------


def transaction(
    tag: str, start: int, end: int, completion: Completion | None = None, **to: int
) -> Event:
    """Upserts of workflows that stored these versions."""
    entities = {f"workflows/{key}": version for key, version in to.items()}
    stored = Ok(tuple(seen(v, tag, entity=entity) for entity, v in entities.items()))
    writes = [Write(entity, "upsert", tag, "", 0) for entity in entities]
    return event(start, end, completion or stored, *writes, method="transaction")


def view(start: int, end: int, **found: tuple[int, str]) -> Event:
    """A call that returned several workflows."""
    states = [seen(v, tag, entity=f"workflows/{key}") for key, (v, tag) in found.items()]
    return read(start, end, *states)


ATOMIC = {
    "before, beside and after": [
        transaction("x", 1, 2, a=1, b=1),
        view(3, 4, a=(1, "x"), b=(1, "x")),
        transaction("y", 5, 9, a=2, b=2),
        view(6, 7, a=(2, "y"), b=(2, "y")),
    ],
    "rolled back and never seen": [
        transaction("x", 1, 2, a=1, b=1),
        transaction("y", 3, 4, Fail("RolledBack"), a=0, b=0),
        view(5, 6, a=(1, "x"), b=(1, "x")),
    ],
    "unknown and done": [
        transaction("x", 1, 2, a=1, b=1),
        killed(transaction("y", 3, 4, a=0, b=0)),
        read(5, 6, seen(2, "y")),
        transaction("z", 7, 8, a=3, b=3),
    ],
    "unknown and seen as a whole later on": [
        transaction("x", 1, 2, a=1, b=1),
        killed(transaction("y", 3, 4, a=0, b=0)),
        view(5, 6, a=(1, "x"), b=(1, "x")),
        view(7, 8, a=(2, "y"), b=(2, "y")),
    ],
    "pages are no snapshot": [
        transaction("x", 1, 2, a=1, b=1),
        transaction("y", 3, 4, a=2, b=2),
        attrs.evolve(view(3, 4, a=(2, "y"), b=(1, "x")), call=Invoke("workflows.pages")),
    ],
}


@pytest.mark.parametrize("history", ATOMIC.values(), ids=ATOMIC)
def test_transactions_seen_as_a_whole_are_accepted(history: Sequence[Event]) -> None:
    assert check_transactions(history) == []


def test_a_snapshot_with_a_part_of_a_transaction_is_torn() -> None:
    second = transaction("y", 3, 9, a=2, b=2)
    torn = view(4, 5, a=(2, "y"), b=(1, "x"))
    assert check_transactions([transaction("x", 1, 2, a=1, b=1), second, torn]) == [
        f"torn: {torn} shows ['{A}'] and not ['{B}'] of {second}"
    ]


def test_a_snapshot_that_skews_two_transactions_is_torn_twice() -> None:
    one, other = transaction("y", 3, 9, a=2, c=1), transaction("z", 3, 9, b=2, c=2)
    skewed = view(4, 5, a=(1, "x"), b=(2, "z"), c=(1, "y"))
    assert check_transactions([transaction("x", 1, 2, a=1, b=1), one, other, skewed]) == [
        f"torn: {skewed} shows ['workflows/c'] and not ['{A}'] of {one}",
        f"torn: {skewed} shows ['{B}'] and not ['workflows/c'] of {other}",
    ]


def test_transactions_that_wrote_in_a_circle_are_torn() -> None:
    one, other = transaction("x", 1, 4, a=1, b=2), transaction("y", 2, 3, a=2, b=1)
    assert check_transactions([one, other]) == [
        f"torn: {one} shows ['{B}'] and not ['{A}'] of {other}",
        f"torn: {other} shows ['{A}'] and not ['{B}'] of {one}",
    ]


def test_what_was_rolled_back_is_seen_by_nobody() -> None:
    undone = transaction("y", 3, 6, Fail("RolledBack"), a=0, b=0)
    dirty = read(4, 5, seen(2, "y"))
    assert check_transactions([transaction("x", 1, 2, a=1, b=1), undone, dirty]) == [
        f"{seen(2, 'y')} was undone and seen: {undone} by {dirty}"
    ]


def test_an_unknown_transaction_is_torn_like_another() -> None:
    unknown = killed(transaction("y", 3, 4, a=0, b=0))
    torn, whole = view(5, 6, a=(2, "y"), b=(1, "x")), read(7, 8, seen(2, "y", entity=B))
    assert check_transactions([transaction("x", 1, 2, a=1, b=1), unknown, torn, whole]) == [
        f"torn: {torn} shows ['{A}'] and not ['{B}'] of {unknown}"
    ]


def test_an_unknown_transaction_is_not_done_by_half() -> None:
    unknown = killed(transaction("y", 3, 4, a=0, b=0))
    half = view(5, 6, a=(2, "y"), b=(1, "x"))
    assert check_transactions([transaction("x", 1, 2, a=1, b=1), unknown, half]) == [
        f"half done: {half} shows no {B} of {unknown}"
    ]
    one, other = read(5, 6, seen(2, "y")), read(7, 8, seen(1, "x", entity=B))
    assert check_transactions([transaction("x", 1, 2, a=1, b=1), unknown, one, other]) == [
        f"half done: {other} shows no {B} of {unknown}"
    ]
    # What was invoked before the transaction had been seen may be from before it.
    beside = attrs.evolve(other, invoked=6)
    assert check_transactions([transaction("x", 1, 2, a=1, b=1), unknown, one, beside]) == []


# --- pages -------------------------------------------------------------------------------------


def row(key: str, created: int = 0) -> Observe:
    return Observe(f"workflows/{key}", 1, key, created=created)


def born(key: str, start: int, end: int) -> Event:
    return event(start, end, Ok((row(key),)), Write(f"workflows/{key}", "create", key))


def gone(key: str, start: int, end: int) -> Event:
    return event(start, end, Ok(()), Write(f"workflows/{key}", "delete"))


def pages(start: int, end: int, *rows: Observe, method: str = "workflows.pages") -> Event:
    return event(start, end, Ok(rows), method=method)


AB = [born("a", 1, 2), born("b", 1, 2)]

WELL_PAGED = {
    "all that is there, newest first": [*AB, pages(3, 4, row("b"), row("a"))],
    "the time counts before the id": [*AB, pages(3, 4, row("a", created=2), row("b", created=1))],
    "what comes or goes meanwhile may be shown": [
        *AB,
        born("c", 4, 9),
        gone("a", 4, 5),
        pages(3, 6, row("c"), row("b"), row("a")),
    ],
    "what comes or goes meanwhile may be left out": [
        *AB,
        born("c", 4, 5),
        gone("a", 5, 9),
        pages(3, 6, row("b")),
    ],
    "what is unknown may be either": [
        *AB,
        killed(born("c", 1, 2)),
        killed(born("d", 1, 2)),
        killed(gone("a", 1, 2)),
        killed(gone("b", 1, 2)),
        pages(3, 4, row("d"), row("a")),
    ],
    "tasks are shown oldest first": [
        event(1, 2, Ok(()), Write("tasks/a", "create"), Write("tasks/b", "create")),
        pages(3, 4, Observe("tasks/a", 1), Observe("tasks/b", 1), method="tasks.pages"),
    ],
}


@pytest.mark.parametrize("history", WELL_PAGED.values(), ids=WELL_PAGED)
def test_pages_that_show_what_is_there_are_accepted(history: Sequence[Event]) -> None:
    assert check_pages(history) == []


def test_a_repeated_row_is_noticed() -> None:
    run = pages(3, 4, row("b"), row("b"), row("a"))
    assert check_pages([*AB, run]) == [f"workflows/b is shown 2 times: {run}"]


def test_a_skipped_row_is_noticed() -> None:
    run = pages(3, 6, row("b"))
    assert check_pages([*AB, run, gone("a", 7, 8)]) == [
        f"workflows/a is skipped: {run}; it is there since {AB[0]}"
    ]


def test_a_row_that_was_gone_before_is_noticed() -> None:
    run, death = pages(5, 6, row("b"), row("a")), gone("b", 3, 4)
    assert check_pages([*AB, death, run]) == [
        f"workflows/b is shown: {run}; it was gone since {death}"
    ]


def test_a_row_from_the_future_is_noticed() -> None:
    run = pages(3, 4, row("c"), row("b"), row("a"))
    assert check_pages([*AB, run, born("c", 5, 6)]) == [
        f"workflows/c is shown before it was created: {run}"
    ]


def test_rows_in_the_wrong_order_are_noticed() -> None:
    by_id = pages(3, 4, row("a"), row("b"))
    by_time = pages(5, 6, row("b", created=1), row("a", created=2))
    assert check_pages([*AB, by_id, by_time]) == [
        f"workflows/b is shown behind workflows/a: {by_id}",
        f"workflows/a is shown behind workflows/b: {by_time}",
    ]


# --- against a store that answers one call after the other --------------------------------------


def attempt(there: Observe | None, write: Write) -> Observe | Fail:
    """What a sequential store stores, or why not."""
    if write.kind == "create" and there is not None:
        return Fail("AlreadyExistsError", write.entity)
    if there is None and write.kind not in ("create", "upsert"):
        return Fail("WorkflowNotFoundError", write.entity, actual=0)
    base = there or Observe(write.entity, 0)
    if write.kind == "claim" and base.status not in ("PENDING", "RUNNING"):
        return Fail("nothing to claim")
    if write.kind == "finish" and base.version > (write.expected or 0):
        return Fail("ClaimLostError", write.entity, write.expected)
    if there is not None and write.expected not in (None, there.version):
        return Fail("VersionConflictError", write.entity, write.expected, there.version)
    return attrs.evolve(
        base,
        version=base.version + 1,
        tag=base.tag if write.tag is None else write.tag,
        status=base.status if write.status is None else write.status,
        usage=(base.usage if write.usage is None else write.usage) + write.adds,
        attempt=base.attempt + (write.kind == "claim"),
    )


@attrs.define
class Sequential:
    """A sequential store: `call` answers a call by its name, each at a moment of its own."""

    there: dict[str, Observe] = attrs.field(factory=dict)
    moment: int = 0
    claimed: int = 0

    def call(self, name: str, *, answered: bool = True, done: bool = True) -> Event:
        self.moment += 10
        writes, before = self.writes(name), dict(self.there)
        completion = self.written(writes) if writes else self.read(name)
        if name == "undone" or not (answered or done):
            self.there = before
            completion = Fail("RolledBack")
        if not answered:
            completion = Info("killed")
        method = "workflows.pages" if name == "pages" else "call"
        return event(self.moment, self.moment, completion, *writes, method=method)

    def writes(self, name: str) -> list[Write]:
        tag, version = str(self.moment), self.there[A].version if A in self.there else 1
        rows = sorted(self.there.keys() - {A, B})
        match name:
            case "create" | "upsert":
                return [Write(A, name, tag, "PENDING", 0)]
            case "claim":
                return [Write(A, name, status="RUNNING")]
            case "finish" if self.claimed:
                return [Write(A, name, status="SUCCESS", expected=self.claimed)]
            case "update" | "stale":
                expected = version if name == "update" else max(version - 1, 1)
                return [Write(A, "update", tag, "", 0, expected=expected)]
            case "set_status":
                return [Write(A, name, status=f"S{tag}")]
            case "merge_usage":
                return [Write(A, name, adds=self.moment)]
            case "transfer" | "undone":
                return [Write(entity, "upsert", tag, "", 0) for entity in (A, B)]
            case "born":
                return [Write(f"workflows/row-{tag}", "create", tag, "", 0)]
            case "gone" if rows:
                return [Write(rows[0], "delete")]
        return []

    def written(self, writes: Iterable[Write]) -> Completion:
        stored = []
        for write in writes:
            if write.kind == "delete":
                del self.there[write.entity]
                continue
            state = attempt(self.there.get(write.entity), write)
            if isinstance(state, Fail):
                return Ok(()) if write.kind == "claim" else state
            if write.kind == "claim":
                self.claimed = state.version
            if write.entity not in (A, B):
                state = attrs.evolve(state, created=self.moment)
            self.there[write.entity] = state
            stored.append(state)
        return Ok(tuple(stored))

    def read(self, name: str) -> Completion:
        if name == "read" and A not in self.there:
            return Fail("WorkflowNotFoundError", A, actual=0)
        found = [self.there[A]] if name == "read" else list(self.there.values())
        return Ok(tuple(sorted(found, key=lambda row: (row.created, row.entity), reverse=True)))


REGISTER_CALLS = [
    *("create", "upsert", "update", "stale", "set_status", "read"),
    *("claim", "finish"),
]
CALLS = [*REGISTER_CALLS, "merge_usage", "transfer", "undone", "view", "born", "gone", "pages"]
LOST = [{"answered": False, "done": True}, {"answered": False, "done": False}]


@st.composite
def histories(
    draw: st.DrawFn, calls: Sequence[str] = CALLS, size: int = 30, lost: bool = True
) -> list[Event]:
    """What a sequential store answered, to calls that took a while longer than it needed."""
    store, history = Sequential(), []
    fates = st.sampled_from([{}, {}, {}, *(LOST if lost else [])])
    width = st.integers(0, 35)
    for name, fate in draw(st.lists(st.tuples(st.sampled_from(calls), fates), max_size=size)):
        call = store.call(name, **fate)
        invoked, returned = call.invoked - draw(width), call.invoked + draw(width)
        history.append(attrs.evolve(call, invoked=invoked, returned=returned))
    return draw(st.permutations(history))


CHECKERS = [check_registers, check_transactions, check_pages]


@given(histories())
def test_what_a_sequential_store_answered_is_accepted(history: list[Event]) -> None:
    assert [violation for check in CHECKERS for violation in check(history)] == []


def with_one_changed(history: list[Event], victim: Event, **changes: object) -> list[Event]:
    """The history, but that the first state `victim` returned was another."""
    assert isinstance(victim.completion, Ok)
    first, *rest = victim.completion.observed
    changed = attrs.evolve(victim, completion=Ok((attrs.evolve(first, **changes), *rest)))
    return [changed if call is victim else call for call in history]


def returned_states(history: list[Event], entity: str | None = None) -> list[Event]:
    """The calls that returned a state; with `entity` the writes that stored one of it."""
    return [
        call
        for call in history
        if isinstance(call.completion, Ok)
        and call.completion.observed
        and (entity is None or [write.entity for write in call.call.writes] == [entity])
    ]


many_pass_by = settings(suppress_health_check=[HealthCheck.filter_too_much])
"""For histories that need something in them to be changed; the short ones have nothing."""


@many_pass_by
@given(histories(), st.data())
def test_an_answer_that_nothing_leads_to_is_rejected(
    history: list[Event], data: st.DataObject
) -> None:
    calls = returned_states(history)
    assume(calls)
    victim = data.draw(st.sampled_from(calls))
    assert check_registers(with_one_changed(history, victim, tag="never written")) != []
    assert check_registers(with_one_changed(history, victim, version=1000)) != []
    assert check_registers(with_one_changed(history, victim, usage=10**6)) != []


@many_pass_by
@given(histories(REGISTER_CALLS, lost=False))
def test_a_last_write_with_too_high_a_version_is_rejected(history: list[Event]) -> None:
    writes = returned_states(history, A)
    assume(writes)
    last = max(writes, key=version_of)
    bumped = with_one_changed(history, last, version=version_of(last) + 1)
    assert check_registers(bumped) != []


@many_pass_by
@given(histories(), st.data())
def test_a_late_read_of_an_old_version_is_rejected(
    history: list[Event], data: st.DataObject
) -> None:
    versions = {version_of(call): call for call in returned_states(history, A)}
    assume(len(versions) > 1)
    old = versions[data.draw(st.sampled_from(sorted(versions)[:-1]))]
    assert check_registers([*history, read(10**6, 10**6, old.completion.observed[0])]) != []


def version_of(call: Event) -> int:
    assert isinstance(call.completion, Ok)
    return call.completion.observed[0].version


# --- against a search through every order -------------------------------------------------------


def explainable(history: Sequence[Event]) -> bool:
    """Whether some order of the calls on one entity is what a sequential store would answer."""

    @cache
    def can_go_on(left: frozenset[int], there: Observe | None) -> bool:
        if all(isinstance(history[number].completion, Info) for number in left):
            return True
        return any(
            can_go_on(left - {number}, after)
            for number in left
            if not any(history[other].ended < history[number].invoked for other in left)
            for after in explained(history[number], there)
        )

    return can_go_on(frozenset(range(len(history))), None)


def explained(call: Event, there: Observe | None) -> list[Observe | None]:
    """What is there after the call, if its outcome is that of a sequential store."""
    would_be = attempt(there, call.call.writes[0]) if call.call.writes else there
    match call.completion:
        case Info():
            return [would_be] if isinstance(would_be, Observe) else []
        case Ok((found,)):
            return [would_be] if would_be == found else []
        case Ok(()):
            return [there]
        case Fail("WorkflowNotFoundError") if would_be is None:
            return [None]
    return [there] if would_be == call.completion else []


@st.composite
def doubtful_histories(draw: st.DrawFn) -> list[Event]:
    """Histories of a few calls on one entity; answers and times have been tampered with."""
    history = draw(histories(REGISTER_CALLS, size=6, lost=draw(st.booleans())))
    for _ in range(draw(st.integers(0, 4)) if history else 0):
        number = draw(st.integers(0, len(history) - 1))
        history[number] = draw(tampered(history[number]))
    return history


@st.composite
def tampered(draw: st.DrawFn, call: Event) -> Event:
    shift = draw(st.integers(-60, 60))
    end = None if call.returned is None else call.returned + shift
    moved = attrs.evolve(call, invoked=call.invoked + shift, returned=end)
    choices = [moved, moved, moved, killed(call)]
    match call.completion:
        case Ok((found,)):
            other = draw(st.sampled_from([{"version": n} for n in (1, 2, 3)] + TAGS))
            choices += [attrs.evolve(call, completion=Ok((attrs.evolve(found, **other),)))] * 4
        case Fail("VersionConflictError"):
            actual = draw(st.integers(1, 3))
            choices += [
                attrs.evolve(call, completion=attrs.evolve(call.completion, actual=actual))
            ] * 4
    return draw(st.sampled_from(choices))


TAGS = [*({"tag": tag} for tag in ("10", "20", "30")), {"attempt": 1}]


@settings(max_examples=500)
@given(doubtful_histories())
def test_what_is_accepted_is_what_a_search_through_every_order_explains(
    history: list[Event],
) -> None:
    assert (check_registers(history) == []) is explainable(history)
