"""What telemetry costs: the processor's time of the cheapest operation, with and without."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from attrs import asdict
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.version import __version__ as sdk_version

import engine_store
from benchmarks import bars, plots
from benchmarks.data import add_workflow
from benchmarks.databases import SQLITE
from benchmarks.measure import side_by_side
from benchmarks.study import Effort, Lab, Options, Report, Table
from engine_store.telemetry import OpenTelemetry, SlowOperations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "telemetry"
TITLE = "The processor's time of workflows.get on SQLite, by plugin"
DRIVERS = (SQLITE,)
FULL, QUICK = Effort(41, 0.05), Effort(7, 0.02)


def _with_sdk() -> OpenTelemetry:
    """Spans that nobody exports, and metrics that a reader could collect."""
    return OpenTelemetry(
        tracer_provider=TracerProvider(),
        meter_provider=MeterProvider(metric_readers=[InMemoryMetricReader()]),
    )


PLUGINS: dict[str, tuple[str, Callable[[], list[object]]]] = {
    "none": ("no plugin", list),
    "slow": ("SlowOperations", lambda: [SlowOperations()]),
    "api": ("OpenTelemetry without an SDK", lambda: [OpenTelemetry()]),
    "sdk": ("OpenTelemetry, SDK and reader of metrics", lambda: [_with_sdk()]),
}


def measure(lab: Lab, options: Options) -> Report:
    """Stores of one database, each with its plugins, by turns."""
    lab.say("SQLite: telemetry")
    with ExitStack() as stack:
        url = stack.enter_context(lab.databases[SQLITE].new())
        with engine_store.open(url) as store:
            key, _ = add_workflow(store, 0)
        calls = {}
        for name, (_, plugins) in PLUGINS.items():
            store = stack.enter_context(engine_store.open(url, plugins=plugins()))
            calls[name] = partial(store.workflows.get, key)
        found = side_by_side(calls, options.effort, time.process_time_ns)
    return {
        "libraries": {"OpenTelemetry SDK": sdk_version},
        "plugins": [
            {"name": name, "title": title, "us": asdict(found[name])}
            for name, (title, _) in PLUGINS.items()
        ],
    }


def tables(report: Report) -> list[Table]:
    """A line for each plugin."""
    return [bars.table("Microseconds of one workflows.get", "plugin", report["plugins"], "us")]


def remarks(report: Report) -> list[str]:
    """What the time is."""
    return ["Processor time; medians of interleaved rounds, from the 10th to the 90th percentile."]


def plot(report: Report, theme: plots.Theme) -> Figure:
    """A bar for each plugin."""
    return bars.plot(theme, report["plugins"], "us", "microseconds of processor time")
