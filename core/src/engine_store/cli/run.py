"""What every command shares: where the store is, how it answers, and its exit codes."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import evolve, field, frozen
from rich.console import Console
from rich.table import Table
from rich.text import Text

import engine_store
from engine_store.cli import NO
from engine_store.cli.streams import printable, to_json
from engine_store.config import Config, Severity
from engine_store.errors import ConfigurationError
from engine_store.secrecy import hidden
from engine_store.startup import check, load

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, ProgressColumn

    from engine_store.protocols import Store

PAGE = 1000
"""Rows that a command reads at a time."""

COMMON: dict[str, Any] = {
    "config_file": Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="A YAML or TOML file."),
    ],
    "url": Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="Where it is, such as sqlite:///engine.db."),
    ],
    "db_driver": Annotated[str | None, typer.Option(metavar="NAME", help="The driver, by name.")],
    "db_path": Annotated[str | None, typer.Option(metavar="FILE", help="The file, for SQLite.")],
    "as_json": Annotated[bool, typer.Option("--json", help="Answer in JSON.")],
}
"""The options of every command."""

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")]
"""The options of commands that remove something."""

_SHOWN_IN_A_PIPE = 10_000
"""Columns of what is no terminal: whoever reads it wants a line for each row, and whole ids."""


class _Console(Console):
    """A console that escapes what a terminal would obey in every string it prints, but its lines.

    A string of several lines is ours; what somebody else wrote is part of a line or a cell.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text, keep="\n"), **options)


def text(*parts: str | tuple[str, str]) -> Text:
    """Return a line of these parts, each with its style or without, with escapes as above."""
    made = Text()
    for part in parts:
        words, style = (part, "") if isinstance(part, str) else part
        made.append(printable(words), style)
    return made


def console(*, stderr: bool = False) -> Console:
    """Where a command writes: with colours at a terminal alone, and not with NO_COLOR."""
    at_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return _Console(
        stderr=stderr,
        highlight=False,
        markup=False,  # [...] of an id or of a message is no style
        emoji=False,
        width=None if at_terminal else _SHOWN_IN_A_PIPE,
        color_system="auto" if at_terminal and not os.environ.get("NO_COLOR") else None,
    )


@frozen
class Run:
    """One call of a command."""

    config_file: Path | None = None
    url: str | None = field(default=None, repr=False)
    db_driver: str | None = None
    db_path: str | None = None
    as_json: bool = False
    console: Console = field(factory=console)
    errors: Console = field(factory=lambda: console(stderr=True))

    @functools.cached_property
    def config(self) -> Config:
        """The configuration, with what the options say."""
        given = {"url": self.url, "driver": self.db_driver, "path": self.db_path}
        database = {name: value for name, value in given.items() if value is not None}
        if "path" in database and "driver" not in database and "url" not in database:
            database["driver"] = "sqlite"
        return load(self.config_file, arguments={"database": database} if database else None)

    def refuse_place(self, command: str, reason: str) -> None:
        """Raise `ConfigurationError` if the options name a store, for a command that does."""
        if (self.config_file, self.url, self.db_driver, self.db_path) != (None, None, None, None):
            raise ConfigurationError(command, reason)

    @contextmanager
    def store(self, *, migrate: bool = False, any_schema: bool = False) -> Iterator[Store]:
        """The store, open. Warnings of start-up go to the error output.

        Only with `migrate` are missing steps applied, where the configuration says so: a command
        that looks changes nothing. With `any_schema` it may lack them.
        """
        config = self.config
        for finding in check(config):
            if finding.severity is Severity.WARNING:
                self.errors.print(f"warning {finding.field}: {finding.message}")
        database = config.database
        if not migrate:
            database = evolve(database, auto_migrate=False, check_schema=not any_schema)
        with engine_store.open(database) as store:
            yield store

    def answer(self, data: Any, shown: RenderableType) -> None:
        """Print the answer: `data` as JSON, or what is shown to people."""
        if self.as_json:
            from cattrs.preconf.json import make_converter

            plain_data = make_converter().unstructure(data)
            typer.echo(to_json(plain_data))
            return
        with self.console.capture() as captured:
            self.console.print(shown)
        lines = captured.get().splitlines()
        typer.echo("\n".join(lines if self.console.is_terminal else map(str.rstrip, lines)))

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask at a terminal whether to go on, unless an option says so. Raise without either."""
        if yes:
            return
        if not sys.stdin.isatty() or self.as_json:
            raise ConfigurationError(
                "--yes", f"{question} Say so with --yes, or look with --dry-run"
            )
        if not typer.confirm(printable(question), err=True):
            raise typer.Exit(NO)

    def remove(
        self,
        what: str,
        remove: Callable[[], object],
        answer: Mapping[str, object],
        *,
        yes: bool,
        dry_run: bool,
        verb: str = "delete",
    ) -> None:
        """Remove something once that is confirmed, or only say what would go."""
        if not dry_run:
            self.confirm(f"{verb.capitalize()} {what}?", yes=yes)
            remove()
        done = f"would {verb}" if dry_run else f"{verb}d"
        self.answer({**answer, "dry_run": dry_run}, f"{done} {what}")

    def progress(self, *columns: ProgressColumn) -> Progress:
        """A bar for something that takes its time; at a terminal, and gone afterwards."""
        from rich.progress import Progress  # a good part of the time a short command takes

        shown = self.errors.is_terminal
        return Progress(*columns, console=self.errors, transient=True, disable=not shown)


class _Table(Table):
    """A table whose cells are a line each, however that is shown."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        shown = (printable(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*shown, **options)


def table(*columns: str) -> Table:
    """A table that shows its values whole, on several lines where they are too long."""
    made = _Table(box=None, show_header=bool(columns), pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


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
            given = {name: _hidden_url(value) for name, value in given.items()}
            function(Run(**{name: given.pop(name) for name in COMMON}), **given)

        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [parameter.replace(kind=keyword) for parameter in own]
        call.__signature__ = inspect.Signature([*parameters, *common])  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in [*parameters, *common]}
        app.command(name)(call)
        return function

    return decorate


def _hidden_url(value: Any) -> Any:
    return hidden(value) if type(value) is str and "://" in value else value


def group(name: str, help: str) -> typer.Typer:  # noqa: A002 - the word of command lines
    """Return a group of commands."""
    return typer.Typer(name=name, help=help, no_args_is_help=True)
