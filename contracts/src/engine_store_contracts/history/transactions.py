"""Transactions: all of their writes are there for a reader, or none.

A transaction stored a version of each of several entities. A call that returned several entities
at once, another transaction included, must not show one of them as the transaction left it or
later, and another as it was before. What is compared are versions; that a version holds what its
write wrote is the matter of `registers`.

Of a transaction of unknown outcome the versions are those at which its tags were seen first. If
one was seen, the others must have a place among the versions that nobody has seen. Two unknown
transactions may be granted the same place: what is reported is wrong for certain, what is not may
be wrong in this one way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count

from engine_store_contracts.history.events import Event, Fail, Info
from engine_store_contracts.history.sights import Register, registers_of

Versions = Mapping[str, int]


def check_transactions(history: Iterable[Event]) -> list[str]:
    """Who saw a part of a transaction, or what was rolled back."""
    events = list(history)
    registers = {register.entity: register for register in registers_of(events)}
    transactions = [
        (event, _stored(event, registers)) for event in events if len(event.call.writes) > 1
    ]
    return [
        *_undone_but_seen(events),
        *_torn(transactions, events),
        *_half_done(transactions, registers),
    ]


def _stored(transaction: Event, registers: Mapping[str, Register]) -> Versions:
    """The version it stored of each entity, as far as it was acknowledged or seen."""
    if not isinstance(transaction.completion, Info):
        return _versions(transaction)
    stored = {}
    for write in transaction.call.writes:
        sights = registers[write.entity].sights
        versions = [s.version for s in sights if s.seen is not None and s.seen.tag == write.tag]
        if versions:
            stored[write.entity] = min(versions)
    return stored


def _versions(event: Event) -> Versions:
    """The version it returned of each entity."""
    return {seen.entity: seen.version for seen in event.observed}


def _undone_but_seen(events: Sequence[Event]) -> Iterator[str]:
    undone = {
        (write.entity, write.tag): event
        for event in events
        if isinstance(event.completion, Fail)
        for write in event.call.writes
        if write.tag is not None
    }
    for event in events:
        for seen in event.observed:
            if (seen.entity, seen.tag) in undone:
                yield f"{seen} was undone and seen: {undone[seen.entity, seen.tag]} by {event}"


def _torn(transactions: Sequence[tuple[Event, Versions]], events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        if event.call.is_paging:
            continue
        view = _versions(event)
        for transaction, stored in transactions:
            common = sorted(view.keys() & stored.keys())
            done = [entity for entity in common if view[entity] >= stored[entity]]
            missing = [entity for entity in common if view[entity] < stored[entity]]
            if done and missing:
                yield f"torn: {event} shows {done} and not {missing} of {transaction}"


def _half_done(
    transactions: Sequence[tuple[Event, Versions]], registers: Mapping[str, Register]
) -> Iterator[str]:
    """Transactions of unknown completion: one write was seen, another has no place left."""
    for transaction, stored in transactions:
        if not stored or not isinstance(transaction.completion, Info):
            continue
        proofs = [
            sight.event
            for entity, version in stored.items()
            for sight in registers[entity].sights
            if sight.version >= version
        ]
        known_at = min(event.ended for event in proofs)
        for write in transaction.call.writes:
            sights = registers[write.entity].sights
            taken = {sight.version for sight in sights if sight.seen is not None}
            free = next(version for version in count(1) if version not in taken)
            too_early = [
                sight.event
                for sight in sights
                if sight.version < free
                and (sight.event in proofs or sight.event.invoked > known_at)
            ]
            if write.entity not in stored and too_early:
                yield f"half done: {too_early[0]} shows no {write.entity} of {transaction}"
