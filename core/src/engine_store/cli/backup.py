"""backup: a copy of the whole database, made while it is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine_store.cli.run import Run, command
from engine_store.errors import ConfigurationError
from engine_store.plugins import load_driver

app = typer.Typer()


@command(app)
def backup(
    run: Run, target: Annotated[Path, typer.Argument(help="The file to make; it must not exist.")]
) -> None:
    """Copy the database into a file.

    It may be in use. Not every driver can; what else to do is said then.
    """
    config = run.config()
    name = config.database.driver_name
    _, manager = load_driver(name)
    if target.exists():
        raise ConfigurationError("target", f"{target} exists already; name a new file")
    with run.progress() as bar:
        task = bar.add_task("backup", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        size = manager.hook.engine_store_backup(
            config=config.database, target=target, progress=progress
        )
    if size is None:
        raise ConfigurationError("database.driver", f"{name} offers no backup; use export")
    run.answer({"target": str(target), "bytes": size}, f"{target}: {size} bytes")
