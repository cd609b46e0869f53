"""What every command shares: where the store is, how it answers, and its exit codes."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from attrs import evolve, field, frozen
from cattrs.preconf.json import make_converter
from rich.console import Console, RenderableType

import engine_store
from engine_store.config import Config
from engine_store.errors import ConfigurationError
from engine_store.protocols import Store
from engine_store.startup import check, load

DONE, NO, USAGE, UNAVAILABLE = 0, 1, 2, 3
"""Exit codes: it is done; the answer is no; wrong usage or configuration; no database."""

_converter = make_converter()

COMMON: dict[str, Any] = {
    "config_file": Annotated[
        Path | None,
        typer.Option("--config", "-c", help="A YAML or TOML file.", rich_help_panel="Database"),
    ],
    "url": Annotated[
        str | None,
        typer.Option(
            "--url", help="sqlite:///engine.db, postgresql://...", rich_help_panel="Database"
        ),
    ],
    "db_driver": Annotated[
        str | None, typer.Option(help="The driver, by name.", rich_help_panel="Database")
    ],
    "db_path": Annotated[
        str | None, typer.Option(help="The file, for SQLite.", rich_help_panel="Database")
    ],
    "as_json": Annotated[bool, typer.Option("--json", help="Answer in JSON.")],
}
"""The options of every command."""


@frozen
class Run:
    """One call of a command."""

    config_file: Path | None = None
    url: str | None = field(default=None, repr=False)
    db_driver: str | None = None
    db_path: str | None = None
    as_json: bool = False
    console: Console = field(factory=lambda: Console(highlight=False))
    errors: Console = field(factory=lambda: Console(stderr=True, highlight=False))

    def config(self) -> Config:
        """The configuration, with what the options say."""
        given = {"url": self.url, "driver": self.db_driver, "path": self.db_path}
        database = {name: value for name, value in given.items() if value is not None}
        if "path" in database and "driver" not in database and "url" not in database:
            database["driver"] = "sqlite"
        return load(self.config_file, arguments={"database": database} if database else None)

    @contextmanager
    def store(self, *, whatever_the_schema: bool = False) -> Iterator[Store]:
        """The store, open. Warnings of start-up go to the error output."""
        config = self.config()
        for finding in check(config):
            self.errors.print(f"[yellow]warning[/] {finding.field}: {finding.message}")
        database = config.database
        if whatever_the_schema:
            database = evolve(database, auto_migrate=False, check_schema=False)
        with engine_store.open(database) as store:
            yield store

    def answer(self, data: Any, shown: RenderableType | None = None) -> None:
        """Print the answer: `data` as JSON, or what is shown to people."""
        if self.as_json or shown is None:
            plain = _converter.unstructure(data)
            self.console.print(json.dumps(plain, indent=2, ensure_ascii=False), soft_wrap=True)
        else:
            self.console.print(shown)


def command(app: typer.Typer, name: str | None = None) -> Callable[[Any], Any]:
    """Make a function a command. It gets a `Run`, for which the command has the common options."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        common = [
            inspect.Parameter(
                option,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if option == "as_json" else None,
                annotation=annotation,
            )
            for option, annotation in COMMON.items()
        ]

        @functools.wraps(function)
        def call(**given: Any) -> None:
            function(Run(**{name: given.pop(name) for name in COMMON}), **given)

        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [parameter.replace(kind=keyword) for parameter in own]
        call.__signature__ = inspect.Signature([*parameters, *common])  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in [*parameters, *common]}
        app.command(name)(call)
        return function

    return decorate


def group(help: str) -> typer.Typer:  # noqa: A002
    """A group of commands."""
    return typer.Typer(help=help, no_args_is_help=True)


def confirmed(run: Run, question: str, *, yes: bool) -> bool:
    """Whether to go on: told by an option, or asked at a terminal. Raises where nobody can say."""
    if yes:
        return True
    if not run.console.is_terminal or run.as_json:
        raise ConfigurationError("--yes", f"{question} Say so with --yes, or look with --dry-run")
    return typer.confirm(question)
