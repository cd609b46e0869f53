"""The studies: what is measured, a module each."""

from __future__ import annotations

from benchmarks.studies import (
    concurrent,
    imports,
    keys,
    large,
    ratio,
    rows,
    telemetry,
    transfer,
    work,
)
from benchmarks.study import Study

_STUDIES: tuple[Study, ...] = (
    ratio,
    concurrent,
    work,
    rows,
    large,
    telemetry,
    keys,
    transfer,
    imports,
)

STUDIES = {study.NAME: study for study in _STUDIES}
