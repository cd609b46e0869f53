"""Entities with versions: is each a register whose operations took effect one after the other?

Linearizable means that all operations on an entity can be put in one order that a sequential
store could have run and that keeps real time: what had returned comes before what was invoked
later. To find such an order is hard in general. Here every write answers the version it stored,
so the order of writes is known, and what shows version v belongs behind the write of v and before
that of v + 1. A history is linearizable if, and only if,

1. each version was stored by one write, acknowledged or of unknown outcome (the latter not invoked
   after that version had been shown already);
2. replayed in this order, each write was possible and leads to what was seen at its version;
3. no event shows a lower version than one that had returned before it was invoked, and no write
   stored a version that had been shown before it was invoked.

That these are needed is plain. They suffice: order by version, at each version the write first and
then the others by the time they were invoked. By 2 a sequential store answers alike. Real time is
kept: let A return before B is invoked. By 3 the version of A is not above that of B, and below it
where B is a write. Of two with equal versions B is no write, so that A is the write, which comes
first, or was invoked before B. A write of unknown outcome may take effect at any time after it was
invoked, or never: nothing has to come after it.

A failed compare-and-set is a read of the version it found. A `create` that found something shows
that version 1 had been stored, and has its place at the highest version shown before it.
Histories begin before anything is there, and delete none of these entities.

A claim may write each task of its queue, and writes those that it returns. While a task is claimed,
nobody but its worker writes it. So `finish` and `release` are compare-and-sets from the version of
their claim, and a `renew` that is granted is a read of it; one that is refused shows that the task
had come further, as a lost claim does everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine_store_contracts.history.events import Event, Fail
from engine_store_contracts.history.replay import replay
from engine_store_contracts.history.sights import Register, registers_of

EXPECTED_FAILURES = {
    "AlreadyExistsError",
    "ClaimLostError",
    "RolledBack",
    "VersionConflictError",
}


def check_registers(history: Iterable[Event]) -> list[str]:
    """Return why what was read and written is not linearizable, entity by entity.

    Usage is what the version before had and what its write added. So what was seen last is the sum
    of all that was acknowledged, and of some that is unknown. Attempts count claims in this way.
    """
    events = list(history)
    violations = list(_failures(events))
    for register in registers_of(events):
        violations += [*_real_time(register), *replay(register)]
    return violations


def _failures(history: Iterable[Event]) -> Iterator[str]:
    """Errors that no state of the store is a reason for, and conflicts that are none."""
    for event in history:
        if not isinstance(event.completion, Fail):
            continue
        failed, given = event.completion, {write.expected for write in event.call.writes} - {None}
        if failed.error not in EXPECTED_FAILURES and failed.actual is None:
            yield f"no reason to fail: {event}"
        elif failed.expected is not None and failed.expected == failed.actual:
            yield f"a conflict of a version with itself: {event}"
        elif failed.expected is not None and given and failed.expected not in given:
            yield f"a conflict with a version not given: {event}"


def _real_time(register: Register) -> Iterator[str]:
    """Events that show an older version than what had returned before they were invoked."""
    for sight in register.sights:
        earlier = register.before(sight.event.invoked)
        if earlier is None or sight.at_least:
            continue
        if sight.version < earlier.version:
            yield f"{register.entity}: went back: {sight} came after {earlier}"
        elif sight.write is not None and sight.version == earlier.version:
            yield f"{register.entity}: stored what was there: {sight} came after {earlier}"
