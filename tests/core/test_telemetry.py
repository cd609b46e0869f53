"""Spans, metrics and the log of slow operations, as OpenTelemetry's SDK and logging get them."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import time
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from unittest.mock import Mock
from uuid import uuid4

import attrs
import pytest
from anyio.from_thread import start_blocking_portal
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import engine_store
from engine_store import DatabaseConfig, User, WorkflowState
from engine_store.concurrency.threads import threaded
from engine_store.errors import ConfigurationError, EmailExistsError, VersionConflictError
from engine_store.protocols import Endpoint, Observable
from engine_store.telemetry import OpenTelemetry, SlowOperations
from engine_store.urls import parse_url

FIRST = WorkflowState("w", "report")
CANARY = "canary@example.org"


class Collected:
    """Providers of OpenTelemetry that keep what they get."""

    def __init__(self):
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider([self._reader])

    def plugin(self):
        return OpenTelemetry(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self):
        return self._spans.get_finished_spans()

    def forget_spans(self):
        self._spans.clear()

    def _metrics(self):
        data = self._reader.get_metrics_data()
        resources = [] if data is None else data.resource_metrics
        return [
            metric
            for resource in resources
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    def points(self, name):
        """The points of a metric, by their attributes; none where there is none."""
        return {
            labels(dict(point.attributes)): point
            for metric in self._metrics()
            if metric.name == name
            for point in metric.data.data_points
        }

    def values(self, name):
        """Their values."""
        return {key: point.value for key, point in self.points(name).items()}

    def metrics(self):
        """The kinds and units of the metrics by their names."""
        return {
            metric.name: (type(metric.data).__name__, metric.unit) for metric in self._metrics()
        }


def labels(*parts):
    """Attributes, as the keys of points."""
    joined = {}
    for part in parts:
        joined |= part
    return tuple(sorted(joined.items()))


@pytest.fixture
def collected():
    """Where spans and metrics go."""
    return Collected()


@pytest.fixture(params=["sqlite", "postgres"])
def driver(request):
    """The name of each driver."""
    return request.param


@pytest.fixture
def make_url(driver, request, tmp_path):
    """Makes URLs of new stores."""
    if driver == "postgres":
        return request.getfixturevalue("make_schema")
    return lambda: f"sqlite:///{tmp_path}/{uuid4()}.db"


@pytest.fixture
def url(make_url):
    """The URL of a new store."""
    return make_url()


@pytest.fixture
def database(driver, url):
    """The attributes that say which database it is."""
    parsed = parse_url(url)
    name = parsed.path.rpartition("/")[2]
    if driver == "sqlite":
        return {"db.system.name": "sqlite", "db.namespace": name}
    host = parsed.options.get("host", parsed.host)
    port = parsed.options.get("port", parsed.port)
    found = {
        "db.system.name": "postgresql",
        "db.namespace": f"{name}|{parsed.options['schema']}",
        "server.address": host,
    }
    return found | ({"server.port": int(port)} if port else {})


@pytest.fixture(params=["sync", "async"])
def call(request):
    """Runs a function of a store, with either face: `call(url, function, plugins)`.

    The function is a coroutine function; with the synchronous face its store answers at once.
    """

    class Awaitable:
        def __init__(self, target):
            self._target = target

        def __getattr__(self, name):
            method = getattr(self._target, name)

            async def call(*args, **named):
                return method(*args, **named)

            return call

    def sync(url, function, plugins):
        with engine_store.open(url, plugins=plugins) as store:
            face = Mock(users=Awaitable(store.users), workflows=Awaitable(store.workflows))
            return asyncio.run(function(face))

    async def opened(url, function, plugins):
        async with await engine_store.open_async(url, plugins=plugins) as store:
            return await function(store)

    if request.param == "sync":
        return sync
    return lambda url, function, plugins: asyncio.run(opened(url, function, plugins))


# --- spans -------------------------------------------------------------------------------------


def test_each_operation_is_a_span_by_the_conventions(collected, call, url, database):
    async def work(store):
        await store.workflows.create(FIRST)
        await store.workflows.get("w")

    before = time.time_ns()
    call(url, work, [collected.plugin()])
    after = time.time_ns()
    created, got = collected.spans
    assert created.name == f"workflows.create {database['db.namespace']}"
    assert got.name == f"workflows.get {database['db.namespace']}"
    for span, operation in ((created, "workflows.create"), (got, "workflows.get")):
        assert span.kind is SpanKind.CLIENT
        assert dict(span.attributes) == database | {"db.operation.name": operation}
        assert span.status.status_code is StatusCode.UNSET
        assert span.parent is None
        assert (span.instrumentation_scope.name, span.instrumentation_scope.version) == (
            "engine_store",
            version("engine-store"),
        )
    assert before <= created.start_time < created.end_time <= after
    assert before <= got.start_time < got.end_time <= after


def test_a_span_is_a_child_of_the_callers(collected, call, url):
    tracer = collected.tracers.get_tracer("caller")

    async def work(store):
        with tracer.start_as_current_span("request"):
            await store.workflows.create(FIRST)
            await store.workflows.modify("w", lambda state: attrs.evolve(state, input={}))
            await store.workflows.get("w")

    call(url, work, [collected.plugin()])
    *children, request = collected.spans
    assert [span.name.partition(" ")[0] for span in children] == [
        "workflows.create",
        "workflows.modify",
        "workflows.get",
    ]
    assert {span.parent.span_id for span in children} == {request.context.span_id}


def test_what_runs_inside_an_operation_is_its_child(collected, call, url):
    tracer = collected.tracers.get_tracer("caller")

    def change(state):
        with tracer.start_as_current_span("in modify"):
            return attrs.evolve(state, input={})

    def transform(state):
        with tracer.start_as_current_span("in complete"):
            return {"done": True}

    async def work(store):
        await store.workflows.create(FIRST)
        await store.workflows.modify("w", change)
        assert (await store.workflows.complete("w", transform)).output == {"done": True}

    call(url, work, [collected.plugin()])
    _, in_modify, modify, in_complete, complete = collected.spans
    for inner, outer in ((in_modify, modify), (in_complete, complete)):
        assert outer.name.startswith(f"workflows.{inner.name.removeprefix('in ')} ")
        assert inner.parent.span_id == outer.context.span_id
        assert outer.start_time <= inner.start_time <= inner.end_time <= outer.end_time
        assert outer.parent is None


def test_tasks_side_by_side_keep_their_own_parents(collected, url):
    tracer = collected.tracers.get_tracer("caller")

    async def request(store, number):
        with tracer.start_as_current_span(f"request {number}") as span:
            await store.workflows.create(WorkflowState(f"w{number}", "report"))
            async with store.transaction() as tx:
                await tx.workflows.get(f"w{number}")
            return span.get_span_context().span_id

    async def work():
        async with await engine_store.open_async(url, plugins=[collected.plugin()]) as store:
            return await asyncio.gather(*(request(store, number) for number in range(8)))

    ids = asyncio.run(work())
    operations = [span for span in collected.spans if span.kind is SpanKind.CLIENT]
    assert sorted(span.parent.span_id for span in operations) == sorted(ids * 2)


def test_the_asynchronous_face_of_a_synchronous_store_keeps_the_parent_too(collected, url):
    tracer = collected.tracers.get_tracer("caller")

    async def work():
        async with threaded(engine_store.open(url, plugins=[collected.plugin()])) as store:
            with tracer.start_as_current_span("request"):
                await store.workflows.create(FIRST)

    asyncio.run(work())
    created, request = collected.spans
    assert created.parent.span_id == request.context.span_id


def test_an_operation_that_raised_is_an_error_of_its_class_and_no_more(
    collected, call, url, database
):
    async def work(store):
        await store.users.create(User("ada", CANARY))
        with pytest.raises(EmailExistsError):
            await store.users.create(User("eve", CANARY))
        with pytest.raises(ZeroDivisionError):
            await store.users.modify("ada", lambda user: 1 / 0)

    call(url, work, [collected.plugin()])
    _, taken, broken = collected.spans
    for span, operation, kind in (
        (taken, "users.create", "engine_store.errors.EmailExistsError"),
        (broken, "users.modify", "ZeroDivisionError"),
    ):
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert span.events == ()
        assert dict(span.attributes) == database | {
            "db.operation.name": operation,
            "error.type": kind,
        }
    assert CANARY not in "".join(span.to_json() for span in collected.spans)


def test_a_cancelled_call_is_a_span_too(collected, url):
    async def work():
        async with await engine_store.open_async(url, plugins=[collected.plugin()]) as store:
            call = asyncio.create_task(store.workflows.list())
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
            return call.cancelled()

    assert asyncio.run(work())
    [span] = collected.spans
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"


# --- metrics -----------------------------------------------------------------------------------


def test_durations_are_a_histogram_in_seconds(collected, call, url, database):
    async def work(store):
        await store.workflows.create(FIRST)
        for _ in range(3):
            await store.workflows.get("w")
        with pytest.raises(VersionConflictError):
            await store.workflows.update(attrs.evolve(FIRST, version=7))

    call(url, work, [collected.plugin()])
    points = collected.points("db.client.operation.duration")
    conflict = {"error.type": "engine_store.errors.VersionConflictError"}
    expected = {
        labels(database, {"db.operation.name": "workflows.create"}): 1,
        labels(database, {"db.operation.name": "workflows.get"}): 3,
        labels(database, {"db.operation.name": "workflows.update"}, conflict): 1,
    }
    assert {key: point.count for key, point in points.items()} == expected
    for point in points.values():
        assert point.explicit_bounds == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
    spans = sum(span.end_time - span.start_time for span in collected.spans)
    # Durations lie within the spans; the clock of spans may run slower by what NTP allows, 500 ppm.
    assert 0 < sum(point.sum for point in points.values()) < spans / 1e9 * 1.0005


def test_conflicts_and_retries_are_counted_by_operation(collected, call, url, database):
    async def work(store):
        rivals = [await store.workflows.create(FIRST)]
        with pytest.raises(VersionConflictError):
            await store.workflows.update(attrs.evolve(FIRST, version=7))

        def change(state):
            if rivals:
                with engine_store.open(url) as rival:
                    rival.workflows.update(rivals.pop())
            return attrs.evolve(state, input={})

        await store.workflows.modify("w", change)

    call(url, work, [collected.plugin()])
    update, modify = (
        labels(database, {"db.operation.name": f"workflows.{name}"})
        for name in ("update", "modify")
    )
    assert collected.values("engine_store.conflicts") == {update: 1, modify: 1}
    assert collected.values("engine_store.retries") == {modify: 1}


def test_steps_of_the_schema_are_counted(collected, driver, url, steps_of):
    newest = len(steps_of(driver))
    with engine_store.open(url, plugins=[collected.plugin()]) as store:
        store.migrator.down(1)
    assert collected.values("engine_store.migrations") == {
        labels({"engine_store.driver": driver, "engine_store.direction": "up"}): newest,
        labels({"engine_store.driver": driver, "engine_store.direction": "down"}): newest - 1,
    }


def test_the_metrics_have_the_kinds_and_units_of_the_conventions(collected, driver, url):
    with engine_store.open(url, plugins=[collected.plugin()]) as store:
        store.workflows.create(FIRST)
        found = collected.metrics()
    gauges = {
        "sqlite": {
            "engine_store.file.size": ("Gauge", "By"),
            "engine_store.wal.size": ("Gauge", "By"),
            "engine_store.page.count": ("Gauge", "{page}"),
            "engine_store.page.free": ("Gauge", "{page}"),
        },
        "postgres": {
            "db.client.connection.count": ("Sum", "{connection}"),
            "db.client.connection.max": ("Sum", "{connection}"),
            "db.client.connection.pending_requests": ("Sum", "{request}"),
        },
    }
    assert found == gauges[driver] | {
        "db.client.operation.duration": ("Histogram", "s"),
        "engine_store.migrations": ("Sum", "{step}"),
    }


@pytest.mark.parametrize("driver", ["sqlite"], indirect=True)
def test_the_sizes_of_a_file_are_those_of_its_health(collected, url, database):
    with engine_store.open(url, plugins=[collected.plugin()]) as store:
        store.workflows.create(attrs.evolve(FIRST, input={"text": "x" * 100_000}))
        details = store.health().details
        for name, figure in (
            ("file.size", "file_bytes"),
            ("wal.size", "wal_bytes"),
            ("page.count", "page_count"),
            ("page.free", "freelist_count"),
        ):
            assert collected.values(f"engine_store.{name}") == {labels(database): details[figure]}
        assert details["wal_bytes"] > 100_000


@pytest.mark.parametrize("driver", ["postgres"], indirect=True)
@pytest.mark.parametrize("face", ["sync", "async"])
def test_the_pool_is_reported_while_it_is_full(collected, make_url, face):
    url = make_url(pool_max_size=2, pool_timeout=5)
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        plugins = [collected.plugin()]
        if face == "sync":
            store = stack.enter_context(engine_store.open(url, plugins=plugins))
            transactions = [store.transaction() for _ in range(2)]
        else:
            store = portal.call(partial(engine_store.open_async, url, plugins=plugins))
            stack.enter_context(portal.wrap_async_context_manager(store))
            transactions = [
                portal.wrap_async_context_manager(portal.call(store.transaction)) for _ in range(2)
            ]
        endpoint = store.endpoint
        port = f":{endpoint.port}" if endpoint.port else ""
        pool = f"{endpoint.address}{port}/{endpoint.namespace}"

        def counts():
            return {
                dict(key)["db.client.connection.state"]: value
                for key, value in collected.values("db.client.connection.count").items()
                if dict(key)["db.client.connection.pool.name"] == pool
            }

        assert counts() == {"idle": 1, "used": 0}
        with transactions[0], transactions[1]:
            assert counts() == {"idle": 0, "used": 2}
        assert counts() == {"idle": 2, "used": 0}
        [waiting] = collected.values("db.client.connection.pending_requests").values()
        [most] = collected.values("db.client.connection.max").values()
        assert (waiting, most) == (0, 2)


def test_a_store_that_is_closed_or_gone_has_no_statistics(collected, url):
    store = engine_store.open(url, plugins=[collected.plugin()])
    assert any(name in collected.metrics() for name in FIGURES)
    store.close()
    assert not any(name in collected.metrics() for name in FIGURES)
    del store
    gc.collect()
    assert not any(name in collected.metrics() for name in FIGURES)


FIGURES = ("engine_store.file.size", "db.client.connection.max")


def test_two_databases_and_a_database_opened_again_have_their_stats(collected, make_url, caplog):
    first, second = make_url(), make_url()
    engine_store.open(first, plugins=[collected.plugin()]).close()

    def namespaces():
        return {dict(key)["db.namespace"] for name in FIGURES for key in collected.values(name)}

    with (
        engine_store.open(first, plugins=[collected.plugin()]) as one,
        engine_store.open(second, plugins=[collected.plugin()]) as two,
        engine_store.open(make_url(), plugins=[Collected().plugin()]),
    ):
        assert namespaces() == {one.endpoint.namespace, two.endpoint.namespace}
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


def test_a_plugin_may_serve_one_database_again_but_not_another(collected, make_url):
    plugin = collected.plugin()
    url = make_url()
    for _ in range(2):
        engine_store.open(url, plugins=[plugin]).close()
    for open_other in (
        lambda: engine_store.open(make_url(), plugins=[plugin]),
        lambda: asyncio.run(engine_store.open_async(make_url(), plugins=[plugin])),
    ):
        with pytest.raises(ConfigurationError) as caught:
            open_other()
        assert str(caught.value) == (
            "plugins: this OpenTelemetry reports on another database; make one for each"
        )


def test_without_providers_the_global_ones_are_used(tmp_path, run_python):
    printed = run_python(
        f"""
        import engine_store
        from engine_store.telemetry import OpenTelemetry
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        def names():
            data = reader.get_metrics_data()
            found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
            return {{m.name: [p.attributes["db.namespace"] for p in m.data.data_points]
                     for m in found if m.name.startswith(("engine_store.file", "db."))}}

        early = engine_store.open("sqlite:///{tmp_path}/early.db", plugins=[OpenTelemetry()])
        spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        trace.set_tracer_provider(provider)
        metrics.set_meter_provider(MeterProvider([reader]))
        late = engine_store.open("sqlite:///{tmp_path}/late.db", plugins=[OpenTelemetry()])
        named = OpenTelemetry(meter_provider=metrics.get_meter_provider())
        third = engine_store.open("sqlite:///{tmp_path}/third.db", plugins=[named])
        for store in (early, late, third):
            store.users.list()
        print([span.name for span in spans.get_finished_spans()])
        print(names())
        """
    )
    spans, names = printed.splitlines()
    assert spans == str([f"users.list {name}.db" for name in ("early", "late", "third")])
    assert names == str(
        {
            name: ["early.db", "late.db", "third.db"]
            for name in ("db.client.operation.duration", "engine_store.file.size")
        }
    )


# --- which database ----------------------------------------------------------------------------


def test_a_file_is_named_without_its_folders(tmp_path):
    with engine_store.open(f"sqlite:///{tmp_path}/engine.db") as store:
        assert isinstance(store, Observable)
        assert store.endpoint == Endpoint("sqlite", "engine.db")
    with engine_store.open("sqlite:///:memory:") as store:
        assert store.endpoint == Endpoint("sqlite", ":memory:")


@pytest.mark.parametrize(
    ("url", "options", "endpoint"),
    [
        ("postgresql://u:s3cret@db:5433/engine", {}, ("engine|engine_store", "db", 5433)),
        ("postgresql://u:s3cret@db/engine?schema=x", {}, ("engine|x", "db", None)),
        ("postgresql://u@a:1,b:2/engine", {}, ("engine|engine_store", None, None)),
        ("postgresql://u@/?host=/run", {}, ("u|engine_store", "/run", None)),
        ("postgresql://", {}, ("engine_store", None, None)),
        (None, {"conn_string": "host=db dbname=e password=s3cret"}, ("e|engine_store", "db", None)),
        (None, {"host": "db", "port": 1, "dbname": "e"}, ("e|engine_store", "db", 1)),
    ],
)
def test_a_server_is_named_as_it_was_stated(url, options, endpoint):
    from engine_store_postgres.options import read_options

    target, _ = read_options(DatabaseConfig(url=url, options=options))
    assert target.endpoint == Endpoint("postgresql", *endpoint)


def test_a_store_that_tells_nothing_of_itself_has_its_drivers_name(collected):
    plugin = collected.plugin()
    plugin.engine_store_opened(driver="memory", store=Mock(spec=["users"]))
    with plugin.engine_store_operation(driver="memory", operation="tasks.get"):
        pass
    [span] = collected.spans
    assert span.name == "tasks.get"
    assert dict(span.attributes) == {"db.system.name": "memory", "db.operation.name": "tasks.get"}


# --- without the extra -------------------------------------------------------------------------


def test_without_the_extra_the_error_says_so_and_the_log_of_slow_operations_works(run_python):
    printed = run_python(
        """
        import sys
        sys.modules["opentelemetry"] = None
        import engine_store
        from engine_store import telemetry
        from engine_store.errors import MissingExtraError

        with engine_store.open("sqlite:///:memory:", plugins=[telemetry.SlowOperations()]) as store:
            store.users.list()
        try:
            telemetry.OpenTelemetry()
        except MissingExtraError as error:
            print(error)
        """
    )
    assert printed == 'opentelemetry-api is not installed: pip install "engine-store[otel]"'


def test_another_module_that_is_missing_is_not_taken_for_the_extra(run_python):
    printed = run_python(
        """
        import sys
        sys.modules["engine_store.telemetry.gauges"] = None
        from engine_store import telemetry

        try:
            telemetry.OpenTelemetry
        except ModuleNotFoundError as error:
            print(error.name)
        """
    )
    assert printed == "engine_store.telemetry.gauges"


def test_telemetry_has_no_other_names():
    from engine_store import telemetry

    with pytest.raises(AttributeError, match="has no attribute 'Prometheus'"):
        _ = telemetry.Prometheus


def test_importing_telemetry_imports_no_opentelemetry(run_python):
    printed = run_python(
        """
        import sys
        from engine_store import telemetry
        print("opentelemetry" in sys.modules)
        """,
        measured=False,
    )
    assert printed == "False"


# --- slow operations ---------------------------------------------------------------------------


@pytest.fixture
def lines(caplog):
    """The lines of the library's log."""
    caplog.set_level(logging.DEBUG)
    return lambda: [record for record in caplog.records if record.name == "engine_store"]


def test_an_operation_that_took_as_long_as_the_threshold_is_logged(lines):
    slow = SlowOperations(threshold=0.5)
    for seconds in (0.499, 0.5, 2):
        slow.engine_store_operation_finished("sqlite", "tasks.tree", seconds, None)
    assert [(record.levelname, record.getMessage()) for record in lines()] == [
        ("WARNING", "slow operation: tasks.tree on sqlite took 0.500 s"),
        ("WARNING", "slow operation: tasks.tree on sqlite took 2.000 s"),
    ]
    facts = {"driver": "sqlite", "operation": "tasks.tree", "seconds": 0.5, "error": None}
    assert {name: getattr(lines()[0], name) for name in facts} == facts


def test_a_slow_operation_that_raised_is_logged_with_the_class_alone(call, url, driver, caplog):
    stream = io.StringIO()
    logger = logging.getLogger("engine.of.mine")
    logger.addHandler(logging.StreamHandler(stream))
    caplog.set_level(logging.DEBUG)

    async def work(store):
        await store.users.create(User("ada", CANARY))
        with pytest.raises(EmailExistsError):
            await store.users.create(User("eve", CANARY))

    call(url, work, [SlowOperations(threshold=0, logger=logger)])
    first, second = stream.getvalue().splitlines()
    assert first.startswith(f"slow operation: users.create on {driver} took 0.")
    assert second.endswith(" s and raised EmailExistsError")
    assert all(CANARY not in str(vars(record)) for record in caplog.records)


def test_fast_operations_are_not_logged(lines, url):
    with engine_store.open(url, plugins=[SlowOperations(threshold=60)]) as store:
        store.workflows.create(FIRST)
    assert lines() == []


@pytest.mark.parametrize("threshold", [-1, float("nan")])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(ConfigurationError, match="threshold: expected seconds, 0 or more"):
        SlowOperations(threshold)
