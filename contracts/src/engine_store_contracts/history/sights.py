"""A history seen from one entity: who saw or stored which version of it, and when."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property

from attrs import define, field, frozen

from engine_store_contracts.history.events import Event, Fail, Info, Observe, Ok, Write


@frozen
class Sight:
    """An event that shows `version` of an entity: it stored it (`write`), or found it there.

    `seen` is None where it found the version and nothing else, as a failed compare-and-set does.
    With `at_least` all it shows is that the entity had come so far.
    """

    event: Event
    version: int
    write: Write | None = None
    seen: Observe | None = None
    at_least: bool = False

    def __str__(self) -> str:
        return str(self.event)


@define(slots=False)
class Register:
    """All that a history says of one entity. `doubtful`: writes that may have been done."""

    entity: str
    sights: list[Sight] = field(factory=list)
    doubtful: list[tuple[Event, Write]] = field(factory=list)

    @property
    def last(self) -> int:
        """The highest version shown."""
        return max((sight.version for sight in self.sights), default=0)

    def before(self, moment: int) -> Sight | None:
        """Of the sights that had returned before `moment`, the one of the highest version."""
        returned, highest = self._by_return
        count = bisect_left(returned, moment)
        return highest[count - 1] if count else None

    @cached_property
    def _by_return(self) -> tuple[list[float], list[Sight]]:
        """When each sight had returned, and the highest of those that had by then."""
        returned: list[float] = []
        highest: list[Sight] = []
        for sight in sorted(self.sights, key=lambda sight: sight.event.ended):
            best = highest[-1] if highest and highest[-1].version >= sight.version else sight
            returned.append(sight.event.ended)
            highest.append(best)
        return returned, highest


def registers_of(history: Iterable[Event]) -> list[Register]:
    """The history of each entity, by name."""
    registers: dict[str, Register] = {}

    def register(entity: str) -> Register:
        return registers.setdefault(entity, Register(entity))

    for event in history:
        match event.completion:
            case Ok(seen):
                writes = {write.entity: write for write in event.call.stores}
                for found in seen:
                    sight = Sight(event, found.version, writes.get(found.entity), found)
                    register(found.entity).sights.append(sight)
            case Info():
                for write in event.call.stores:
                    register(write.entity).doubtful.append((event, write))
            case Fail("AlreadyExistsError", str(entity)):
                register(entity).sights.append(Sight(event, 1, at_least=True))
            case Fail("ClaimLostError", str(entity), int(claimed)):
                register(entity).sights.append(Sight(event, claimed + 1, at_least=True))
            case Fail(_, str(entity), _, int(actual)):
                register(entity).sights.append(Sight(event, actual))
    return [registers[entity] for entity in sorted(registers)]
