"""What cannot be opened is refused with a typed error, and is left as it was, to the byte."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import engine_store
from engine_store import DatabaseConfig
from engine_store.errors import (
    ConfigurationError,
    EngineStoreError,
    ForeignDatabaseError,
    MigrationDriftError,
    SchemaAheadError,
    SchemaBehindError,
    UnavailableError,
)
from engine_store.protocols import Store
from engine_store_sqlite.dialect import MIGRATIONS

Connect = Callable[[Path], sqlite3.Connection]

NEWEST = len(MIGRATIONS)


def contents(folder: Path) -> dict[str, tuple[bytes | None, int]]:
    """Every file below a folder: its bytes and its permissions."""
    return {
        str(found.relative_to(folder)): (
            found.read_bytes() if found.is_file() else None,
            stat.S_IMODE(found.lstat().st_mode),
        )
        for found in sorted(folder.rglob("*"))
    }


@contextmanager
def refused(folder: Path, expected: EngineStoreError) -> Iterator[None]:
    """The block raises exactly this, and nothing in `folder` changes."""
    before = contents(folder)
    with pytest.raises(type(expected)) as caught:
        yield
    fields = [getattr(caught.value, name) for name in type(expected).__match_args__]
    assert fields == [getattr(expected, name) for name in type(expected).__match_args__]
    assert contents(folder) == before


def open_at(path: Path, **config: object) -> Store:
    return engine_store.open(DatabaseConfig(url=f"sqlite:///{path}", **config))  # type: ignore[arg-type]


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    place = tmp_path / "missing"
    reason = f"there is no directory {place}; create it first"
    with refused(tmp_path, ConfigurationError("url", reason)):
        open_at(place / "engine.db")


def test_a_file_is_no_directory_to_put_a_database_in(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    reason = f"{tmp_path / 'file'} is a file, not a directory"
    with refused(tmp_path, ConfigurationError("url", reason)):
        open_at(tmp_path / "file" / "engine.db")


def test_a_directory_is_no_database(path: Path) -> None:
    path.mkdir()
    reason = f"{path} is a directory; name a file inside it"
    with refused(path.parent, ConfigurationError("url", reason)):
        open_at(path)


def test_a_name_longer_than_the_file_system_takes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    reason = f"{path} cannot be used: File name too long"
    with refused(tmp_path, ConfigurationError("url", reason)):
        open_at(path)


def test_a_link_that_leads_to_itself_is_refused(path: Path) -> None:
    path.symlink_to(path)
    with pytest.raises(ConfigurationError) as caught:
        open_at(path)
    assert caught.value.field == "url"
    assert path.is_symlink()


def test_what_is_no_regular_file_is_no_database(path: Path) -> None:
    os.mkfifo(path)
    reason = f"{path} is no regular file; name another one"
    with refused(path.parent, ConfigurationError("url", reason)):
        open_at(path)


# --- without the rights --------------------------------------------------------------------------

WITHOUT_RIGHTS = """
import os, sys
import engine_store
from engine_store.errors import EngineStoreError
engine_store.open("sqlite:///:memory:").close()  # imports what may not be readable later
if os.getuid() == 0:  # whom no permission stops
    os.setgid(65534)
    os.setgroups([])
    os.setuid(65534)
try:
    engine_store.open(f"sqlite:///{sys.argv[1]}")
except EngineStoreError as error:
    print(type(error).__name__, error.field, error.reason)
else:
    print("opened")
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that every user may reach, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="engine-store-test-"))
    folder.chmod(0o755)
    yield folder
    for place in folder.iterdir():
        place.chmod(0o700)
    shutil.rmtree(folder)


def test_a_directory_that_may_not_be_written_is_named(
    shared: Path, run: Callable[..., str]
) -> None:
    folder = shared / "closed"
    folder.mkdir(mode=0o555)
    said = run(WITHOUT_RIGHTS, folder / "engine.db", measured=False)
    assert said == f"ConfigurationError url {folder} may not be written; change its permissions"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("empty", [True, False])
def test_a_file_that_may_not_be_written_is_named(
    shared: Path, run: Callable[..., str], empty: bool
) -> None:
    folder = shared / "open"
    folder.mkdir()
    folder.chmod(0o777)
    path = folder / "engine.db"
    if empty:
        path.touch()
    else:
        open_at(path).close()
    path.chmod(0o444)
    before = contents(folder)
    said = run(WITHOUT_RIGHTS, path, measured=False)
    assert said == f"ConfigurationError url {path} may not be written; change its permissions"
    assert contents(folder) == before


def test_a_file_that_may_not_be_read_is_named(shared: Path, run: Callable[..., str]) -> None:
    folder = shared / "open"
    folder.mkdir()
    folder.chmod(0o777)
    path = folder / "engine.db"
    open_at(path).close()
    path.chmod(0o222)
    said = run(WITHOUT_RIGHTS, path, measured=False)
    assert said == f"ConfigurationError url {path} may not be read; change its permissions"


def test_a_directory_need_not_be_listed(shared: Path, run: Callable[..., str]) -> None:
    folder = shared / "dark"
    folder.mkdir()
    folder.chmod(0o333)
    assert run(WITHOUT_RIGHTS, folder / "engine.db", measured=False) == "opened"
    assert run(WITHOUT_RIGHTS, folder / "engine.db", measured=False) == "opened"


@pytest.mark.parametrize("place", ["closed/engine.db", "closed/inner/engine.db"])
def test_a_directory_that_may_not_be_entered_is_said(
    shared: Path, run: Callable[..., str], place: str
) -> None:
    folder = shared / "closed"
    (folder / "inner").mkdir(parents=True)
    folder.chmod(0o666)
    said = run(WITHOUT_RIGHTS, shared / place, measured=False)
    assert said.startswith("ConfigurationError url ")
    assert str(shared / place) in said or str(folder) in said


# --- other files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"xy",  # SQLite takes a single byte for an empty file
        b"Dear diary,\n" * 100,
        b"\0" * 4096,
        bytes(range(256)) * 64,
        b"SQLite format 4\0" + b"\0" * 4080,
    ],
    ids=["two bytes", "text", "zeros", "noise", "another format"],
)
def test_a_file_of_something_else_is_foreign(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with refused(path.parent, ForeignDatabaseError(str(path), "data that is no SQLite database")):
        open_at(path)


def test_a_truncated_database_is_damaged_and_not_written_to(path: Path, bare: Connect) -> None:
    open_at(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    expected = UnavailableError("SQLite: the database is damaged; restore a backup", False)
    with refused(path.parent, expected):
        open_at(path)


def test_a_database_whose_pages_are_noise_is_damaged(path: Path) -> None:
    open_at(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes(range(1, 256)) * (len(whole) // 255))
    with pytest.raises((UnavailableError, ForeignDatabaseError)) as caught:
        open_at(path)
    assert not caught.value.retriable
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("application_id", [0, 0x12345678])
def test_a_database_of_another_program_is_foreign(
    path: Path, bare: Connect, application_id: int, journal: str
) -> None:
    other = bare(path)
    other.execute(f"PRAGMA journal_mode = {journal}")
    other.execute(f"PRAGMA application_id = {application_id}")
    other.execute("CREATE TABLE songs (title TEXT)")
    other.close()
    expected = ForeignDatabaseError(str(path), "the database of another program")
    with refused(path.parent, expected):
        open_at(path)
    with refused(path.parent, expected):
        open_at(path, auto_migrate=False)


def test_an_empty_database_that_another_program_marked_is_foreign(
    path: Path, bare: Connect
) -> None:
    bare(path).execute("PRAGMA application_id = 42")
    expected = ForeignDatabaseError(str(path), "the database of another program")
    with refused(path.parent, expected):
        open_at(path)


def test_tables_like_ours_without_our_mark_are_foreign(path: Path, bare: Connect) -> None:
    open_at(path).close()
    other = bare(path)
    other.execute("PRAGMA application_id = 0")
    other.close()
    expected = ForeignDatabaseError(str(path), "the database of another program")
    with refused(path.parent, expected):
        open_at(path)


def test_an_empty_file_and_an_empty_database_may_become_ours(
    path: Path, bare: Connect, open_store: Callable[..., Store]
) -> None:
    path.touch()
    open_store(path).close()
    other = path.with_name("vacuumed.db")
    connection = bare(other)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.execute("DROP TABLE songs")
    connection.execute("VACUUM")
    connection.close()
    assert other.stat().st_size > 0
    assert open_store(other).health().ok


# --- other schemas -------------------------------------------------------------------------------


@pytest.fixture
def migrated(path: Path) -> Path:
    """A database at the code's schema, closed."""
    open_at(path).close()
    return path


@pytest.mark.parametrize("auto_migrate", [True, False])
def test_a_newer_schema_is_refused(migrated: Path, bare: Connect, auto_migrate: bool) -> None:
    newer = bare(migrated)
    newer.execute(
        "INSERT INTO engine_store_migrations VALUES (?, 'later', 'x', '2030-01-01T00:00:00+00:00')",
        [NEWEST + 1],
    )
    newer.close()
    with refused(migrated.parent, SchemaAheadError(database=NEWEST + 1, code=NEWEST)):
        open_at(migrated, auto_migrate=auto_migrate)


@pytest.mark.parametrize("auto_migrate", [True, False])
def test_a_changed_step_is_refused(migrated: Path, bare: Connect, auto_migrate: bool) -> None:
    changed = bare(migrated)
    changed.execute("UPDATE engine_store_migrations SET checksum = 'other' WHERE version = 2")
    changed.close()
    differences = ("step 2 was applied as 'workflows' with another checksum",)
    with refused(migrated.parent, MigrationDriftError(differences)):
        open_at(migrated, auto_migrate=auto_migrate)


def test_a_skipped_step_is_refused(migrated: Path, bare: Connect) -> None:
    changed = bare(migrated)
    changed.execute("DELETE FROM engine_store_migrations WHERE version = 2")
    changed.close()
    with refused(migrated.parent, MigrationDriftError(("step 2 was skipped",))):
        open_at(migrated)


def test_without_auto_migration_a_missing_file_is_not_made(path: Path) -> None:
    with refused(path.parent, SchemaBehindError(database=0, code=NEWEST)):
        open_at(path, auto_migrate=False)
    assert not path.exists()


def test_without_auto_migration_an_empty_file_stays_empty(path: Path) -> None:
    path.touch()
    with refused(path.parent, SchemaBehindError(database=0, code=NEWEST)):
        open_at(path, auto_migrate=False)


def test_without_auto_migration_memory_can_never_be_opened() -> None:
    with pytest.raises(SchemaBehindError) as caught:
        engine_store.open(DatabaseConfig(url="sqlite:///:memory:", auto_migrate=False))
    assert (caught.value.database, caught.value.code) == (0, NEWEST)


@pytest.mark.parametrize("version", range(NEWEST))
def test_without_auto_migration_an_older_schema_is_refused(migrated: Path, version: int) -> None:
    with open_at(migrated) as store:
        store.migrator.down(version)
    with refused(migrated.parent, SchemaBehindError(database=version, code=NEWEST)):
        open_at(migrated, auto_migrate=False)


def test_without_auto_migration_a_current_schema_is_opened(
    migrated: Path, open_store: Callable[..., Store]
) -> None:
    store = open_store(migrated, config={"auto_migrate": False})
    assert store.health().schema_version == NEWEST


def test_a_foreign_database_keeps_what_is_still_in_its_log(path: Path) -> None:
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("PRAGMA journal_mode = WAL")
        foreign.execute("CREATE TABLE theirs (a)")
        copy = path.with_name("copy.db")
        shutil.copy(path, copy)
        shutil.copy(f"{path}-wal", f"{copy}-wal")
    before = copy.read_bytes(), Path(f"{copy}-wal").read_bytes()
    with pytest.raises(ForeignDatabaseError):
        engine_store.open(f"sqlite:///{copy}")
    assert (copy.read_bytes(), Path(f"{copy}-wal").read_bytes()) == before
