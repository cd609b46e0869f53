"""export, import, copy, backup: the rows of a store in a file, in another store, and back."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import engine_store
from engine_store import Status, TaskState, User, WorkflowState
from engine_store.migrations import Migration

Run = Callable[..., Any]

KINDS = ["user", "api_key", "workflow", "task", "event"]
COUNTS = {
    "type": "object",
    "properties": {name: {"type": "integer"} for name in KINDS},
    "required": KINDS,
    "additionalProperties": False,
}
REPORT = {
    "type": "object",
    "properties": {
        "checksum": {"type": "object"},
        "restored": COUNTS,
        "different": COUNTS,
        "examples": {"type": "array", "items": {"type": "string"}},
        "identical": {"type": "boolean"},
    },
    "required": ["checksum", "restored", "different", "examples", "identical"],
    "additionalProperties": False,
}


def fill(url: str) -> str:
    """Put a few rows into the store."""
    with engine_store.open(url) as store:
        store.users.create(User("ann", "ann@example.org"))
        for number in range(3):
            key = f"w{number}"
            store.workflows.create(WorkflowState(key, "report", Status.SUCCESS, output={"n": 1e17}))
            task = TaskState(key, f"t{number}", "draft", "report")
            store.tasks.create(task, allow_ended=True)
    return url


@pytest.fixture
def filled(url: str) -> str:
    """The URL of a store with a few rows, of each driver."""
    return fill(url)


@pytest.fixture
def source(tmp_path: Path) -> str:
    """The URL of one on SQLite, where the driver makes no difference."""
    return fill(f"sqlite:///{tmp_path}/source.db")


@pytest.fixture
def other(tmp_path: Path) -> str:
    """The URL of another store, which is empty."""
    return f"sqlite:///{tmp_path}/other.db"


def test_an_export_that_is_imported_elsewhere_is_exported_to_the_same_bytes(
    run: Run, here: Run, filled: str, other: str, tmp_path: Path
) -> None:
    done = run("export", "all.jsonl.gz", "--url", filled, "--json")
    assert (done.code, done.json["rows"]) == (
        0,
        {"user": 1, "api_key": 0, "workflow": 3, "task": 3, "event": 0},
    )
    done = run("import", "all.jsonl.gz", "--url", other, "--json")
    assert (done.code, done.err) == (0, "")
    Draft202012Validator(REPORT).validate(done.json)
    assert done.json["identical"] is True

    skipped = here("import", "all.jsonl.gz", "--url", other, "--skip-existing")
    assert (skipped.code, skipped.err) == (0, "")
    assert skipped.out == (
        "restored 0 users, 0 api keys, 0 workflows, 0 tasks, 0 events\n"
        "the store holds these rows and no others\n"
    )
    again = here("export", "-", "--url", other)
    assert again.code == 0
    assert again.err == "1 users, 0 api keys, 3 workflows, 3 tasks, 0 events\n"
    assert again.out.encode() == gzip.decompress((tmp_path / "all.jsonl.gz").read_bytes())


def test_an_import_reads_a_pipe(run: Run, source: str, other: str) -> None:
    lines = run("export", "-", "--url", source).out
    done = run("import", "-", "--url", other, stdin=lines)
    assert done.code == 0
    assert (
        done.out.splitlines()[0] == "restored 1 users, 0 api keys, 3 workflows, 3 tasks, 0 events"
    )


def test_a_copy_goes_from_one_url_to_the_other(run: Run, filled: str, other: str) -> None:
    done = run("copy", filled, other, "--json")
    assert (done.code, done.err) == (0, "")
    Draft202012Validator(REPORT).validate(done.json)
    assert (done.json["restored"]["task"], done.json["identical"]) == (3, True)
    with engine_store.open(filled) as source, engine_store.open(other) as target:
        assert source.tasks.list().items == target.tasks.list().items


def test_a_store_with_rows_is_refused_and_what_to_do_is_said(
    here: Run, filled: str, other: str
) -> None:
    assert here("copy", filled, other).code == 0
    refused = here("copy", filled, other)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.endswith("leave what is there as it is: --skip-existing\n")
    assert here("copy", filled, other, "--skip-existing").code == 0
    with engine_store.open(other) as target:
        target.workflows.set_status("w1", Status.FAILED)
    different = here("copy", filled, other, "--skip-existing")
    assert different.code == 1
    assert "different: 1, such as:" in different.out
    with engine_store.open(other) as target:
        assert target.workflows.get("w1").status is Status.FAILED


def test_a_changed_export_is_refused_by_its_line(
    here: Run, source: str, other: str, tmp_path: Path
) -> None:
    exported = here("export", "all.jsonl", "--url", source)
    assert exported.out == "all.jsonl: 1 users, 0 api keys, 3 workflows, 3 tasks, 0 events\n"
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    row = json.loads(lines[1])
    lines[1] = json.dumps({**row, "email": "eve@example.org"}, separators=(",", ":"))
    (tmp_path / "all.jsonl").write_text("\n".join([*lines, ""]))
    done = here("import", "all.jsonl", "--url", other)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"engine-store: line {len(lines)}: expected ")
    with engine_store.open(other) as target:
        assert target.users.list().items == ()


def test_a_file_that_is_there_is_not_overwritten(here: Run, source: str, tmp_path: Path) -> None:
    (tmp_path / "all.jsonl").write_text("mine")
    done = here("export", "all.jsonl", "--url", source)
    assert (done.code, done.out) == (1, "")
    assert (tmp_path / "all.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("command", "name", "reason"),
    [
        ("export", "none/all.jsonl", "No such file or directory"),
        ("import", "none.jsonl", "No such file or directory"),
        ("import", ".", "Is a directory"),
    ],
)
def test_what_the_system_says_about_a_file_is_told_in_a_line(
    here: Run, filled: str, command: str, name: str, reason: str
) -> None:
    done = here(command, name, "--url", filled)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"engine-store: file: {name}: {reason}\n"


def test_an_import_of_no_file_makes_no_store(here: Run, tmp_path: Path) -> None:
    assert here("import", "none.jsonl", "--db-path", "new.db").code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_output_without_room_is_told_in_a_line(
    script: Path, environment: dict[str, str], filled: str
) -> None:
    environment.pop("PYTHONUNBUFFERED", None)  # the last bytes are written at the end
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [script, "export", "-", "--url", filled],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert done.stderr == "engine-store: file: -: No space left on device\n"


def test_who_reads_only_a_part_of_an_export_gets_no_traceback(
    script: Path, environment: dict[str, str], filled: str
) -> None:
    arguments = [script, "export", "-", "--url", filled]
    with subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_what_is_copied_from_is_neither_made_nor_changed(
    here: Run, other: str, tmp_path: Path, steps_of: Callable[[str], tuple[Migration, ...]]
) -> None:
    done = here("copy", f"sqlite:///{tmp_path}/typo.db", other)
    assert (done.code, done.out) == (1, "")
    assert list(tmp_path.iterdir()) == []
    with engine_store.open(f"sqlite:///{tmp_path}/old.db") as old:
        old.migrator.down(2)
    done = here("copy", f"sqlite:///{tmp_path}/old.db", other)
    assert (done.code, done.out) == (1, "")
    steps = here("migrate", "status", "--db-path", "old.db", "--json").json
    expected = [step.version > 2 for step in steps_of("sqlite")]
    assert [step["applied_at"] is None for step in steps] == expected


def test_a_copy_takes_no_other_place(here: Run, source: str, other: str) -> None:
    done = here("copy", source, other, "--url", other)
    assert (done.code, done.out) == (2, "")
    assert "it takes two URLs" in done.err
