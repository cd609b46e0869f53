"""The distributions that others need, and their size as installed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

_NAME = re.compile(r"[\w.-]+")
_OF_AN_EXTRA = re.compile(r";.*\bextra\s*==")


def installation(*names: str) -> Mapping[str, int]:
    """The bytes of these distributions, and of all they require without extras, by name.

    Raises `PackageNotFoundError` for a name that is not installed.
    """
    found: dict[str, Distribution] = {}
    waiting = [distribution(name) for name in names]
    while waiting:
        one = waiting.pop()
        if one.name not in found:
            found[one.name] = one
            waiting += _required(one)
    return {name: _bytes(one) for name, one in sorted(found.items())}


def _required(one: Distribution) -> list[Distribution]:
    found = []
    for requirement in one.requires or ():
        name = _NAME.match(requirement)
        if name and not _OF_AN_EXTRA.search(requirement):
            try:
                found.append(distribution(name[0]))
            except PackageNotFoundError:  # another Python, or another system, would need it
                continue
    return found


def _bytes(one: Distribution) -> int:
    """The size of its files, without the bytecode that Python makes of them.

    What is installed as an editable has its code elsewhere: where its `.pth` file says.
    """
    files = [Path(str(file.locate())) for file in one.files or ()]
    for pth in [file for file in files if file.suffix == ".pth"]:
        for line in pth.read_text("utf-8").splitlines():
            files += Path(line).rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc")
