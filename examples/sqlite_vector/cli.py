"""The command line: start on a configuration, ingest, answer; every failure it knows is a line."""

from __future__ import annotations

import argparse
import io
import sys
import textwrap
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import engine_store
from engine_store import Config, EngineStoreError, Status
from engine_store.config import VectorDatabase, VectorProvider
from engine_store.errors import ConfigurationError, UnavailableError
from sqlite_vector.documents import PROJECT, UsageError, text_files
from sqlite_vector.ingestion import Ingestion, texts_of
from sqlite_vector.vectors import FileIndex, IndexUnavailableError, VectorIndex

FOLDER = Path(".demo", "sqlite_vector")
DIMENSION = 1024
LINES, WIDTH = 3, 70
"""Of an answer, that are shown."""

DONE, NOT_DONE, USAGE, UNAVAILABLE = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example and return its exit code."""
    for stream in (sys.stdout, sys.stderr):  # a text may hold what the terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except IndexUnavailableError as exc:
        return _fail(str(exc), UNAVAILABLE)
    except EngineStoreError as exc:
        unavailable = exc.retriable or isinstance(exc, UnavailableError)
        return _fail(str(exc), UNAVAILABLE if unavailable else USAGE)
    except UsageError as exc:
        return _fail(str(exc), USAGE)
    except OSError as exc:  # the disk is full, standard output is closed
        return _fail(str(exc), NOT_DONE)


def configuration(folder: Path, provider: str) -> Config:
    """States in a SQLite file, vectors in a database beside it."""
    place = folder / provider
    places = {"filesystem": {"path": str(place)}, "qdrant": {"url": place.as_uri()}}
    vectors = {
        "id": "documents",
        "provider": provider,
        "dimension": DIMENSION,
        **places.get(provider, {}),
    }
    given: dict[str, Any] = {
        "database": {"driver": "sqlite", "path": str(folder / "engine.db")},
        "knowledge": {"vector_dbs": [vectors]},
    }
    return engine_store.load(environment={}, arguments=given)


def refusal(folder: Path) -> str:
    """What is said to a configuration that asks SQLite itself to keep vectors."""
    try:
        store = engine_store.start(configuration(folder, "pgvector"))
    except ConfigurationError as exc:
        return str(exc)
    store.close()
    raise AssertionError("SQLite with pgvector was not refused")


def open_index(db: VectorDatabase) -> VectorIndex:
    """The vector database of a configuration."""
    if db.provider is VectorProvider.QDRANT:
        from sqlite_vector.qdrant import QdrantIndex  # it takes a second to import

        assert db.url is not None
        return QdrantIndex(db.url, f"{db.id}-{db.dimension}", db.dimension)
    assert db.path is not None
    return FileIndex(Path(db.path))


def _run(options: argparse.Namespace) -> int:
    root = Path(options.input).resolve()
    paths = text_files(root)
    folder = _made(Path(options.folder).resolve())
    print(f"SQLite with pgvector is refused:\n  {refusal(folder)}")
    config = configuration(folder, options.provider)
    assert config.knowledge is not None
    (db,) = config.knowledge.vector_dbs
    with engine_store.start(config) as store:
        index = open_index(db)
        try:
            ingestion = Ingestion(store, index, db.dimension, db.url or db.path or "", root)
            ingested = _ingest(ingestion, paths)
            answered = options.query is None or _answer(ingestion, options.query, options.limit)
        finally:
            index.close()
    return DONE if ingested and answered else NOT_DONE


def _made(folder: Path) -> Path:
    """The folder of both databases, for its owner alone where it is new."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"--folder: {folder} cannot be made: {exc.strerror}") from exc
    return folder


def _ingest(ingestion: Ingestion, paths: Collection[str]) -> bool:
    """Ingest and say what was done. Whether every file could be."""
    ended = {task.task_id: task for task in ingestion.run(paths)}
    failed = [task for task in ended.values() if task.status is not Status.SUCCESS]
    removed = [path for path in ended if path not in paths and ended[path] not in failed]
    there = [texts_of(task) for path, task in ingestion.current().items() if path in paths]
    new = len(ended) - len(failed) - len(removed)
    print(f"Documents of {ingestion.root}:")
    print(f"  now: ingested {new}, removed {len(removed)}, failed {len(failed)}")
    print(f"  in all: files {len(there)}, paragraphs {sum(map(len, there))}")
    for task in failed:
        print(f"  failed: {task.task_id}: {task.error and task.error.message}")
    return not failed


def _answer(ingestion: Ingestion, question: str, limit: int) -> bool:
    """Print the best paragraphs; whether there is one."""
    answers = ingestion.answer(question, limit)
    print(f"Nearest to {question!r}:")
    for answer in answers:
        print(f"  {answer.score:.3f}  {answer.path}, paragraph {answer.number}")
        print(_shown(answer.text))
    if not answers:
        print("  nothing")
    return bool(answers)


def _shown(text: str) -> str:
    """The beginning of a text, fit for a terminal."""
    line = "".join(char if char.isprintable() else " " for char in text)
    lines = textwrap.wrap(line, WIDTH, max_lines=LINES, placeholder=" ...")
    return textwrap.indent("\n".join(lines), " " * 9)


def _fail(message: str, code: int) -> int:
    print(" ".join(f"sqlite_vector: {message}".split()), file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sqlite_vector",
        description="Ingest text files: states in SQLite, vectors in a database beside it.",
        epilog="Exit codes: 0 done, 1 a file could not be ingested or nothing was found, 2 it "
        "cannot be done as asked, 3 a database is not available, 130 interrupted.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--provider", choices=["filesystem", "qdrant"], default="filesystem", help="of vectors"
    )
    parser.add_argument(
        "--input",
        metavar="FOLDER",
        default=PROJECT,
        help="of text files (default: the project's own documents)",
    )
    parser.add_argument("--query", metavar="TEXT", help="show the paragraphs nearest to it")
    parser.add_argument(
        "--limit", metavar="N", type=count, default=3, help="so many of them (default: 3)"
    )
    parser.add_argument(
        "--folder",
        metavar="FOLDER",
        default=FOLDER,
        help=f"where both databases are (default: {FOLDER})",
    )
    return parser


def count(text: str) -> int:
    """A number of answers."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected at least 1")
    return number
