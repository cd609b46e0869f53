"""Measuring: fresh processes, several runs of each, and the medians of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from attrs import frozen

PAYLOAD = 400
"""Bytes of JSON in the input of a task execution, and in its output."""

MS, MIB, KIB, PER_SECOND, COUNT = "ms", "MiB", "KiB", "1/s", ""
_SCALES = {MS: 1000, MIB: 1 / 1024**2, KIB: 1 / 1024, PER_SECOND: 1, COUNT: 1}
"""What a unit makes of seconds, bytes and numbers."""

_PROBE = Path(__file__).with_name("probe.py")

_IMPORT = """
from time import perf_counter
began = perf_counter()
import engine_store
print(perf_counter() - began)
"""

_LAUNCHER = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Runs a command and prints its peak memory. A process starts with the peak of its parent, so the
parent is a bare interpreter, too."""

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class ProbeFailedError(Exception):
    """A process that was to be measured failed; the text is its last word."""


@frozen
class Figure:
    """What was measured, in each run. `value` is the median."""

    name: str
    title: str
    unit: str
    runs: tuple[float, ...]

    @classmethod
    def of(cls, name: str, title: str, unit: str, values: Iterable[float]) -> Figure:
        """The figure of values in seconds, bytes or numbers."""
        return cls(name, title, unit, tuple(value * _SCALES[unit] for value in values))

    @property
    def value(self) -> float:
        """The figure."""
        return median(self.runs)


def measure(folder: Path, runs: int, tasks: int) -> list[Figure]:
    """Measure in a folder below `folder`, which is removed again.

    Raises `ProbeFailedError`, and `OSError` where the folder cannot be made.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(runs):
        with TemporaryDirectory(prefix=".edge-", dir=folder) as scratch:
            for name, value in _one_run(Path(scratch), tasks).items():
                found[name].append(value)
    with TemporaryDirectory(prefix=".edge-", dir=folder) as scratch:
        for name, value in _file_sizes(Path(scratch), tasks).items():
            found[name].append(value)
    return [
        Figure.of(name, title, unit, found[name])
        for name, (title, unit) in _titles(f"{tasks:,}").items()
    ]


def of_installation(sizes: Mapping[str, int]) -> list[Figure]:
    """The figures of distributions, from the bytes of each."""
    largest = max(sizes, key=lambda name: sizes[name])
    return [
        Figure.of("distributions", "distributions installed", COUNT, [len(sizes)]),
        Figure.of("installed", "their size", MIB, [sum(sizes.values())]),
        Figure.of("largest", f"the largest of them, {largest}", MIB, [sizes[largest]]),
    ]


def _titles(tasks: str) -> Mapping[str, tuple[str, str]]:
    """What people call each figure, and its unit."""
    ten = 10 * PAYLOAD
    return {
        "import": ("import engine_store", MS),
        "open_new": ("open a new file, with its driver and schema", MS),
        "open_again": ("open it again, in another process", MS),
        "writes_full": ("writes with synchronous=full", PER_SECOND),
        "writes_normal": ("writes with synchronous=normal", PER_SECOND),
        "memory_bare": ("peak memory of a bare interpreter", MIB),
        "memory": (f"above it, to write {tasks} task executions", MIB),
        "disk_empty": (f"file with {tasks} task executions, no payload", KIB),
        "disk": (f"the same with {PAYLOAD} B of input, {PAYLOAD} B of output", KIB),
        "disk_large": (f"the same with {ten:,} B of input, {ten:,} B of output", KIB),
        "wal": ("write-ahead log while it is open", KIB),
        "purged": (f"file with {PAYLOAD} B each, after a purge of all", KIB),
        "free": ("of it free for new rows", KIB),
        "again": ("file after the same again", KIB),
        "vacuumed": ("file after a purge and VACUUM", KIB),
    }


def _one_run(folder: Path, tasks: int) -> Mapping[str, float]:
    """What is measured in each run."""
    bare, _ = _run("-c", "pass")
    _, import_seconds = _run("-c", _IMPORT)
    _, full = _probe("write", folder / "full.db", tasks, synchronous="full")
    peak, normal = _probe("write", folder / "edge.db", tasks)
    _, again = _probe("reopen", folder / "edge.db", tasks)
    return {
        "import": float(import_seconds),
        "open_new": normal["open"],
        "open_again": again["open"],
        "writes_full": full["writes_per_second"],
        "writes_normal": normal["writes_per_second"],
        "memory_bare": bare,
        "memory": peak - bare,
        "disk": normal["disk"],
        "wal": normal["wal"],
    }


def _file_sizes(folder: Path, tasks: int) -> Mapping[str, float]:
    """What is the same in each run, and so is measured once."""
    _, empty = _probe("write", folder / "empty.db", tasks, payload=0)
    _, large = _probe("write", folder / "large.db", tasks, payload=10 * PAYLOAD)
    _, life = _probe("live", folder / "life.db", tasks)
    sizes = {name: life[name] for name in ("purged", "free", "again", "vacuumed")}
    return {"disk_empty": empty["disk"], "disk_large": large["disk"], **sizes}


def _probe(
    what: str, path: Path, tasks: int, *, payload: int = PAYLOAD, synchronous: str = "normal"
) -> tuple[int, Mapping[str, float]]:
    """The peak memory of a probe, and its figures."""
    peak, printed = _run(str(_PROBE), what, str(path), str(tasks), str(payload), synchronous)
    figures: Mapping[str, float] = json.loads(printed)
    return peak, figures


def _run(*arguments: str) -> tuple[int, str]:
    """The peak memory in bytes of a Python process, and what it prints."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, sys.executable, *arguments],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ProbeFailedError(done.stderr.strip().rpartition("\n")[2])
    printed, _, peak = done.stdout.rstrip("\n").rpartition("\n")
    return int(peak) * _MAXRSS_UNIT, printed
