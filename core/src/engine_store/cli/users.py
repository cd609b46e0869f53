"""users: who may use the engine."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from rich.table import Table

from engine_store.cli.run import PAGE, DryRun, Run, Yes, command, group, table
from engine_store.ids import new_id
from engine_store.models import ApiKeyFilter, Role, User, UserFilter
from engine_store.models.pages import read_pages

app = group("users", "List, create and delete users.")


@command(app, "list")
def list_users(
    run: Run,
    role: Annotated[
        Role | None, typer.Option(metavar="ROLE", help="Only those who are: admin or user.")
    ] = None,
) -> None:
    """List the users, oldest first."""
    with run.store() as store:
        found = list(read_pages(partial(store.users.list, UserFilter(role)), PAGE))
    run.answer(found, _table(found))


@command(app)
def show(run: Run, user_id: Annotated[str, typer.Argument(help="The user's id.")]) -> None:
    """Show one user."""
    with run.store() as store:
        found = store.users.get(user_id)
    run.answer(found, _table([found]))


@command(app)
def create(
    run: Run,
    email: Annotated[str, typer.Argument(help="The email, unique in any case.")],
    role: Annotated[
        Role, typer.Option(metavar="ROLE", help="What the user is: admin or user.")
    ] = Role.USER,
    user_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="An id of your own.")
    ] = None,
) -> None:
    """Create a user."""
    with run.store(migrate=True) as store:
        made = store.users.create(User(user_id or new_id(), email, role))
    run.answer(made, _table([made]))


@command(app)
def delete(
    run: Run,
    user_id: Annotated[str, typer.Argument(help="The user's id.")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete a user with its API keys."""
    with run.store() as store:
        user = store.users.get(user_id)
        read = partial(store.api_keys.list, ApiKeyFilter(user_id))
        keys = sum(1 for _ in read_pages(read, PAGE))
        run.remove(
            f"{user.email} and {keys} keys",
            partial(store.users.delete, user_id),
            {"user_id": user_id, "keys": keys},
            yes=yes,
            dry_run=dry_run,
        )


def _table(users: list[User]) -> Table:
    shown = table("id", "email", "role", "created")
    for user in users:
        created = user.created_at.isoformat(" ", "seconds")
        shown.add_row(user.user_id, user.email, user.role.value, created)
    return shown
