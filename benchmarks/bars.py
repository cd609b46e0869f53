"""The table and the picture of studies that found one spread for each of several things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks import plots
from benchmarks.databases import SQLITE
from benchmarks.study import Report, Table, readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(title: str, first: str, found: Sequence[Report], unit: str) -> Table:
    """A line for each of `found`: its title, and the median and range of what it has at `unit`."""
    return Table(
        title,
        (first, "median", "range"),
        tuple((one["title"], readable(one[unit]["median"]), _range(one[unit])) for one in found),
    )


def _range(spread: Report) -> str:
    return f"{readable(spread['p10'])}-{readable(spread['p90'])}"


def plot(theme: plots.Theme, found: Sequence[Report], unit: str, label: str) -> Figure:
    """A bar for each of `found`, in the colour of its database, with its median behind it."""
    figure, (axes,) = plots.panels(48 + 38 * len(found), left=12, right=52, top=6)
    plots.lanes(axes, [one["title"] for one in found])
    for number, one in enumerate(found):
        spread, colour = one[unit], theme.of[one.get("driver", SQLITE)]
        axes.barh(number + 0.12, spread["median"], height=0.36, color=colour)
        axes.plot([spread["p10"], spread["p90"]], [number + 0.12] * 2, color=theme.ink, linewidth=1)
        axes.annotate(
            readable(spread["median"]),
            (max(spread["median"], spread["p90"]), number + 0.12),
            (5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_xlim(left=0)
    axes.set_xlabel(label)
    axes.locator_params(axis="x", nbins=5)
    plots.plain(axes.xaxis)
    return figure
