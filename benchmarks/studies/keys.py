"""What the check of an API key takes, and how much of it is the hash."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from attrs import asdict

from benchmarks import bars, plots
from benchmarks.databases import SQLITE
from benchmarks.measure import side_by_side
from benchmarks.study import Effort, Lab, Options, Report, Table
from engine_store import keys
from engine_store.keys.secret import proves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "keys"
TITLE = "The check of an API key on SQLite, and its hash alone"
DRIVERS = (SQLITE,)
FULL, QUICK = Effort(41, 0.05), Effort(7, 0.02)


def measure(lab: Lab, options: Options) -> Report:
    """The check and the hash by turns."""
    lab.say("SQLite: checking keys")
    with (
        lab.databases[SQLITE].store() as store,
        keys.KeyChecker(store) as checker,
    ):
        _, key, secret = keys.bootstrap(store, "ada@example.org")
        calls: dict[str, Callable[[], object]] = {
            "check": partial(checker.check, secret.reveal()),
            "hash": partial(proves, secret, key),
        }
        found = side_by_side(calls, options.effort, time.perf_counter_ns)
    titles = {"check": "KeyChecker.check", "hash": "the hash alone"}
    return {
        "libraries": {"OpenSSL": ssl.OPENSSL_VERSION.split()[1]},
        "calls": [
            {"name": name, "title": titles[name], "us": asdict(spread)}
            for name, spread in found.items()
        ],
    }


def tables(report: Report) -> list[Table]:
    """A line for each call."""
    return [bars.table("Microseconds", "call", report["calls"], "us")]


def remarks(report: Report) -> list[str]:
    """What the figures are."""
    return ["Medians of interleaved rounds, from the 10th to the 90th percentile."]


def plot(report: Report, theme: plots.Theme) -> Figure:
    """A bar for each call."""
    return bars.plot(theme, report["calls"], "us", "microseconds")
