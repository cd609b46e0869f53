"""Sizes: what a limit counts is what SQL drivers write, on every driver alike (contract 1.7)."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given

import engine_store
from engine_store import DatabaseConfig, transfer
from engine_store.errors import ConfigurationError, InvalidExportError, InvalidValueError
from engine_store.models import ErrorInfo, Status, TaskState, UsageEntry, UsageSummary
from engine_store.protocols import Store
from engine_store.rules.sizes import size_of
from engine_store.sql.rows import write_document, write_error, write_usage
from engine_store.transfer import format as export_format
from engine_store_contracts import strategies
from engine_store_contracts.suite.samples import api_key, task, user, workflow

LIMIT = 2**16
"""The smallest that may be configured."""

TEXTS: dict[str, Callable[[str], object]] = {
    "input": lambda text: workflow(input={"a": text}),
    "output": lambda text: workflow(output={"a": text}),
    "error": lambda text: workflow(error=ErrorInfo(text, "E", {"b": [1]})),
    "details": lambda text: workflow(error=ErrorInfo("a", None, {"b": text})),
    "usage": lambda text: workflow(
        usage=UsageSummary.of(
            [UsageEntry(f"p{n:03}", "m" * 200, n) for n in range(200)]
            + [UsageEntry("q", "m", agent_ids=(f"x{text[:200]}",))]
        )
    ),
}
"""A workflow of which one part has the length of a text, and some more."""


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def store(request: pytest.FixtureRequest) -> Store:
    """A store of each driver, with the smallest limit."""
    urls = {"sqlite": "sqlite:///:memory:", "memory": "memory://"}
    url = urls.get(request.param) or request.getfixturevalue("postgres_store_url")
    store = engine_store.open(DatabaseConfig(url=url, max_document_bytes=LIMIT))
    request.addfinalizer(store.close)
    return store


@given(strategies.tasks)
def test_a_size_is_that_of_the_text_that_sql_drivers_write(state: TaskState) -> None:
    for document in (state.input, state.output):
        if document is not None:
            assert size_of(document) == len((write_document(document) or "").encode())
    if state.error is not None:
        assert size_of(state.error) == len((write_error(state.error) or "").encode())
    if all((entry.total_tokens or 0) < 2**64 for entry in state.usage.entries):  # as in any check
        assert size_of(state.usage) == len(write_usage(state.usage).encode())


@pytest.mark.parametrize("character", ["x", "é", "\U00010000", '"', "\x01"])
@pytest.mark.parametrize("part", ["input", "output", "error", "details"])
def test_each_part_of_a_row_has_the_limit(store: Store, part: str, character: str) -> None:
    field = "error" if part == "details" else part
    empty = size_of(getattr(TEXTS[part](""), field))
    each = size_of(character) - 2
    text = character * ((LIMIT - empty) // each)
    text += "x" * (LIMIT - empty - each * len(text))
    fits, too_large = TEXTS[part](text), TEXTS[part](text + "x")
    assert size_of(getattr(fits, field)) == LIMIT

    with pytest.raises(InvalidValueError) as caught:
        store.workflows.create(too_large)  # type: ignore[arg-type]
    assert caught.value.path == f"workflow.{field}"
    assert f"at most {LIMIT} bytes" in caught.value.reason
    assert f"found {LIMIT + 1}" in caught.value.reason
    assert store.workflows.create(fits).version == 1  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError):
        store.workflows.upsert(too_large)  # type: ignore[arg-type]
    assert store.workflows.get("w").version == 1


def test_usage_that_has_grown_too_large_is_merged_no_further(store: Store) -> None:
    store.workflows.create(workflow())
    many = UsageSummary.of([UsageEntry("p", f"{n:0200}", n) for n in range(150)])
    more = UsageSummary.of([UsageEntry("q", f"{n:0200}", n) for n in range(150)])
    stored = store.workflows.merge_usage("w", many)
    with pytest.raises(InvalidValueError) as caught:
        store.workflows.merge_usage("w", more)
    assert caught.value.path == "usage"
    with pytest.raises(InvalidValueError) as caught:
        store.tasks.create(task(usage=many.merge(more)))
    assert caught.value.path == "task.usage"
    assert store.workflows.get("w") == stored


def test_the_hash_of_a_key_has_the_limit(store: Store) -> None:
    store.users.create(user("ann"))
    with pytest.raises(InvalidValueError) as caught:
        store.api_keys.create(attrs.evolve(api_key("k", "ann"), hash=b"x" * (LIMIT + 1)))
    assert caught.value.path == "key.hash"
    assert store.api_keys.create(attrs.evolve(api_key("k", "ann"), hash=b"x" * LIMIT))


def test_what_was_there_before_is_read_and_goes_on(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/engine.db"
    with engine_store.open(url) as before:
        before.workflows.create(workflow(input={"a": "x" * 2 * LIMIT}))
        before.tasks.create(task(status=Status.SUCCESS))
    with engine_store.open(DatabaseConfig(url=url, max_document_bytes=LIMIT)) as store:
        found = store.workflows.get("w")
        with pytest.raises(InvalidValueError):
            store.workflows.update(found)
        assert store.workflows.set_status("w", Status.RUNNING).version == 2
        done = store.workflows.complete("w")
        assert (done.status, done.input) == (Status.SUCCESS, found.input)


@pytest.mark.parametrize("size", [0, 2**16 - 1, 2**28])
def test_the_limit_leaves_room_for_an_error_and_a_row(size: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DatabaseConfig(max_document_bytes=size)
    assert caught.value.reason == "expected 65536 to 209715200 bytes"


# --- lines of an export --------------------------------------------------------------------------


def test_a_row_as_large_as_may_be_is_imported(store: Store) -> None:
    document = {"a": [1e-7] * ((LIMIT - size_of({"a": []})) // (size_of([1e-7]) - 1))}
    error = ErrorInfo("\x01" * (LIMIT // 6 - 20))
    many = UsageSummary.of([UsageEntry("p", f"{n:03}", 1) for n in range(620)])
    store.workflows.create(workflow(input=document, output=document, error=error, usage=many))
    file = io.BytesIO()
    transfer.export(store, file)
    with engine_store.open("memory://") as other:
        file.seek(0)
        assert transfer.import_(other, file, max_document_bytes=LIMIT).identical


def test_a_document_above_the_limit_is_refused_before_anything_is_written(store: Store) -> None:
    with engine_store.open("memory://") as other:
        other.users.create(user("ann"))
        other.workflows.create(workflow(input={"a": "x" * LIMIT}))
        file = io.BytesIO()
        transfer.export(other, file)
    file.seek(0)
    with pytest.raises(InvalidExportError) as caught:
        transfer.import_(store, file, max_document_bytes=LIMIT)
    assert caught.value.line == 3
    assert "workflow.input" in caught.value.found
    assert store.users.list().items == ()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("size", [1, 2**25])
def test_a_line_that_is_too_long_is_refused_before_it_is_read(
    tmp_path, compressed: bool, size: int
) -> None:
    path = tmp_path / "export"
    longest = export_format.longest_line(LIMIT)
    with gzip.open(path, "wb") if compressed else path.open("wb") as file:
        file.write(export_format.HEADER + b"\n" + b"x" * longest)
        file.write(b"x" * size + b"\n")
    with engine_store.open("memory://") as store:
        tracemalloc.start()
        try:
            with pytest.raises(InvalidExportError) as caught:
                transfer.import_(store, path, max_document_bytes=LIMIT)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (caught.value.line, caught.value.found) == (2, "a longer one")
    assert peak < 2 * longest + 2**21
