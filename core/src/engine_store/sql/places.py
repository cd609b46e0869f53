"""The place of a database that is a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine_store.errors import ConfigurationError


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Raise `ConfigurationError` for what the operating system says about `path`."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError("url", f"{path} cannot be used: {error.strerror}") from error


def check_place(path: Path, *, read_only: bool = False) -> None:
    """Raise `ConfigurationError` if no database can be at `path`, or none can be made there.

    With `read_only` it has to be there, and need not be writable.
    """
    if path.parent.is_file():
        raise ConfigurationError("url", f"{path.parent} is a file, not a directory")
    if not path.parent.is_dir():
        raise ConfigurationError("url", f"there is no directory {path.parent}; create it first")
    if path.is_dir():
        raise ConfigurationError("url", f"{path} is a directory; name a file inside it")
    if path.exists() and not path.is_file():
        raise ConfigurationError("url", f"{path} is no regular file; name another one")
    if read_only and not path.exists():
        raise ConfigurationError("url", f"there is no file {path}, and read_only makes none")
    # The directory must be writable too: a log is made beside the database.
    for place in () if read_only else (path.parent, path):
        if place.exists() and not os.access(place, os.W_OK):
            raise ConfigurationError("url", f"{place} may not be written; change its permissions")
    if path.exists() and not os.access(path, os.R_OK):
        raise ConfigurationError("url", f"{path} may not be read; change its permissions")
