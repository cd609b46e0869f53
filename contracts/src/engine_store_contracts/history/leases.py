"""Leases: no claim takes a task from a worker while its lease lasts.

A claim tells two times by the clock of its store: when its lease ends and, by the length of that,
when it was made. Where it stored the version after that of another claim, it took the task away
from that one: no other write has a place between. All renewals that were granted to the other one
came before, since they are refused afterwards, and the last of them said when its lease ends. One
of unknown outcome may have said otherwise: then nothing is certain.

Times of stores are compared with nothing but each other, as the stores themselves compare them. So
nothing is asked of clocks, not even that they never go back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from attrs import frozen

from engine_store_contracts.history.events import Event, Info

Key: TypeAlias = tuple[str, int]
"""A claim: its task, and the version of that which it stored."""


@frozen
class Lease:
    """A lease as a claim or a renewal set it, in microseconds since 1970."""

    event: Event
    start: int
    end: int


def check_leases(history: Iterable[Event]) -> list[str]:
    """Return which claims took a task too early."""
    events = sorted(history, key=lambda event: event.invoked)
    leases, doubtful = _leases(events), _doubtful(events)
    found = []
    for (task, version), (claim, *_) in leases.items():
        before = (task, version - 1)
        if before not in leases or before in doubtful:
            continue
        last = leases[before][-1]
        if claim.start < last.end:
            early = f"claimed {last.end - claim.start} us too early"
            found.append(f"{task}: {early}: {claim.event} after {last.event}")
    return found


def _leases(events: Iterable[Event]) -> Mapping[Key, list[Lease]]:
    """The leases of each claim, in the order in which its worker got them."""
    leases = defaultdict[Key, list[Lease]](list)
    for event in events:
        lengths = {write.entity: write.lease for write in event.call.writes}
        for seen in event.observed:
            length = lengths.get(seen.entity)
            if seen.until is not None and length is not None:
                lease = Lease(event, seen.until - length, seen.until)
                leases[seen.entity, seen.version].append(lease)
    return leases


def _doubtful(events: Iterable[Event]) -> set[tuple[str, int | None]]:
    """The claims with a renewal of unknown outcome."""
    return {
        (write.entity, write.expected)
        for event in events
        if isinstance(event.completion, Info)
        for write in event.call.writes
        if write.kind == "renew"
    }
