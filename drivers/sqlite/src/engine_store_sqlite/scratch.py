"""A database to try things on, beside another one and gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from urllib.parse import quote

from engine_store.config import DatabaseConfig
from engine_store.errors import ConfigurationError
from engine_store_sqlite.options import read_options


@contextmanager
def scratch(url: str) -> Iterator[str]:
    """The URL of a file of the same name in a folder of its own, beside the file of `url`.

    In memory every store has a database of its own already. Raises `ConfigurationError`.
    """
    location, _ = read_options(DatabaseConfig(url=url))
    if location.path is None:
        yield url
        return
    try:
        folder = TemporaryDirectory(dir=location.path.parent, prefix=f"{location.path.stem}-")
    except OSError as error:
        reason = f"no folder can be made beside {location.path}: {error.strerror}"
        raise ConfigurationError("url", reason) from error
    with folder:
        path = quote(os.fsencode(os.path.join(folder.name, location.path.name)))  # noqa: PTH118
        _, mark, query = url.partition("?")
        yield f"sqlite:///{path}{mark}{query}"
