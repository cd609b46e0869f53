"""The statistics of open stores, as instruments that are read when metrics are collected."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from engine_store.telemetry.endpoint import Attributes

Stats = Mapping[str, Any]
Measure = Callable[[Stats, Attributes], Iterable[Observation]]


@frozen
class _Report:
    """Where the statistics of a store go, for as long as the store exists."""

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
    def measuring(measure: Measure) -> list[Callable[[CallbackOptions], Iterator[Observation]]]:
        return [lambda options: _measure(provider, measure)]

    meter.create_observable_up_down_counter(
        "db.client.connection.count",
        measuring(_connections),
        unit="{connection}",
        description="Connections of the pool, by the state they are in.",
    )
    meter.create_observable_up_down_counter(
        "db.client.connection.max",
        measuring(_of_pool("pool_max")),
        unit="{connection}",
        description="Connections that the pool may have.",
    )
    meter.create_observable_up_down_counter(
        "db.client.connection.pending_requests",
        measuring(_of_pool("requests_waiting")),
        unit="{request}",
        description="Operations that wait for a connection.",
    )
    for name, stat, unit, description in (
        ("engine_store.file.size", "file_bytes", "By", "The database's file."),
        ("engine_store.wal.size", "wal_bytes", "By", "The write-ahead log of the file."),
        ("engine_store.page.count", "page_count", "{page}", "Pages of the database."),
        ("engine_store.page.free", "freelist_count", "{page}", "Pages that hold nothing."),
    ):
        meter.create_observable_gauge(
            name, measuring(_of_file(stat)), unit=unit, description=description
        )


def _measure(provider: MeterProvider | None, measure: Measure) -> Iterator[Observation]:
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
    def measure(stats: Stats, attributes: Attributes) -> Iterator[Observation]:
        if stat in stats:
            yield Observation(stats[stat], _pool(attributes))

    return measure


def _of_file(stat: str) -> Measure:
    def measure(stats: Stats, attributes: Attributes) -> Iterator[Observation]:
        if stat in stats:
            yield Observation(stats[stat], attributes)

    return measure


def _pool(attributes: Attributes) -> Attributes:
    """The attributes of a pool, named as the conventions name one that has no name."""
    address, port = (attributes.get(f"server.{part}") for part in ("address", "port"))
    server = ":".join(str(part) for part in (address, port) if part is not None)
    name = "/".join(part for part in (server, str(attributes.get("db.namespace", ""))) if part)
    return {**attributes, "db.client.connection.pool.name": name}
