"""What is there already is refused or left; what waits for its parent waits; the end is checked."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import attrs
import pytest

from engine_store import transfer
from engine_store.errors import (
    InvalidValueError,
    MismatchError,
    NotEmptyError,
    TransferError,
)
from engine_store.models import TaskState
from engine_store.protocols import Store
from engine_store.rules.entities import BY_MODEL, Row
from engine_store.transfer import format as export_format
from engine_store.transfer import importer
from engine_store_contracts.clock import START
from engine_store_contracts.suite import samples

NONE = {"user": 0, "api_key": 0, "workflow": 0, "task": 0, "event": 0}
ALL = {"user": 2, "api_key": 2, "workflow": 2, "task": 3, "event": 2}


def file_of(rows: Iterable[Row]) -> io.BytesIO:
    """An export of rows, whatever they are."""
    file = io.BytesIO()
    export_format.write(rows, file)
    file.seek(0)
    return file


def at(seconds: int, **fields: Any) -> dict[str, Any]:
    """The stamps of a row made so many seconds after the start."""
    time = START + timedelta(seconds=seconds)
    return {"version": 1, "created_at": time, "updated_at": time, **fields}


# --- what is there already ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["users", "workflows"])
def test_a_target_with_any_row_is_refused_and_left_alone(
    source: Store, target: Store, content: bytes, kind: str
) -> None:
    made = {"users": samples.user("eve"), "workflows": samples.workflow("another")}[kind]
    getattr(target, kind).create(made)
    before = transfer.checksum(target)
    with pytest.raises(NotEmptyError) as copying:
        transfer.copy(source, target)
    with pytest.raises(NotEmptyError) as importing:
        transfer.import_(target, io.BytesIO(content))
    assert copying.value.found == importing.value.found == kind
    assert transfer.checksum(target) == before


def test_what_to_do_is_one_of_two(source: Store, target: Store) -> None:
    with pytest.raises(InvalidValueError) as caught:
        transfer.copy(source, target, existing="replace")  # type: ignore[arg-type]
    assert caught.value.path == "existing"


@pytest.mark.parametrize("there", range(12))
def test_skip_goes_on_from_any_row_and_ends_in_the_same(
    source: Store, target: Store, content: bytes, there: int
) -> None:
    for _, row in list(export_format.read(source_of(content)))[:there]:
        BY_MODEL[type(row)].of(target).restore(row)
    report = transfer.import_(target, io.BytesIO(content), existing="skip")
    assert sum(report.restored.values()) == 11 - there
    assert (report.different, report.identical) == (NONE, True)
    assert transfer.checksum(target) == transfer.checksum(source)


def source_of(content: bytes) -> Any:
    with transfer.files.opened(io.BytesIO(content)) as opened:
        return opened


def test_skip_leaves_other_rows_alone_and_says_that_there_are_some(
    source: Store, target: Store
) -> None:
    other = target.users.create(samples.user("eve"))
    target.workflows.create(samples.workflow("another"))
    report = transfer.copy(source, target, existing="skip")
    assert (report.restored, report.different, report.identical) == (ALL, NONE, False)
    assert target.users.get("eve") == other
    assert transfer.checksum(target).counts == {**ALL, "user": 3, "workflow": 3}


def test_skip_leaves_rows_that_differ_and_tells_which(source: Store, target: Store) -> None:
    mine = [
        target.users.create(samples.user("ann", "mine@example.org")),
        target.workflows.create(samples.workflow("w1")),
    ]
    report = transfer.copy(source, target, existing="skip")
    assert report.restored == {**ALL, "user": 1, "workflow": 1}
    assert report.different == {**NONE, "user": 1, "workflow": 1}
    assert report.examples == ("user ann", "workflow w1")
    assert not report.identical
    assert [target.users.get("ann"), target.workflows.get("w1")] == mine
    assert target.tasks.get("t1") == source.tasks.get("t1")


def test_a_report_names_ten_rows_that_differ_and_counts_all(
    new_store: Callable[[], Store],
) -> None:
    source, target = new_store(), new_store()
    for number in range(12):
        source.workflows.create(samples.workflow(f"w{number:02}"))
        target.workflows.create(samples.workflow(f"w{number:02}", input={}))
    report = transfer.copy(source, target, existing="skip")
    assert report.different == {**NONE, "workflow": 12}
    assert len(report.examples) == 10


TAKEN: dict[str, tuple[Callable[[Store], object], str, str]] = {
    "an email": (
        lambda s: s.users.create(samples.user("eve", "ANN@example.org")),
        "to restore user 'ann'",
        "user with email 'ann@example.org' exists already",
    ),
    "a prefix": (
        lambda s: s.api_keys.create(samples.api_key("other", "eve", prefix="p-k1")),
        "to restore api_key 'k1'",
        "api key with prefix 'p-k1' exists already",
    ),
    "a fingerprint": (
        lambda s: s.api_keys.create(
            samples.api_key("other", "eve", fingerprint=samples.fingerprint("k1"))
        ),
        "to restore api_key 'k1'",
        "api key with fingerprint '***' exists already",
    ),
}


@pytest.mark.parametrize(("take", "expected", "found"), TAKEN.values(), ids=TAKEN)
def test_what_belongs_to_another_row_cannot_be_skipped(
    source: Store,
    target: Store,
    take: Callable[[Store], object],
    expected: str,
    found: str,
) -> None:
    if "email" not in found:
        target.users.create(samples.user("eve"))
    take(target)
    before = transfer.checksum(target)
    with pytest.raises(TransferError) as caught:
        transfer.copy(source, target, existing="skip")
    line = 2 if "email" in found else 3
    assert (caught.value.line, caught.value.expected, caught.value.found) == (line, expected, found)
    assert transfer.checksum(target) == before  # the batch was rolled back


def test_a_row_that_appears_meanwhile_is_not_overwritten(source: Store, target: Store) -> None:
    rows = importer.Importer(target, "refuse")
    target.users.create(samples.user("ann"))
    with pytest.raises(TransferError, match="user with user_id 'ann' exists already"):
        rows.run([(2, source.users.get("ann"))])


def test_a_row_whose_owner_vanished_meanwhile_is_named(source: Store, target: Store) -> None:
    with pytest.raises(TransferError) as caught:
        importer.Importer(target, "refuse").run([(3, source.api_keys.get("k1"))])
    assert (caught.value.line, caught.value.expected) == (3, "to restore api_key 'k1'")
    assert caught.value.found == "user_id of the api key names 'ann', which is not there"


# --- children before parents ----------------------------------------------------------------------


def backwards(depth: int) -> list[Row]:
    """A chain of tasks whose clocks went backwards: the root is the youngest."""
    rows: list[Row] = [samples.workflow("w", **at(0))]
    for level in reversed(range(depth)):
        parent = f"t{level - 1}" if level else None
        rows.append(samples.task(f"t{level}", parent_state_id=parent, **at(depth - level)))
    return rows


@pytest.mark.parametrize("batch", [1, 2, 3, 500])
def test_children_before_their_parents_wait_for_them(
    target: Store, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(importer, "BATCH", batch)
    rows = backwards(6)
    assert transfer.import_(target, file_of(rows)).identical
    assert [task.task_exec_id for task in target.tasks.tree("t0")] == [f"t{n}" for n in range(6)]


def test_they_wait_also_in_a_copy_and_where_a_part_is_there_already(
    new_store: Callable[[], Store],
) -> None:
    source, target = new_store(), new_store()
    transfer.import_(source, file_of(backwards(6)))
    target.workflows.restore(source.workflows.get("w"))
    for key in ("t0", "t1"):
        target.tasks.restore(source.tasks.get(key))
    report = transfer.copy(source, target, existing="skip")
    assert (report.restored, report.identical) == ({**NONE, "task": 4}, True)


@pytest.mark.parametrize("behind", [[], [samples.workflow("v", **at(-1))]], ids=["end", "workflow"])
def test_a_parent_that_never_comes_is_named(target: Store, behind: list[Row]) -> None:
    rows = [row for row in backwards(3) if getattr(row, "task_exec_id", "") != "t0"]
    with pytest.raises(TransferError) as caught:
        transfer.import_(target, file_of([*rows, *behind]))
    assert (caught.value.line, caught.value.expected, caught.value.found) == (
        4,
        "the parent 't0' of task 't1' in the same workflow",
        "no such task",
    )
    assert target.tasks.list().items == ()


def test_tasks_that_are_ancestors_of_each_other_are_refused(target: Store) -> None:
    rows: list[Row] = [
        samples.workflow("w", **at(0)),
        samples.task("a", parent_state_id="b", **at(1)),
        samples.task("b", parent_state_id="a", **at(2)),
    ]
    with pytest.raises(TransferError, match=r"'b' of task 'a' .* found a ring of tasks"):
        transfer.import_(target, file_of(rows))


def test_a_parent_in_another_workflow_never_comes(target: Store) -> None:
    rows: list[Row] = [
        samples.workflow("w2", **at(1)),
        samples.task("there", "w2", **at(1)),
        samples.workflow("w", **at(0)),
        samples.task("t", "w", parent_state_id="there", **at(2)),
    ]
    with pytest.raises(TransferError, match="the parent 'there' of task 't'"):
        transfer.import_(target, file_of(rows))


# --- the end ----------------------------------------------------------------------


def after_the_last_row(call: Callable[[], object]) -> Callable[[str, int], None]:
    def progress(kind: str, done: int) -> None:
        if kind == "task":
            call()

    return progress


def test_a_writer_at_the_target_is_noticed_at_the_end(source: Store, target: Store) -> None:
    meddle = after_the_last_row(lambda: target.workflows.create(samples.workflow("new")))
    with pytest.raises(MismatchError) as caught:
        transfer.copy(source, target, progress=meddle)
    for found, workflows in ((caught.value.expected, 2), (caught.value.found, 3)):
        counts = f"user 2, api_key 2, workflow {workflows}, task 3, event 2, checksum "
        assert found.startswith(counts)
    assert target.tasks.get("t1") == source.tasks.get("t1")


def test_a_row_that_was_changed_meanwhile_is_found_also_among_others(
    source: Store, target: Store
) -> None:
    target.users.create(samples.user("eve"))

    def change(task: TaskState) -> TaskState:
        return attrs.evolve(task, input={})

    meddle = after_the_last_row(lambda: target.tasks.modify("t3", change))
    with pytest.raises(MismatchError) as caught:
        transfer.copy(source, target, existing="skip", progress=meddle)
    assert (caught.value.line, caught.value.expected) == (7, "task 't3'")


def test_a_row_that_was_deleted_meanwhile_is_missed(source: Store, target: Store) -> None:
    target.users.create(samples.user("eve"))
    meddle = after_the_last_row(lambda: target.api_keys.delete("k2"))
    with pytest.raises(MismatchError) as caught:
        transfer.copy(source, target, existing="skip", progress=meddle)
    assert (caught.value.line, caught.value.expected) == (5, "api_key 'k2'")


@pytest.mark.parametrize("change", ["cut", "replaced"])
def test_a_file_that_changes_after_it_was_checked_is_noticed(
    target: Store, content: bytes, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    file = io.BytesIO(content)
    opened = transfer.files.InputFile.open
    calls = []

    def open_again(source: transfer.files.InputFile) -> Any:
        calls.append(source)
        if len(calls) == 2:
            file.seek(0)
            file.write(content[:-1] if change == "cut" else file_of(backwards(3)).getvalue())
            file.truncate()
        return opened(source)

    monkeypatch.setattr(transfer.files.InputFile, "open", open_again)
    with pytest.raises(MismatchError, match="The file changed meanwhile"):
        transfer.import_(target, file)
