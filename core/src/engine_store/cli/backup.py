"""backup: a copy of the whole database, made while it is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine_store.cli.run import Run, command
from engine_store.discovery import load_driver
from engine_store.errors import ConfigurationError
from engine_store.protocols import BackupCapable

app = typer.Typer()


@command(app)
def backup(
    run: Run, target: Annotated[Path, typer.Argument(help="The file to make; it must not exist.")]
) -> None:
    """Copy the database into a file.

    It may be in use. Not every driver can; what else to do is said then.
    """
    config = run.config().database
    driver = load_driver(config.driver_name)
    if not isinstance(driver, BackupCapable):
        raise ConfigurationError("database.driver", f"{driver.name} offers no backup; use export")
    if target.exists():
        raise ConfigurationError("target", f"{target} exists already; name a new file")
    with run.progress() as bar:
        task = bar.add_task("backup", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        size = driver.backup(config, target, progress)
    run.answer({"target": str(target), "bytes": size}, f"{target}: {size} bytes")
