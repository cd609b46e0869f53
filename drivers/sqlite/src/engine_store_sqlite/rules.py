"""What a start on SQLite would come across, found before anything is opened."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from engine_store.config import Config, Finding, Severity
from engine_store.errors import ConfigurationError
from engine_store_sqlite.options import read_options

MEASURED_WORKFLOWS = 16
"""The most workflows, of 4, 8, 16, 32, 64 and 128, that were measured to update their tasks back to
back on one file with 99 of 100 updates done within 100 ms: the median of seven runs on two cores
with a disk that others wrote to as well, some 700 updates a second. An idle disk held 32 and 64.

`python -m benchmarks concurrent --driver sqlite` measures it again. More of them wait longer for
the one writer.
"""


def check(config: Config) -> Iterator[Finding]:
    """What is wrong with the settings; warnings about the file and about what is asked of it."""
    asked = config.worker.max_concurrent_workflows
    if asked > MEASURED_WORKFLOWS:
        yield Finding(
            Severity.WARNING,
            "worker.max_concurrent_workflows",
            f"{asked} is more than the {MEASURED_WORKFLOWS} that SQLite was measured to hold, with "
            "99 of 100 updates within 100 ms: they share one writer; use postgres, or expect "
            "writes to wait",
        )
    try:
        location, _ = read_options(config.database)
    except ConfigurationError as error:
        yield from Finding.of(error)
        return
    if location.path is None or not location.path.is_file():
        return
    others = location.path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    if others:
        yield Finding(
            Severity.WARNING,
            "database.path",
            f"{location.path} is open to others; run chmod 600 on it",
        )
