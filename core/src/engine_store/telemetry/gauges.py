"""The statistics of open stores, as instruments that are read when metrics are collected."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from attrs import frozen
from opentelemetry.metrics import (
    CallbackOptions,
    Meter,
    MeterProvider,
    Observation,
    get_meter_provider,
)

from engine_store.errors import EngineStoreError
from engine_store.protocols import Observable

Attributes = dict[str, str | int]
Stats = Mapping[str, Any]
Measure = Callable[[Stats, Attributes], Iterable[Observation]]


@frozen
class _Report:
    """The gauges of the statistics of a store, for as long as the store exists."""

    store: weakref.ref[Observable]
    provider: MeterProvider | None
    attributes: Attributes


_lock = threading.Lock()
_reports: tuple[_Report, ...] = ()


def observe(
    provider: MeterProvider | None, meter: Meter, store: Observable, attributes: Attributes
) -> None:
    """Report the statistics of `store` with `meter`, of `provider` or, for None, the global one."""
    global _reports
    with _lock:
        others = [report for report in _reports if report.store() is not None]
        _reports = (*others, _Report(weakref.ref(store), provider, attributes))
    _make_instruments(provider, meter)


def _make_instruments(provider: MeterProvider | None, meter: Meter) -> None:
    # OpenTelemetry keeps the first instrument of a name, and its callback: so each looks at the
    # stores of every plugin.
    for name, measure, unit, description in _INSTRUMENTS:
        of_pool = name.startswith("db.client")
        create = (
            meter.create_observable_up_down_counter if of_pool else meter.create_observable_gauge
        )
        create(name, [partial(_measure, provider, measure)], unit=unit, description=description)


def _measure(
    provider: MeterProvider | None, measure: Measure, _: CallbackOptions
) -> Iterator[Observation]:
    for report in _reports:
        store = report.store()
        if store is not None and _real(report.provider) is _real(provider):
            yield from measure(_stats(store), report.attributes)


def _stats(store: Observable) -> Stats:
    try:
        return store.stats()
    except EngineStoreError:
        return {}  # closed or busy: there is nothing to report


def _real(provider: MeterProvider | None) -> MeterProvider:
    return get_meter_provider() if provider is None else provider


def _connections(stats: Stats, attributes: Attributes) -> Iterator[Observation]:
    if "pool_size" in stats:
        idle = stats["pool_available"]
        for state, count in (("idle", idle), ("used", stats["pool_size"] - idle)):
            labels = {**_pool(attributes), "db.client.connection.state": state}
            yield Observation(count, labels)


def _of_pool(stat: str) -> Measure:
    return lambda stats, attributes: _of_file(stat)(stats, _pool(attributes))


def _of_file(stat: str) -> Measure:
    return lambda stats, attributes: [Observation(stats[stat], attributes)] if stat in stats else []


def _pool(attributes: Attributes) -> Attributes:
    """The attributes of a pool, named as the conventions name one that has no name."""
    address, port = (attributes.get(f"server.{part}") for part in ("address", "port"))
    server = ":".join(str(part) for part in (address, port) if part is not None)
    name = "/".join(part for part in (server, str(attributes.get("db.namespace", ""))) if part)
    return {**attributes, "db.client.connection.pool.name": name}


_INSTRUMENTS = (
    (
        "db.client.connection.count",
        _connections,
        "{connection}",
        "Connections of the pool, by the state they are in.",
    ),
    (
        "db.client.connection.max",
        _of_pool("pool_max"),
        "{connection}",
        "Connections that the pool may have.",
    ),
    (
        "db.client.connection.pending_requests",
        _of_pool("requests_waiting"),
        "{request}",
        "Operations that wait for a connection.",
    ),
    ("engine_store.file.size", _of_file("file_bytes"), "By", "The database's file."),
    ("engine_store.wal.size", _of_file("wal_bytes"), "By", "The write-ahead log of the file."),
    ("engine_store.page.count", _of_file("page_count"), "{page}", "Pages of the database."),
    ("engine_store.page.free", _of_file("freelist_count"), "{page}", "Pages that hold nothing."),
)
"""The instruments: those of the conventions count up and down, the others are gauges."""
