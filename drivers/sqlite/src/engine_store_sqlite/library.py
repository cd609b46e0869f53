"""The SQLite library of this Python: what it has to know, and a bug that it may have."""

from __future__ import annotations

import sqlite3

from engine_store.errors import ConfigurationError

OLDEST = (3, 38, 0)
"""STRICT tables came with 3.37, JSON functions in every build with 3.38."""

WITHOUT_RESET_BUG = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
"""The first versions, of three series, in which a checkpoint beside a commit loses nothing.

https://www.sqlite.org/wal.html#walresetbug
"""


def check(found: tuple[int, ...]) -> None:
    """Check that the library knows what the statements use. Raises `ConfigurationError`."""
    if found < OLDEST:
        raise ConfigurationError(
            "driver",
            f"expected SQLite {_dotted(OLDEST)} or newer in this Python, found "
            f"{_dotted(found)}; use a newer Python, or a newer SQLite library",
        )


def reset_bug(found: tuple[int, ...]) -> str | None:
    """Return what may happen beside other programs, if the library has the WAL-reset bug."""
    newest, *others = WITHOUT_RESET_BUG
    if found >= newest or any(first <= found[:3] < (*first[:2], 1000) for first in others):
        return None
    fixed = ", ".join(map(_dotted, WITHOUT_RESET_BUG))
    return (
        f"SQLite {_dotted(found)} may lose what was written if another program, such as a shell, "
        f"opens the file while a store writes (the WAL-reset bug, fixed in {fixed}); stores "
        "themselves avoid it"
    )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


RESET_BUG = reset_bug(sqlite3.sqlite_version_info)
"""The text of the bug, for stores of this process; None: their library is fixed."""
