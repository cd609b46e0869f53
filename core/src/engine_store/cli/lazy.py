"""The commands of `engine-store`, each imported when it is called, or listed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from engine_store.cli import GROUP
from engine_store.cli.streams import tell

MODULES = {
    "service": ("start", "check", "health", "drivers", "schema"),
    "migrate": ("migrate",),
    "users": ("users",),
    "keys": ("keys",),
    "workflows": ("workflows",),
    "queues": ("queues",),
    "transfer": ("export", "import", "copy", "backup", "restore"),
}
"""The commands of each module here, in the order of the help."""


class LazyGroup(TyperGroup):
    """The group of all commands; it imports those that a call needs."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name. One that is not ours may be of a plugin."""
        own = next((module for module, names in MODULES.items() if cmd_name in names), None)
        if own is None:
            self.list_commands(ctx)
        else:
            self._add(_app_of(own))
        return self.commands.get(cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        for app in (*map(_app_of, MODULES), *_plugins()):
            self._add(app)
        own = [name for names in MODULES.values() for name in names]
        return [*own, *(name for name in self.commands if name not in own)]

    def _add(self, app: typer.Typer) -> None:
        holder = typer.Typer(rich_markup_mode=None)
        holder.add_typer(app)
        self.commands.update(typer.main.get_group(holder).commands)


def _app_of(module: str) -> typer.Typer:
    app: typer.Typer = import_module(f"engine_store.cli.{module}").app
    return app


def _plugins() -> Iterator[typer.Typer]:
    """Yield what other distributions add; say which cannot be loaded."""
    from importlib.metadata import entry_points  # slow to import

    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            yield point.load()
        except Exception as error:  # noqa: BLE001 - a plugin's; the other commands work
            name = point.dist.name if point.dist else point.value
            tell(f"engine-store: the commands of {name} are missing: {error!r}")
