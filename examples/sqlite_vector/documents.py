"""The documents: the text files of a folder, and the paragraphs of a text."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

TEXT = frozenset({".md", ".rst", ".txt"})
PROJECT = Path(__file__).resolve().parents[2]

_LONGEST_ID = 255
_HEADING = re.compile(r"#+ .*")
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


class UsageError(Exception):
    """It cannot be done as asked; the text says what to do. Nothing was changed."""


def text_files(root: Path) -> list[str]:
    """The paths of the text files below `root`, from there, sorted; none in a hidden folder.

    A path is the id of a task, and has to be fit for one. Raises `UsageError`.
    """
    if not root.is_dir():
        raise UsageError(f"--input: there is no folder {str(root)!r}; name one that exists")
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name[0] not in "._"]
        paths = [Path(folder, name) for name in names if not name.startswith(".")]
        texts = [path for path in paths if path.suffix.lower() in TEXT and path.is_file()]
        found += [str(path.relative_to(root)) for path in texts]
    for path in found:
        if len(path) > _LONGEST_ID or not path.isprintable():
            raise UsageError(f"--input: {path!a} is too long or cannot be printed; rename it")
    return sorted(found)


def digest(content: bytes | None) -> str | None:
    """What tells one content from another; None for that of a file that is not there."""
    return None if content is None else sha256(content).hexdigest()


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, a heading together with what is below it; no fenced code."""
    found, heading = [], ""
    for block in re.split(r"\n\s*\n", _FENCED.sub("", text).strip()):
        if _HEADING.fullmatch(block):
            heading += f"{block}\n"
        elif block:
            found.append(heading + block)
            heading = ""
    return found
