"""A row is the same after any journey: to a file and back, and from store to store."""

from __future__ import annotations

import gzip
import io
import os
import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine_store
from engine_store import transfer
from engine_store.errors import EngineStoreError, TransferError
from engine_store.models import ApiKey, Event, TaskState, User, WorkflowState
from engine_store.protocols import Store
from engine_store.rules.entities import BY_MODEL, Row
from engine_store_contracts import strategies as some
from engine_store_contracts.clock import START
from engine_store_contracts.exact import exact
from engine_store_contracts.suite import samples
from engine_store_contracts.suite.hostile import DOCUMENTS, IDS
from engine_store_memory.store import MemoryStore

COUNTS = {"user": 2, "api_key": 2, "workflow": 2, "task": 3, "event": 2}


def exported(store: Store) -> bytes:
    file = io.BytesIO()
    transfer.export(store, file)
    return file.getvalue()


def everything(store: Store) -> object:
    lists = (store.users, store.api_keys, store.workflows, store.tasks)
    events = [store.events.list(row.workflow_exec_id) for row in store.workflows.list().items]
    return exact([*(rows.list(limit=1000).items for rows in lists), *events])


# --- any rows ----------------------------------------------------------------------

stamped = some.times.map(
    lambda time: {"version": 3, "created_at": time, "updated_at": time + timedelta(seconds=1)}
)
any_rows = st.lists(
    st.builds(
        lambda row, stamps: attrs.evolve(row, **stamps),
        some.users | some.workflows | some.tasks | some.tasks,
        stamped,
    )
    | st.builds(lambda key, time: attrs.evolve(key, created_at=time), some.api_keys, some.times)
    | st.builds(
        Event,
        some.workflow_exec_ids,
        st.integers(1, 3),
        some.event_kinds,
        some.optional_documents,
        key=st.none() | some.event_keys,
        created_at=some.times,
    ),
    max_size=30,
)


def put(store: Store, rows: Iterable[Row]) -> None:
    """Restore what can be restored: owners first, or little could."""
    kinds = [User, WorkflowState, ApiKey, TaskState, Event]
    for row in sorted(rows, key=lambda row: kinds.index(type(row))):
        try:
            BY_MODEL[type(row)].of(store).restore(row)
        except EngineStoreError:
            continue


@given(rows=any_rows)
def test_any_rows_are_the_same_after_a_file_and_after_copies(rows: list[Row]) -> None:
    source, back = MemoryStore(), MemoryStore()
    put(source, rows)
    content = exported(source)
    with engine_store.open("sqlite:///:memory:") as between:
        report = transfer.import_(between, io.BytesIO(content))
        assert report.identical
        assert everything(between) == everything(source)
        assert exported(between) == content
        assert transfer.copy(between, back).checksum == report.checksum
    assert everything(back) == everything(source)
    assert exported(back) == content


def hostile_rows() -> Iterable[Row]:
    """Every document, id and time the contract's suite finds hard."""
    times: list[dict[str, Any]] = [
        {"version": 2**62, "created_at": time, "updated_at": time}
        for time in (
            START.replace(year=4, microsecond=0),
            START,
            START.replace(year=9996, microsecond=1),
        )
    ]
    yield samples.user("ann", "stra\u00dfe@x", **times[0])
    yield samples.api_key("k", "ann", hash=bytes(range(256)), created_at=START)
    for number, key in enumerate(IDS.values()):
        yield samples.workflow(key, **times[number % 3])
        yield samples.task(key, key, task_id=key, **times[number % 3])
    for number, document in enumerate(DOCUMENTS.values()):
        stamps = times[number % 3]
        error = attrs.evolve(samples.ERROR, details=document)
        state = samples.workflow(f"w{number}", input=document, usage=samples.USAGE, **stamps)
        yield state
        yield samples.task(
            f"t{number}", f"w{number}", input=document, output=document, error=error, **stamps
        )


def test_sqlite_to_postgres_to_sqlite_gives_the_same_bytes(
    new_store: Callable[[], Store], postgres_store_url: str
) -> None:
    source, back = new_store(), new_store()
    for row in hostile_rows():
        BY_MODEL[type(row)].of(source).restore(row)
    content = exported(source)
    with engine_store.open(postgres_store_url) as between:
        assert transfer.copy(source, between).identical
        assert everything(between) == everything(source)
        assert exported(between) == content
        assert transfer.import_(back, io.BytesIO(exported(between))).identical
    assert everything(back) == everything(source)
    assert exported(back) == content


def test_what_is_moved_goes_on_as_it_would_have(source: Store, target: Store) -> None:
    transfer.copy(source, target)
    for store in (source, target):
        stored = store.workflows.set_status("w1", engine_store.Status.RUNNING, expected_version=7)
        assert stored.version == 8
    assert target.tasks.tree("t1") == source.tasks.tree("t1")
    assert target.api_keys.get("k1") == source.api_keys.get("k1")


# --- files ----------------------------------------------------------------------


def test_counts_are_told_by_kind(source: Store, target: Store, tmp_path: Path) -> None:
    path = tmp_path / "engine.jsonl"
    assert transfer.export(source, path) == COUNTS
    report = transfer.import_(target, path)
    assert report.checksum.counts == report.restored == COUNTS
    assert report.different == dict.fromkeys(COUNTS, 0)
    assert (report.examples, report.identical) == ((), True)


def test_a_name_that_ends_in_gz_is_compressed_to_the_same_bytes_each_time(
    source: Store, target: Store, tmp_path: Path
) -> None:
    for name in ("one.jsonl.gz", "other.jsonl.gz"):
        transfer.export(source, tmp_path / name)
    compressed = (tmp_path / "one.jsonl.gz").read_bytes()
    assert compressed == (tmp_path / "other.jsonl.gz").read_bytes()
    assert gzip.decompress(compressed) == exported(source)
    assert transfer.import_(target, str(tmp_path / "other.jsonl.gz")).identical


def test_compressed_rows_are_known_by_what_they_are_and_not_by_a_name(
    target: Store, content: bytes
) -> None:
    assert transfer.import_(target, io.BytesIO(gzip.compress(content))).identical


def test_an_export_is_for_its_owner_only(source: Store, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        transfer.export(source, tmp_path / "engine.jsonl")
    finally:
        os.umask(before)
    assert (tmp_path / "engine.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_left_alone(source: Store, tmp_path: Path) -> None:
    path = tmp_path / "engine.jsonl"
    path.write_text("mine")
    with pytest.raises(TransferError, match="Name another file"):
        transfer.export(source, path)
    assert path.read_text() == "mine"


def test_an_export_that_fails_leaves_no_file(source: Store, tmp_path: Path) -> None:
    def fail(kind: str, done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transfer.export(source, tmp_path / "engine.jsonl.gz", progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_read_to_its_end_before_anything_is_written(
    target: Store, content: bytes
) -> None:
    reading, writing = os.pipe()

    def feed() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(content)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(reading, "rb") as pipe:
        assert transfer.import_(target, pipe).identical
    feeder.join()
    assert exported(target) == content


def test_an_open_file_is_read_from_where_it_is(target: Store, content: bytes) -> None:
    file = io.BytesIO(b"something else\n" + content)
    file.readline()
    assert transfer.import_(target, file).identical
    assert not file.closed


# --- what it is compared by ----------------------------------------------------------------------


def test_totals_are_equal_for_equal_rows_whatever_the_order_of_keys(
    new_store: Callable[[], Store],
) -> None:
    one, other, third = new_store(), new_store(), new_store()
    stamps = {"version": 1, "created_at": START, "updated_at": START}
    for store, document in (
        (one, {"a": 1, "b": {"c": 2, "d": -0.0}}),
        (other, {"b": {"d": -0.0, "c": 2}, "a": 1}),
        (third, {"a": 1, "b": {"c": 2, "d": 0.0}}),
    ):
        store.workflows.restore(samples.workflow(input=document, **stamps))
    assert transfer.checksum(one) == transfer.checksum(other)
    assert transfer.checksum(one).sha256 != transfer.checksum(third).sha256


def test_progress_is_told_to_the_last_row(source: Store, target: Store) -> None:
    exporting: list[tuple[str, int]] = []
    copying: list[tuple[str, int]] = []
    transfer.export(
        source, io.BytesIO(), progress=lambda kind, done: exporting.append((kind, done))
    )
    transfer.copy(source, target, progress=lambda kind, done: copying.append((kind, done)))
    assert exporting == copying == list(COUNTS.items())


def test_a_large_store_is_told_of_on_the_way(new_store: Callable[[], Store]) -> None:
    store, seen = new_store(), list[tuple[str, int]]()
    with store.transaction() as tx:
        for number in range(250):
            tx.workflows.create(samples.workflow(f"w{number}"))
    transfer.export(store, io.BytesIO(), progress=lambda kind, done: seen.append((kind, done)))
    assert seen == [("workflow", 200), ("workflow", 250)]
