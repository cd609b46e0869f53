"""The driver's settings, and the place a URL or a path names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from attrs import frozen

from engine_store.config import DatabaseConfig, Seconds, duration, setting
from engine_store.errors import ConfigurationError
from engine_store.urls import mask_url, parse_url

MEMORY = ":memory:"


@frozen
class SqliteOptions:
    """Settings of the SQLite driver, from the URL's query or the configuration's `options`.

    `path` is the file where no URL names it. `busy_timeout` is how long, in seconds, a call waits
    for a lock that another thread or process holds. `synchronous` is SQLite's pragma: `full`
    survives a power cut, `normal` may lose the last commits in one but not at a `kill -9`, `off`
    promises nothing. `readers` is the number of connections that read at once. With `base_dir`
    the file must lie inside that directory. With `read_only` nothing is written, and nothing need
    be writable.
    """

    path: str | None = setting(
        default=None, replaces=["url"], help="The file, where no URL names it."
    )
    busy_timeout: Seconds = duration(
        10.0, "How long a call waits for a lock that another one holds."
    )
    synchronous: Literal["extra", "full", "normal", "off"] = setting(
        default="full", help="When SQLite waits for the disk; full survives a power cut."
    )
    readers: int = setting(default=4, minimum=1, help="Connections that read at once.")
    read_only: bool = setting(
        default=False, help="Open to be read only: writes are refused, steps are not applied."
    )
    base_dir: str | None = setting(default=None, help="The folder that the file must lie in.")


@frozen
class Location:
    """Where the database is. `path` is None for `:memory:`."""

    path: Path | None

    def __str__(self) -> str:
        return MEMORY if self.path is None else str(self.path)


def read_options(config: DatabaseConfig) -> tuple[Location, SqliteOptions]:
    """The location and the settings of `config`.

    Raises `ConfigurationError` naming the field, what was expected and what was found.
    """
    options = config.settings(SqliteOptions)
    if config.url is not None and options.path is not None:
        raise ConfigurationError("options.path", "expected a URL or a path, found both")
    if config.url is not None:
        field, named = "url", _path_of_url(config.url)
    elif options.path:
        field, named = "options.path", options.path
        if "://" in named:  # not shown: it may hold a password
            raise ConfigurationError("options.path", "expected a file, found a URL; call it url")
    else:
        raise ConfigurationError("url", "expected sqlite:///file.db, or the option path")
    return _locate(named, options.base_dir, field), options


def _path_of_url(url: str) -> str:
    if "#" in url:
        raise ConfigurationError("url", "a # in the name of a file is written %23")
    location = parse_url(url).location
    if location == "":
        raise ConfigurationError("url", "expected a file: sqlite:///engine.db")
    if not location.startswith("/"):
        raise ConfigurationError(
            "url",
            f"a SQLite database has no host, found {mask_url(url)}; a relative file is written "
            "sqlite:///file.db, an absolute one sqlite:////path/to/file.db",
        )
    return location[1:]


def _locate(named: str, base_dir: str | None, field: str) -> Location:
    if named == MEMORY:
        return Location(None)
    if not named or "\0" in named:
        raise ConfigurationError(field, "expected a file: sqlite:///engine.db")
    try:
        os.fsencode(named)
    except UnicodeEncodeError:
        raise ConfigurationError(field, f"no file can be named {named!a}") from None
    if base_dir is None:
        return Location(_real(named))
    base = _real(base_dir)
    path = _real(base / named)
    if not path.is_relative_to(base):
        raise ConfigurationError(
            field, f"{named!r} leads out of the base directory {str(base)!r}; name a file inside it"
        )
    return Location(path)


def _real(path: str | Path) -> Path:
    """The absolute path behind every link: SQLite puts its other files there."""
    return Path(os.path.realpath(path))
