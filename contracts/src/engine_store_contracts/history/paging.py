"""Pages: a run through a list, from its first page to its last, among rows that come and go.

A row that was there from the beginning of the run to its end is shown once. A row that came or
went meanwhile may be shown or not. No key is used again after its row was deleted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from engine_store.rules.entities import ENTITIES
from engine_store_contracts.history.events import Event, Fail, Observe, Ok

NEWEST_FIRST = {entity.repository for entity in ENTITIES if entity.newest_first}

Calls = Mapping[str, Sequence[Event]]


def check_pages(history: Iterable[Event]) -> list[str]:
    """Rows that runs repeat, skip, show though they are not there, or show in the wrong order."""
    events = list(history)
    births = _calls(events, "create", "upsert")
    deaths = _calls(events, "delete")
    return [
        violation
        for run in events
        if run.call.is_paging and isinstance(run.completion, Ok)
        for violation in (
            *_repeated(run),
            *_skipped(run, births, deaths),
            *_not_there(run, births, deaths),
            *_disordered(run),
        )
    ]


def _calls(events: Iterable[Event], *kinds: str) -> Calls:
    """By entity the writes of these kinds that were done, or may have been."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        for write in event.call.writes:
            if write.kind in kinds and not isinstance(event.completion, Fail):
                found[write.entity].append(event)
    return found


def _was_done_before(calls: Iterable[Event], run: Event) -> Event | None:
    return next((event for event in calls if event.ended < run.invoked), None)


def _may_be_done_by_the_end(calls: Iterable[Event], run: Event) -> bool:
    return any(event.invoked <= run.ended for event in calls)


def _repeated(run: Event) -> Iterator[str]:
    for entity, times in Counter(row.entity for row in run.observed).items():
        if times > 1:
            yield f"{entity} is shown {times} times: {run}"


def _skipped(run: Event, births: Calls, deaths: Calls) -> Iterator[str]:
    repository, shown = run.call.repository, {row.entity for row in run.observed}
    for entity, calls in births.items():
        if entity in shown or not entity.startswith(f"{repository}/"):
            continue
        born = _was_done_before(calls, run)
        if born is not None and not _may_be_done_by_the_end(deaths.get(entity, ()), run):
            yield f"{entity} is skipped: {run}; it is there since {born}"


def _not_there(run: Event, births: Calls, deaths: Calls) -> Iterator[str]:
    for entity in dict.fromkeys(row.entity for row in run.observed):
        dead = _was_done_before(deaths.get(entity, ()), run)
        if dead is not None:
            yield f"{entity} is shown: {run}; it was gone since {dead}"
        elif not _may_be_done_by_the_end(births.get(entity, ()), run):
            yield f"{entity} is shown before it was created: {run}"


def _disordered(run: Event) -> Iterator[str]:
    for one, other in pairwise(run.observed):
        before, after = _position(one), _position(other)
        if run.call.repository in NEWEST_FIRST:
            before, after = after, before
        if before > after:
            yield f"{other.entity} is shown behind {one.entity}: {run}"


def _position(row: Observe) -> tuple[int, str]:
    return row.created, row.entity.partition("/")[2]
