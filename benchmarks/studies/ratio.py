"""Each store beside the bare module of its database, which runs the same statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import asdict
from rich.text import Text

from benchmarks import plots
from benchmarks.blocks import Case
from benchmarks.cases import BATCH, CASES
from benchmarks.compare import PORTION, Measurement, compare
from benchmarks.data import PAGE, payload
from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.measure import Spread
from benchmarks.parallel import IN_FLIGHT, THREADS
from benchmarks.study import Effort, Lab, Options, Report, Table, readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "ratio"
TITLE = "The store's throughput as a share of the bare module's"
DRIVERS = (SQLITE, POSTGRES)
FULL, QUICK = Effort(41, 0.1), Effort(7, 0.02)


def cases_of(driver: str, names: Sequence[str] = ()) -> list[Case]:
    """The cases of these names, or all, without those that the driver does not measure."""
    return [CASES[name] for name in names or CASES if driver in CASES[name].aims]


def measure(lab: Lab, options: Options) -> Report:
    """Case by case, each on new copies of the dataset."""
    found = []
    for driver in options.drivers:
        databases = lab.databases[driver]
        for case in cases_of(driver, options.cases):
            lab.say(f"{databases.engine.title}: {case.title}")
            with databases.bench(durable=case.durable) as bench:
                found.append(compare(case, bench, options.effort))
    return {
        "parameters": {
            "portion": PORTION,
            "threads": THREADS,
            "in_flight": IN_FLIGHT,
            "batch": BATCH,
            "page": PAGE,
        },
        "payload": payload(),
        "cases": [_case(one) for one in found],
    }


def _case(found: Measurement) -> Report:
    case = found.case
    return {
        "driver": found.engine.driver,
        "name": case.name,
        "title": case.title,
        "durable": case.durable,
        "operations_per_round": found.operations,
        "store_us": asdict(found.store),
        "bare_us": None if found.bare is None else asdict(found.bare),
        "ratio": None if found.ratio is None else asdict(found.ratio),
        "aim": found.aim,
        "operations_per_second": asdict(_rate(found.store)),
    }


def _rate(time: Spread) -> Spread:
    """Operations in a second, from microseconds for one: the slow rounds are the low ones."""
    return Spread(1e6 / time.median, 1e6 / time.p90, 1e6 / time.p10)


def tables(report: Report) -> list[Table]:
    """For each database the ratios, then the throughputs of many at once."""
    found = []
    for driver, engine in report["databases"].items():
        cases = [case for case in report["cases"] if case["driver"] == driver]
        compared = [case for case in cases if case["ratio"] is not None]
        alone = [case for case in cases if case["ratio"] is None]
        if compared:
            found.append(_ratios(engine, compared))
        if alone:
            found.append(_throughputs(engine, alone))
    return found


def _ratios(engine: Report, cases: list[Report]) -> Table:
    return Table(
        f"{engine['title']}: microseconds for one operation",
        ("case", "store", engine["bare"], "ratio", "range", "aim"),
        tuple(
            (
                case["title"],
                readable(case["store_us"]["median"]),
                readable(case["bare_us"]["median"]),
                Text(f"{case['ratio']['median']:.2f}", _colour(case)),
                f"{case['ratio']['p10']:.2f}-{case['ratio']['p90']:.2f}",
                "" if case["aim"] is None else f"{case['aim']}",
            )
            for case in cases
        ),
        wide=frozenset({"range", "aim"}),
    )


def _colour(case: Report) -> str:
    if case["aim"] is None:
        return ""
    return "green" if case["ratio"]["median"] >= case["aim"] else "red"


def _throughputs(engine: Report, cases: list[Report]) -> Table:
    rates = [(case["title"], case["operations_per_second"]) for case in cases]
    return Table(
        f"{engine['title']}: operations in a second, many at once",
        ("case", "median", "range"),
        tuple(
            (title, readable(rate["median"]), f"{readable(rate['p10'])}-{readable(rate['p90'])}")
            for title, rate in rates
        ),
    )


def remarks(report: Report) -> list[str]:
    """What a ratio is."""
    return [
        "ratio: the store's throughput as a share of the bare module's, which runs the same "
        "statements with the same parameters and settings. Medians of interleaved rounds; a range "
        "is from the 10th to the 90th percentile."
    ]


def plot(report: Report, theme: plots.Theme) -> Figure:
    """A lane for each case that is compared, with the median and the range of each database."""
    cases = [case for case in report["cases"] if case["ratio"] is not None]
    titles = list(dict.fromkeys(case["title"] for case in cases))
    figure, (axes,) = plots.panels(60 + 44 * max(1, len(titles)), left=12)
    plots.lanes(axes, titles)
    axes.axvline(1, color=theme.faint, linewidth=1)
    for case in cases:
        ratio, colour = case["ratio"], theme.of[case["driver"]]
        lane = titles.index(case["title"]) + (0.05 if case["driver"] == SQLITE else 0.3)
        axes.plot([ratio["p10"], ratio["p90"]], [lane, lane], color=colour, alpha=0.5)
        axes.plot([ratio["median"]], [lane], plots.MARKERS[case["driver"]], color=colour)
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=6)
    plots.plain(axes.xaxis)
    plots.name_databases(figure, theme, list(report["databases"]), "1: as fast as the bare module")
    return figure
