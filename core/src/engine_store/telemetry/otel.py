"""Spans and metrics of OpenTelemetry, by its semantic conventions for database clients."""

from __future__ import annotations

import time
from importlib.metadata import version
from types import TracebackType

from opentelemetry.context import attach, detach
from opentelemetry.metrics import Histogram, MeterProvider, get_meter
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    get_tracer,
    set_span_in_context,
)

from engine_store.errors import ConfigurationError, VersionConflictError
from engine_store.migrations import Direction, Migration
from engine_store.plugins import Hooks, hookimpl
from engine_store.protocols import AsyncStore, Observable, Store
from engine_store.telemetry.gauges import Attributes, observe

SCOPE = "engine_store"

BOUNDARIES = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
"""The buckets of the conventions for the duration of operations, in seconds."""

_COUNTERS = (
    ("conflicts", "{conflict}", "Compare-and-sets that were lost, also if they were tried again."),
    ("retries", "{retry}", "Attempts that lost to concurrent operations and were made again."),
    ("migrations", "{step}", "Steps of the schema that were applied or reverted."),
)


class OpenTelemetry(Hooks):
    """A plugin that makes a span of each operation, and metrics.

    Spans are of kind CLIENT, named by operation and database, and children of the caller's span.
    What runs inside an operation, such as the function passed to `modify`, is a child of its span.
    An operation that raised has the status ERROR and `error.type`, the class of what it raised:
    texts of errors name ids and emails, and go nowhere. What a caller foresees, such as
    `VersionConflictError`, is an error here too.

    Metrics: the histogram `db.client.operation.duration`; the counters `engine_store.conflicts`,
    `engine_store.retries` and `engine_store.migrations`; the statistics of a pool as
    `db.client.connection.*`, those of a file as `engine_store.*`.

    Without providers it uses the global ones. It belongs to one database: make one for each.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        """Make a plugin for `engine_store.open` that reports to the providers."""
        release = version("engine-store")
        self._tracer = get_tracer(SCOPE, release, tracer_provider)
        self._provider = meter_provider
        self._meter = get_meter(SCOPE, release, meter_provider)
        self._duration = self._meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=BOUNDARIES,
        )
        self._conflicts, self._retries, self._migrations = (
            self._meter.create_counter(f"engine_store.{name}", unit, description)
            for name, unit, description in _COUNTERS
        )
        self._database: Attributes = {}

    @hookimpl
    def engine_store_opened(self, driver: str, store: Store | AsyncStore) -> None:
        """Learn which database it is, and report its statistics from now on, if it has any.

        Raises `ConfigurationError` if it is another one than before.
        """
        database = _attributes_of(driver, store)
        if self._database not in ({}, database):
            raise ConfigurationError(
                "plugins", "this OpenTelemetry reports on another database; make one for each"
            )
        self._database = database
        if isinstance(store, Observable):
            observe(self._provider, self._meter, store, database)

    @hookimpl
    def engine_store_operation(self, driver: str, operation: str) -> _Operation:
        """Run it in a span, and record its duration."""
        attributes = self._attributes(operation)
        namespace = self._database.get("db.namespace")
        span = self._tracer.start_span(
            operation if namespace is None else f"{operation} {namespace}",
            kind=SpanKind.CLIENT,
            attributes=attributes,
        )
        return _Operation(span, self._duration, attributes)

    @hookimpl
    def engine_store_conflict(
        self, driver: str, operation: str, conflict: VersionConflictError
    ) -> None:
        """Count it."""
        self._conflicts.add(1, self._attributes(operation))

    @hookimpl
    def engine_store_retried(self, driver: str, operation: str) -> None:
        """Count it."""
        self._retries.add(1, self._attributes(operation))

    @hookimpl
    def engine_store_migration_applied(
        self, driver: str, migration: Migration, direction: Direction
    ) -> None:
        """Count it, by the driver's name: the first steps run before the store is open."""
        attributes = {"engine_store.driver": driver, "engine_store.direction": direction.value}
        self._migrations.add(1, attributes)

    def _attributes(self, operation: str) -> Attributes:
        return {**self._database, "db.operation.name": operation}


def _attributes_of(driver: str, store: Store | AsyncStore) -> Attributes:
    """Return `db.system.name` and, if the store has an endpoint, `db.namespace` and `server.*`."""
    if not isinstance(store, Observable):
        return {"db.system.name": driver}
    endpoint = store.endpoint
    known = {
        "db.system.name": endpoint.system,
        "db.namespace": endpoint.namespace,
        "server.address": endpoint.address,
        "server.port": endpoint.port,
    }
    return {name: value for name, value in known.items() if value is not None}


class _Operation:
    """The context manager around an operation: its span is the current one.

    Its span has the clock of its children, which may step; the duration has one that does not.
    """

    __slots__ = ("_attributes", "_duration", "_span", "_started", "_token")

    def __init__(self, span: Span, duration: Histogram, attributes: Attributes) -> None:
        self._span, self._duration, self._attributes = span, duration, attributes

    def __enter__(self) -> None:
        self._token = attach(set_span_in_context(self._span))
        self._started = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = time.perf_counter() - self._started
        if kind is not None:
            self._attributes["error.type"] = _name(kind)
            self._span.set_attribute("error.type", self._attributes["error.type"])
            self._span.set_status(Status(StatusCode.ERROR))
        self._duration.record(seconds, self._attributes)
        detach(self._token)
        self._span.end()


def _name(kind: type[BaseException]) -> str:
    """Return the canonical name of a class, as OpenTelemetry has it for exceptions."""
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"
