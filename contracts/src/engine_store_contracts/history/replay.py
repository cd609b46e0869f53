"""Replaying an entity's writes in the order of their versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import TypeAlias

from engine_store.models import Status
from engine_store_contracts.history.events import Write
from engine_store_contracts.history.sights import Register, Sight

Value: TypeAlias = tuple[str | None, str | None, int | None, int | None]
"""The tag, the status, the usage and the attempt of an entity at a version; None: not known."""

State: TypeAlias = tuple[frozenset[int], Value]
"""Where a replay has come: the doubtful writes it took as done, by number, and the value."""

UNKNOWN: Value = (None, None, None, None)
NOT_THERE: Value = (None, None, None, 0)

CLAIMABLE = (None, Status.PENDING, Status.RUNNING)
"""The statuses of what a claim takes, one that is not known among them."""


def replay(register: Register) -> Iterator[str]:
    """Where no sequence of writes, one for each version, leads to what was seen.

    Every choice of doubtful writes that agrees with what was seen so far is followed at once.
    After a violation the replay goes on from what was seen.
    """
    maximum = len(register.sights) + len(register.doubtful)
    if register.last > maximum:  # a driver may count in millions: do not follow it there
        highest = max(register.sights, key=lambda sight: sight.version)
        yield f"{register.entity}: {maximum} calls cannot lead to {register.last}: {highest}"
        return
    sights: dict[int, list[Sight]] = defaultdict(list)
    for sight in register.sights:
        sights[sight.version].append(sight)
    states: Collection[State] = {(frozenset(), NOT_THERE)}
    for version in range(1, register.last + 1):
        writers = [sight for sight in sights[version] if sight.write is not None]
        writer = writers[0] if writers else None
        for other in writers[1:]:
            yield f"{register.entity}: version {version} was stored twice: {writer} and {other}"
        shown, differing = _shown(sights[version])
        yield from (f"{register.entity}: {text}" for text in differing)
        reached = {
            (used, after if shown is None else shown)
            for state in states
            for used, after in _next_states(register, version, writer, state)
            if shown is None or _agree(after, shown)
        }
        if not reached:
            yield _unexplained(register, version, writer, sights)
            reached = {(used, shown or UNKNOWN) for used, _ in states}
        states = reached


def _shown(sights: list[Sight]) -> tuple[Value | None, list[str]]:
    """The value at a version, as its writer saw it or else the first, and who saw another."""
    seen = sorted((s for s in sights if s.seen is not None), key=lambda s: s.write is None)
    values = [
        (s.seen.tag, s.seen.status, s.seen.usage, s.seen.attempt)
        for s in seen
        if s.seen is not None
    ]
    differing = [
        f"one version, two values: {seen[0]} and {sight}"
        for sight, value in zip(seen, values, strict=True)
        if value != values[0]
    ]
    return (values[0] if values else None), differing


def _next_states(
    register: Register, version: int, writer: Sight | None, state: State
) -> Iterator[State]:
    """What one write can make of `state`: the acknowledged one, or else a doubtful one."""
    used, value = state
    if writer is not None and writer.write is not None:
        if _is_possible(writer.write, version, value):
            yield used, _after(value, writer.write)
        return
    for number, (event, write) in enumerate(register.doubtful):
        earlier = register.before(event.invoked)
        in_time = earlier is None or earlier.version < version
        if number not in used and in_time and _is_possible(write, version, value):
            yield used | {number}, _after(value, write)


def _after(value: Value, write: Write) -> Value:
    """Return what the write makes of the value."""
    tag, status, usage, attempt = value
    usage = usage if write.usage is None else write.usage
    return (
        tag if write.tag is None else write.tag,
        status if write.status is None else write.status,
        None if usage is None else usage + write.adds,
        None if attempt is None else attempt + (write.kind == "claim"),
    )


def _is_possible(write: Write, version: int, before: Value) -> bool:
    """Return whether a sequential store lets this write store `version` after a value."""
    match write.kind:
        case "create":
            return version == 1
        case "upsert":
            return True
        case "delete":
            return False
        case "claim":
            return version > 1 and before[1] in CLAIMABLE
        case _:
            return version > 1 and write.expected in (None, version - 1)


def _agree(value: Value, shown: Value) -> bool:
    return all(one is None or one == other for one, other in zip(value, shown, strict=True))


def _unexplained(
    register: Register, version: int, writer: Sight | None, sights: dict[int, list[Sight]]
) -> str:
    if writer is None:
        witness = min((s for s in register.sights if s.version >= version), key=lambda s: s.version)
        return f"{register.entity}: no write explains version {version}: {witness}"
    before = next((s for s in sights[version - 1] if s.seen is not None), None)
    return f"{register.entity}: does not follow from version {version - 1}: {writer}" + (
        "" if before is None else f" after {before}"
    )
