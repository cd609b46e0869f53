"""A history: calls, with the time of each invocation and completion, in the words of Jepsen.

A call is invoked, and completes as `Ok`, `Fail` or `Info`, which leaves open whether it was done.

Events hold what the checkers need and no whole states, and travel between processes as JSON.
Entities are named by repository and key, as in `workflows/w`. Times are those of
`time.monotonic_ns`, which all processes of a machine share.
"""

from __future__ import annotations

from math import inf
from typing import Any, TypeAlias

from attrs import frozen
from cattrs.preconf.json import make_converter


@frozen
class Write:
    """What a call would do to one entity; None for what it would leave as it is.

    `tag` tells the values written to an entity apart: no two calls of a history write the same.
    `expected` is the version the write depends on. `adds` is added to the usage. `lease` is how
    long it leases a task, in microseconds; a `renew` writes that alone, and no version.
    """

    entity: str
    kind: str
    tag: str | None = None
    status: str | None = None
    usage: int | None = None
    adds: int = 0
    expected: int | None = None
    lease: int | None = None

    def __str__(self) -> str:
        text = f"{self.kind} {self.entity}"
        if self.tag is not None:
            text += f" tag {self.tag}"
        if self.status:
            text += f" status {self.status}"
        if self.adds:
            text += f" usage +{self.adds}"
        if self.lease is not None:
            text += f" for {self.lease} us"
        return text if self.expected is None else f"{text} from {self.expected}"


@frozen
class Invoke:
    """A call, as `repository.method`, with what it would write, at most once to each entity.

    Several calls in one are a `transaction`, or `repository.pages`: all pages of a list in turn.
    """

    method: str
    writes: tuple[Write, ...] = ()

    @property
    def repository(self) -> str:
        """The repository it calls."""
        return self.method.partition(".")[0]

    @property
    def stores(self) -> tuple[Write, ...]:
        """Its writes that make new versions: all but those of a lease alone."""
        return tuple(write for write in self.writes if write.kind != "renew")

    @property
    def is_paging(self) -> bool:
        """Whether what it saw is of several moments."""
        return self.method.endswith(".pages")

    def __str__(self) -> str:
        return f"{self.method}({', '.join(map(str, self.writes))})"


@frozen
class Observe:
    """An entity as a call returned it, and as a claim `until` when it is leased.

    Times are in microseconds since 1970, by the clock of the store.
    """

    entity: str
    version: int
    tag: str = ""
    status: str = ""
    usage: int = 0
    created: int = 0
    attempt: int = 0
    until: int | None = None

    def __str__(self) -> str:
        text = f"{self.entity} at {self.version}: {self.tag} {self.status} {self.usage}"
        if self.attempt:
            text += f" attempt {self.attempt}"
        return text if self.until is None else f"{text} until {self.until}"


@frozen
class Ok:
    """The call returned, and returned these, in this order; for a write what it stored."""

    observed: tuple[Observe, ...]

    def __str__(self) -> str:
        shown = [*map(str, self.observed[:8])]
        more = len(self.observed) - len(shown)
        return ", ".join(shown + [f"{more} more"] * (more > 0)) or "done"


@frozen
class Fail:
    """The call raised `error`, and nothing was changed.

    `entity` is what the error is about, `expected` the version it was about, or the claim was of,
    and `actual` the version it found there, 0 for none.
    """

    error: str
    entity: str | None = None
    expected: int | None = None
    actual: int | None = None

    def __str__(self) -> str:
        about = "" if self.entity is None else f" of {self.entity}"
        return f"{self.error}{about}" + ("" if self.actual is None else f" at {self.actual}")


@frozen
class Info:
    """No answer tells whether the call was done: now, later, or never."""

    reason: str

    def __str__(self) -> str:
        return f"unknown ({self.reason})"


Completion: TypeAlias = Ok | Fail | Info


@frozen
class Event:
    """One call. `returned` is None where it never came back."""

    worker: str
    call: Invoke
    invoked: int
    returned: int | None
    completion: Completion

    @property
    def ended(self) -> float:
        """When it was over: what is unknown may yet happen."""
        if self.returned is None or isinstance(self.completion, Info):
            return inf
        return self.returned

    @property
    def observed(self) -> tuple[Observe, ...]:
        """The rows it returned; none if it did not return."""
        return self.completion.observed if isinstance(self.completion, Ok) else ()

    def __str__(self) -> str:
        end = "" if self.returned is None else self.returned
        return f"{self.worker}: {self.call} -> {self.completion} [{self.invoked}..{end}]"


_converter = make_converter()


def to_json(event: Event) -> Any:
    """The event as what `json.dumps` takes."""
    return _converter.unstructure(event)


def from_json(data: Any) -> Event:
    """The event that `to_json` made it of."""
    return _converter.structure(data, Event)


def settled(reports: list[Event]) -> list[Event]:
    """Of the reports about each call the last: a worker says that it calls, then the outcome."""
    return list({(report.worker, report.invoked): report for report in reports}.values())
