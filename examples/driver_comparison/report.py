"""What is shown of a comparison: a table, and the plot of it as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from attrs import frozen
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

from driver_comparison.measure import NAMES, Comparison
from driver_comparison.workload import KINDS

# --- the table ---------------------------------------------------------------------------------


def show(console: Console, found: Comparison) -> None:
    """Print a line for each kind of operation, both drivers side by side."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("operation", no_wrap=True)
    for driver in found.figures:
        for head in (f"{NAMES[driver]}\nper second", "\np50 ms", "\np99 ms"):
            table.add_column(head, justify="right", no_wrap=True)
    for kind in KINDS:
        row = [kind]
        for figures in found.figures.values():
            of = figures[kind]
            row += [f"{of.rate:,.0f}", f"{of.p50:.2f}", f"{of.p99:.2f}"]
        table.add_row(*row)
    table.add_section()
    table.add_row("whole run", *(cell for rate in found.rates.values() for cell in _alone(rate)))
    table.add_row(
        "lost claims", *(cell for lost in found.lost_claims.values() for cell in _alone(lost))
    )
    console.print(table)


def _alone(number: float) -> tuple[str, str, str]:
    return f"{number:,.0f}", "", ""


# --- the plot ----------------------------------------------------------------------------------


@frozen
class Theme:
    """The colours of a plot: of what is written, and of each driver. The ground is the page's."""

    ink: str
    drivers: Sequence[str]


THEMES = {
    "light": Theme("#24292f", ("#0072b2", "#c45500")),
    "dark": Theme("#e6edf3", ("#56b4e9", "#f0a030")),
}
"""Blue and orange, which also those tell apart who see fewer colours."""


def write_plots(folder: Path, found: Comparison) -> None:
    """Write `comparison-light.svg` and `comparison-dark.svg`; the same figures, the same bytes."""
    for name, theme in THEMES.items():
        _write_plot(folder / f"comparison-{name}.svg", found, theme)


def _write_plot(file: Path, found: Comparison, theme: Theme) -> None:
    inks = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: Any = dict.fromkeys(inks, theme.ink) | {
        "svg.fonttype": "none",  # texts stay texts: they can be searched, and read aloud
        "svg.hashsalt": "comparison",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 10,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(8.4, 3.8), layout="constrained")
        rates, times = figure.subplots(1, 2, sharey=True)
        for number, (driver, figures) in enumerate(found.figures.items()):
            of = [figures[kind] for kind in KINDS]
            at = [place + 0.3 * (number - 0.5) for place in range(len(KINDS))]
            colour, label = theme.drivers[number], NAMES[driver]
            rates.plot([one.rate for one in of], at, "o", color=colour, label=label)
            times.hlines(at, [one.p50 for one in of], [one.p99 for one in of], color=colour)
            times.plot([one.p50 for one in of], at, "o", color=colour)
            times.plot([one.p99 for one in of], at, "|", color=colour, markersize=10)
        rates.set_yticks(range(len(KINDS)), KINDS)
        rates.invert_yaxis()
        rates.set_xlabel("operations a second")
        times.set_xlabel("milliseconds, p50 (dot) to p99 (bar)")
        for axes in (rates, times):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:,g}")
            axes.xaxis.set_minor_formatter("")
            axes.grid(axis="x", alpha=0.25)
        figure.legend(loc="outside upper center", ncols=2, frameon=False)
        figure.savefig(file, transparent=True, metadata={"Date": None})
