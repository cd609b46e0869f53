"""One execution of many tasks: reading it in pages, exporting it, and deleting it beside others."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import engine_store
from benchmarks import plots
from benchmarks.data import add_running, with_result
from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.filled import filled
from benchmarks.study import Effort, Lab, Options, Report, Table, readable
from engine_store import transfer
from engine_store.models import TaskFilter, TaskState
from engine_store.models.pages import read_pages
from engine_store.protocols import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "large"
TITLE = "One execution of many tasks: in pages, exported, deleted"
DRIVERS = (SQLITE, POSTGRES)
FULL, QUICK = Effort(1, 1.0), Effort(1, 1.0)
"""Each size is filled, read and deleted once, however many seconds that takes."""

SIZES, QUICK_SIZES = (10_000, 30_000, 100_000), (500, 1_500)
"""Tasks."""
PAGE = 1_000

WORK = ("pages", "export", "delete")


def measure(lab: Lab, options: Options) -> Report:
    """Every size on every database, one after the other."""
    sizes = QUICK_SIZES if options.quick else SIZES
    return {
        "parameters": {"tasks": list(sizes), "page": PAGE},
        "executions": [
            {"driver": driver, "tasks": tasks, **_one(lab, driver, tasks)}
            for driver, tasks in product(options.drivers, sizes)
        ],
    }


def _one(lab: Lab, driver: str, tasks: int) -> Report:
    """The seconds of each work on an execution of so many tasks, and what it kept others from."""
    name = plots.NAMES[driver]
    lab.say(f"{name}: storing {tasks:,} tasks")
    with filled(lab.databases[driver], 1, tasks) as rows:
        store, file = rows.store, lab.folder / "large.jsonl"
        of_workflow = TaskFilter(workflow_exec_id=rows.workflow)
        pages = read_pages(partial(store.tasks.list, of_workflow), PAGE)
        lab.say(f"{name}: reading {tasks:,} tasks")
        seconds = {"pages": _seconds(lambda: sum(1 for _ in pages))}
        seconds["export"] = _seconds(lambda: transfer.export(store, file))
        file.unlink()
        tracemalloc.start()
        transfer.export(store, file)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        file.unlink()
        lab.say(f"{name}: deleting {tasks:,} tasks")
        with engine_store.open(rows.url) as other, _updating(other) as waits:
            seconds["delete"] = _seconds(lambda: store.workflows.delete(rows.workflow))
        return {"seconds": seconds, "export_bytes": peak, "longest_update_ms": 1000 * max(waits)}


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def _updating(store: Store) -> Iterator[list[float]]:
    """Updates of another execution, one after the other, while the block runs: their seconds."""
    waits: list[float] = []
    done = threading.Event()
    with store.transaction() as tx:
        task = add_running(tx)

    def update(task: TaskState) -> None:
        while not done.is_set():
            began = time.perf_counter()
            task = store.tasks.update(with_result(task, len(waits)))
            waits.append(time.perf_counter() - began)

    thread = threading.Thread(target=update, args=(task,))
    thread.start()
    try:
        yield waits
    finally:
        done.set()
        thread.join()


def tables(report: Report) -> list[Table]:
    """For each database its sizes: the seconds, what a thousand tasks take, and the rest."""
    return [
        Table(
            f"{engine['title']}: seconds",
            ("tasks", *WORK, "memory, MB", "wait, ms"),
            tuple(
                (
                    f"{one['tasks']:,}",
                    *(readable(one["seconds"][work]) for work in WORK),
                    readable(one["export_bytes"] / 1e6),
                    readable(one["longest_update_ms"]),
                )
                for one in _of(report, driver)
            ),
            wide=frozenset({"memory, MB"}),
        )
        for driver, engine in report["databases"].items()
    ]


def _of(report: Report, driver: str) -> list[Report]:
    return [one for one in report["executions"] if one["driver"] == driver]


def remarks(report: Report) -> list[str]:
    """The meaning of the columns."""
    memory = max(one["export_bytes"] for one in report["executions"])
    return [
        f"In pages of {report['parameters']['page']:,}. The most memory that Python had at once in "
        f"an export, whatever its size, is {readable(memory / 1e6)} MB. Wait: the longest update "
        "of another store, whose thread updates another execution without a pause while this one "
        "is deleted."
    ]


def plot(report: Report, theme: plots.Theme) -> Figure:
    """A panel for each work: what a thousand tasks take, which is the same if it is linear."""
    figure, panels = plots.panels(260, rows=1, columns=3, top=48)
    for driver in report["databases"]:
        found = _of(report, driver)
        sizes = [one["tasks"] for one in found]
        for axes, work in zip(panels, WORK, strict=True):
            each = [1e6 * one["seconds"][work] / one["tasks"] for one in found]
            axes.plot(sizes, each, color=theme.of[driver], marker=plots.MARKERS[driver])
    for axes, title in zip(panels, WORK, strict=True):
        axes.set_title(title)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.margins(x=0.12)
        plots.plain(axes.xaxis, report["parameters"]["tasks"])
        plots.plain(axes.yaxis)
    figure.supxlabel("tasks of the execution", y=0.005, fontsize="medium")
    plots.name_databases(
        figure, theme, list(report["databases"]), "milliseconds for a thousand tasks"
    )
    return figure
