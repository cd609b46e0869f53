"""The text files of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

MARKDOWN = frozenset({".md", ".markdown"})
TEXT = MARKDOWN | {".txt", ".text", ".rst", ".adoc", ".org", ".tex"}

PROJECT = Path(__file__).resolve().parents[2]
PROJECT_FOLDERS = ("docs", "core", "drivers", "contracts")


class UsageError(Exception):
    """The run cannot start as asked; the text says what to do. Nothing was changed."""


@frozen
class Source:
    """Files to analyse: paths relative to `root`. The next run of the same `name` resumes it."""

    name: str
    root: str
    files: tuple[str, ...]


def project_documents() -> Source:
    """Return the project's documents: Markdown in its root, texts in the folders of its parts."""
    files = [path for path in PROJECT.glob("*.md") if path.is_file()]
    for folder in PROJECT_FOLDERS:
        files += _text_files(PROJECT / folder)
    return _source(f"the documents of {PROJECT}", PROJECT, files)


def folder_or_file(given: str) -> Source:
    """Return the text files below a folder, or one file of any name. Raises `UsageError`."""
    try:
        path = Path(given).expanduser().absolute()
        if given and path.is_file():
            return _source(str(path), path.parent, [path])
        if given and path.is_dir():
            return _source(str(path), path, _text_files(path))
    except (OSError, RuntimeError) as exc:  # no permission, a name too long, an unknown ~user
        raise UsageError(f"--input: {given!r} cannot be read: {exc}") from None
    raise UsageError(f"--input: there is no folder or file {given!r}; name one that exists")


def _source(name: str, root: Path, files: list[Path]) -> Source:
    if not files:
        kinds = ", ".join(sorted(TEXT))
        raise UsageError(f"--input: no text files ({kinds}) in {name}; name another folder")
    paths = [os.fsencode(path) for path in (root, *files)]
    for path in paths:
        try:
            path.decode()
        except UnicodeDecodeError:
            raise UsageError(f"--input: the name {path!r} is not UTF-8; rename it") from None
    return Source(name, str(root), tuple(sorted(str(path.relative_to(root)) for path in files)))


def _text_files(folder: Path) -> list[Path]:
    return [path for path in _walk(folder) if path.suffix.lower() in TEXT and path.is_file()]


def _walk(folder: Path) -> Iterator[Path]:
    """Yield every file below `folder` that is not hidden. Links to folders are not followed."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in files if not name.startswith("."))
