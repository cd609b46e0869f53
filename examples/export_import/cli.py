"""The command line: finds a PostgreSQL, makes the transfers, prints the results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from rich import box
from rich.console import Console
from rich.table import Table

import engine_store
from database_server import NotInstalledError, ServerError
from engine_store import EngineStoreError
from engine_store.drivers.discovery import load_driver
from engine_store.errors import UnavailableError
from export_import.api import Export, refusal, resume, round_trip
from postgres_server import add_option, given_or_started

DONE, DIFFERENT, USAGE, UNAVAILABLE = 0, 1, 2, 3

MISSING = "translation-1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example and return its exit code; what went wrong is a line on standard error."""
    options = _parser().parse_args(arguments)
    try:
        driver = load_driver("postgres")
        with (
            _folder(options.keep) as folder,
            given_or_started(options.postgres) as server,
            driver.scratch(server) as postgres,
        ):
            return _run(folder, postgres)
    except NotInstalledError as error:
        return fail(f"{error}; name a database with --postgres URL", USAGE)
    except ServerError as error:
        return fail(str(error), UNAVAILABLE)
    except OSError as error:  # the folder cannot be written
        return fail(f"{error.filename or 'output'}: {error.strerror}", USAGE)
    except EngineStoreError as error:
        return fail(str(error), UNAVAILABLE if isinstance(error, UnavailableError) else USAGE)


def fail(message: str, code: int) -> int:
    """Print `message` as one line on standard error; returns `code`."""
    print(" ".join(f"export_import: {message}".split()), file=sys.stderr)
    return code


def _run(folder: Path, postgres: str) -> int:
    first, last = (f"sqlite:///{quote(str(folder))}/{name}.db" for name in ("first", "last"))
    exports = list(round_trip(folder, first, postgres, last))
    _show(exports)
    identical = len({one.sha256 for one in exports}) == 1
    print(f"The three exports are {'identical' if identical else 'different'}.")
    with engine_store.open(last) as store:
        print("\nAn import into a store that has rows is refused:")
        print(f"  {refusal(store, exports[0].file)}")
        print(f'\nOne that was killed before it came to {MISSING} goes on with existing="skip":')
        report = resume(store, exports[0].file, MISSING)
    whole = "the rows of the file and no others" if report.identical else "other rows than the file"
    print(f"  restored {_counted(report.restored)}; the store holds {whole}")
    return DONE if identical and report.identical else DIFFERENT


def _show(exports: Sequence[Export]) -> None:
    kinds = list(exports[0].rows)
    table = Table("export", box=box.SIMPLE)
    for kind in kinds:
        table.add_column(_named(kind, 2), justify="right")
    for one in exports:
        table.add_row(one.file.name, *(str(one.rows[kind]) for kind in kinds))
    Console().print(table)
    for one in exports:  # as sha256sum has it
        print(f"{one.sha256}  {one.file.name}")


def _counted(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {_named(kind, count)}" for kind, count in rows.items() if count)


def _named(kind: str, count: int) -> str:
    return f"{kind.replace('_', ' ')}{'' if count == 1 else 's'}"


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Where the files go: a temporary folder, or `keep`, which has to be new or empty."""
    if keep is None:
        with TemporaryDirectory(prefix="export-import-") as name:
            yield Path(name)
        return
    keep.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(keep.iterdir()):
        raise FileExistsError(0, "not empty; name a new folder", str(keep))
    yield keep.absolute()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "export_import",
        description="Move a store from SQLite to PostgreSQL and back; compare the exports.",
        epilog="Exit codes: 0 the exports are identical, 1 they are not, 2 asked for what cannot "
        "be done, 3 the database is not available.",
        allow_abbrev=False,
    )
    add_option(parser)
    parser.add_argument(
        "--keep", metavar="FOLDER", type=Path, help="a new folder, which keeps the files"
    )
    return parser
