"""What a study is, what it is given, and how it says what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from attrs import frozen
from rich.text import Text

from benchmarks.databases import Databases

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchmarks.plots import Theme

Report: TypeAlias = dict[str, Any]
"""All that was found, and by what: JSON."""


@frozen
class Effort:
    """How long to measure: so many rounds, each of about so many seconds."""

    rounds: int
    seconds: float


@frozen
class Options:
    """What is asked of a study."""

    effort: Effort
    drivers: tuple[str, ...]
    cases: tuple[str, ...] = ()
    """These cases alone; none: all."""
    quick: bool = False
    """Whether a rough look is enough: fewer rows, where there are many."""


@frozen
class Lab:
    """Where it is measured: a folder for files, and the databases of each driver."""

    folder: Path
    databases: Mapping[str, Databases]
    say: Callable[[str], None]
    """Shows what is being done."""


@frozen
class Table:
    """A table for the terminal and for a page. The first column is text, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | Text, ...], ...]
    wide: frozenset[str] = frozenset()
    """Columns that only a terminal has room for."""


def readable(value: float) -> str:
    """A figure with three digits, or all of its whole part."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{decimals}f}"


class Study(Protocol):
    """A module of `benchmarks.studies`.

    `tables`, `remarks` and `plot` see nothing but the report, so that pages can be made of one
    that was written before.
    """

    @property
    def NAME(self) -> str: ...  # noqa: N802 - a constant of the module, as are those below

    @property
    def TITLE(self) -> str:  # noqa: N802
        """What is compared with what, in one line."""
        ...

    @property
    def DRIVERS(self) -> tuple[str, ...]:  # noqa: N802
        """Those it can measure."""
        ...

    @property
    def FULL(self) -> Effort: ...  # noqa: N802

    @property
    def QUICK(self) -> Effort: ...  # noqa: N802

    def measure(self, lab: Lab, options: Options) -> Report:
        """What was found, with `parameters` where there are any beside the effort."""
        ...

    def tables(self, report: Report) -> list[Table]:
        """The figures."""
        ...

    def remarks(self, report: Report) -> list[str]:
        """What stands below the tables, a line each."""
        ...

    def plot(self, report: Report, theme: Theme) -> Figure:
        """The figures as a picture."""
        ...
