"""The example of SQLite beside a vector database: nothing twice, nothing lost, pgvector refused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple
from unittest.mock import Mock

import numpy as np
import pytest

import engine_store
from engine_store import Status, TaskState
from engine_store.config import VectorDatabase
from sqlite_vector.cli import configuration, main, open_index, refusal
from sqlite_vector.documents import digest, paragraphs
from sqlite_vector.embedder import embed
from sqlite_vector.ingestion import Answer, Ingestion
from sqlite_vector.qdrant import QdrantIndex
from sqlite_vector.vectors import VectorIndex

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


class Ran(NamedTuple):
    """What a run ended with and printed."""

    returncode: int
    stdout: str
    stderr: str


Ingest = Callable[..., Ran]

REFUSED = (
    "SQLite with pgvector is refused:\n"
    "  knowledge.vector_dbs: sqlite has no pgvector: use Qdrant, Redis or the filesystem beside "
    "it; set the provider to qdrant, redis or filesystem, or the driver to postgres\n"
)

APPLES = "# Apples\n\nApples grow on trees in the orchard.\n\nPress them for cider."
BOATS = "Boats sail on the river."
TREES = "# Apples\nApples grow on trees in the orchard."


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder with three paragraphs in two files, one of them below."""
    folder = tmp_path / "library"
    (folder / "below").mkdir(parents=True)
    (folder / "apples.md").write_text(APPLES)
    (folder / "below" / "boats.txt").write_text(BOATS)
    return folder


@pytest.fixture(params=["filesystem", "qdrant"])
def provider(request: pytest.FixtureRequest) -> str:
    """Each of the two vector databases."""
    found: str = request.param
    return found


@pytest.fixture
def command(library: Path, provider: str) -> list[str]:
    """The options of a run on the library, with both databases in the folder `state` beside it."""
    state = library.parent / "state"
    return ["--provider", provider, "--input", str(library), "--folder", str(state)]


@pytest.fixture
def ingest(command: list[str], capsys: pytest.CaptureFixture[str]) -> Ingest:
    """Run the example in this process: to import Qdrant for each run would take a minute."""

    def run(*options: str) -> Ran:
        capsys.readouterr()  # of a run that did not come to its end
        return Ran(main([*command, *options]), *capsys.readouterr())

    return run


def look(
    library: Path, provider: str, question: str = ""
) -> tuple[list[TaskState], list[Answer], list[bool]]:
    """Every task of the library, the answers to a question, and for each task: has it vectors."""
    config = configuration(library.parent / "state", provider)
    assert config.knowledge is not None
    (db,) = config.knowledge.vector_dbs
    with engine_store.start(config) as store:
        index = open_index(db)
        ingestion = Ingestion(store, index, db.dimension, db.url or db.path or "", library)
        tasks = list(store.tasks.list().items)
        answers = ingestion.answer(question, limit=100)
        kept = [index.has(task.task_exec_id) for task in tasks]
        index.close()
    return tasks, answers, kept


def said(library: Path, now: str, in_all: str) -> str:
    """What a run prints before it answers."""
    return f"{REFUSED}Documents of {library}:\n  now: {now}\n  in all: {in_all}\n"


# --- nothing twice -----------------------------------------------------------------------------


def test_files_are_ingested_once_and_a_question_gets_the_nearest_paragraphs(
    run_example: Run, command: list[str], ingest: Ingest, library: Path, provider: str
) -> None:
    ran = run_example("sqlite_vector", *command, "--query", BOATS, "--limit", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == (
        said(library, "ingested 2, removed 0, failed 0", "files 2, paragraphs 3")
        + f"Nearest to {BOATS!r}:\n  1.000  below/boats.txt, paragraph 1\n         {BOATS}\n"
    )
    tasks, answers, kept = look(library, provider, "Apples on trees in an orchard")
    assert [(task.task_id, task.status, task.version) for task in tasks] == [
        ("apples.md", Status.SUCCESS, 3),
        ("below/boats.txt", Status.SUCCESS, 3),
    ]
    assert [task.input for task in tasks] == [
        {"sha256": digest(text.encode())} for text in (APPLES, BOATS)
    ]
    assert (answers[0].path, answers[0].number, answers[0].text) == ("apples.md", 1, TREES)
    assert len(answers) == 3
    assert kept == [True, True]

    again = ingest()
    assert again.stdout == said(library, "ingested 0, removed 0, failed 0", "files 2, paragraphs 3")
    assert look(library, provider)[0] == tasks


def test_both_vector_databases_give_the_same_answers(
    ingest: Ingest, library: Path, provider: str
) -> None:
    ingest()
    _, answers, _ = look(library, provider, "the apples of the river")
    assert [(round(a.score, 3), a.path, a.number) for a in answers] == [
        (0.5, "apples.md", 1),
        (0.486, "below/boats.txt", 1),
        (0.079, "apples.md", 2),
    ]


def test_what_changed_is_ingested_again_and_what_is_gone_is_removed(
    ingest: Ingest, library: Path, provider: str
) -> None:
    ingest()
    (library / "apples.md").write_text("Pears.")
    (library / "below" / "boats.txt").unlink()
    ran = ingest()
    assert ran.stdout == said(library, "ingested 1, removed 1, failed 0", "files 1, paragraphs 1")
    tasks, answers, kept = look(library, provider, "Pears")
    assert [(a.path, a.text) for a in answers] == [("apples.md", "Pears.")]
    assert answers[0].score == pytest.approx(1)
    assert [task.task_id for task in tasks] == ["apples.md", "below/boats.txt"] * 2
    assert [task.output for task in tasks] == [
        None,
        None,
        {"paragraphs": ["Pears."]},
        {"paragraphs": []},
    ]
    assert kept == [False, False, True, False]
    assert ingest().stdout == said(
        library, "ingested 0, removed 0, failed 0", "files 1, paragraphs 1"
    )


# --- nothing lost ------------------------------------------------------------------------------

DIES = """
import os, signal, sys
from sqlite_vector import cli

def open_index(db, real=cli.open_index):
    index = real(db)
    put = index.put

    def put_and_die(*arguments):
        put(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    index.put = put_and_die
    return index

cli.open_index = open_index
cli.main(sys.argv[1:])
"""
"""A run that SIGKILL ends when the vectors of its first file are written, and no more."""


def test_a_kill_between_the_vectors_and_the_state_loses_and_doubles_nothing(
    ingest: Ingest, command: list[str], library: Path, provider: str, examples: Path
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", DIES, *command],
        env={**os.environ, "PYTHONPATH": str(examples)},
        capture_output=True,
        timeout=60,
    )
    assert ran.returncode == -signal.SIGKILL
    tasks, answers, kept = look(library, provider, TREES)
    assert [task.status for task in tasks] == [Status.RUNNING, Status.PENDING]
    assert kept == [True, False]
    assert answers == []  # the vectors are there, and nobody asks for them

    assert ingest().stdout == said(
        library, "ingested 2, removed 0, failed 0", "files 2, paragraphs 3"
    )
    after, answers, kept = look(library, provider, TREES)
    assert [task.task_exec_id for task in after] == [task.task_exec_id for task in tasks]
    assert [(task.status, task.version) for task in after] == [
        (Status.SUCCESS, 4),  # planned, claimed, claimed again, done
        (Status.SUCCESS, 3),
    ]
    assert kept == [True, True]
    assert sorted((a.path, a.number) for a in answers) == [
        ("apples.md", 1),
        ("apples.md", 2),
        ("below/boats.txt", 1),
    ]


class Crash(BaseException):
    """The end of a process, for all that the code under test can tell."""


def test_an_end_while_old_vectors_are_removed_is_made_good_by_the_next_run(
    ingest: Ingest, library: Path, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_and_crash(db: VectorDatabase) -> VectorIndex:
        index = open_index(db)
        forget = index.forget

        def forget_and_crash(task_exec_ids: Collection[str]) -> None:
            forget(task_exec_ids)
            raise Crash

        monkeypatch.setattr(index, "forget", forget_and_crash)
        return index

    ingest()
    (library / "apples.md").write_text("Pears.")
    with monkeypatch.context() as patched, pytest.raises(Crash):
        patched.setattr("sqlite_vector.cli.open_index", open_and_crash)
        ingest()
    tasks, answers, kept = look(library, provider, "Pears.")
    assert [task.output is not None for task in tasks] == [True, True, True]
    assert kept == [False, True, True]
    assert sorted(a.text for a in answers) == [BOATS, "Pears."]

    assert ingest().returncode == 0
    tasks, _, kept = look(library, provider)
    assert [task.output is not None for task in tasks] == [False, True, True]
    assert kept == [False, True, True]


def test_a_content_that_changed_after_the_plan_is_ingested_as_it_is_now(
    ingest: Ingest, library: Path, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(Crash):
        patched.setattr(Ingestion, "_execute", Mock(side_effect=Crash))
        ingest()
    (library / "apples.md").write_text("Pears.")
    ran = ingest()
    assert ran.stdout == said(library, "ingested 2, removed 0, failed 0", "files 2, paragraphs 2")
    tasks, _, _ = look(library, provider)
    assert [task.status for task in tasks] == [Status.FAILED, Status.SUCCESS, Status.SUCCESS]


def test_two_runs_at_once_ingest_everything_together(
    start: Start, library: Path, tmp_path: Path
) -> None:
    for number in range(40):
        (library / f"{number}.txt").write_text(f"Text {number}.")
    options = ("--input", str(library), "--folder", str(tmp_path / "state"))
    runs = [start("sqlite_vector", *options) for _ in range(2)]
    assert [run.communicate()[1] for run in runs] == ["", ""]
    assert [run.returncode for run in runs] == [0, 0]
    tasks, answers, kept = look(library, "filesystem", "Text 1.")
    assert len({(a.path, a.number) for a in answers}) == 43
    latest = {task.task_id: (task, kept) for task, kept in zip(tasks, kept, strict=True)}
    assert len(latest) == 42
    assert all(task.output and kept for task, kept in latest.values())


def test_a_lost_vector_database_is_filled_again(
    ingest: Ingest, library: Path, provider: str
) -> None:
    ingest()
    shutil.rmtree(library.parent / "state" / provider)
    ran = ingest("--query", BOATS, "--limit", "1")
    assert "now: ingested 2, removed 0, failed 0" in ran.stdout
    assert "1.000  below/boats.txt, paragraph 1" in ran.stdout


# --- what fails --------------------------------------------------------------------------------


def test_pgvector_on_sqlite_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    assert f"SQLite with pgvector is refused:\n  {refusal(tmp_path)}\n" == REFUSED
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_ingested_is_told_and_tried_again(
    ingest: Ingest, library: Path
) -> None:
    (library / "apples.md").write_bytes(b"\xff")
    (library / "nul.txt").write_bytes(b"a\0b")
    (library / "large.txt").write_bytes(b"a " * 600_000)
    ran = ingest()
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout == said(
        library, "ingested 1, removed 0, failed 3", "files 1, paragraphs 1"
    ) + (
        "  failed: apples.md: not UTF-8 at byte 0\n"
        "  failed: large.txt: larger than 1,048,576 bytes\n"
        "  failed: nul.txt: it has a NUL in it\n"
    )
    for name in ("apples.md", "nul.txt", "large.txt"):
        (library / name).write_text("It is mended.")
    assert "now: ingested 3, removed 0, failed 0" in ingest().stdout


def test_a_question_that_nothing_is_near_to_ends_with_1(ingest: Ingest) -> None:
    ran = ingest("--query", "?!")
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout.endswith("Nearest to '?!':\n  nothing\n")


def test_a_folder_of_qdrant_that_another_process_has_is_not_available(
    run_example: Run, tmp_path: Path, texts: Path
) -> None:
    index = QdrantIndex((tmp_path / "qdrant").as_uri(), "documents", 16)
    ran = run_example(
        "sqlite_vector", "--provider", "qdrant", "--input", str(texts), "--folder", "."
    )
    index.close()
    assert (ran.returncode, ran.stderr.count("\n")) == (3, 1)
    assert "is already accessed by another instance of Qdrant client" in ran.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--provider", "pgvector"], "argument --provider: invalid choice: 'pgvector'"),
        (["--limit", "0"], "argument --limit: expected at least 1"),
        (["--input", "nowhere"], "--input: there is no folder"),
        (["--folder", "file/state"], "cannot be made: Not a directory"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.chdir(tmp_path)
    try:
        code: object = main(options)
    except SystemExit as exc:  # argparse ends the process
        code = exc.code
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert message in printed.err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# --- texts and their vectors -------------------------------------------------------------------


def test_a_vector_is_the_same_in_every_process() -> None:
    (found,) = embed(["Cat"], 16)
    places = {int(place): round(float(found[place]), 3) for place in found.nonzero()[0]}
    assert places == {2: -0.408, 4: 0.408, 6: -0.408, 7: 0.707}  # three trigrams and the word


def test_texts_of_like_wording_are_near_and_a_text_without_words_is_nothing() -> None:
    vectors = embed(["two workers claim a task", "Workers claimed TASKS!", "a boat", "?!"], 1024)
    near = vectors @ vectors[0]
    assert near[0] == pytest.approx(1)
    assert near[0] > near[1] > 0.4 > 0.2 > near[2]
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 0])


def test_a_heading_belongs_to_the_paragraph_below_it_and_code_is_none() -> None:
    assert paragraphs("# A\n\n## B\n\none\ntwo\n\n```sh\nx\n\ny\n```\n\nthree\n\n# C\n") == [
        "# A\n## B\none\ntwo",
        "three",
    ]


def test_an_answer_is_shown_on_three_lines_that_a_terminal_can_show(
    ingest: Ingest, library: Path
) -> None:
    (library / "long.txt").write_text("\x1b[31mred\x1b[0m " + "many words " * 100)
    lines = ingest("--query", "many words", "--limit", "1").stdout.splitlines()[6:]
    assert lines[0].endswith("  long.txt, paragraph 1")
    assert len(lines) == 4
    assert all(line.isprintable() and len(line) < 80 for line in lines)
    assert lines[3].endswith(" ...")
