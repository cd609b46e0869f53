"""export, import, copy, backup, restore: the rows of a store, or all of its database, elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

import engine_store
from engine_store import transfer
from engine_store.cli import NO
from engine_store.cli.run import Run, command
from engine_store.cli.streams import printable, tell
from engine_store.config import Config, DatabaseConfig
from engine_store.drivers.discovery import load_driver
from engine_store.errors import ConfigurationError, NotEmptyError
from engine_store.protocols import BackupCapable, RestoreCapable
from engine_store.startup import check
from engine_store.transfer import OnProgress, TransferReport
from engine_store.values import LARGEST_DOCUMENT_BYTES

app = typer.Typer()

STDIO = Path("-")

Resume = Annotated[
    bool,
    typer.Option(
        "--skip-existing", help="Leave rows that are there as they are; resumes what was stopped."
    ),
]


@command(app)
def export(
    run: Run,
    file: Annotated[Path, typer.Argument(help="A new file; .gz compresses; - is the output.")],
) -> None:
    """Write every row as a line of JSON. The file is as secret as the database."""
    target: Path | BinaryIO = sys.stdout.buffer if file == STDIO else file
    with run.store() as store, _progress(run) as progress, _usable(file):
        counts = transfer.export(store, target, progress=progress)
        sys.stdout.flush()  # here, so that an error of the system is caught
    if file == STDIO:
        tell(_counted(counts))
    else:
        run.answer({"file": str(file), "rows": dict(counts)}, f"{file}: {_counted(counts)}")


@command(app, "import")
def import_rows(
    run: Run,
    file: Annotated[Path, typer.Argument(help="An export; - is the input.")],
    skip_existing: Resume = False,
) -> None:
    """Restore every row of an export.

    Each keeps its id, its version and its times.
    """
    with (
        _opened(file) as source,
        run.store(migrate=True) as store,
        _progress(run) as progress,
        _hinted(),
    ):
        report = transfer.import_(
            store,
            source,
            existing="skip" if skip_existing else "refuse",
            progress=progress,
            max_document_bytes=run.config.database.max_document_bytes,
        )
    _answer(run, report)


@command(app)
def copy(
    run: Run,
    source: Annotated[str, typer.Argument(help="The URL to copy from.")],
    target: Annotated[str, typer.Argument(help="The URL to copy to.")],
    skip_existing: Resume = False,
) -> None:
    """Copy every row to another store.

    It may be of another database. Each row keeps its id, its version and its times.
    """
    run.refuse_place("copy", "it takes two URLs, and no other place of a store")
    read = DatabaseConfig(url=source, auto_migrate=False)
    # What the one store has taken, the other one takes, too.
    written = DatabaseConfig(url=target, max_document_bytes=LARGEST_DOCUMENT_BYTES)
    for database in (read, written):
        check(Config(database))
    with (
        engine_store.open(read) as from_,
        engine_store.open(written) as to,
        _progress(run) as progress,
        _hinted(),
    ):
        report = transfer.copy(
            from_, to, existing="skip" if skip_existing else "refuse", progress=progress
        )
    _answer(run, report)


@command(app)
def backup(
    run: Run, target: Annotated[Path, typer.Argument(help="The file to make; it must not exist.")]
) -> None:
    """Copy the database into a file.

    It may be in use. Not every driver can; what else to do is said then.
    """
    config = run.config.database
    driver = load_driver(config.driver_name)
    if not isinstance(driver, BackupCapable):
        raise ConfigurationError("database.driver", f"{driver.name} offers no backup; use export")
    if target.exists():
        raise ConfigurationError("target", f"{target} exists already; name a new file")
    with _bar(run, "backup") as progress:
        size = driver.backup(config, target, progress)
    run.answer({"target": str(target), "bytes": size}, f"{target}: {size} bytes")


@command(app)
def restore(
    run: Run,
    file: Annotated[Path, typer.Argument(help="The file that backup made.")],
    target: Annotated[
        str, typer.Argument(metavar="URL", help="The target: the database to replace.")
    ],
) -> None:
    """Replace a database by a backup.

    Nobody may have it open. The backup is checked first; after a failure the old one is there.
    """
    run.refuse_place("restore", "it takes a file and a URL, and no other place")
    config = DatabaseConfig(url=target)
    driver = load_driver(config.driver_name)
    if not isinstance(driver, RestoreCapable):
        raise ConfigurationError("url", f"{driver.name} restores no backup; use import")
    with _bar(run, "restore") as progress:
        size = driver.restore(config, file, progress)
    run.answer({"file": str(file), "bytes": size}, f"restored {file}: {size} bytes")


def _answer(run: Run, report: TransferReport) -> None:
    """What came of it. Exit code 1 where the target holds other rows under some of the ids."""
    different = sum(report.different.values())
    lines = [f"restored {_counted(report.restored)}"]
    if different:
        lines.append(f"left as they were, but different: {different}, such as:")
        lines += [f"  {printable(example)}" for example in report.examples]
    lines.append(
        "the store holds these rows and no others"
        if report.identical
        else "the store holds further rows"
    )
    run.answer(report, "\n".join(lines))
    if different:
        raise typer.Exit(NO)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {kind.replace('_', ' ')}s" for kind, number in counts.items())


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """The export to read; opened before the store, which a wrong name is not to make."""
    if file == STDIO:
        yield sys.stdin.buffer
        return
    with _usable(file):
        source = file.open("rb")
    with source:
        yield source


@contextmanager
def _usable(file: Path) -> Iterator[None]:
    """Raise `ConfigurationError` for what the operating system says about `file`."""
    try:
        yield
    except BrokenPipeError:  # whoever reads the output has had enough
        raise
    except OSError as error:
        if file == STDIO:  # what could not be written would be tried again at the very end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ConfigurationError("file", f"{file}: {error.strerror}") from error


@contextmanager
def _hinted() -> Iterator[None]:
    """Name the option where the library names its argument."""
    try:
        yield
    except NotEmptyError as error:
        error.remedy = "Name an empty store, or leave what is there as it is: --skip-existing"
        raise


@contextmanager
def _bar(run: Run, name: str) -> Iterator[Callable[[int, int], None]]:
    """Give what shows how much of one whole is done, on a terminal."""
    with run.progress() as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _progress(run: Run) -> Iterator[OnProgress]:
    """A line for each kind of row, on a terminal."""
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn  # see Run.progress

    done_so_far = TextColumn("{task.completed}")
    columns = (TextColumn("{task.description}"), BarColumn(), done_so_far, TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with run.progress(*columns) as bar:

        def progress(kind: str, done: int, /) -> None:
            if kind not in tasks:
                tasks[kind] = bar.add_task(f"{kind.replace('_', ' ')}s", total=None)
            bar.update(tasks[kind], completed=done)

        yield progress
