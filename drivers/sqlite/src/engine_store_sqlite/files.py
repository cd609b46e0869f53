"""The file of a database: checked before anything changes, made, and tried beside another one."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from urllib.parse import quote

from engine_store.config import DatabaseConfig
from engine_store.errors import ConfigurationError, ForeignDatabaseError, SchemaBehindError
from engine_store.migrations import Applied, Migration, check_current, check_history
from engine_store.sql.blocking import run
from engine_store.sql.migrator import read_applied
from engine_store.sql.places import check_place, usable
from engine_store_sqlite.connections import SqliteConnection, connect, reading_mode
from engine_store_sqlite.dialect import DIALECT, QUERIES
from engine_store_sqlite.failures import ERRORS, primary_code, translate
from engine_store_sqlite.migrator import APPLICATION_ID
from engine_store_sqlite.options import SqliteOptions, read_options


def check_file(
    path: Path, options: SqliteOptions, steps: Sequence[Migration], *, behind: bool
) -> None:
    """Check that `path` can be opened as a database with these migrations; nothing is changed.

    With `behind` its schema may lack steps.

    Raises `ConfigurationError`, `ForeignDatabaseError`, `SchemaError`, `UnavailableError`.
    """
    with usable(path):
        check_place(path, read_only=options.read_only)
        check_mount(path)
        has_contents = path.exists() and path.stat().st_size > 0
    if has_contents:
        applied = read_history(path, options)
        (check_history if behind else check_current)(steps, applied)
    elif not behind:
        raise SchemaBehindError(database=0, code=len(steps))


def check_mount(path: Path) -> None:
    """Raise `ConfigurationError` if the file alone is mounted, as by `docker -v engine.db:...`.

    Its log would lie beside it, outside of the mount, and be gone with the container; with it what
    was written last.
    """
    mounts = Path("/proc/self/mountinfo")
    if mounts.exists():
        place = os.fsencode(os.path.realpath(path))
        for line in mounts.read_bytes().splitlines():
            if _unescaped(line.split(b" ")[4]) == place:
                raise ConfigurationError(
                    "url", f"{path} is mounted by itself, without its log; mount its folder instead"
                )


def _unescaped(field: bytes) -> bytes:
    """Return a path of mountinfo: blanks and backslashes in it are octal there."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field)


def create_file(path: Path) -> None:
    """Make the file, empty and readable by its owner only, where it is not there.

    SQLite makes it: were the file opened and closed by other means, every lock that this process
    has on it by another store would be gone
    (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
    """
    with usable(path):
        if path.exists():
            return
        with NamedTemporaryFile(dir=path.parent) as private:
            model = quote(os.fsencode(private.name))  # its permissions are those wanted: 0600
            uri = f"file://{quote(os.fsencode(path))}?mode=rwc&modeof={model}"
            try:
                sqlite3.connect(uri, uri=True).close()
            except ERRORS as error:
                raise ConfigurationError("url", f"{path} cannot be made: {error}") from error


def check_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `ForeignDatabaseError` for the database of another program."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (application or objects):
        raise ForeignDatabaseError(str(path), "the database of another program")


def read_history(path: Path, options: SqliteOptions) -> tuple[Applied, ...]:
    """Return the applied steps of the database in a file that is not empty.

    Raises `ForeignDatabaseError`, `DamagedRowError`, `UnavailableError`.
    """
    mode = reading_mode(path)
    try:
        with closing(connect(path, options, read_only=True, mode=mode)) as connection:
            connection.execute("BEGIN")  # one snapshot: another process may be migrating it
            check_ours(connection, path)
            return run(read_applied(SqliteConnection(connection), QUERIES, DIALECT))
    except ERRORS as error:
        if primary_code(error) == sqlite3.SQLITE_NOTADB:
            raise ForeignDatabaseError(str(path), "data that is no SQLite database") from error
        raise translate(error) from error


@contextmanager
def scratch(url: str) -> Iterator[str]:
    """Yield the URL of a file of the same name in a folder of its own, beside the file of `url`.

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
