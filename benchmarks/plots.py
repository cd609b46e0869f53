"""Pictures: calm, readable on a phone, on paper and on black.

matplotlib is imported when the first one is drawn, which is after all is measured: the garbage
collector would look at its objects with each collection, and that is paid by what is measured.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import frozen

from benchmarks.databases import POSTGRES, SQLITE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

NAMES = {SQLITE: "SQLite", POSTGRES: "PostgreSQL"}
MARKERS = {SQLITE: "o", POSTGRES: "s"}

WIDTH = 360.0
"""Pixels, as a phone has them; a page may show it larger."""
_INCH, _POINT = 96.0, 96.0 / 72.0
_LINE = 13.0
"""From one label to the next below it."""
_BESIDE, _BELOW = 14.0, 48.0
"""From one of several axes to the next."""
_BOTTOM = 36.0
"""Below the lowest axes, for numbers and what they are."""


@frozen
class Theme:
    """Colours: of text, of what stands back behind the figures, and of each database."""

    name: str
    ink: str
    faint: str
    of: Mapping[str, str]


THEMES = (
    Theme("light", "#1f2328", "#8c959f", {SQLITE: "#0969da", POSTGRES: "#bc4c00"}),
    Theme("dark", "#e6edf3", "#7d8590", {SQLITE: "#58a6ff", POSTGRES: "#f0883e"}),
)


@contextmanager
def drawing(theme: Theme) -> Iterator[None]:
    """Figures made in here are of `theme`, and text in them stays text, in the reader's font."""
    from matplotlib import rc_context

    settings: dict[Any, Any] = {
        "font.size": 8,
        "font.sans-serif": ["DejaVu Sans"],  # or whatever the reader has without serifs
        "axes.titlesize": 8,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.linewidth": 0.8,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.35,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.6,
        "lines.markersize": 4,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "ytick.left": False,
        "xtick.minor.size": 0,
        "svg.fonttype": "none",
        "svg.hashsalt": "benchmarks",
        **dict.fromkeys(("text.color", "axes.titlecolor", "axes.labelcolor"), theme.ink),
        **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), theme.ink),
        **dict.fromkeys(("axes.edgecolor", "grid.color", "xtick.color"), theme.faint),
    }
    with rc_context(settings):
        yield


def panels(
    height: float,
    rows: int = 1,
    columns: int = 1,
    *,
    left: float = 40,
    right: float = 12,
    top: float = 30,
) -> tuple[Figure, list[Axes]]:
    """A figure so high, and its axes row by row; pixels.

    The margins are fixed: a layout that is computed from text changes with the fonts.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / _INCH, height / _INCH), dpi=_INCH)
    axes = figure.subplots(rows, columns, squeeze=False)
    inner_width, inner_height = WIDTH - left - right, height - top - _BOTTOM
    figure.subplots_adjust(
        left=left / WIDTH,
        right=1 - right / WIDTH,
        bottom=_BOTTOM / height,
        top=1 - top / height,
        # As shares of the width and the height of one of the axes.
        wspace=_BESIDE / ((inner_width + _BESIDE) / columns - _BESIDE),
        hspace=_BELOW / ((inner_height + _BELOW) / rows - _BELOW),
    )
    return figure, list(axes.flat)


def svg(figure: Figure) -> str:
    """The text of its file: the same for the same figures."""
    file = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(file, format="svg", metadata=nothing)
    return file.getvalue()


def name_databases(figure: Figure, theme: Theme, drivers: Sequence[str], beside: str) -> None:
    """The names of databases in their colours along the top, then what else is to be known."""
    x = 8.0
    height = figure.get_figheight() * _INCH
    words = [(NAMES[driver], theme.of[driver]) for driver in drivers] + [(beside, theme.faint)]
    for word, colour in words:
        figure.text(x / WIDTH, 1 - 14 / height, word, color=colour)
        x += 7 * len(word) + 4


class End(NamedTuple):
    """Where a line ends, and what it is."""

    x: float
    y: float
    label: str
    colour: str


def name_ends(axes: Axes, ends: Sequence[End]) -> None:
    """A label in its colour right of each end, none upon another one.

    The limits of the axes are not to change any more.
    """
    pixel = axes.transData.transform
    lowest = float("-inf")
    for x, y, label, colour in sorted(ends, key=lambda end: end.y):
        wanted = float(pixel((x, y))[1])
        lowest = max(wanted, lowest + _LINE)
        axes.annotate(
            label,
            (x, y),
            (6 / _POINT, (lowest - wanted) / _POINT),
            textcoords="offset points",
            color=colour,
            va="center",
        )


def lanes(axes: Axes, labels: Sequence[str]) -> None:
    """A lane for each label, from the top; the label stands above what is drawn at its number."""
    axes.set_ylim(len(labels) - 0.5, -0.75)
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    for number, label in enumerate(labels):
        place = axes.get_yaxis_transform()
        axes.text(0, number - 0.32, label, transform=place, va="center", ha="left")


def plain(axis: Axis, ticks: Sequence[float] | None = None) -> None:
    """Numbers as people write them, also on a logarithmic axis; at these `ticks` alone.

    Ticks that are given are short ones: 10k for 10,000.
    """
    from matplotlib.ticker import FuncFormatter, NullFormatter

    if ticks is None:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    else:
        axis.set_ticks(list(ticks), [_short(tick) for tick in ticks])
    axis.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    return f"{value:g}" if value < 1_000 else f"{value / 1_000:g}k"
